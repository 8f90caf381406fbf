# SPDX-License-Identifier: Apache-2.0
"""All services, as they are now: listed once, then kept up by events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import logging
import threading
import time

import oslo_messaging

from nova.consumer import api
from nova.consumer import bus
from nova.consumer import events
from nova.consumer import listener
from nova.consumer import store

LOG = logging.getLogger(__name__)

#: seconds until what has failed is tried again: first and longest
_PAUSES = (1.0, 30.0)

#: seconds in which events out of order are gathered before they are resolved
_GATHER = 0.2

#: seconds between two listings for events out of order: shortest and longest
_GAPS = (1.0, 10.0)

#: seconds that stop() waits for the listener, and for the mirror's own thread
_LISTENER_STOP = 5.0
_THREAD_STOP = 3.0


class ServiceMirror:
    """A copy of the registry of services that follows each change.

    Subscribes, lists the services through the API, and applies events, as
    the informers of Kubernetes do. Lists again every so often, and at once
    when the bus was lost: a difference that no event tells of within
    ``grace`` is taken over and reported as drift.

    An event that is older, by its timestamp, than one that was applied to the
    same service is not applied. The mirror lists again within about a second
    instead, and takes over what the API returns: a late event changes
    nothing, and a change by a host whose clock is behind is not lost. Many
    such events share a listing: there is one in ten seconds if they go on.

    :param transport: see :func:`nova.consumer.bus.connect`
    :param list_services: returns all services, or raises APIError, see
        :class:`nova.consumer.api.ServiceLister`
    :param pool: name of this consumer, of one process only; None takes from
        the queue of the topic itself
    :param callbacks: called when a service changes
    :param heard: called with each event, before it is applied
    :param drifted: called with each drift, after it is taken over
    :param interval: seconds between two listings
    :param grace: seconds that an event may be later than a listing
    :param down_time: seconds, as ``[DEFAULT] service_down_time`` of the
        cloud
    :param topics: as ``[notifications] versioned_notifications_topics``
    :param overdue: seconds without an answer of the API that are trouble
    :ivar listener: the :class:`~nova.consumer.listener.Listener`
    """

    def __init__(
            self, transport: oslo_messaging.Transport,
            list_services: Callable[[], Iterable[events.Service]],
            pool: str | None, callbacks: store.Callbacks | None = None,
            heard: Callable[[events.ServiceEvent], object] = (
                lambda event: None),
            drifted: Callable[[store.Drift], object] = lambda drift: None,
            interval: float = 60, grace: float = 5, down_time: float = 60,
            topics: Sequence[str] = listener.TOPICS,
            overdue: float = 15) -> None:
        self._list_services = list_services
        self._heard = heard
        self._drifted = drifted
        self._interval = interval
        self._grace = grace
        self._overdue = overdue
        self._store = store.ServiceStore(callbacks, down_time)
        self._pace = _Pace()
        self._synced = threading.Event()
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._woken = threading.Event()
        self._subscribed = threading.Event()
        self._refusal: str | None = None
        self._api_trouble: str | None = None
        self._asked_at: float | None = None
        self._thread: threading.Thread | None = None
        self.listener = listener.Listener(
            transport, self.apply, pool, topics, self._reconnected,
            # The events before it in the queue may be new to this process.
            again=self._apply)

    def start(self) -> None:
        """Subscribe, list and follow, in threads of their own."""
        self._thread = threading.Thread(
            target=self._run, name='service-mirror', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Call no callback any more, and return within ten seconds.

        A callback that runs now may still be running after that time. So may
        a thread that waits for the API or the bus; it will call nothing.
        """
        self._stopping.set()
        self._store.close()
        self._woken.set()
        if isinstance(self._list_services, api.ServiceLister):
            self._list_services.cancel()
        self.listener.stop(_LISTENER_STOP)
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(_THREAD_STOP)

    def wait_until_synced(self, timeout: float | None = None) -> bool:
        """Return whether the services are known, which is waited for.

        :param timeout: seconds
        """
        return self._synced.wait(timeout)

    @property
    def trouble(self) -> str | None:
        """Why the mirror may be behind, None if it is not."""
        if not self._subscribed.is_set():
            return (self.listener.trouble or self._refusal
                    or 'not subscribed yet')
        return (self.listener.trouble or self._overdue_trouble()
                or self._api_trouble)

    def __len__(self) -> int:
        return len(self._store)

    def get(self, uuid: str) -> events.Service | None:
        """Return a service, None if there is none."""
        return self._store.get(uuid)

    def services(self) -> list[events.Service]:
        """Return all services, in no order."""
        return self._store.services()

    def apply(self, event: events.ServiceEvent) -> None:
        """Take over what an event tells; the listener calls it."""
        if self._stopping.is_set():
            raise store.Stopped('the mirror was stopped')
        self._heard(event)
        self._apply(event)

    def reconcile(self) -> None:
        """List the services, and take over what no event has told.

        :raises APIError: they can't be listed; the events go on
        """
        with self._store.listing() as changed:
            drifts = self._list(changed)
            if not self._synced.is_set():
                for drift in drifts:
                    self._store.settle(drift, changed)
                self._synced.set()
                return
            if not drifts:
                return
            self._wait(self._grace)
            if not self._stopping.is_set():
                self._repair({drift.uuid for drift in drifts}, changed)

    def _apply(self, event: events.ServiceEvent) -> None:
        if self._store.apply(event):
            return
        if self._pace.request():
            LOG.info('%s %s of %s has the time of an earlier change; the '
                     'services are listed soon', event.event_type,
                     event.message_id, event.publisher_id)
        self._woken.set()

    def _list(self, changed: set[str]) -> list[store.Drift]:
        """List once, which decides about the services in doubt.

        :returns: the differences of other services
        """
        doubts = self._store.doubts()
        others = []
        for drift in self._store.refresh(self._asked(), changed):
            if drift.uuid in doubts:
                self._store.settle(drift, changed)
            else:
                others.append(drift)
        self._store.resolve(doubts, changed)
        return others

    def _asked(self) -> Iterable[events.Service]:
        self._asked_at = time.monotonic()
        try:
            return self._list_services()
        finally:
            self._asked_at = None

    def _overdue_trouble(self) -> str | None:
        asked_at = self._asked_at
        seconds = time.monotonic() - asked_at if asked_at else 0
        if seconds < self._overdue:
            return None
        return f'the REST API has not answered for {seconds:.0f} seconds'

    def _repair(self, suspects: set[str], changed: set[str]) -> None:
        for drift in self._list(changed):
            if drift.uuid in suspects and self._store.settle(drift, changed):
                LOG.warning('No event has told that %s', drift)
                self._drifted(drift)

    def _recheck(self) -> None:
        """List for the services in doubt only."""
        self._pace.start()
        try:
            with self._store.listing() as changed:
                self._list(changed)
        finally:
            if self._store.doubts():
                self._pace.request()

    def _run(self) -> None:
        self._subscribe()
        pauses = _pauses()
        while not self._stopping.is_set():
            self._wanted.clear()
            if self._succeeds(self.reconcile):
                pauses = _pauses()
                self._wait(self._interval, self._wanted)
            else:
                self._wait(next(pauses), self._wanted)

    def _wait(self, seconds: float,
              wanted: threading.Event | None = None) -> None:
        """Wait; list meanwhile whenever services in doubt are due.

        :param wanted: ends the wait when it is set
        """
        deadline = time.monotonic() + seconds
        while not self._stopping.is_set() and not (
                wanted and wanted.is_set()):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            # The first listing resolves the doubts, too.
            due = self._pace.due() if self._synced.is_set() else left
            if due <= 0:
                self._succeeds(self._recheck)
            elif self._woken.wait(min(left, due)):
                self._woken.clear()

    def _reconnected(self) -> None:
        self._wanted.set()
        self._woken.set()

    def _subscribe(self) -> None:
        """Subscribe as soon as the bus allows it."""
        for pause in _pauses():
            try:
                self.listener.start()
                self._subscribed.set()
                return
            except bus.BusError as error:
                if self._refusal is None:
                    LOG.warning('The message bus refuses a subscription, '
                                'which will be tried again: %s', error)
                self._refusal = str(error)
            except Exception as error:
                LOG.exception('A subscription failed, which will be tried '
                              'again')
                self._refusal = f'{type(error).__name__}: {error}'
            if self._stopping.wait(pause):
                return

    def _succeeds(self, attempt: Callable[[], object]) -> bool:
        """Return whether an attempt to list succeeded; log if it did not."""
        try:
            attempt()
        except api.APIError as error:
            if self._api_trouble is None and not self._stopping.is_set():
                LOG.warning('The services can not be listed, which will be '
                            'tried again: %s', error)
            self._api_trouble = str(error)
            return False
        except store.Stopped:
            return False
        except Exception:
            LOG.exception('A listing could not be taken over, which will be '
                          'tried again')
            return False
        if self._api_trouble:
            LOG.info('The services can be listed again')
        self._api_trouble = None
        return True


class _Pace:
    """When to list because of events out of order.

    Soon after the first one. While they go on, each pause before the next
    listing is twice as long.
    """

    def __init__(self) -> None:
        self._gap = _GAPS[0]
        self._started_at = -float('inf')
        self._due_at: float | None = None
        self._lock = threading.Lock()

    def request(self) -> bool:
        """Ask for a listing; return False if one was asked for already."""
        with self._lock:
            if self._due_at is not None:
                return False
            self._due_at = max(time.monotonic() + _GATHER,
                               self._started_at + self._gap)
            return True

    def start(self) -> None:
        """Note that the listing starts."""
        with self._lock:
            now = time.monotonic()
            shortest, longest = _GAPS
            calm = now - self._started_at > 2 * self._gap
            self._gap = shortest if calm else min(2 * self._gap, longest)
            self._started_at, self._due_at = now, None

    def due(self) -> float:
        """Return the seconds until the listing; infinite if there is none."""
        with self._lock:
            if self._due_at is None:
                return float('inf')
            return self._due_at - time.monotonic()


def _pauses() -> Iterator[float]:
    pause, longest = _PAUSES
    while True:
        yield pause
        pause = min(pause * 2, longest)
