# SPDX-License-Identifier: Apache-2.0
"""What the pages are told, in order, and the state that it adds up to."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
import itertools
import threading
from typing import Any
import uuid

import orjson

from nova import consumer

#: messages that a page which was away can catch up with; some 1 KB each
_REMEMBERED = 2000

#: events that a new page starts with
_RECENT = 100


class Feed:
    """The services of a mirror, and its events as server-sent messages.

    Messages are numbered. A position is ``<epoch>-<number>``, and the epoch
    another one in each process.

    :param wanted: returns whether a service is shown
    :ivar callbacks: for the mirror
    """

    def __init__(self, wanted: Callable[[consumer.Service], bool]
                 = lambda service: True) -> None:
        self._wanted = wanted
        self.callbacks = consumer.Callbacks(
            added=self._put, changed=lambda old, new: self._put(new),
            removed=self._remove)
        self._epoch = uuid.uuid4().hex[:8]
        self._number = 0
        self._messages: collections.deque[bytes] = collections.deque(
            maxlen=_REMEMBERED)
        self._services: dict[str, consumer.Service] = {}
        self._last: dict[str, tuple[str, str]] = {}
        self._recent: collections.deque[Any] = collections.deque(
            maxlen=_RECENT)
        self._news = threading.Condition()

    def heard(self, event: consumer.ServiceEvent) -> None:
        """Tell of an event; the mirror calls it before it applies it."""
        if not self._wanted(event.service):
            return
        with self._news:
            self._last[event.service.uuid] = (
                event.event_type, event.timestamp.isoformat())
            self._recent.append(event.message)
            self._tell('notification', event.message)

    def drifted(self, drift: consumer.Drift) -> None:
        """Tell what no event has told; the mirror calls it."""
        with self._news:
            if drift.service and self._wanted(drift.service):
                self._tell('drift', str(drift))

    def snapshot(self) -> bytes:
        """Return services, latest events and the position, as JSON."""
        with self._news:
            services = list(self._services.values())
            last, recent = dict(self._last), list(self._recent)
            position = self._position()
        return orjson.dumps({
            'position': position,
            'services': [(*_row(service), *last.get(service.uuid, ()))
                         for service in services],
            'notifications': recent})

    def since(self, position: str, timeout: float
              ) -> tuple[str, list[bytes]] | None:
        """Return the messages after a position, and the position after them.

        :param timeout: seconds to wait for the first
        :returns: None if the position is of another process or forgotten
        """
        epoch, _dash, text = position.partition('-')
        if epoch != self._epoch or not text.isdecimal():
            return None
        number = int(text)
        with self._news:
            self._news.wait_for(lambda: self._number > number, timeout)
            missing = self._number - number
            if not 0 <= missing <= len(self._messages):
                return None
            first = len(self._messages) - missing
            return self._position(), list(
                itertools.islice(self._messages, first, None))

    def _put(self, service: consumer.Service) -> None:
        if not self._wanted(service):
            return
        with self._news:
            self._services[service.uuid] = service
            self._tell('service', _row(service))

    def _remove(self, service: consumer.Service) -> None:
        with self._news:
            self._last.pop(service.uuid, None)
            if self._services.pop(service.uuid, None):
                self._tell('removed', service.uuid)

    def _position(self) -> str:
        return f'{self._epoch}-{self._number}'

    def _tell(self, kind: str, what: Any) -> None:
        self._number += 1
        self._messages.append(message(kind, what, self._position()))
        self._news.notify_all()


def message(kind: str, what: Any, position: str | None = None) -> bytes:
    """Return a server-sent message.

    :param what: its data, sent as JSON
    :param position: where to resume after it
    """
    mark = f'id: {position}\n' if position else ''
    return b'%sevent: %s\ndata: %s\n\n' % (
        mark.encode(), kind.encode(), orjson.dumps(what))


def _row(service: consumer.Service) -> Iterable[Any]:
    return (service.uuid, service.host, service.binary, service.zone,
            service.state, service.disabled, service.disabled_reason,
            service.forced_down)
