# SPDX-License-Identifier: Apache-2.0
"""nova-manage outbox: see what waits for the bus, and deal with the rest."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from oslo_config import cfg

from nova.cmd import common
from nova.cmd import table

CONF = cfg.CONF

_LISTED = ('id', 'type', 'publisher_id', 'message_id', 'created_at',
           'attempts', 'parked_at', 'error')


def add_parsers(categories: argparse._SubParsersAction) -> None:
    """Add the category to nova-manage."""
    category = categories.add_parser(
        'outbox', help='notifications that the bus has not confirmed yet')
    actions = category.add_subparsers(dest='action', required=True)
    status = actions.add_parser(
        'status', help='how many wait and since when, how many are parked, '
                       'and which relay is active')
    status.set_defaults(work=_status)
    listing = actions.add_parser('list', help='list the oldest')
    listing.add_argument('--parked', action='store_true',
                         help='only those that the relay has given up')
    listing.add_argument('--limit', type=common.positive, default=50,
                         metavar='N', help='at most so many; default 50')
    listing.set_defaults(work=_list)
    retry = actions.add_parser(
        'retry', help='let the relay send parked ones again, or the current '
                      'state of their services')
    retry.set_defaults(work=_retry)
    discard = actions.add_parser('discard', help='delete parked ones for good')
    discard.set_defaults(work=_discard)
    for parser in (status, listing, retry):
        parser.add_argument('--format', choices=('table', 'json'),
                            default='table')
    for parser in (retry, discard):
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument('--all', action='store_true',
                           help='all that are parked')
        which.add_argument('ids', type=_outbox_id, nargs='*', default=[],
                           metavar='ID', help='id, as list shows it')


def _outbox_id(text: str) -> int:
    outbox_id = common.positive(text)
    if outbox_id >= 2 ** 63:
        # No database has such a number.
        raise argparse.ArgumentTypeError(f'{text} is too large for an id')
    return outbox_id


def _context() -> Any:
    from nova import context as nova_context
    from nova.notifications import delivery
    context = nova_context.get_admin_context()
    delivery.check_outbox(context)
    return context


def _status() -> None:
    from nova.db.main import outbox
    from nova.notifications import lease
    context = _context()
    state = outbox.status(context)
    state['relay_alive'] = lease.is_alive(context)
    if CONF.category.format == 'json':
        print(json.dumps(state))
        return
    holder = state['relay'] or 'none'
    if state['relay'] and not state['relay_alive']:
        holder += ', silent'
    age = state['oldest_age']
    table.show(('', ''), [
        ('waiting', outbox.describe_count(state['depth'])),
        ('oldest', '-' if age is None else f'{age:,.1f} s'),
        ('parked', outbox.describe_count(state['parked'])),
        ('active relay', holder)])


def _list() -> None:
    from nova.db.main import outbox
    from nova.notifications import retry
    options = CONF.category
    context = _context()
    rows = outbox.listed(context, options.parked, options.limit)
    superseded = retry.superseded(context, rows)
    listed = [{**{name: row[name] for name in _LISTED},
               'superseded': row['id'] in superseded} for row in rows]
    if options.format == 'json':
        print(json.dumps(listed, default=str))
        return
    table.show(('id', 'event', 'publisher', 'stored (UTC)', 'attempts',
                'parked (UTC)', 'superseded', 'error'), [
        tuple('' if cell is None else str(cell) for cell in (
            row['id'], row['type'], row['publisher_id'], row['created_at'],
            row['attempts'], row['parked_at'], _yes_or_no(row), row['error']))
        for row in listed])


def _yes_or_no(row: dict[str, Any]) -> str | None:
    if row['parked_at'] is None:
        return None
    return 'yes' if row['superseded'] else 'no'


def _retry() -> None:
    from nova.notifications import retry
    wanted = _wanted()
    not_parked = set(wanted or ())
    counts = dict.fromkeys(retry.Fate, 0)
    details = []
    for decision in retry.retry(_context(), wanted):
        not_parked.discard(decision.id)
        counts[decision.fate] += 1
        if decision.reason is None:
            continue
        if CONF.category.format == 'json':
            details.append(dataclasses.asdict(decision))
        else:
            print(f'{decision.fate} {decision.id}, {decision.event} of '
                  f'{decision.publisher_id}: {decision.reason}')
    if CONF.category.format == 'json':
        print(json.dumps({**counts, 'not_parked': sorted(not_parked),
                          'details': details}))
        return
    for outbox_id in sorted(not_parked):
        print(f'{outbox_id} is not parked')
    print(f'{counts[retry.Fate.SENT_AGAIN]} sent again as they were, '
          f'{counts[retry.Fate.REPLACED]} replaced by the current state, '
          f'{counts[retry.Fate.DROPPED]} dropped, '
          f'{counts[retry.Fate.LEFT]} left parked')


def _discard() -> None:
    from nova.db.main import outbox
    print(f'{outbox.discard(_context(), _wanted())} discarded')


def _wanted() -> list[int] | None:
    return None if CONF.category.all else CONF.category.ids
