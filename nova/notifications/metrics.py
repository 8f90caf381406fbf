# SPDX-License-Identifier: Apache-2.0
"""A relay's health and figures over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import json
import logging
import socketserver
import threading
from typing import TYPE_CHECKING, Any
from wsgiref import simple_server

import prometheus_client
from prometheus_client import core

from nova import context as nova_context
from nova import exception
from nova.db.main import outbox

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

LOG = logging.getLogger(__name__)

_PREFIX = 'nova_outbox_'


class Metrics:
    """Counts what a relay does.

    :ivar registry: of prometheus_client
    """

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.published = prometheus_client.Histogram(
            f'{_PREFIX}publish_seconds', 'Time until the bus has confirmed a '
            'notification; the count is that of published ones.',
            registry=self.registry, buckets=(
                .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10))
        self.retried = prometheus_client.Counter(
            f'{_PREFIX}retried', 'Attempts that have to be repeated.',
            registry=self.registry)
        self.parked = prometheus_client.Counter(
            f'{_PREFIX}parked', 'Notifications that were given up.',
            registry=self.registry)
        self.registry.register(_Backlog())


class _Backlog:
    """Reads the depth of the outbox when it is asked for.

    It reports nothing while the database can't be read.
    """

    def collect(self) -> Iterator[core.Metric]:
        try:
            status = outbox.status(nova_context.get_admin_context())
        except Exception:
            # The other figures are known, and nova_outbox_trouble tells.
            LOG.debug('The outbox could not be counted', exc_info=True)
            return
        for name, text, value in (
                ('depth', 'Notifications that wait for the bus, counted up to '
                 f'{outbox.COUNTED:,}.',
                 status['depth']),
                ('oldest_seconds', 'Age of the oldest of them, 0 without.',
                 status['oldest_age'] or 0),
                ('parked_depth', 'Notifications that are parked, counted up '
                 f'to {outbox.COUNTED:,}.',
                 status['parked'])):
            yield core.GaugeMetricFamily(_PREFIX + name, text, value)


class _Health:
    """Reports the health of the relay when it is asked for.

    :param health: see :func:`serve`
    """

    def __init__(self, health: Callable[[], dict[str, Any]]) -> None:
        self._health = health

    def collect(self) -> Iterator[core.Metric]:
        health = self._health()
        yield core.GaugeMetricFamily(
            f'{_PREFIX}relay_active',
            '1 if this relay is the active one, else 0.', health['active'])
        yield core.GaugeMetricFamily(
            f'{_PREFIX}trouble', '1 if something keeps notifications from '
            'being published, see /healthcheck, else 0.',
            health['trouble'] is not None)


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        LOG.debug('A request from %s failed', client_address, exc_info=True)


class _Handler(simple_server.WSGIRequestHandler):
    #: seconds that a client has for each part of its request
    timeout = 10

    def log_message(self, format: str, *arguments: Any) -> None:
        LOG.debug(format, *arguments)


def serve(address: str, port: int, metrics: Metrics,
          health: Callable[[], dict[str, Any]]) -> simple_server.WSGIServer:
    """Answer ``/metrics`` and ``/healthcheck`` in a thread.

    :param health: returns the state of the relay, from memory; ``trouble``
        in it is None while notifications are published
    :raises ConfigurationError: the address can't be listened on
    """
    metrics.registry.register(_Health(health))
    figures = prometheus_client.make_wsgi_app(metrics.registry)

    def application(environ: WSGIEnvironment,
                    start_response: StartResponse) -> Iterable[bytes]:
        if environ['PATH_INFO'] == '/metrics':
            return figures(environ, start_response)
        if environ['PATH_INFO'] == '/healthcheck':
            return _answer(start_response, *_checked(health()))
        return _answer(start_response, '404 Not Found', {
            'paths': ['/metrics', '/healthcheck']})

    try:
        server = simple_server.make_server(
            address, port, application, _Server, _Handler)
    except OSError as error:
        raise exception.ConfigurationError(detail=(
            f"can't listen on [relay] metrics_listen {address}, metrics_port "
            f'{port}: {error.strerror}')) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _checked(detail: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if detail['trouble'] is None:
        return '200 OK', detail
    return '503 Service Unavailable', detail


def _answer(start_response: StartResponse, status: str,
            detail: dict[str, Any]) -> list[bytes]:
    start_response(status, [('Content-Type', 'application/json')])
    return [json.dumps(detail).encode()]
