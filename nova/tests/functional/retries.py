# SPDX-License-Identifier: Apache-2.0
"""Retries of parked notifications, for a test case on any database."""

from __future__ import annotations

import concurrent.futures
import json
import threading

import fixtures as third_party
import sqlalchemy as sa

from nova import context
from nova.db.main import api as db
from nova.db.main import models
from nova.db.main import outbox
from nova.notifications import delivery
from nova.notifications import retry
from nova.objects import service as service_obj
from nova.tests.fixtures.relay import RelayFixture

#: seconds, more than a change takes that nothing holds up
_WHILE = 1

#: a notification of an object that the project does not know
OTHER = {
    'aggregatetype': 'instance', 'aggregateid': 'u', 'type': 'instance.update',
    'payload': '{}', 'message_id': 'm', 'timestamp': 't', 'priority': 'info',
    'publisher_id': 'nova-compute:h9', 'topics': '["other"]', 'context': '{}'}


class RetryTests:
    """For a LifecycleTestCase."""

    def setUp(self):
        super().setUp()
        self.flags(group='notifications', delivery='outbox')
        self.operator = context.RequestContext(user_id='op', is_admin=True)

    def change(self, service, **values):
        """Save new values; return the id of the notification."""
        for name, value in values.items():
            setattr(service, name, value)
        service.save()
        return self.newest()

    @staticmethod
    def newest():
        return outbox.newest_id(context.get_admin_context())

    def park(self, *ids):
        for outbox_id in ids:
            outbox.refused(self.context, outbox_id, 'too large', park=True)

    def retry(self, *ids):
        """Retry; return fate by id."""
        return {decision.id: decision.fate.value for decision in retry.retry(
            self.operator, ids or None)}

    def row(self, outbox_id):
        (row,) = [row for row in outbox.listed(self.context, False, 1000)
                  if row['id'] == outbox_id]
        return row

    def waiting(self):
        return outbox.waiting(self.context, 1000)

    def parked_ids(self):
        return [row['id'] for row in outbox.listed(self.context, True, 1000)]

    def drain(self):
        """Send what waits, and return it."""
        number = len(self.waiting())
        with RelayFixture():
            self.wait_until_empty()
        return [self.heard.get(timeout=10) for _event in range(number)]

    @staticmethod
    def learn(known, messages):
        """Do what a consumer does that keeps each service's last state."""
        for message in messages:
            state = message['payload']['nova_object.data']
            if message['event_type'] == 'service.delete':
                known.pop(state['uuid'], None)
            else:
                known[state['uuid']] = state['disabled']
        return known

    def stored(self):
        return {row['uuid']: row['disabled']
                for row in db.service_get_all(self.context)}

    def test_retry_does_not_take_a_consumer_back(self):
        enabled, deleted = self.create('h1'), self.create('h2')
        known = self.learn({}, self.drain())
        self.park(first := self.change(enabled, disabled=True))
        self.park(second := self.change(deleted, disabled=True))
        enabled.disabled = False
        enabled.save()
        deleted.destroy()
        self.learn(known, self.drain())
        self.assertEqual(self.stored(), known)
        self.assertEqual({first: 'replaced', second: 'dropped'}, self.retry())
        self.learn(known, self.drain())
        self.assertEqual({enabled.uuid: False}, known)
        self.assertEqual([], self.parked_ids())

    def test_current_state_is_sent_as_it_was(self):
        service = self.create()
        self.drain()
        outbox_id = self.change(service, disabled=True)
        before = self.row(outbox_id)
        self.park(outbox_id)
        self.assertEqual({outbox_id: 'sent_again'}, self.retry())
        self.assertEqual({**before, 'error': 'too large'},
                         self.row(outbox_id))

    def test_delete_is_sent_as_it_was(self):
        service = self.create()
        update = self.change(service, disabled=True)
        service.destroy()
        self.park(update, update + 1)
        before = self.row(update + 1)
        self.assertEqual({update: 'dropped', update + 1: 'sent_again'},
                         self.retry())
        self.assertEqual({**before, 'attempts': 0, 'parked_at': None},
                         self.row(update + 1))

    def test_delete_of_an_archived_service_is_sent_as_it_was(self):
        self.create().destroy()
        self.park(self.newest())
        self.drain()
        with db.get_engine().begin() as connection:
            connection.execute(models.Service.__table__.delete())
        self.assertEqual(['sent_again'], list(self.retry().values()))

    def test_replaced_create_is_a_create_with_the_current_state(self):
        self.flags(group='notifications',
                   versioned_notifications_topics=['old'])
        service = self.create()
        created = self.row(self.newest())
        self.park(created['id'])
        self.flags(group='notifications', delivery='direct',
                   notification_format='unversioned',
                   versioned_notifications_topics=['new'])
        service.disabled = True
        service.save()
        # As in nova-manage, which opens no bus.
        self.stub_out('nova.rpc.NOTIFIER', None)
        self.assertEqual({created['id']: 'replaced'}, self.retry())
        (row,) = self.waiting()
        self.assertEqual(
            ('service.create', service.uuid, 'service', 'nova-compute:h1',
             'info', '["old"]', 0, True),
            (row['type'], row['aggregateid'], row['aggregatetype'],
             row['publisher_id'], row['priority'], row['topics'],
             row['attempts'], row['id'] > created['id']))
        self.assertTrue(json.loads(row['payload'])['nova_object.data'][
            'disabled'])
        self.assertEqual('op', json.loads(row['context'])['user_id'])
        self.assertNotEqual(created['message_id'], row['message_id'])
        self.assertGreater(row['timestamp'], created['timestamp'])

    def test_several_of_one_service_send_its_current_state_once(self):
        service = self.create()
        ids = [self.newest()]
        for disabled in (True, False, True):
            ids.append(self.change(service, disabled=disabled))
        self.park(*ids)
        self.assertEqual(dict.fromkeys(ids, 'replaced'), self.retry())
        (row,) = self.waiting()
        self.assertEqual('service.create', row['type'])

    def test_one_that_tells_the_current_state_stands_for_all(self):
        service = self.create()
        self.drain()
        ids = [self.change(service, disabled=disabled)
               for disabled in (True, False, True)]
        self.park(*ids)
        self.assertEqual(
            dict(zip(ids, ('replaced', 'replaced', 'sent_again'),
                     strict=True)), self.retry())
        self.assertEqual([ids[-1]], [row['id'] for row in self.waiting()])

    def test_many_are_retried_in_batches(self):
        self.stub_out('nova.notifications.retry._BATCH', 3)
        services = [self.create(f'h{number}') for number in range(3)]
        for disabled in (True, False, True):
            for service in services:
                self.change(service, disabled=disabled)
        services[2].destroy()
        rows = self.waiting()
        self.park(*(row['id'] for row in rows))
        fates = self.retry()
        self.assertEqual([row['id'] for row in rows], sorted(fates))
        self.assertEqual([8, 4, 1], [
            list(fates.values()).count(fate)
            for fate in ('replaced', 'dropped', 'sent_again')])
        self.assertEqual(
            ['service.delete', 'service.create', 'service.create'],
            [row['type'] for row in self.waiting()])
        self.assertEqual([], self.parked_ids())

    def test_ids_that_are_not_parked_are_left_out(self):
        service = self.create()
        waiting = self.newest()
        named, other = [self.change(service, disabled=disabled)
                        for disabled in (True, False)]
        self.park(named, other)
        self.assertEqual({named: 'replaced'},
                         self.retry(waiting, named, 4711))
        self.assertEqual([other], self.parked_ids())

    def test_other_objects_stay_parked_unless_named(self):
        outbox.add(self.context, OTHER)
        readable = self.newest()
        outbox.add(self.context, {**OTHER, 'payload': '{'})
        broken = self.newest()
        self.park(readable, broken)
        self.assertEqual(dict.fromkeys((readable, broken), 'left'),
                         self.retry())
        self.assertEqual({readable: 'sent_again', broken: 'left'},
                         self.retry(readable, broken))
        self.assertEqual([broken], self.parked_ids())

    def test_rows_that_cannot_be_read(self):
        kept, deleted = self.create('h1'), self.create('h2')
        deleted.destroy()
        ids = [row['id'] for row in self.waiting()]
        with db.get_engine().begin() as connection:
            connection.execute(sa.update(models.NotificationOutbox).values(
                context='[', topics='{}'))
        self.park(*ids)
        self.assertEqual(
            dict(zip(ids, ('replaced', 'dropped', 'left'), strict=True)),
            self.retry())
        (row,) = self.waiting()
        self.assertEqual((kept.uuid, '["versioned_notifications"]'),
                         (row['aggregateid'], row['topics']))

    def test_service_that_cannot_be_announced_stays_parked(self):
        self.stub_out('nova.notifications.retry._BATCH', 1)
        service = self.create()
        ids = [self.newest(), self.change(service, disabled=True)]
        self.park(*ids)
        with db.get_engine().begin() as connection:
            connection.execute(sa.update(models.Service).values(
                binary='own-agent'))
        for decision in retry.retry(self.operator):
            self.assertEqual('left', decision.fate)
            self.assertIn('own-agent', decision.reason)
        self.assertEqual(ids, self.parked_ids())
        self.assertEqual(set(), self.superseded())

    def superseded(self):
        return retry.superseded(
            self.context, outbox.listed(self.context, False, 1000))

    def test_list_tells_which_are_superseded(self):
        current, changed, deleted = [
            self.create(f'h{number}') for number in range(3)]
        self.drain()
        ids = [self.change(service, disabled=True)
               for service in (current, changed, deleted)]
        waiting = self.change(changed, disabled=False)
        deleted.destroy()
        outbox.add(self.context, OTHER)
        ids += [waiting + 1, waiting + 2]
        self.park(*ids)
        self.assertEqual({ids[1], ids[2]}, self.superseded())

    def test_superseded_ones_are_found_in_one_statement(self):
        for number in range(20):
            self.create(f'h{number}')
        self.park(*(row['id'] for row in self.waiting()))
        rows = outbox.listed(self.context, True, 100)
        statements = []
        engine = db.get_engine()

        def note(*arguments):
            if arguments[2] != 'BEGIN':
                statements.append(arguments[2])

        sa.event.listen(engine, 'before_cursor_execute', note)
        self.addCleanup(sa.event.remove, engine, 'before_cursor_execute', note)
        retry.superseded(self.context, rows)
        self.assertEqual(1, len(statements), statements)

    def test_failure_in_the_middle_changes_nothing(self):
        service = self.create()
        self.drain()
        self.park(outbox_id := self.change(service, disabled=True))
        self.change(service, disabled=False)
        self.drain()

        def fail(*arguments):
            raise ZeroDivisionError

        with third_party.MonkeyPatch(
                'nova.notifications.delivery.store', fail):
            self.assertRaises(ZeroDivisionError, self.retry)
        self.assertEqual(([outbox_id], []),
                         (self.parked_ids(), self.waiting()))
        self.assertEqual({outbox_id: 'replaced'}, self.retry())

    def test_change_meanwhile_is_sent_after_the_replacement(self):
        self._check_meanwhile(
            lambda service: self.change(service, disabled_reason='new'),
            [('service.update', None), ('service.update', 'new')])

    def test_delete_meanwhile_is_sent_after_the_replacement(self):
        self._check_meanwhile(
            lambda service: service.destroy(),
            [('service.update', None), ('service.delete', None)])

    def _check_meanwhile(self, change, expected):
        service = self.create()
        self.drain()
        self.park(self.change(service, disabled_reason='old'))
        self.change(service, disabled_reason=None)
        self.drain()
        other = threading.Thread(target=change, args=(
            service_obj.Service.get_by_id(
                context.get_admin_context(), service.id),))
        store = delivery.store

        def store_later(*arguments):
            other.start()
            other.join(_WHILE)
            store(*arguments)

        # The change itself has another name for it.
        self.stub_out('nova.notifications.delivery.store', store_later)
        self.retry()
        other.join()
        self.assertEqual(expected, [
            (message['event_type'], message['payload']['nova_object.data'][
                'disabled_reason']) for message in self.drain()])


