# SPDX-License-Identifier: Apache-2.0
"""The services as listings and events tell them, and what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import contextlib
import dataclasses
import datetime
import itertools
import threading

from nova.consumer.events import Service
from nova.consumer.events import ServiceEvent

#: Records of processes without heartbeat, which the API never lists.
UNLISTED = frozenset(('nova-osapi_compute', 'nova-metadata'))

#: What is announced when it changes, and so must agree with a listing.
_ANNOUNCED = ('host', 'binary', 'disabled', 'disabled_reason', 'forced_down')

#: Deleted services whose times are remembered; some 200 bytes each.
_REMEMBERED = 10_000


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


class Stopped(Exception):
    """The store was closed: its callbacks are not called any more."""


class ServiceStore:
    """Services by uuid, kept up to date by events and whole listings.

    A listing may be older or newer than the events at hand: of a service
    that had an event since the listing was asked for, the event counts.

    An event is not applied if its timestamp is before that of an event, or
    of a listed change, that was applied to the same service. It may still be
    the truth, because the clocks of hosts differ: so the service is in doubt
    until it was compared with a later listing. So it is after an event of
    exactly the time of one that a listing has overruled.

    :param down_time: seconds, as ``[DEFAULT] service_down_time`` of the
        cloud
    """

    def __init__(self, callbacks: Callbacks | None = None,
                 down_time: float = 60) -> None:
        self._callbacks = callbacks or Callbacks()
        self._down_time = datetime.timedelta(seconds=down_time)
        self._services: dict[str, Service] = {}
        #: when the state of a service was new, by the clock of its sender
        self._applied: dict[str, datetime.datetime] = {}
        #: the same of deleted services, the last deleted one last
        self._deleted: dict[str, datetime.datetime] = {}
        #: services whose last event a listing has overruled
        self._overruled: set[str] = set()
        #: services in doubt, with the number of the event that caused it
        self._doubts: dict[str, int] = {}
        self._numbers = itertools.count()
        #: for each listing that is under way, the services with events
        self._listings: list[set[str]] = []
        self._closed = False
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._services)

    def get(self, uuid: str) -> Service | None:
        """Return a service, None if there is none."""
        return self._services.get(uuid)

    def services(self) -> list[Service]:
        """Return all services, in no order."""
        return list(self._services.values())

    def close(self) -> None:
        """Refuse every later change with :class:`Stopped`."""
        # The lock may be held by a callback that takes long.
        self._closed = True

    def apply(self, event: ServiceEvent) -> bool:
        """Apply an event, unless it is older than what was applied.

        :returns: whether the service is out of doubt
        :raises Stopped: the store is closed
        """
        service = event.service
        if service.binary in UNLISTED:
            return True
        with self._lock:
            uuid = service.uuid
            applied = self._applied_at(uuid)
            if applied is not None and event.timestamp < applied:
                return self._doubt(uuid)
            for changed in self._listings:
                changed.add(uuid)
            if event.event_type == 'service.delete':
                self._remove(uuid)
            else:
                self._put(self._told(event))
            self._note(uuid, event.timestamp)
            if event.timestamp == applied:
                return uuid not in self._overruled or self._doubt(uuid)
            # It is newer than all that caused a doubt.
            self._overruled.discard(uuid)
            self._doubts.pop(uuid, None)
            return True

    def doubts(self) -> dict[str, int]:
        """Return the services in doubt; see :meth:`resolve`."""
        with self._lock:
            return dict(self._doubts)

    def resolve(self, doubts: dict[str, int], changed: set[str]) -> None:
        """End doubts that a listing asked for after them has answered.

        :param doubts: what :meth:`doubts` returned before the listing
        :param changed: of the listing, see :meth:`listing`
        """
        with self._lock:
            for uuid, number in doubts.items():
                if uuid not in changed and self._doubts.get(uuid) == number:
                    del self._doubts[uuid]

    @contextlib.contextmanager
    def listing(self) -> Iterator[set[str]]:
        """Collect the services that have events while a listing is used.

        :returns: the set that they are added to
        """
        changed: set[str] = set()
        with self._lock:
            self._listings.append(changed)
        try:
            yield changed
        finally:
            with self._lock:
                self._listings = [other for other in self._listings
                                  if other is not changed]

    def refresh(self, listed: Iterable[Service], changed: set[str]
                ) -> list[Drift]:
        """Take over what events do not carry; return all other differences.

        :param listed: all services, asked for inside :meth:`listing`
        :param changed: what that has yielded
        :returns: differences; none of a service that had an event meanwhile
        :raises Stopped: the store is closed
        """
        drifts = []
        with self._lock:
            missing = self._services.keys() - changed
            for service in listed:
                missing.discard(service.uuid)
                known = self._services.get(service.uuid)
                if known is not None and not _differing(known, service):
                    self._put(_merged(known, service))
                elif service.uuid not in changed:
                    drifts.append(Drift(service.uuid, known, service))
            drifts += [Drift(uuid, self._services[uuid], None)
                       for uuid in missing]
        return drifts

    def settle(self, drift: Drift, changed: set[str]) -> bool:
        """Take over a difference, unless the service had an event meanwhile.

        :param changed: as in :meth:`refresh`
        :returns: whether it was taken over
        :raises Stopped: the store is closed
        """
        with self._lock:
            if drift.uuid in changed:
                return False
            if drift.listed is None:
                self._remove(drift.uuid)
            else:
                self._put(_merged(drift.mirrored, drift.listed))
            self._note_listed(drift.uuid, drift.listed)
            return True

    def _applied_at(self, uuid: str) -> datetime.datetime | None:
        return self._applied.get(uuid) or self._deleted.get(uuid)

    def _note(self, uuid: str, timestamp: datetime.datetime) -> None:
        """Remember when the state of a service was new."""
        self._deleted.pop(uuid, None)
        if uuid in self._services:
            self._applied[uuid] = timestamp
            return
        self._applied.pop(uuid, None)
        self._deleted[uuid] = timestamp
        if len(self._deleted) > _REMEMBERED:
            oldest = next(iter(self._deleted))
            del self._deleted[oldest]
            self._overruled.discard(oldest)

    def _note_listed(self, uuid: str, listed: Service | None) -> None:
        """Note that a listing is newer than the events before it."""
        applied = self._applied_at(uuid)
        times = [time for time in (applied, listed and listed.updated_at)
                 if time]
        if times:
            self._note(uuid, max(times))
        if applied:
            self._overruled.add(uuid)

    def _doubt(self, uuid: str) -> bool:
        self._doubts[uuid] = next(self._numbers)
        return False

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
        self._check_open()
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
        self._check_open()
        known = self._services.pop(uuid, None)
        if known is None:
            return
        try:
            self._callbacks.removed(known)
        except BaseException:
            self._restore(uuid, known)
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise Stopped('the mirror was stopped')

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
