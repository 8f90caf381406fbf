# SPDX-License-Identifier: Apache-2.0
"""nova-watch: see the services, and what happens to them."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import logging
import sys
import threading
from urllib import parse

from keystoneauth1 import exceptions as auth_exc
import openstack
from oslo_config import cfg
import oslo_messaging

from nova import config
from nova import consumer
from nova import exception
from nova import signals
from nova.board import feed
from nova.board import server
from nova.cmd import common
from nova.cmd import table
from nova.watch import follow
from nova.watch import screen
from nova.watch import text

CONF = config.CONF

#: seconds to delete the queue and to close everything after a signal
_PATIENCE = 12

_OPTS = [
    cfg.BoolOpt('once', default=False,
                help='List the services and exit; needs the REST API only.'),
    cfg.BoolOpt('events', default=False,
                help='Print a line for each event; needs the message bus '
                     'only. So it is where stdout is no terminal.'),
    cfg.BoolOpt('json', default=False,
                help='Print one JSON object a line: each notification as it '
                     'came, or with --once each service.'),
    cfg.StrOpt('http', metavar='ADDR:PORT',
               help='Serve the live board there, e.g. on 127.0.0.1:8775, '
                    'instead of the table. Whoever reaches it can read it.'),
    cfg.MultiStrOpt('host', dest='of_host', default=[], metavar='PATTERN',
                    help="Show services of these hosts only, e.g. 'cmp-*'; "
                         'may be repeated.'),
    cfg.MultiStrOpt('binary', dest='of_binary', default=[], metavar='PATTERN',
                    help='Show services of these binaries only; may be '
                         'repeated.'),
    cfg.StrOpt('transport-url', dest='watched_url', secret=True,
               metavar='URL',
               help='The message bus, instead of that of nova.conf.'),
    cfg.StrOpt('os-cloud', metavar='NAME',
               help='The cloud of clouds.yaml whose REST API is asked; if '
                    'not given, OS_* of the environment tell.'),
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-watch."""
    argv = sys.argv if argv is None else argv

    def work() -> int:
        CONF.register_cli_opts(_OPTS)
        config.parse_args(argv, configure_db=False, init_rpc=False,
                          prog='nova-watch')
        wrong = _misuse()
        if wrong:
            print(f'nova-watch: {wrong}', file=sys.stderr)
            return 2
        config.setup_logging()
        # What can't be loaded is told by the error of ours.
        logging.getLogger('stevedore').setLevel(logging.ERROR)
        try:
            _watch()
        except consumer.APIError as error:
            raise exception.NovaException(
                f'the REST API: {error}; see --os-cloud') from error
        except consumer.BusError as error:
            raise exception.NovaException(
                f'the message bus: {error}; see --transport-url') from error
        return 0

    return common.run('nova-watch', argv, work)


def _misuse() -> str | None:
    if CONF.once and CONF.events:
        return 'give --once or --events, not both'
    if CONF.http is None:
        return None
    if CONF.once or CONF.events or CONF.json:
        return 'give --http without --once, --events and --json'
    if _http_address() is None:
        return f'--http {CONF.http!r} should be ADDR:PORT, e.g. 127.0.0.1:8775'
    return None


def _http_address() -> tuple[str, int] | None:
    try:
        url = parse.urlsplit(f'//{CONF.http}')
        if url.hostname and url.port is not None and not url.path:
            return url.hostname, url.port
    except ValueError:
        pass
    return None


def _watch() -> None:
    wanted = follow.Filter(CONF.of_host, CONF.of_binary)
    if CONF.once:
        _list(wanted)
    else:
        signals.run_until_signal(
            lambda stopping: _follow(wanted, stopping), _PATIENCE)


def _follow(wanted: follow.Filter, stopping: threading.Event) -> None:
    if address := _http_address():
        _serve_board(wanted, stopping, *address)
    elif CONF.events or CONF.json or not screen.possible():
        _print_events(wanted, stopping)
    else:
        _show_table(wanted, stopping)


def _list(wanted: follow.Filter) -> None:
    services = sorted(filter(wanted, _lister()()), key=lambda service: (
        service.host or '', service.binary or ''))
    if CONF.json:
        for service in services:
            print(text.json_service(service))
    else:
        table.show(text.HEAD, [text.row(service) for service in services])


def _print_events(wanted: follow.Filter, stopping: threading.Event) -> None:
    write = text.json_line if CONF.json else text.line

    def take(event: consumer.ServiceEvent) -> None:
        if wanted(event.service):
            print(write(event), flush=True)

    follow.events(_bus(), _topics(), take, stopping)


def _show_table(wanted: follow.Filter, stopping: threading.Event) -> None:
    lister = _lister()
    shown = screen.Screen(wanted)
    with screen.held_log(shown.tell), follow.mirror(
            _bus(), _topics(), lister,
            callbacks=consumer.Callbacks(removed=shown.forget),
            heard=shown.heard, drifted=shown.drifted,
            down_time=CONF.service_down_time) as mirror:
        shown.run(mirror, stopping)


def _serve_board(wanted: follow.Filter, stopping: threading.Event,
                 address: str, port: int) -> None:
    board = feed.Feed(wanted)
    lister = _lister()
    with contextlib.ExitStack() as stack:
        try:
            served = server.BoardServer(board, address, port,
                                        lambda: mirror.trouble)
        except OSError as error:
            # The reason stands at the end: "… [Errno 98] Address …)".
            reason = str(error).rpartition('] ')[2].rstrip(')')
            raise exception.ConfigurationError(detail=(
                f'--http {CONF.http} can not be listened on: {reason}'
            )) from error
        stack.callback(served.stop)
        mirror = stack.enter_context(follow.mirror(
            _bus(), _topics(), lister, callbacks=board.callbacks,
            heard=board.heard, drifted=board.drifted,
            down_time=CONF.service_down_time))
        served.start()
        print(f'board  {served.url}', flush=True)
        stopping.wait()


def _topics() -> list[str]:
    return CONF.notifications.versioned_notifications_topics


def _bus() -> oslo_messaging.Transport:
    transport = consumer.connect(CONF.watched_url, CONF)
    if transport._driver._url.transport == 'fake':
        raise consumer.BusError('transport_url is fake:, a bus within one '
                                'process, which another can not hear')
    return transport


def _lister() -> consumer.ServiceLister:
    try:
        return consumer.ServiceLister(openstack.connect(cloud=CONF.os_cloud))
    except (auth_exc.ClientException,
            openstack.exceptions.SDKException) as error:
        raise consumer.APIRefused(str(error).rstrip('.')) from error


if __name__ == '__main__':
    sys.exit(main())
