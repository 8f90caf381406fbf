# SPDX-License-Identifier: Apache-2.0
"""Notifications that wait in the database until the bus has them."""

from __future__ import annotations

import contextlib
import datetime
import json
import queue
import threading
import time

import fixtures as third_party
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_utils import timeutils
import sqlalchemy as sa

from nova import exception
from nova.db.main import api as db
from nova.db.main import outbox
from nova.notifications import delivery
from nova.notifications import lease
from nova.notifications import metrics
from nova.notifications import publisher
from nova.notifications import relay
from nova.objects import service as service_obj
from nova.tests.fixtures import processes
from nova.tests.fixtures.relay import RelayFixture
from nova.tests.functional import lifecycle

UUID = 'e81d66a4-ddd3-4aba-8a84-171d1cb4d339'


class OutboxTestCase(lifecycle.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.flags(group='notifications', delivery='outbox')

    def waiting(self):
        return outbox.waiting(self.context, 1000)

    def heard_events(self, number):
        return [self.heard.get(timeout=10) for _number in range(number)]


class TestStore(OutboxTestCase):

    def test_a_message_is_stored_whole(self):
        now = datetime.datetime(2026, 1, 2, 3, 4, 5, 678)
        timeutils.set_time_override(now)
        self.addCleanup(timeutils.clear_time_override)
        self.flags(group='notifications',
                   versioned_notifications_topics=['one', 'two'])
        self.create(uuid=UUID)
        (row,) = self.waiting()
        payload = json.loads(row['payload'])
        context = json.loads(row['context'])
        self.assertEqual(
            ('ServiceStatusPayload', 'h1'),
            (payload['nova_object.name'], payload['nova_object.data']['host']))
        self.assertEqual((None, 'u1', []), (
            context['auth_token'], context['user_id'],
            context['service_catalog']))
        self.assertNotIn('secret-token', row['context'])
        self.assertRegex(row['message_id'], r'^[0-9a-f-]{36}$')
        for computed in ('id', 'payload', 'context', 'message_id'):
            del row[computed]
        self.assertEqual({
            'aggregatetype': 'service', 'aggregateid': UUID,
            'type': 'service.create',
            'timestamp': '2026-01-02 03:04:05.000678',
            'publisher_id': 'nova-compute:h1', 'priority': 'info',
            'topics': '["one","two"]', 'created_at': now, 'attempts': 0,
            'parked_at': None, 'error': None}, row)
        self.assertTrue(self.heard.empty())

    def test_it_is_one_transaction_with_the_change(self):
        service = self.create()
        with contextlib.suppress(RuntimeError), db.transaction(self.context):
            service.disabled = True
            service.save()
            self.assertEqual(2, len(self.waiting()))
            raise RuntimeError
        self.assertEqual(['service.create'],
                         [row['type'] for row in self.waiting()])

    def test_a_change_that_cannot_be_stored_does_not_happen(self):
        service = self.create()
        with db.get_engine().begin() as connection:
            connection.exec_driver_sql('DROP TABLE notification_outbox')
        service.disabled = True
        self.assertRaises(db_exc.DBNonExistentTable, service.save)
        self.assertFalse(service_obj.Service.get_by_id(
            self.context, service.id).disabled)

    def test_only_what_is_announced_is_stored(self):
        service = self.create()
        service.report_count = 1
        service.save()
        self.assertEqual(1, len(self.waiting()))
        self.flags(group='notifications', notification_format='unversioned')
        service.disabled = True
        service.save()
        self.assertEqual(1, len(self.waiting()))
        self.flags(group='notifications', notification_format='versioned',
                   delivery='direct')
        service.destroy()
        self.assertEqual(1, len(self.waiting()))

    def test_a_process_without_outbox_does_not_start(self):
        with db.get_engine().begin() as connection:
            connection.exec_driver_sql('DROP TABLE notification_outbox')
        self.assertRaisesRegex(
            exception.ConfigurationError, 'nova-manage db sync',
            self.start_service, 'conductor')
        self.flags(group='notifications', delivery='direct')
        self.start_service('conductor')


class TestRelay(OutboxTestCase):

    def test_a_consumer_hears_the_whole_life(self):
        self.useFixture(RelayFixture())
        self.check_lifecycle()
        self.wait_until_empty()

    def test_what_waited_is_sent_in_order_with_its_time_and_id(self):
        service = self.create()
        for disabled in (True, False, True):
            service.disabled = disabled
            service.save()
        rows = self.waiting()
        self.flags(group='relay', batch_size=3)
        self.useFixture(RelayFixture())
        heard = self.heard_events(4)
        self.assertEqual(
            [(row['message_id'], row['timestamp']) for row in rows],
            [(message['message_id'], message['timestamp'])
             for message in heard])
        self.assertEqual([False, True, False, True], [
            message['payload']['nova_object.data']['disabled']
            for message in heard])
        self.wait_until_empty()

    def test_notification_goes_to_the_topics_of_its_time(self):
        self.create('before')
        self.flags(group='notifications',
                   versioned_notifications_topics=['another'])
        self.create('after')
        self.useFixture(RelayFixture())
        self.wait_until_empty()
        self.assertEqual(['nova-compute:before'], self._publishers(
            self.heard_events(1)))
        self.assertTrue(self.heard.empty())
        self.stop_listening()
        self.listen('another')
        self.assertEqual(['nova-compute:after'], self._publishers(
            self.heard_events(1)))
        self.assertRaises(queue.Empty, self.heard.get, timeout=0.2)

    @staticmethod
    def _publishers(messages):
        return [message['publisher_id'] for message in messages]

    def test_what_an_older_version_stored_is_sent_as_it_is(self):
        payload = {'nova_object.name': 'ServiceStatusPayload',
                   'nova_object.namespace': 'nova',
                   'nova_object.version': '1.0',
                   'nova_object.data': {'host': 'h1', 'gone_since': 1}}
        outbox.add(self.context, {
            'aggregatetype': 'service', 'aggregateid': 'h1',
            'type': 'service.update', 'priority': 'info',
            'publisher_id': 'nova-compute:h1', 'message_id': 'm1',
            'timestamp': '2019-01-01 00:00:00.000000',
            'payload': json.dumps(payload), 'context': '{"user": "u1"}',
            'topics': '["versioned_notifications"]'})
        self.useFixture(RelayFixture())
        (message,) = self.heard_events(1)
        self.assertEqual(
            (payload, 'm1', '2019-01-01 00:00:00.000000', {'user': 'u1'}),
            (message['payload'], message['message_id'], message['timestamp'],
             message['context']))
        self.wait_until_empty()
        # Of today's description it is not.
        self.assertNotEqual([], self.schema.wrong)
        self.schema.wrong.clear()

    def test_what_cannot_be_read_is_parked_and_the_rest_goes_on(self):
        for number in range(6):
            self.create(f'h{number}')
        rows = self.waiting()
        broken = {'payload': '{', 'context': '[]', 'topics': '"all"'}
        with db.get_engine().begin() as connection:
            for row, (column, value) in zip(rows, broken.items(),
                                            strict=False):
                connection.exec_driver_sql(
                    f'UPDATE notification_outbox SET {column} = ? '
                    'WHERE id = ?', (value, row['id']))
        self.useFixture(RelayFixture())
        self.assertEqual(['h3', 'h4', 'h5'], [
            message['payload']['nova_object.data']['host']
            for message in self.heard_events(3)])
        self.wait_until_empty()
        parked = outbox.listed(self.context, True, 10)
        self.assertEqual([row['id'] for row in rows[:3]],
                         [row['id'] for row in parked])
        self.assertIn('not JSON', parked[0]['error'])
        self.assertIn('context is [], not a dict', parked[1]['error'])
        self.assertIn('was parked after 1 attempts', self.stdlog.output)

    def test_there_must_be_something_to_send_to(self):
        self.flags(group='notifications', notification_format='unversioned')
        self.assertRaisesRegex(
            exception.ConfigurationError, 'notification_format',
            publisher.Publisher, cfg.CONF)


class FailingPublisher:
    """Fails as told; what it did not refuse is kept."""

    blocked = None

    def __init__(self):
        self.failures = []
        self.published = []

    def publish(self, row, may_publish):
        if not may_publish():
            raise publisher.LeaseLost
        for failure in list(self.failures):
            if failure(row):
                return
        self.published.append((row['publisher_id'], row['message_id']))

    def keep_alive(self):
        pass

    def abort(self):
        pass


class HeldLease:
    """The lease of a relay that is active, in term 1."""

    term = 1
    holder = last_holder = 'h'


class TestTrouble(OutboxTestCase):
    """What the relay makes of the bus's answers; no bus can be told to."""

    def setUp(self):
        super().setUp()
        self.publisher = FailingPublisher()
        self.metrics = metrics.Metrics()
        self.relay = relay.Relay(
            cfg.CONF, self.publisher, HeldLease(), self.metrics)

    def _refuse(self, host):
        def failure(row):
            if row['publisher_id'].endswith(host):
                raise publisher.Refused('too large')
        self.publisher.failures = [failure]

    def test_a_refused_one_holds_back_its_own_service_only(self):
        first = self.create('h1')
        first.disabled = True
        first.save()
        self.create('h2')
        self._refuse(':h1')
        self.assertGreater(self.relay._work(), 0)
        self.assertEqual(['nova-compute:h2'],
                         [who for who, _ in self.publisher.published])
        self.assertEqual([1, 0], [row['attempts'] for row in self.waiting()])
        for _attempt in range(4):
            self.relay._work()
        (parked,) = outbox.listed(self.context, True, 10)
        self.assertEqual(('service.create', 5, 'too large'), (
            parked['type'], parked['attempts'], parked['error']))
        self.publisher.failures = []
        self.relay._work()
        self.assertEqual([], self.waiting())
        self.assertEqual(2, len(self.publisher.published))

    def test_an_outage_is_not_counted_and_said_once(self):
        self.create()

        def failure(row):
            raise publisher.Outage('connection refused')

        self.publisher.failures = [failure]
        pauses = [self.relay._work() for _attempt in range(12)]
        self.assertLess(pauses[0], 0.2)
        self.assertLess(2, pauses[-1])
        self.assertLessEqual(max(pauses), 5)
        self.assertEqual([0], [row['attempts'] for row in self.waiting()])
        self.publisher.failures = []
        self.assertIn('because of the message bus: connection refused',
                      self.stdlog.output)
        self.assertEqual(12, self.metrics.registry.get_sample_value(
            'nova_outbox_retried_total'))
        self.assertNotIn('are published again', self.stdlog.output)
        self.relay._work()
        self.assertIn('are published again', self.stdlog.output)
        self.relay._work()
        self.assertEqual([], self.waiting())
        self.assertEqual(1, self.stdlog.output.count('wait in the outbox'))
        self.assertEqual(1, self.stdlog.output.count('are published again'))

    def test_a_database_that_fails_is_waited_for(self):
        self.create()
        self._rename('notification_outbox', 'away')
        self.assertGreater(self.relay._work(), 0)
        self.assertIn('because of the database: ', self.stdlog.output)
        self._rename('away', 'notification_outbox')
        self.relay._work()
        self.assertEqual([], self.waiting())

    def _rename(self, name, other):
        with db.get_engine().begin() as connection:
            connection.exec_driver_sql(f'ALTER TABLE {name} RENAME TO {other}')

    def test_what_was_confirmed_before_an_outage_is_gone(self):
        for number in range(3):
            self.create(f'h{number}')

        def failure(row):
            if row['publisher_id'].endswith('h1'):
                raise publisher.Outage('connection refused')

        self.publisher.failures = [failure]
        self.relay._work()
        self.assertEqual(['nova-compute:h1', 'nova-compute:h2'],
                         [row['publisher_id'] for row in self.waiting()])

    def test_who_loses_the_lease_stops_in_the_middle(self):
        for number in range(3):
            self.create(f'h{number}')
        held = HeldLease()
        self.relay = relay.Relay(
            cfg.CONF, self.publisher, held, metrics.Metrics())

        def failure(row):
            # Another relay was the active one in between.
            held.term = 2

        self.publisher.failures = [failure]
        self.relay._work()
        self.assertEqual(1, len(self.publisher.published))
        self.assertEqual(2, len(self.waiting()))


class TestLease(OutboxTestCase):

    def setUp(self):
        super().setUp()
        for name, value in (('BEAT', 0.05), ('TAKEOVER', 0.6)):
            self.useFixture(third_party.MonkeyPatch(
                f'nova.notifications.lease.{name}', value))

    def _lease(self, watch=lambda: True):
        candidate = lease.Lease('h')
        candidate.start(watch)
        self.addCleanup(candidate.stop)
        return candidate

    def _disallow_takeover(self):
        """Let nobody take over just because the machine is busy."""
        self.useFixture(third_party.MonkeyPatch(
            'nova.notifications.lease.TAKEOVER', 10 * processes.PATIENCE))

    def _wait(self, condition):
        deadline = time.monotonic() + processes.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_one_is_active_however_many_there_are(self):
        candidates = [self._lease() for _number in range(5)]
        self._wait(lambda: any(one.held for one in candidates))
        for _look in range(30):
            time.sleep(0.03)
            # On a busy machine the lease can pass on, but only after a gap.
            self.assertLessEqual(len(self._holders(candidates)), 1)
        self._wait(lambda: lease.is_alive(self.context))
        self._wait(lambda: self._holders(candidates))

    def _holders(self, candidates):
        """Return the candidates that held the lease at the same time."""
        while True:
            start = time.monotonic()
            holders = [one for one in candidates if one.held]
            if time.monotonic() - start < lease.BEAT:
                return holders

    def test_who_stops_gives_it_up_at_once(self):
        self._disallow_takeover()
        first = self._lease()
        self._wait(lambda: first.held)
        second = self._lease()
        time.sleep(0.2)
        self.assertFalse(second.held)
        first.stop()
        self._wait(lambda: second.held)

    def test_one_that_died_is_succeeded(self):
        outbox.take_lease(self.context, 'dead', None)
        start = time.monotonic()
        heir = self._lease()
        self._wait(lambda: heir.held)
        self.assertGreater(time.monotonic() - start, 0.55)
        self.assertEqual(heir.holder, outbox.lease(self.context)[0])

    def test_one_that_died_is_not_alive(self):
        self.assertFalse(lease.is_alive(self.context))
        outbox.take_lease(self.context, 'dead', None)
        self.assertFalse(lease.is_alive(self.context))

    def test_who_looked_too_early_does_not_get_it(self):
        outbox.take_lease(self.context, 'first', None)
        seen = outbox.lease(self.context)
        self.assertTrue(outbox.renew_lease(self.context, 'first'))
        self.assertFalse(outbox.take_lease(self.context, 'second', seen))
        self.assertFalse(outbox.take_lease(self.context, 'third', None))
        self.assertEqual('first', outbox.lease(self.context)[0])

    def test_clocks_do_not_matter(self):
        self._disallow_takeover()
        first = self._lease()
        self._wait(lambda: first.held)
        timeutils.set_time_override(
            timeutils.utcnow() + datetime.timedelta(hours=1))
        self.addCleanup(timeutils.clear_time_override)
        second = self._lease()
        time.sleep(1)
        self.assertEqual((True, False), (first.held, second.held))

    def test_one_that_was_asleep_knows_that_it_lost(self):
        first = self._lease()
        self._wait(lambda: first.held)
        seen = outbox.lease(self.context)
        while not outbox.take_lease(self.context, 'thief', seen):
            seen = outbox.lease(self.context)
        self._wait(lambda: not first.held)
        self.assertIn('Another relay has taken over', self.stdlog.output)

    def test_none_is_active_without_a_database(self):
        first = self._lease()
        self._wait(lambda: first.held)
        self.useFixture(third_party.MonkeyPatch(
            'nova.db.main.api.DISABLE_DB_ACCESS', True))
        self._wait(lambda: not first.held)
        self.useFixture(third_party.MonkeyPatch(
            'nova.db.main.api.DISABLE_DB_ACCESS', False))
        self._wait(lambda: first.held)


    def test_relay_without_progress_leaves_the_lease_to_another(self):
        self.useFixture(third_party.MonkeyPatch(
            'nova.notifications.lease.HANDICAP', 0.5))
        progressing = threading.Event()
        progressing.set()
        first = self._lease(progressing.is_set)
        self._wait(lambda: first.held)
        self.assertEqual(1, first.term)
        second = self._lease()
        progressing.clear()
        self._wait(lambda: second.held)
        self.assertFalse(first.held)
        self.assertIsNone(first.term)
        second.stop()
        # Nobody else is there: it takes the lease back and tries again.
        self._wait(lambda: first.term == 2)


class TestHealth(OutboxTestCase):

    def setUp(self):
        super().setUp()
        for name in ('STALL', 'SILENCE'):
            self.useFixture(third_party.MonkeyPatch(
                f'nova.notifications.relay.{name}', 0.3))
        self.useFixture(third_party.MonkeyPatch(
            'nova.notifications.lease.BEAT', 0.05))

    def _relay(self, publishing):
        watched = relay.Relay(cfg.CONF, publishing, lease.Lease('h'),
                              metrics.Metrics())
        stopping = threading.Event()
        thread = threading.Thread(target=watched.run, args=(stopping,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stopping.set)
        return watched

    def _wait_for_trouble(self, watched, trouble):
        deadline = time.monotonic() + 20
        while trouble not in (watched.health()['trouble'] or 'none'):
            self.assertLess(time.monotonic(), deadline, watched.health())
            time.sleep(0.01)

    def test_health_of_a_standby_reports_that_nobody_publishes(self):
        outbox.take_lease(self.context, 'hung', None)
        holding = threading.Event()

        def hold():
            while not holding.wait(0.05):
                outbox.renew_lease(self.context.elevated(), 'hung')

        thread = threading.Thread(target=hold)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(holding.set)
        standby = self._relay(FailingPublisher())
        self._wait_for_trouble(standby, 'none')
        self.create()
        self._wait_for_trouble(standby, 'no relay publishes it')
        health = standby.health()
        self.assertEqual((False, 'hung'), (health['active'], health['relay']))
        self.assertGreater(health['oldest_age'], 0)
        outbox.remove(self.context, [self.waiting()[0]['id']])
        self._wait_for_trouble(standby, 'none')

    def test_health_reports_a_silent_database(self):
        watched = self._relay(FailingPublisher())
        self._wait_for_trouble(watched, 'none')
        with self._silent_database():
            self._wait_for_trouble(watched, 'the database: it has not answe')
        self._wait_for_trouble(watched, 'none')

    @contextlib.contextmanager
    def _silent_database(self):
        """Keep each statement waiting."""
        answering = threading.Event()

        def wait(*_arguments):
            answering.wait(60)

        sa.event.listen(db.get_engine(), 'before_cursor_execute', wait)
        try:
            yield
        finally:
            answering.set()
            sa.event.remove(db.get_engine(), 'before_cursor_execute', wait)

    def test_hung_publisher_is_aborted_and_gives_the_lease_up(self):
        self.useFixture(third_party.MonkeyPatch(
            'nova.notifications.lease.HANDICAP', 60))
        hung = HungPublisher()
        watched = self._relay(hung)
        self.create()
        self.assertTrue(hung.aborted.wait(20))
        deadline = time.monotonic() + 20
        while outbox.lease(self.context)[0] is not None:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertFalse(watched.health()['active'])
        self.assertIn('has published nothing for 0.8 s', self.stdlog.output)


class HungPublisher:
    """Waits for a bus that does not answer, until it is aborted."""

    blocked = None

    def __init__(self):
        self.aborted = threading.Event()

    def publish(self, row, may_publish):
        self.aborted.wait(60)
        raise publisher.Outage('aborted')

    def keep_alive(self):
        pass

    def abort(self):
        self.aborted.set()


class TestOperatorsView(OutboxTestCase):

    def test_parked_ones_are_tried_again_or_discarded(self):
        for number in range(3):
            self.create(f'h{number}')
        first, second, third = [row['id'] for row in self.waiting()]
        for outbox_id in (first, second):
            outbox.refused(self.context, outbox_id, 'why', park=True)
        status = outbox.status(self.context)
        self.assertEqual((1, 2, None), (
            status['depth'], status['parked'], status['relay']))
        self.assertEqual(0, outbox.discard(self.context, [third]))
        self.assertEqual(1, outbox.discard(self.context, [first, third]))
        self.assertEqual(0, outbox.unpark(self.context, [third]))
        self.assertEqual(1, outbox.unpark(self.context, [second, third]))
        self.assertEqual([(second, 0), (third, 0)], [
            (row['id'], row['attempts']) for row in self.waiting()])

    def test_oldest_waiting_passes_over_parked_ones(self):
        self.assertIsNone(outbox.oldest_waiting(self.context))
        for number in range(3):
            self.create(f'h{number}')
        first, second, _third = self.waiting()
        outbox.refused(self.context, first['id'], 'why', park=True)
        timeutils.set_time_override(
            second['created_at'] + datetime.timedelta(seconds=42))
        self.addCleanup(timeutils.clear_time_override)
        self.assertEqual((second['id'], 42.0),
                         outbox.oldest_waiting(self.context))

    def test_the_check_at_the_start(self):
        delivery.check(self.context)
