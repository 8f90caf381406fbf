# SPDX-License-Identifier: Apache-2.0
"""All services, as they are now: listed once, then kept up by events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import logging
import threading

import oslo_messaging

from nova.consumer import api
from nova.consumer import bus
from nova.consumer import events
from nova.consumer import listener
from nova.consumer import store

LOG = logging.getLogger(__name__)

#: seconds until what has failed is tried again: first and longest
_PAUSES = (1.0, 30.0)


class ServiceMirror:
    """A copy of the registry of services that follows each change.

    Subscribes, lists the services through the API, and applies events, as
    the informers of Kubernetes do. Lists again every so often, and at once
    when the bus was lost: a difference that no event tells of within
    ``grace`` is taken over and reported as drift.

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
            topics: Sequence[str] = listener.TOPICS) -> None:
        self._list_services = list_services
        self._heard = heard
        self._drifted = drifted
        self._interval = interval
        self._grace = grace
        self._store = store.ServiceStore(callbacks, down_time)
        self._synced = threading.Event()
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._subscribed = threading.Event()
        self._refusal: str | None = None
        self._api_trouble: str | None = None
        self._thread: threading.Thread | None = None
        self.listener = listener.Listener(
            transport, self.apply, pool, topics, self._wanted.set,
            # The events before it in the queue may be new to this process.
            again=self._store.apply)

    def start(self) -> None:
        """Subscribe, list and follow, in threads of their own."""
        # A bus that can't be reached is waited for: not when this ends.
        self._thread = threading.Thread(
            target=self._run, name='service-mirror', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when no event is handled any more."""
        self._stopping.set()
        self._wanted.set()
        if self._thread and self._subscribed.is_set():
            self._thread.join()

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
        return self.listener.trouble or self._api_trouble

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
        self._heard(event)
        self._store.apply(event)

    def reconcile(self) -> None:
        """List the services, and take over what no event has told.

        :raises APIError: they can't be listed; the events go on
        """
        self._store.begin()
        drifts = self._store.refresh(self._list_services())
        if not self._synced.is_set():
            for drift in drifts:
                self._store.settle(drift)
            self._synced.set()
        elif drifts and not self._stopping.wait(self._grace):
            self._repair({drift.uuid for drift in drifts})

    def _repair(self, suspects: set[str]) -> None:
        for drift in self._store.refresh(self._list_services()):
            if drift.uuid in suspects and self._store.settle(drift):
                LOG.warning('No event has told that %s', drift)
                self._drifted(drift)

    def _run(self) -> None:
        self._subscribe()
        if not self._subscribed.is_set():
            return
        pauses = _pauses()
        try:
            while not self._stopping.is_set():
                self._wanted.clear()
                if self._reconciled():
                    pauses = _pauses()
                    self._wanted.wait(self._interval)
                else:
                    self._wanted.wait(next(pauses))
        finally:
            self.listener.stop()

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
            if self._stopping.wait(pause):
                return

    def _reconciled(self) -> bool:
        try:
            self.reconcile()
        except api.APIError as error:
            if self._api_trouble is None:
                LOG.warning('The services can not be listed, which will be '
                            'tried again: %s', error)
            self._api_trouble = str(error)
            return False
        except Exception:
            LOG.exception('A listing could not be taken over, which will be '
                          'tried again')
            return False
        if self._api_trouble:
            LOG.info('The services can be listed again')
        self._api_trouble = None
        return True


def _pauses() -> Iterator[float]:
    pause, longest = _PAUSES
    while True:
        yield pause
        pause = min(pause * 2, longest)
