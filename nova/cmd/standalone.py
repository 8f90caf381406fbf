# SPDX-License-Identifier: Apache-2.0
"""nova-standalone: see the whole thing move, on this machine alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
import contextlib
import ctypes
import logging
import multiprocessing
import pathlib
import queue
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

from oslo_config import cfg

from nova import config
from nova import signals
from nova.cmd import common

if TYPE_CHECKING:
    from nova import consumer
    from nova.standalone import process

CONF = config.CONF

#: heartbeats a second that a file of SQLite takes easily
_BEATS = 200

#: of malloc.h: in how many arenas threads keep what they have freed
_M_ARENA_MAX = -8

#: heartbeats that may be missed, as by default
_MISSED = 6

#: seconds to stop everything after a signal
_PATIENCE = 12

#: seconds within which the end is noticed while no event arrives
_TICK = 0.3

_OPTS = [
    cfg.StrOpt('state-dir', metavar='DIR',
               help='Directory that keeps the services until the next start; '
                    'a temporary one by default.'),
    cfg.IntOpt('services', default=2, min=1, max=100_000, metavar='N',
               help='Number of simulated compute hosts.'),
    cfg.PortOpt('port', default=8774, help='Port of the REST API; 0 is a '
                                           'free one.'),
    cfg.PortOpt('board-port', default=8775, help='Port of the board; 0 is a '
                                                 'free one.'),
    cfg.BoolOpt('tour', default=False,
                help='Play the life of a service, explain it, and exit.'),
]

_NOVA_CONF = '''\
[DEFAULT]
transport_url = fake:/
host = ctl-1
[api]
auth_strategy = noauth2
[database]
connection = sqlite:///$state_dir/nova.sqlite
[notifications]
notification_format = versioned
delivery = outbox
[oslo_messaging_notifications]
driver = messagingv2
'''

_RUNNING = '''\
REST API  {endpoint}
board     {board}
services  {state}

In another terminal, with python-openstackclient installed:

  export OS_AUTH_TYPE=none OS_ENDPOINT={endpoint}
  openstack compute service list
  openstack compute service set --disable --disable-reason broken {host} \
nova-compute
  openstack compute service set --enable {host} nova-compute

What changes is seen on the board, and here. Ctrl-C ends it.
'''


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-standalone."""
    argv = sys.argv if argv is None else argv

    def work() -> None:
        _save_memory()
        CONF.register_cli_opts(_OPTS)
        with tempfile.TemporaryDirectory(
                prefix='nova-standalone-',
                ignore_cleanup_errors=True) as temporary:
            signals.run_until_signal(
                lambda stopping: _run(argv, temporary, stopping), _PATIENCE)

    return common.run('nova-standalone', argv, work)


def _save_memory() -> None:
    # By default each of some forty threads can have an arena of its own.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _run(argv: Sequence[str], temporary: str,
         stopping: threading.Event) -> None:
    embedded = pathlib.Path(temporary, 'nova.conf')
    embedded.write_text(_NOVA_CONF)
    CONF.set_default('state_dir', temporary)
    # The last one counts. No nova.conf of this machine is looked for: its
    # database and its bus are not meant.
    config.parse_args([*argv, '--config-file', str(embedded)],
                      prog='nova-standalone')
    _pace()
    config.setup_logging()
    if not CONF.debug:
        logging.getLogger().setLevel(logging.WARNING)
    from nova.standalone import lock
    with lock.held(CONF.state_dir):
        # What alembic needs is a tenth of the memory, and not kept here.
        with futures.ProcessPoolExecutor(
                1, multiprocessing.get_context('fork')) as migrating:
            migrated = migrating.submit(_migrate)
            from nova.standalone import process
            migrated.result()
        heard: queue.SimpleQueue[consumer.ServiceEvent] = queue.SimpleQueue()
        with process.running(CONF, CONF.services, CONF.port, CONF.board_port,
                             heard.put) as standalone:
            if CONF.tour:
                from nova.standalone import tour
                tour.play(standalone, heard, stopping)
            else:
                _tell(standalone, heard, stopping,
                      CONF.state_dir != temporary)


def _migrate() -> None:
    from nova.db import migration
    migration.db_sync()


def _pace() -> None:
    """Let services beat as often as the database takes it."""
    interval = max(CONF.report_interval, CONF.services // _BEATS)
    CONF.set_override('report_interval', interval)
    CONF.set_override('service_down_time', interval * _MISSED)


def _tell(standalone: process.Standalone,
          heard: queue.SimpleQueue[consumer.ServiceEvent],
          stopping: threading.Event, kept: bool) -> None:
    from nova.standalone import hosts
    from nova.watch import text
    print(_RUNNING.format(
        endpoint=standalone.endpoint, board=standalone.board,
        host=hosts.compute_name(1),
        state=CONF.state_dir if kept else
        'gone at the end; --state-dir DIR keeps them'),
        flush=True)
    while not stopping.is_set():
        try:
            event = heard.get(timeout=_TICK)
        except queue.Empty:
            continue
        # Thousands may register at once.
        if event.event_type != 'service.create':
            print(text.line(event), flush=True)


if __name__ == '__main__':
    sys.exit(main())
