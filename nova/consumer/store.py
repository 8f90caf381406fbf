# SPDX-License-Identifier: Apache-2.0
"""The services as listings and events tell them, and what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses
import datetime
import threading

from nova.consumer.events import Service
from nova.consumer.events import ServiceEvent

#: Records of processes without heartbeat, which the API never lists.
UNLISTED = frozenset(('nova-osapi_compute', 'nova-metadata'))

#: What is announced when it changes, and so must agree with a listing.
_ANNOUNCED = ('host', 'binary', 'disabled', 'disabled_reason', 'forced_down')


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """A difference that no event has told of.

    :ivar uuid: of the service
    :ivar mirrored: the service as it was known, None if it was not
    :ivar listed: the service as the API lists it, None if it does not
    """

    uuid: str
    mirrored: Service | None
    listed: Service | None

    @property
    def service(self) -> Service | None:
        """The service as it is best known."""
        return self.listed or self.mirrored

    def __str__(self) -> str:
        """Say what no event has told."""
        service = self.service
        name = f'{service and service.binary} on {service and service.host}'
        if self.mirrored is None:
            return f'{name} is there'
        if self.listed is None:
            return f'{name} is gone'
        return f'{name} has ' + ', '.join(
            f'{field} {getattr(self.listed, field)!r}'
            for field in _differing(self.mirrored, self.listed))


@dataclasses.dataclass
class Callbacks:
    """What to call when a service changes; one call at a time.

    One that raises undoes the change in the store.

    :ivar added: called with the service
    :ivar changed: called with the service as it was, and as it is
    :ivar removed: called with the service as it was last known
    """

    added: Callable[[Service], object] = lambda service: None
    changed: Callable[[Service, Service], object] = lambda old, new: None
    removed: Callable[[Service], object] = lambda service: None


class ServiceStore:
    """Services by uuid, kept up to date by events and whole listings.

    A listing may be older or newer than the events at hand: of a service
    that was heard of since :meth:`begin`, the events count.

    :param down_time: seconds, as ``[DEFAULT] service_down_time`` of the
        cloud
    """

    def __init__(self, callbacks: Callbacks | None = None,
                 down_time: float = 60) -> None:
        self._callbacks = callbacks or Callbacks()
        self._down_time = datetime.timedelta(seconds=down_time)
        self._services: dict[str, Service] = {}
        self._heard: set[str] = set()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._services)

    def get(self, uuid: str) -> Service | None:
        """Return a service, None if there is none."""
        return self._services.get(uuid)

    def services(self) -> list[Service]:
        """Return all services, in no order."""
        return list(self._services.values())

    def apply(self, event: ServiceEvent) -> None:
        """Take over what an event tells."""
        service = event.service
        if service.binary in UNLISTED:
            return
        with self._lock:
            self._heard.add(service.uuid)
            if event.event_type == 'service.delete':
                self._remove(service.uuid)
            else:
                self._put(self._told(event))

    def begin(self) -> None:
        """Note from now on which services are heard of."""
        with self._lock:
            self._heard.clear()

    def refresh(self, listed: Iterable[Service]) -> list[Drift]:
        """Take over what is not announced; return what should have been.

        :param listed: all services, asked for after :meth:`begin`
        :returns: differences; none of a service heard of since then
        """
        drifts = []
        with self._lock:
            missing = self._services.keys() - self._heard
            for service in listed:
                missing.discard(service.uuid)
                known = self._services.get(service.uuid)
                if known is not None and not _differing(known, service):
                    self._put(_merged(known, service))
                elif service.uuid not in self._heard:
                    drifts.append(Drift(service.uuid, known, service))
            drifts += [Drift(uuid, self._services[uuid], None)
                       for uuid in missing]
        return drifts

    def settle(self, drift: Drift) -> bool:
        """Take over a difference, unless the service was heard of meanwhile.

        :returns: whether it was taken over
        """
        with self._lock:
            if drift.uuid in self._heard:
                return False
            if drift.listed is None:
                self._remove(drift.uuid)
            else:
                self._put(_merged(drift.mirrored, drift.listed))
            return True

    def _told(self, event: ServiceEvent) -> Service:
        """Return the service of an event, with what only a listing tells."""
        told = event.service
        known = self._services.get(told.uuid)
        return dataclasses.replace(
            told, state=self._state(event, known),
            zone=told.zone or (known.zone if known else None),
            updated_at=known.updated_at if known else None)

    def _state(self, event: ServiceEvent, known: Service | None
               ) -> str | None:
        told = event.service
        if told.forced_down:
            return 'down'
        if told.last_seen_up is None:
            # A heartbeat is awaited since the creation, whenever that was.
            return known.state if known else 'up'
        silent = event.timestamp - told.last_seen_up > self._down_time
        return 'down' if silent else 'up'

    def _put(self, service: Service) -> None:
        known = self._services.get(service.uuid)
        if known == service:
            return
        self._services[service.uuid] = service
        try:
            if known is None:
                self._callbacks.added(service)
            else:
                self._callbacks.changed(known, service)
        except BaseException:
            self._restore(service.uuid, known)
            raise

    def _remove(self, uuid: str) -> None:
        known = self._services.pop(uuid, None)
        if known is None:
            return
        try:
            self._callbacks.removed(known)
        except BaseException:
            self._restore(uuid, known)
            raise

    def _restore(self, uuid: str, known: Service | None) -> None:
        if known is None:
            del self._services[uuid]
        else:
            self._services[uuid] = known


def _differing(known: Service, listed: Service) -> list[str]:
    return [name for name in _ANNOUNCED
            if getattr(known, name) != getattr(listed, name)]


def _merged(known: Service | None, listed: Service) -> Service:
    """Return a listed service with what only events tell."""
    if known is None:
        return listed
    return dataclasses.replace(
        listed, topic=known.topic, report_count=known.report_count,
        last_seen_up=known.last_seen_up, version=known.version)
