# SPDX-License-Identifier: Apache-2.0
"""nova-manage outbox: see what waits for the bus, and deal with the rest."""

from __future__ import annotations

import argparse
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
    for parser in (status, listing):
        parser.add_argument('--format', choices=('table', 'json'),
                            default='table')
    for name, work, description in (
            ('retry', _retry, 'let the relay try parked ones again'),
            ('discard', _discard, 'delete parked ones for good')):
        parser = actions.add_parser(name, help=description)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument('--all', action='store_true',
                           help='all that are parked')
        which.add_argument('ids', type=common.positive, nargs='*', default=[],
                           metavar='ID', help='id, as list shows it')
        parser.set_defaults(work=work)


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
        ('waiting', str(state['depth'])),
        ('oldest', '-' if age is None else f'{age:,.1f} s'),
        ('parked', str(state['parked'])),
        ('active relay', holder)])


def _list() -> None:
    from nova.db.main import outbox
    options = CONF.category
    rows = outbox.listed(_context(), options.parked, options.limit)
    listed = [{name: row[name] for name in _LISTED} for row in rows]
    if options.format == 'json':
        print(json.dumps(listed, default=str))
        return
    table.show(('id', 'event', 'publisher', 'stored (UTC)', 'attempts',
                'parked (UTC)', 'error'), [
        tuple('' if row[name] is None else str(row[name]) for name in
              ('id', 'type', 'publisher_id', 'created_at', 'attempts',
               'parked_at', 'error')) for row in listed])


def _retry() -> None:
    from nova.db.main import outbox
    print(f'{outbox.unpark(_context(), _wanted())} will be tried again')


def _discard() -> None:
    from nova.db.main import outbox
    print(f'{outbox.discard(_context(), _wanted())} discarded')


def _wanted() -> list[int] | None:
    return None if CONF.category.all else CONF.category.ids