class ConcurrentRetryTests:
    """For a LifecycleTestCase on a server, beside RetryTests."""

    def test_two_retries_at_once_send_each_state_once(self):
        services = [self.create(f'h{number}') for number in range(10)]
        self.park(*(row['id'] for row in self.waiting()))
        for service in services:
            self.change(service, disabled=True)
        self.drain()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            fates = list(pool.map(
                lambda _number: list(retry.retry(context.get_admin_context())),
                range(4)))
        self.assertEqual(10, sum(len(decisions) for decisions in fates))
        self.assertEqual(
            sorted(service.uuid for service in services),
            sorted(row['aggregateid'] for row in self.waiting()))

    def test_retries_beside_a_relay_and_changes_leave_the_last_state(self):
        services = [self.create(f'h{number}') for number in range(4)]
        known = self.learn({}, self.drain())
        changes = [pair for number in range(10) for pair in (
            (service.id, bool(number % 2)) for service in services)]
        self.useFixture(RelayFixture())
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            work = [pool.submit(self._change_and_park, *change)
                    for change in changes]
            while not all(future.done() for future in work):
                self.retry()
            for future in work:
                future.result()
        self.retry()
        self.wait_until_empty()
        # The bus keeps the order: it is the last one.
        last = self.create('last').uuid
        while last not in known:
            self.learn(known, [self.heard.get(timeout=30)])
        self.assertEqual(self.stored(), known)

    def _change_and_park(self, service_id, disabled):
        own = context.get_admin_context()
        service = service_obj.Service.get_by_id(own, service_id)
        with db.transaction(own):
            service.disabled = disabled
            service.save()
            if not disabled:
                # As if the bus had refused it at once.
                outbox.refused(own, [
                    row['id'] for row in outbox.waiting(own, 1000)
                    if row['aggregateid'] == service.uuid][-1], 'no', True)
