# SPDX-License-Identifier: Apache-2.0
"""nova-manage notifications: what is sent, and all of it once more."""

from __future__ import annotations

import argparse
import json
import logging

from oslo_config import cfg

from nova import config
from nova.cmd import common
from nova.cmd import table

CONF = cfg.CONF

#: attempts at most: each message holds the row of its service
_RETRY = 3


def add_parsers(categories: argparse._SubParsersAction) -> None:
    """Add the category to nova-manage."""
    category = categories.add_parser(
        'notifications', help='what is sent to the message bus')
    actions = category.add_subparsers(dest='action', required=True)
    listing = actions.add_parser(
        'list', help='list the events and their payloads')
    listing.add_argument('--format', choices=('table', 'json'),
                         default='table')
    listing.set_defaults(work=_list)
    schema = actions.add_parser(
        'schema', help='describe the messages for programs')
    schema.add_argument(
        '--format', choices=('jsonschema', 'asyncapi'), default='jsonschema',
        help='JSON Schema 2020-12 of the messages, or an AsyncAPI 3 document '
             'with the topics of this nova.conf; default jsonschema')
    schema.set_defaults(work=_schema)
    resync = actions.add_parser(
        'resync', help='send the state of each service as service.update, '
                       'for a consumer that starts from nothing')
    # A name that is an option's, too, can't be read.
    resync.add_argument('--host', dest='of_host', metavar='HOST',
                        help='only the services of this host')
    resync.add_argument('--binary', help='only those of this binary, e.g. '
                                         'nova-compute')
    resync.add_argument('--rate', type=common.positive, default=100,
                        metavar='N', help='at most so many services a second; '
                                          'default 100')
    resync.set_defaults(work=_resync)


def _list() -> None:
    from nova.notifications import schema
    listed = [{'event': event.event_type, 'payload': event.payload.__name__,
               'version': event.payload.VERSION, 'sample': event.sample}
              for event in schema.events()]
    if CONF.category.format == 'json':
        print(json.dumps(listed))
        return
    table.show(tuple(listed[0]), [tuple(row.values()) for row in listed])


def _schema() -> None:
    from nova.notifications import schema
    document = (_asyncapi() if CONF.category.format == 'asyncapi'
                else schema.document())
    print(json.dumps(document, indent=2))


def _asyncapi() -> dict[str, object]:
    from nova import rpc
    from nova.notifications import asyncapi
    config.set_lib_defaults()
    return asyncapi.document(
        rpc.control_exchange(),
        CONF.notifications.versioned_notifications_topics)


def _resync() -> None:
    from nova import context as nova_context
    from nova import objects
    from nova import rpc
    from nova.notifications import delivery
    from nova.notifications import resync
    options = CONF.category
    config.set_lib_defaults()
    rpc.init(CONF)
    try:
        delivery.check_enabled()
        _fail_soon()
        objects.register_all()
        sent, passed_over = resync.announce(
            nova_context.get_admin_context(), options.of_host,
            options.binary, options.rate)
    finally:
        rpc.cleanup()
    print(_summary(sent, passed_over))


def _fail_soon() -> None:
    """Make a bus that is down end the command, with one line."""
    from nova import rpc
    if not 0 <= rpc.NOTIFIER.retry <= _RETRY:
        rpc.NOTIFIER.retry = _RETRY
    if not CONF.debug:
        logging.getLogger('oslo.messaging._drivers.impl_rabbit').setLevel(
            logging.CRITICAL)
        # Each loss with its traceback.
        logging.getLogger('oslo_messaging.notify.messaging').propagate = False


def _summary(sent: int, passed_over: int) -> str:
    options = CONF.category
    summary = f'{sent} announced'
    if passed_over:
        return f'{summary}, {passed_over} passed over: see the warnings'
    if not sent:
        wanted = ' and '.join(
            f'{name} {value}' for name, value in (
                ('host', options.of_host), ('binary', options.binary))
            if value)
        return f'{summary}: there is no service' + (
            f' of {wanted}' if wanted else '')
    return summary
