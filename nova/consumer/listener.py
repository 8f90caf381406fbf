# SPDX-License-Identifier: Apache-2.0
"""Hears the notifications of services, and hands on each one once."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
import logging
import threading
from typing import Any

import oslo_messaging
from oslo_messaging.notify import dispatcher
from oslo_messaging.notify import listener

from nova.consumer import bus
from nova.consumer import buslog
from nova.consumer import events
from nova.consumer import requeued

LOG = logging.getLogger(__name__)

TOPICS = ('versioned_notifications',)

#: message_ids that are remembered; some 100 bytes each
_REMEMBERED = 10_000

#: pauses in seconds before an event is tried again where it stands
_PAUSES = (0.1, 0.2, 0.4, 0.8)

#: times that an event goes back to the bus before it is given up
_REQUEUES = 3

#: seconds between two attempts to reach the bus: shortest and longest
_WAITS = (1.0, 10.0)

#: seconds that stop() waits for the bus and a handler that runs
_STOP = 8.0

_HANDLED = oslo_messaging.NotificationResult.HANDLED
_REQUEUE = oslo_messaging.NotificationResult.REQUEUE


class Listener:
    """Hands each event to a handler, one at a time, in the bus's order.

    An event whose handler raises is tried again at once, a few times, so that
    it keeps its place; then it goes back to the bus for whoever shares the
    pool, and in the end it is given up with an error in the log. If a later
    event of the same service was handled before it comes back, it is out of
    date: it is acknowledged, and the handler does not get it.

    An event that the handler has returned for is acknowledged, and passed
    over when it comes again: an older one that had not come may stand before
    it then, so that whoever keeps a state needs ``again``.

    :param transport: see :func:`nova.consumer.bus.connect`
    :param handler: called in a thread of its own
    :param pool: name of the consumer. Processes of one name share the
        messages; of another name get all of them. None takes from the queue
        of the topic itself
    :param topics: as ``[notifications] versioned_notifications_topics``
    :param again: handler of an event that was handled before; None passes it
        over
    :param reconnected: called when the bus is back after it was lost
    :ivar counts: by what has become of the messages: ``handled``,
        ``duplicate``, ``failed`` attempts, ``overtaken``, ``given up``, and
        each kind of :class:`~nova.consumer.events.NotUnderstood`
    :ivar trouble: why the bus is not reached, None while it is
    """

    def __init__(self, transport: oslo_messaging.Transport,
                 handler: Callable[[events.ServiceEvent], object],
                 pool: str | None, topics: Sequence[str] = TOPICS,
                 reconnected: Callable[[], object] = lambda: None,
                 again: Callable[[events.ServiceEvent], object] | None = None
                 ) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._handler = handler
        self._again = again
        self._handled = _Recent(_REMEMBERED)
        self._tries = _Recent(_REMEMBERED)
        self._requeued = requeued.Requeued(_REMEMBERED)
        self._stopping = threading.Event()
        self._closed = threading.Event()
        self._bus = buslog.BusLog(self._reject, reconnected)
        self._transport = transport
        self._pool = pool
        self._targets = [
            oslo_messaging.Target(topic=topic) for topic in topics]
        self._can_requeue = True
        self._server: listener.NotificationServer | None = None

    @property
    def trouble(self) -> str | None:
        return self._bus.trouble

    def start(self) -> None:
        """Return when subscribed: what is sent from now on is heard.

        Waits for a bus that can't be reached, until :meth:`stop` is called.

        :raises BusError: the bus does not allow it
        """
        self._bus.attach()
        try:
            self._wait_for_bus()
            if not self._stopping.is_set():
                self._subscribe()
        except BaseException:
            self._bus.detach()
            raise
        if self._stopping.is_set():
            self.stop()

    def stop(self, timeout: float = _STOP) -> None:
        """Call no handler any more, and return when none is running.

        What was not handled comes again to the next consumer of the pool.

        :param timeout: seconds after which this returns although the bus
            does not answer, or a handler is still running
        """
        self._stopping.set()
        if self._server is None:
            # start() may be waiting in another thread, and returns soon.
            self._closed.set()
            self._bus.detach()
            return
        ending = threading.Thread(target=self._end, args=(self._server,),
                                  name='listener-stop', daemon=True)
        ending.start()
        ending.join(timeout)
        self._closed.set()
        if ending.is_alive():
            LOG.warning('The message bus, or the handler of an event, has not '
                        'ended within %s seconds. It is left behind; what is '
                        'not acknowledged comes again', timeout)

    def _end(self, server: listener.NotificationServer) -> None:
        # Neither has a limit: each waits for the bus and for the handler.
        server.stop()
        server.wait()
        self._bus.detach()

    def _wait_for_bus(self) -> None:
        """Return when the bus was reached, or stop() is called.

        oslo.messaging would wait for it without end.

        :raises BusRefused: the bus does not let this user in
        """
        pause, longest = _WAITS
        while not self._stopping.is_set():
            try:
                bus.check(self._transport)
                return
            except bus.BusRefused:
                raise
            except bus.BusError as error:
                reason = str(error)
            # In the handler the log would add the exception.
            self._bus.lose(reason)
            self._stopping.wait(pause)
            pause = min(2 * pause, longest)

    def _subscribe(self) -> None:
        # One that has failed to start can't be started again.
        server = self._new_server()
        try:
            # More threads would change the order of events.
            server.start(override_pool_size=1)
        except oslo_messaging.MessagingException as error:
            # "Unable to connect to … after … tries: " is not what happened.
            raise bus.BusError(str(error).rpartition(' tries: ')[2]
                               ) from error
        self._server = server
        self._bus.trouble = None

    def _new_server(self) -> listener.NotificationServer:
        try:
            self._transport._require_driver_features(requeue=True)
        except NotImplementedError:
            # Kafka takes nothing back.
            self._can_requeue = False
        return listener.NotificationServer(
            self._transport, self._targets, _Dispatcher(self._dispatch),
            'threading', allow_requeue=self._can_requeue, pool=self._pool)

    def _dispatch(self, incoming: Any) -> str:
        if self._closed.is_set() or (
                self._stopping.is_set() and self._can_requeue):
            return _REQUEUE
        try:
            event = events.parse(incoming.message)
        except events.NotUnderstood as error:
            self._reject(error.kind, str(error))
            return _HANDLED
        if self._requeued.was_handled(event.service.uuid, event.message_id):
            return _HANDLED
        if self._requeued.is_overtaken(event.service.uuid, event.message_id):
            self._drop(event)
            return _HANDLED
        return self._handle(event)

    def _handle(self, event: events.ServiceEvent) -> str:
        key = event.service.uuid, event.message_id
        seen = event.message_id in self._handled
        handler = self._again if seen else self._handler
        if handler and not self._attempt(handler, event):
            return self._failed(event)
        self._handled.add(event.message_id)
        self.counts['duplicate' if seen else 'handled'] += 1
        if seen:
            self._requeued.forget(*key)
            return _HANDLED
        return _REQUEUE if self._requeued.handled(*key) else _HANDLED

    def _attempt(self, handler: Callable[[events.ServiceEvent], object],
                 event: events.ServiceEvent) -> bool:
        for pause in (*_PAUSES, None):
            try:
                handler(event)
            except Exception:
                if self._stopping.is_set():
                    return False
                self.counts['failed'] += 1
                if pause == _PAUSES[0]:
                    LOG.exception('%s %s of %s failed; trying again',
                                  event.event_type, event.message_id,
                                  event.publisher_id)
            else:
                return True
            if pause is None or self._stopping.wait(pause):
                break
        return False

    def _failed(self, event: events.ServiceEvent) -> str:
        if self._stopping.is_set():
            return _REQUEUE
        tries = self._tries.add(event.message_id)
        key = event.service.uuid, event.message_id
        if self._can_requeue and tries <= _REQUEUES:
            self._requeued.failed(*key)
            return _REQUEUE
        self._requeued.forget(*key)
        # A repetition of it would come after newer events.
        self._handled.add(event.message_id)
        self.counts['given up'] += 1
        LOG.error('%s %s of %s is given up: it has failed %s times',
                  event.event_type, event.message_id, event.publisher_id,
                  tries * (len(_PAUSES) + 1))
        return _HANDLED

    def _drop(self, event: events.ServiceEvent) -> None:
        """Count an event that is out of date, and log the first one."""
        self._handled.add(event.message_id)
        self.counts['overtaken'] += 1
        if self.counts['overtaken'] == 1:
            LOG.warning('%s %s of %s has failed and a later event of the '
                        'service was handled: it is dropped, and others like '
                        'it will be silently', event.event_type,
                        event.message_id, event.publisher_id)

    def _reject(self, kind: str, reason: str) -> None:
        """Count a message that is passed over; say the first of its kind."""
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            LOG.warning('A message is passed over, and others of this kind '
                        'will be silently: %.500s', reason)


class _Dispatcher(dispatcher.NotificationDispatcher):
    """Hands on whole messages.

    oslo.messaging's own one puts a message that it can't take apart back
    into the queue, for ever.
    """

    def __init__(self, dispatch: Callable[[Any], str]) -> None:
        super().__init__([], None)
        self._dispatch = dispatch

    @property
    def supported_priorities(self) -> list[str]:
        return ['info']

    def dispatch(self, incoming: Any) -> str:
        return self._dispatch(incoming)


class _Recent:
    """The texts that were added last, and how often each.

    :param limit: number of them that are kept
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: collections.OrderedDict[str, int] = (
            collections.OrderedDict())

    def __contains__(self, text: str) -> bool:
        return text in self._times

    def add(self, text: str) -> int:
        """Return how often this was added, this time included."""
        times = self._times.pop(text, 0) + 1
        self._times[text] = times
        if len(self._times) > self._limit:
            self._times.popitem(last=False)
        return times
