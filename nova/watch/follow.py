# SPDX-License-Identifier: Apache-2.0
"""Follow the services for whoever looks on, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import fnmatch
import logging
import queue
import socket
import threading
from typing import Any
import uuid

import oslo_messaging

from nova import consumer

LOG = logging.getLogger(__name__)

#: events that wait for whoever takes them; more of them stay on the bus
_WAITING = 1000

#: seconds that the REST API may take at the start, before the screen is there
_ASK = 10

#: seconds within which the end is noticed while no event arrives
_TICK = 0.3


class Filter:
    """Chooses services by patterns as the shell has them; none is all.

    :param hosts: e.g. ``cmp-*``
    :param binaries: e.g. ``nova-compute``
    """

    def __init__(self, hosts: Sequence[str], binaries: Sequence[str]) -> None:
        self._hosts = hosts
        self._binaries = binaries

    def __call__(self, service: consumer.Service) -> bool:
        return (_matches(service.host, self._hosts)
                and _matches(service.binary, self._binaries))


def _matches(name: str | None, patterns: Sequence[str]) -> bool:
    return not patterns or any(
        fnmatch.fnmatchcase(name or '', pattern) for pattern in patterns)


@contextlib.contextmanager
def pool(transport: oslo_messaging.Transport) -> Iterator[str]:
    """Lend a pool of our own; what the bus kept for it is gone afterwards.

    :raises BusRefused: the bus does not let this user in
    """
    _ask('The message bus', lambda: consumer.check(transport))
    name = f'nova-watch.{socket.gethostname()}.{uuid.uuid4().hex[:8]}'
    try:
        yield name
    finally:
        _delete(transport, name)


def events(transport: oslo_messaging.Transport, topics: Sequence[str],
           take: Callable[[consumer.ServiceEvent], object],
           stopping: threading.Event) -> None:
    """Hand on each event until the work is stopped.

    :param take: called in this thread
    :param stopping: set to stop the work
    """
    heard: queue.Queue[consumer.ServiceEvent] = queue.Queue(_WAITING)

    def wait_for_room(event: consumer.ServiceEvent) -> None:
        while not stopping.is_set():
            with contextlib.suppress(queue.Full):
                heard.put(event, timeout=1)
                return

    with pool(transport) as name:
        listener = consumer.Listener(transport, wait_for_room, name, topics)
        listener.start()
        try:
            while not stopping.is_set():
                try:
                    event = heard.get(timeout=_TICK)
                except queue.Empty:
                    continue
                take(event)
        finally:
            stopping.set()
            listener.stop()


@contextlib.contextmanager
def mirror(transport: oslo_messaging.Transport, topics: Sequence[str],
           lister: consumer.ServiceLister,
           **options: Any) -> Iterator[consumer.ServiceMirror]:
    """Lend a mirror that runs.

    :param options: of :class:`~nova.consumer.mirror.ServiceMirror`
    :raises APIRefused: this user may not list services
    :raises BusRefused: the bus does not let this user in
    """
    _ask('The REST API', lambda: lister(binary='nova-watch', limit=_ASK))
    with pool(transport) as name:
        the_mirror = consumer.ServiceMirror(
            transport, lister, name, topics=topics, **options)
        the_mirror.start()
        try:
            yield the_mirror
        finally:
            the_mirror.stop()


def _delete(transport: oslo_messaging.Transport, name: str) -> None:
    try:
        consumer.delete_pool(transport, name)
        return
    except consumer.BusRefused:
        # Who may not delete it could not make it.
        return
    except consumer.BusError as error:
        reason = str(error)
    LOG.warning('The queue %s may be left on the message bus: %s', name,
                reason)


def _ask(whom: str, question: Callable[[], object]) -> None:
    """Find out whether we may; whom nobody reaches may come yet."""
    try:
        question()
        return
    except (consumer.APIRefused, consumer.BusRefused):
        raise
    except (consumer.APIError, consumer.BusError) as error:
        reason = str(error)
    # In the handler the log would add the exception.
    LOG.warning('%s is waited for: %s', whom, reason)
