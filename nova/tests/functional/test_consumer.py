# SPDX-License-Identifier: Apache-2.0
"""Consumers of the in-memory bus and of the REST API."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import openstack
import oslo_messaging

from nova import consumer
from nova import rpc
from nova.objects import service as service_obj
from nova.tests import fixtures
from nova.tests.functional import lifecycle
from nova.tests.unit import test_consumer_events

PATIENCE = 30


class ConsumerTestCase(lifecycle.LifecycleTestCase):

    def setUp(self) -> None:
        super().setUp()
        # What it hears must be notifications of ours.
        self.stop_listening()
        self.events: queue.Queue[Any] = queue.Queue()

    def listener(self, handler: Any = None, pool: str = 'p1',
                 **options: Any) -> consumer.Listener:
        """Return a listener that runs until the end of the test."""
        listener = consumer.Listener(
            rpc.NOTIFICATION_TRANSPORT, handler or self.events.put, pool,
            **options)
        listener.start()
        self.addCleanup(listener.stop)
        return listener

    def send(self, message: Any) -> None:
        """Put anything on the bus where notifications come."""
        rpc.NOTIFICATION_TRANSPORT._driver.send_notification(
            oslo_messaging.Target(topic='versioned_notifications.info',
                                  exchange='nova'), {}, message, 2.0)

    def disable(self, service: Any, *reasons: str) -> None:
        for reason in reasons:
            service.disabled_reason = reason
            service.save()

    def next(self) -> Any:
        return self.events.get(timeout=PATIENCE)


class TestListener(ConsumerTestCase):

    def test_each_change_is_an_event(self):
        self.listener()
        service = self.create()
        service.disabled = True
        service.save()
        service.destroy()
        events = [self.next() for _event in range(3)]
        self.assertEqual(
            [('service.create', False), ('service.update', True),
             ('service.delete', True)],
            [(event.event_type, event.service.disabled) for event in events])
        self.assertEqual({service.uuid},
                         {event.service.uuid for event in events})

    def test_it_takes_nothing_from_others(self):
        others = queue.Queue()
        self.listener()
        self.listener(others.put, 'p2')
        self.listen()
        self.check_lifecycle()
        self.assertEqual(*([heard.get(timeout=PATIENCE).message_id
                            for _event in range(4)]
                           for heard in (self.events, others)))

    def test_what_is_no_event_is_counted_and_told_once_a_kind(self):
        listener = self.listener()
        good = test_consumer_events.MESSAGE
        for number in range(3):
            self.send({'result': number})
            self.send({**good, 'event_type': f'instance.{number}'})
            self.send({**good, 'payload': {'secret': number}})
            self.send({**good, 'priority': None, 'payload': None})
        self.send([1])
        self.send({**good, 'priority': None, 'message_id': 'last'})
        self.assertEqual('last', self.next().message_id)
        self.assertEqual(
            {'not a notification': 4, 'unknown event type': 3,
             'unversioned': 6, 'handled': 1}, self.counted(listener, 1))
        self.assertEqual(3, self.stdlog.output.count('is passed over'))
        self.assertIn("unknown event type: 'instance.0'", self.stdlog.output)
        self.assertNotIn('secret', self.stdlog.output)

    def counted(self, listener, handled):
        """Return the counts once so many events are counted as handled."""
        deadline = threading.Event()
        for _wait in range(PATIENCE * 100):
            if listener.counts['handled'] >= handled:
                break
            deadline.wait(0.01)
        return dict(listener.counts)

    def test_a_repeated_message_is_handled_once(self):
        repeated = []
        listener = self.listener(again=repeated.append)
        for message_id in ('m1', 'm2', 'm1', 'm3'):
            self.send({**test_consumer_events.MESSAGE,
                       'message_id': message_id})
        self.assertEqual(['m1', 'm2', 'm3'], [
            self.next().message_id for _event in range(3)])
        self.assertEqual({'handled': 3, 'duplicate': 1},
                         self.counted(listener, 3))
        self.assertEqual(['m1'], [event.message_id for event in repeated])

    def test_an_event_whose_handler_fails_keeps_its_place(self):
        failures = [OSError('index is away')] * 2

        def handle(event):
            if failures:
                raise failures.pop()
            self.events.put(event)

        listener = self.listener(handle)
        service = self.create()
        service.destroy()
        self.assertEqual(['service.create', 'service.delete'], [
            self.next().event_type for _event in range(2)])
        self.assertEqual({'failed': 2, 'handled': 2},
                         self.counted(listener, 2))
        self.assertIn('index is away', self.stdlog.output)

    def test_an_event_that_always_fails_goes_back_and_is_given_up(self):
        tries = []

        def handle(event):
            if event.service.host == 'h1':
                tries.append(event.message_id)
                raise ValueError('poison')
            self.events.put(event)

        listener = self.listener(handle)
        self.create('h1')
        self.create('h2')
        self.assertEqual('h2', self.next().service.host)
        for _wait in range(PATIENCE * 10):
            if listener.counts['given up']:
                break
            threading.Event().wait(0.1)
        self.assertEqual({'failed': 20, 'handled': 1, 'given up': 1},
                         dict(listener.counts))
        self.assertEqual((20, 1), (len(tries), len(set(tries))))
        self.assertIn('is given up: it has failed 20 times',
                      self.stdlog.output)

    def existing(self, *hosts):
        """Return services whose creation nobody is told of."""
        self.flags(notification_format='unversioned', group='notifications')
        services = [self.create(host) for host in hosts]
        self.flags(notification_format='versioned', group='notifications')
        return services

    def failing_once(self):
        """Return a handler that fails for the first event until it goes back.
        """
        attempts = []

        def handle(event):
            reason = event.service.disabled_reason
            if reason == 'one' and len(attempts) < 5:
                attempts.append(reason)
                raise OSError('index is away')
            self.events.put(event)

        return handle

    def reasons(self, number):
        return [self.next().service.disabled_reason
                for _event in range(number)]

    def test_requeued_event_that_was_overtaken_is_dropped(self):
        service, other = self.existing('h1', 'h2')
        listener = self.listener(self.failing_once())
        self.disable(service, 'one', 'two', 'three')
        self.assertEqual(['two', 'three'], self.reasons(2))
        self.disable(other, 'last')
        self.assertEqual(['last'], self.reasons(1))
        self.assertEqual({'failed': 5, 'overtaken': 1, 'handled': 3},
                         self.counted(listener, 3))
        self.assertEqual(1, self.stdlog.output.count('it is dropped'))

    def test_requeued_event_that_was_not_overtaken_is_tried_again(self):
        service, other = self.existing('h1', 'h2')
        listener = self.listener(self.failing_once())
        self.disable(service, 'one')
        self.disable(other, 'of another')
        self.assertEqual(['of another', 'one'], self.reasons(2))
        self.assertEqual({'failed': 5, 'handled': 2},
                         self.counted(listener, 2))

    def test_requeued_event_does_not_win_after_a_restart(self):
        (service,) = self.existing('h1')
        failing = self.failing_once()

        def handle(event):
            failing(event)
            if event.service.disabled_reason == 'three':
                # It ends before what went back to the bus comes again.
                first._stopping.set()

        first = consumer.Listener(rpc.NOTIFICATION_TRANSPORT, handle, 'p1')
        first.start()
        self.disable(service, 'one', 'two', 'three')
        self.assertEqual(['two', 'three'], self.reasons(2))
        first.stop()
        self.listener()
        self.assertEqual(['one', 'two', 'three'], self.reasons(3))

    def test_stop_returns_although_a_handler_runs(self):
        running, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)
        handled = []

        def handle(event):
            handled.append(event.service.host)
            running.set()
            release.wait(PATIENCE)

        listener = self.listener(handle)
        self.create('h1')
        self.create('h2')
        self.assertTrue(running.wait(PATIENCE))
        start = time.monotonic()
        listener.stop(1)
        self.assertLess(time.monotonic() - start, 10)
        self.assertIn('has not ended within 1 seconds', self.stdlog.output)
        release.set()
        # The other event is for the next consumer of the pool.
        self.listener()
        self.assertEqual('h2', self.next().service.host)
        self.assertEqual(['h1'], handled)

    def test_what_was_not_handled_when_it_stopped_comes_again(self):
        failing = threading.Event()

        def fail(event):
            failing.set()
            raise ValueError('not today')

        listener = self.listener(fail)
        self.create()
        self.assertTrue(failing.wait(PATIENCE))
        listener.stop()
        self.listener()
        self.assertEqual('service.create', self.next().event_type)


class TestMirror(ConsumerTestCase):
    """A mirror beside the API, whose requests make the changes."""

    def setUp(self):
        super().setUp()
        self.api_fixture = self.useFixture(fixtures.OSAPIFixture())
        self.admin = self.api_fixture.admin_api
        self.admin.microversion = '2.53'
        self.server = self.useFixture(
            fixtures.APIServer(self.api_fixture.app))
        self.drifts = queue.Queue()

    def lister(self, token='admin:admin'):
        return consumer.ServiceLister(openstack.connect(
            load_envvars=False, load_yaml_config=False,
            auth_type='admin_token', auth={
                'endpoint': f'{self.server.url}/v2.1', 'token': token}))

    def mirror(self, **options):
        """Return a mirror that runs until the end of the test."""
        mirror = consumer.ServiceMirror(
            rpc.NOTIFICATION_TRANSPORT, self.lister(), 'mirror',
            consumer.Callbacks(
                lambda service: self.events.put(('added', service.host)),
                self.changed,
                lambda service: self.events.put(('removed', service.host))),
            drifted=self.drifts.put, **{'grace': 0.1, **options})
        mirror.start()
        self.addCleanup(mirror.stop)
        return mirror

    def changed(self, old, new):
        """Tell of what operators change; listings tell more."""
        before, after = ((service.disabled_reason, service.forced_down)
                         for service in (old, new))
        if before != after:
            self.events.put(('changed', *after))

    def synced(self, **options):
        mirror = self.mirror(**options)
        self.assertTrue(mirror.wait_until_synced(PATIENCE), mirror.trouble)
        return mirror

    def changed_silently(self, service):
        """Change a service without telling anybody."""
        self.flags(notification_format='unversioned', group='notifications')
        service.disabled = True
        service.disabled_reason = 'silently'
        service.save()
        self.flags(notification_format='versioned', group='notifications')

    def test_it_lists_and_follows(self):
        service = self.create('h1')
        mirror = self.synced()
        self.assertEqual(('added', 'h1'), self.next())
        listed = mirror.get(service.uuid)
        self.assertEqual(
            ('h1', 'nova-compute', False, None, False, 'up', 'nova'),
            (listed.host, listed.binary, listed.disabled,
             listed.disabled_reason, listed.forced_down, listed.state,
             listed.zone))
        self.admin.put_service(service.uuid, {
            'status': 'disabled', 'disabled_reason': 'broken'})
        self.assertEqual(('changed', 'broken', False), self.next())
        self.admin.put_service_force_down(service.uuid, True)
        self.assertEqual(('changed', 'broken', True), self.next())
        self.assertEqual(
            (True, 'down', 'nova', 'compute', 74),
            tuple(getattr(mirror.get(service.uuid), name) for name in (
                'forced_down', 'state', 'zone', 'topic', 'version')))
        other = self.create('h2')
        self.assertEqual(('added', 'h2'), self.next())
        self.admin.api_delete(f'/os-services/{service.uuid}')
        self.assertEqual(('removed', 'h1'), self.next())
        self.assertEqual([other.uuid], [
            known.uuid for known in mirror.services()])
        self.assertEqual((1, None), (len(mirror), mirror.trouble))
        self.assertTrue(self.drifts.empty())

    def test_what_the_api_never_lists_is_not_mirrored(self):
        mirror = self.synced()
        service_obj.Service(self.context, host='h1', topic=None,
                            binary='nova-osapi_compute').create()
        self.create('h2')
        self.assertEqual(('added', 'h2'), self.next())
        self.assertEqual(['h2'], [
            service.host for service in mirror.services()])

    def test_what_no_event_has_told_is_repaired_and_reported(self):
        service = self.create('h1')
        mirror = self.synced(interval=0.2)
        self.assertEqual(('added', 'h1'), self.next())
        self.changed_silently(service)
        drift = self.drifts.get(timeout=PATIENCE)
        self.assertEqual(
            (service.uuid, False, True),
            (drift.uuid, drift.mirrored.disabled, drift.listed.disabled))
        self.assertEqual(('changed', 'silently', False), self.next())
        self.assertTrue(mirror.get(service.uuid).disabled)
        self.assertIn(
            'No event has told that nova-compute on h1 has disabled True, '
            "disabled_reason 'silently'", self.stdlog.output)

    def test_an_event_that_is_late_is_no_drift(self):
        service = self.create('h1')
        self.synced(interval=0.2, grace=3)
        self.assertEqual(('added', 'h1'), self.next())
        self.changed_silently(service)
        threading.Event().wait(1)
        service.disabled = True
        service.save()
        self.assertEqual(('changed', 'silently', False), self.next())
        self.assertRaises(queue.Empty, self.drifts.get, timeout=4)

    def test_while_the_api_is_away_events_are_kept(self):
        self.server.stop()
        mirror = self.mirror()
        while 'can not be listed' not in self.stdlog.output:
            threading.Event().wait(0.05)
        service = self.create('h1')
        self.assertEqual(('added', 'h1'), self.next())
        self.assertIsNotNone(mirror.get(service.uuid))
        self.assertFalse(mirror.wait_until_synced(0))
        self.assertIn('refused', mirror.trouble)
        self.server.start()
        self.assertTrue(mirror.wait_until_synced(PATIENCE))
        self.assertEqual(1, self.stdlog.output.count('can not be listed'))

    def next_update(self, notifications):
        """Return the next message of a service that has changed."""
        while True:
            event = notifications.get(timeout=PATIENCE)
            if event.event_type == 'service.update':
                return event.message

    def test_an_old_event_does_not_win(self):
        service = self.create('h1')
        notifications = queue.Queue()
        mirror = self.synced(interval=3600, heard=notifications.put)
        self.assertEqual(('added', 'h1'), self.next())
        self.admin.put_service(service.uuid, {
            'status': 'disabled', 'disabled_reason': 'old'})
        self.assertEqual(('changed', 'old', False), self.next())
        old = self.next_update(notifications)
        self.admin.put_service(service.uuid, {
            'status': 'disabled', 'disabled_reason': 'new'})
        self.assertEqual(('changed', 'new', False), self.next())
        # A relay that was paused sends last what it had read.
        self.send({**old, 'message_id': 'another'})
        self.create('h2')
        self.assertEqual(('added', 'h2'), self.next())
        self.assertEqual('new', mirror.get(service.uuid).disabled_reason)
        service.destroy()
        self.assertEqual(('removed', 'h1'), self.next())
        self.send({**old, 'message_id': 'a third'})
        self.create('h3')
        self.assertEqual(('added', 'h3'), self.next())
        self.assertIsNone(mirror.get(service.uuid))
        self.assertTrue(self.drifts.empty())

    def test_a_host_whose_clock_is_behind_is_not_lost(self):
        service = self.create('h1')
        notifications = queue.Queue()
        mirror = self.synced(interval=3600, heard=notifications.put)
        self.assertEqual(('added', 'h1'), self.next())
        self.admin.put_service(service.uuid, {
            'status': 'disabled', 'disabled_reason': 'by one host'})
        self.assertEqual(('changed', 'by one host', False), self.next())
        first = self.next_update(notifications)
        self.changed_silently(service)
        self.send({**first, 'message_id': 'behind',
                   'timestamp': '2012-10-29 13:42:11.5'})
        self.assertEqual(('changed', 'silently', False), self.next())
        self.assertTrue(mirror.get(service.uuid).disabled)
        # An event has told of it.
        self.assertTrue(self.drifts.empty())

    def test_many_old_events_share_few_listings(self):
        service = self.create('h1')
        listings = []
        lister = self.lister()

        def listed():
            listings.append(time.monotonic())
            return lister()

        notifications = queue.Queue()
        mirror = consumer.ServiceMirror(
            rpc.NOTIFICATION_TRANSPORT, listed, 'mirror', interval=3600,
            heard=notifications.put)
        mirror.start()
        self.addCleanup(mirror.stop)
        self.assertTrue(mirror.wait_until_synced(PATIENCE))
        self.disable(service, 'a')
        first = self.next_update(notifications)
        for number in range(300):
            self.send({**first, 'message_id': f'm{number}',
                       'timestamp': '2012-10-29 13:42:11.5'})
            threading.Event().wait(0.01)
        self.wait_for(lambda: not mirror._store.doubts())
        self.assertLess(len(listings), 8)
        self.assertGreater(len(listings), 1)

    def test_stop_calls_no_callback_that_was_not_running(self):
        self.create('h1')
        called, running = [], threading.Event()
        release = threading.Event()
        self.addCleanup(release.set)

        def heard(event):
            running.set()
            release.wait(PATIENCE)

        mirror = self.synced(heard=heard)
        mirror._store._callbacks.added = called.append
        self.create('h2')
        self.assertTrue(running.wait(PATIENCE))
        start = time.monotonic()
        mirror.stop()
        self.assertLess(time.monotonic() - start, 10)
        release.set()
        self.wait_for(lambda: not [
            thread for thread in threading.enumerate()
            if thread.name == 'listener-stop'])
        self.assertEqual([], called)

    def wait_for(self, what):
        deadline = time.monotonic() + PATIENCE
        while not what():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_a_callback_that_fails_is_called_again(self):
        failures = [ValueError('not yet')]

        def added(service):
            if failures:
                raise failures.pop()
            self.events.put(service.host)

        self.create('h1')
        mirror = consumer.ServiceMirror(
            rpc.NOTIFICATION_TRANSPORT, self.lister(), 'mirror',
            consumer.Callbacks(added=added))
        mirror.start()
        self.addCleanup(mirror.stop)
        self.assertEqual('h1', self.next())

    def test_what_refuses_and_what_fails_are_told_apart(self):
        self.assertRaises(consumer.APIRefused, self.lister('demo:demo'))
        self.server.stop()
        error = self.assertRaises(consumer.APIError, self.lister())
        self.assertNotIsInstance(error, consumer.APIRefused)

    def test_filters_of_the_listing(self):
        for host in ('h1', 'h2'):
            self.create(host)
        lister = self.lister()
        self.assertEqual(['h2'], [
            service.host for service in lister(host='h2')])
        self.assertEqual([], lister(binary='nova-scheduler'))
        self.assertEqual(2, len(lister(binary='nova-compute')))
