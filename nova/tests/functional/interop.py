# SPDX-License-Identifier: Apache-2.0
"""Consumers that are set up as those of OpenStack are."""

from __future__ import annotations

import collections
import queue
from typing import Any

import oslo_messaging

from nova import rpc
from nova.tests.functional import lifecycle
from nova.tests.unit import test_consumer_events

EVENT_TYPES = ['service.create', 'service.update', 'service.delete']

Heard = queue.Queue[tuple[str, str, dict[str, Any], dict[str, Any]]]


class Searchlight:
    """One endpoint for all plugins, filtered by the types that they handle.

    Failures go back to the bus, as Searchlight lets them.
    """

    POOL = 'searchlight-listener'

    def __init__(self) -> None:
        self.heard: Heard = queue.Queue()
        self.failures: collections.deque[Exception] = collections.deque()
        self.filter_rule = oslo_messaging.NotificationFilter(
            event_type='|'.join(f'^{kind}$' for kind in EVENT_TYPES))

    def info(self, ctxt: Any, publisher_id: str, event_type: str,
             payload: dict[str, Any], metadata: dict[str, Any]) -> str:
        if self.failures:
            raise self.failures.pop()
        self.heard.put((publisher_id, event_type, payload, metadata))
        return oslo_messaging.NotificationResult.HANDLED

    def endpoints(self) -> list[Any]:
        return [self]

    def listener(self, transport: oslo_messaging.Transport) -> Any:
        return oslo_messaging.get_notification_listener(
            transport, [oslo_messaging.Target(
                topic='versioned_notifications', exchange='nova')],
            self.endpoints(), executor='threading', pool=self.POOL,
            allow_requeue=True)


class Watcher:
    """An endpoint for each event type, filtered by the publisher, too."""

    POOL = 'watcher'

    def __init__(self) -> None:
        self.heard: Heard = queue.Queue()

    def endpoints(self) -> list[Any]:
        return [_WatcherEndpoint(kind, self.heard) for kind in EVENT_TYPES]

    def listener(self, transport: oslo_messaging.Transport) -> Any:
        return oslo_messaging.get_notification_listener(
            transport, [oslo_messaging.Target(
                topic='versioned_notifications', exchange='nova')],
            self.endpoints(), executor='threading', pool=self.POOL,
            allow_requeue=False)


class _WatcherEndpoint:
    def __init__(self, event_type: str, heard: Heard) -> None:
        self.filter_rule = oslo_messaging.NotificationFilter(
            publisher_id='^nova-.*', event_type=f'^{event_type}$')
        self._heard = heard

    def info(self, ctxt: Any, publisher_id: str, event_type: str,
             payload: dict[str, Any], metadata: dict[str, Any]) -> None:
        self._heard.put((publisher_id, event_type, payload, metadata))


class InteropTestCase(lifecycle.LifecycleTestCase):
    """Both beside each other, among notifications that are not for them."""

    def listen(self) -> None:
        """Leave the topic to them: foreign messages are to come."""

    def start(self, consumer: Searchlight | Watcher) -> Any:
        """Return the listener of a consumer that has started."""
        transport = oslo_messaging.get_notification_transport(
            rpc.NOTIFICATION_TRANSPORT.conf, self.listening_url())
        listener = consumer.listener(transport)
        # With more than one thread, events would be recorded in any order.
        listener.start(override_pool_size=1)

        def stop() -> None:
            listener.stop()
            listener.wait()
            transport.cleanup()

        self.addCleanup(stop)
        return listener

    def send_foreign(self) -> None:
        """Send what others send to the topic."""
        for publisher_id, event_type, payload in (
                ('nova-compute:h1', 'instance.update',
                 {'nova_object.name': 'InstanceUpdatePayload'}),
                ('nova-compute:h1', 'compute.instance.update', {'id': 1}),
                ('volume.h1', 'volume.create.end', {'id': 1})):
            rpc.NOTIFICATION_TRANSPORT._driver.send_notification(
                oslo_messaging.Target(topic='versioned_notifications.info',
                                      exchange='nova'), {},
                {**test_consumer_events.MESSAGE, 'priority': 'INFO',
                 'publisher_id': publisher_id, 'event_type': event_type,
                 'payload': payload}, 2.0)

    def play(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Play a life; return what it is to be heard as."""
        expected = []
        service = self.create()
        for kind in EVENT_TYPES:
            self.send_foreign()
            if kind == 'service.update':
                service.disabled = True
                service.disabled_reason = 'maintenance'
                service.save()
            elif kind == 'service.delete':
                service.destroy()
            disabled = kind != 'service.create'
            expected.append(('nova-compute:h1', kind, {
                'nova_object.name': 'ServiceStatusPayload',
                'nova_object.namespace': 'nova',
                'nova_object.version': '1.1',
                'nova_object.data': {
                    'host': 'h1', 'binary': 'nova-compute',
                    'topic': 'compute', 'report_count': 0,
                    'disabled': disabled,
                    'disabled_reason': 'maintenance' if disabled else None,
                    'availability_zone': None, 'last_seen_up': None,
                    'forced_down': False, 'version': 74,
                    'uuid': service.uuid}}))
        return expected

    def check_heard(self, expected: list[tuple[str, str, dict[str, Any]]],
                    consumer: Searchlight | Watcher) -> list[str]:
        """Check what a consumer heard; return the ids of the messages."""
        ids = []
        for wanted in expected:
            *found, metadata = consumer.heard.get(timeout=30)
            self.assertEqual(wanted, tuple(found))
            self.assertEqual({'message_id', 'timestamp'}, set(metadata))
            ids.append(metadata['message_id'])
        self.assertRaises(queue.Empty, consumer.heard.get, timeout=0.2)
        return ids


class InteropTests:
    """The same on each bus."""

    def test_both_get_all_three_events_whole(self):
        consumers = Searchlight(), Watcher()
        for consumer in consumers:
            self.start(consumer)
        expected = self.play()
        ids = [self.check_heard(expected, consumer) for consumer in consumers]
        self.assertEqual(*ids)
        self.assertEqual(3, len(set(ids[0])))

    def test_what_searchlight_fails_at_comes_again(self):
        consumer = Searchlight()
        self.start(consumer)
        consumer.failures.append(OSError('Elasticsearch is away'))
        service = self.create()
        self.assertEqual('service.create', consumer.heard.get(timeout=30)[1])
        self.assertFalse(consumer.failures)
        service.destroy()
        self.assertEqual('service.delete', consumer.heard.get(timeout=30)[1])
