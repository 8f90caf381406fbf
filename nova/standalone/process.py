# SPDX-License-Identifier: Apache-2.0
"""REST API, hosts, relay, consumer and board, in threads of one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import logging
import threading
from typing import TYPE_CHECKING

from cheroot import wsgi
from oslo_config import cfg

from nova import consumer
from nova import exception
from nova import rpc
from nova.api.openstack import deploy
from nova.api.openstack import wsgi_app
from nova.board import feed
from nova.board import server
from nova.notifications import lease
from nova.notifications import metrics
from nova.notifications import publisher
from nova.notifications import relay
from nova.standalone import hosts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LOG = logging.getLogger(__name__)

ADDRESS = '127.0.0.1'

#: requests to the REST API at a time
_THREADS = 6

#: seconds that a client of the REST API may take to send or take something;
#: it is on the same machine
_TIMEOUT = 5

#: seconds that the relay may take to stop
_PATIENCE = 10


@dataclasses.dataclass
class Standalone:
    """What runs.

    :ivar endpoint: of the REST API
    :ivar board: where the board is seen
    :ivar hosts: the simulated hosts
    """

    endpoint: str
    board: str
    hosts: hosts.Hosts


@contextlib.contextmanager
def running(conf: cfg.ConfigOpts, computes: int, port: int, board_port: int,
            heard: Callable[[consumer.ServiceEvent], object]
            ) -> Iterator[Standalone]:
    """Run all of it.

    :param conf: of a bus in memory and a database of its own, of the
        newest schema
    :param computes: number of compute hosts
    :param port: of the REST API; 0 is a free one
    :param board_port: of the board; 0 is a free one
    :param heard: called with each event
    :raises ConfigurationError: it can't listen
    """
    the_feed = feed.Feed()
    with contextlib.ExitStack() as stack:
        api = _api(deploy.loadapp(conf), port)
        stack.callback(api.stop)
        endpoint = f'http://{ADDRESS}:{api.bind_addr[1]}/v2.1'
        wsgi_app.register('osapi_compute')
        members = hosts.Hosts(conf.host, computes, conf.report_interval)
        mirror = _mirror(conf, endpoint, the_feed, members, heard)
        try:
            board = server.BoardServer(the_feed, ADDRESS, board_port,
                                       trouble=lambda: mirror.trouble)
        except OSError as error:
            raise _taken('--board-port', board_port) from error
        board.start()
        stack.callback(board.stop)
        threading.Thread(target=api.serve, name='api', daemon=True).start()
        # Before it was heard of nothing may be sent: nothing would be kept.
        mirror.start()
        stack.callback(mirror.stop)
        members.start()
        stack.callback(members.stop)
        stopping = threading.Event()
        sending = threading.Thread(target=_relay(conf).run, name='relay',
                                   args=(stopping,), daemon=True)
        sending.start()
        stack.callback(sending.join, _PATIENCE)
        stack.callback(stopping.set)
        yield Standalone(endpoint, board.url, members)


def _api(application: WSGIApplication, port: int) -> wsgi.Server:
    api = _Server((ADDRESS, port), application, numthreads=_THREADS,
                  server_name=ADDRESS, timeout=_TIMEOUT)
    try:
        api.prepare()
    except OSError as error:
        raise _taken('--port', port) from error
    return api


class _Server(wsgi.Server):

    def error_log(self, msg: str = '', level: int = logging.INFO,
                  traceback: bool = False) -> None:
        LOG.log(level, '%s', msg, exc_info=traceback)


def _taken(option: str, port: int) -> Exception:
    return exception.ConfigurationError(detail=(
        f'{option} {port} is taken, or may not be listened on; give another '
        'one, or 0 for one that is free'))


def _mirror(conf: cfg.ConfigOpts, endpoint: str, the_feed: feed.Feed,
            members: hosts.Hosts,
            heard: Callable[[consumer.ServiceEvent], object]
            ) -> consumer.ServiceMirror:
    def hear(event: consumer.ServiceEvent) -> None:
        if event.event_type == 'service.delete':
            members.forget(event.service)
        the_feed.heard(event)
        heard(event)

    # The bus in memory keeps what comes for no pool until it is read: so it
    # is read.
    return consumer.ServiceMirror(
        rpc.NOTIFICATION_TRANSPORT, _lister(endpoint), pool=None,
        callbacks=the_feed.callbacks, heard=hear, drifted=the_feed.drifted,
        interval=conf.report_interval, down_time=conf.service_down_time)


def _lister(endpoint: str) -> consumer.ServiceLister:
    import openstack
    return consumer.ServiceLister(openstack.connect(
        load_envvars=False, load_yaml_config=False, auth_type='none',
        auth={'endpoint': endpoint}))


def _relay(conf: cfg.ConfigOpts) -> relay.Relay:
    return relay.Relay(conf, publisher.Publisher(conf),
                       lease.Lease(conf.host), metrics.Metrics())
