# SPDX-License-Identifier: Apache-2.0
"""Notifications through Kafka's protocol."""

import json
import queue
import re
import time

import confluent_kafka
from oslo_config import cfg

from nova import consumer
from nova import rpc
from nova.db.main import outbox
from nova.tests.fixtures import kafka
from nova.tests.fixtures.relay import RelayFixture
from nova.tests.functional import lifecycle

TOPIC = 'versioned_notifications.info'


class _KafkaTestCase(lifecycle.LifecycleTestCase):

    PARTITIONS = 1

    def transport_url(self):
        self.kafka = self.useFixture(kafka.Kafka(self.PARTITIONS))
        # The one that a listener without a pool joins.
        self.kafka.add_group('oslo_messaging_consumer')
        return self.kafka.url

    def keep(self):
        self.flags(group='notifications', delivery='outbox')

    def records(self, number):
        """Return the first records of the topic, in order per partition."""
        reader = confluent_kafka.Consumer({
            'bootstrap.servers': self.kafka.url.split('/')[2],
            'group.id': 'test', 'auto.offset.reset': 'earliest'})
        self.addCleanup(reader.close)
        reader.subscribe([TOPIC])
        found = []
        deadline = time.monotonic() + 30
        while len(found) < number:
            self.assertLess(time.monotonic(), deadline, found)
            found += reader.consume(number - len(found), 1)
        for record in found:
            self.schema.check_body(record.value())
        return found


class TestKafka(_KafkaTestCase):

    def test_a_consumer_hears_the_whole_life(self):
        self.check_lifecycle()

    def test_a_consumer_hears_it_through_the_outbox(self):
        self.keep()
        self.useFixture(RelayFixture())
        self.check_lifecycle()

    def test_a_listener_tries_again_what_kafka_would_not_take_back(self):
        heard, failures = queue.Queue(), [ValueError('not yet')]

        def handle(event):
            if failures:
                raise failures.pop()
            heard.put(event.event_type)

        self.kafka.add_group('own')
        listener = consumer.Listener(consumer.connect(self.kafka.url), handle,
                                     'own')
        listener.start()
        self.addCleanup(listener.stop)
        self.create().destroy()
        self.assertEqual(['service.create', 'service.delete'], [
            heard.get(timeout=30) for _event in range(2)])
        self.assertEqual(1, listener.counts['failed'])

    def test_the_bytes_are_those_of_direct(self):
        service = self.create()
        rpc.NOTIFICATION_TRANSPORT._driver.pconn.producer.flush()
        self.keep()
        service.disabled = True
        service.save()
        self.useFixture(RelayFixture())
        self.wait_until_empty()
        self.flags(group='notifications', delivery='direct')
        service.disabled = True
        service.save()
        _created, stored, direct = (
            # What is another's each time.
            re.sub(rb'(message_id|timestamp|_unique_id)(\\*": \\*")[^"]*"',
                   rb'\1\2', record.value())
            for record in self.records(3))
        self.assertEqual(direct, stored)
        self.assertIn(b'service.update', stored)

    def test_the_brokers_have_what_was_announced(self):
        self.create()
        rpc.NOTIFICATION_TRANSPORT._driver.pconn.producer.flush()
        self.assertEqual('1 announced\n', self.resync())
        self.assertEqual(['service.create', 'service.update'], [
            json.loads(json.loads(record.value())['oslo.message'])[
                'event_type'] for record in self.records(2)])

    def test_nothing_is_lost_while_the_brokers_are_down(self):
        self.keep()
        self.useFixture(RelayFixture())
        service = self.create()
        self.wait_until_empty()
        self.kafka.stop()
        for number in range(3):
            service.disabled_reason = str(number)
            service.save()
        time.sleep(8)
        self.assertEqual(3, outbox.status(self.context)['depth'])
        self.kafka.start()
        self.wait_until_empty()
        reasons = [
            json.loads(json.loads(record.value())['oslo.message'])[
                'payload']['nova_object.data']['disabled_reason']
            for record in self.records(4)]
        self.assertEqual([None, '0', '1', '2'], list(dict.fromkeys(reasons)))
        self.assertEqual(1, self.stdlog.output.count('wait in the outbox'))
        self.assertEqual(1, self.stdlog.output.count('are published again'))
        self.assertNotIn('librdkafka', self.stdlog.output)

    def test_what_the_brokers_refuse_is_parked_and_the_rest_goes_on(self):
        self.keep()
        outbox.add(self.context, {
            'aggregatetype': 'service', 'aggregateid': 'u', 'priority': 'info',
            'type': 'service.update', 'publisher_id': 'nova-compute:big',
            'message_id': 'm', 'timestamp': 't', 'context': '{}',
            'topics': json.dumps(
                cfg.CONF.notifications.versioned_notifications_topics),
            'payload': json.dumps({'text': 'x' * 1_500_000})})
        self.create()
        self.useFixture(RelayFixture())
        self.wait_until_empty()
        (parked,) = outbox.listed(self.context, True, 10)
        self.assertEqual('nova-compute:big', parked['publisher_id'])
        self.assertIn('too large', parked['error'])
        self.assertNotIn('KafkaError{', parked['error'])
        self.assertEqual(1, len(self.records(1)))


class TestPartitions(_KafkaTestCase):

    PARTITIONS = 4

    def test_a_services_events_share_a_partition(self):
        self.keep()
        services = [self.create(f'h{number}') for number in range(8)]
        for service in services:
            service.disabled = True
            service.save()
            service.destroy()
        self.useFixture(RelayFixture())
        self.wait_until_empty()
        partitions = {}
        events = {}
        for record in self.records(24):
            message = json.loads(json.loads(record.value())['oslo.message'])
            uuid = message['payload']['nova_object.data']['uuid']
            self.assertEqual(uuid, record.key().decode())
            partitions.setdefault(uuid, set()).add(record.partition())
            events.setdefault(uuid, []).append(message['event_type'])
        self.assertEqual(
            {service.uuid: ['service.create', 'service.update',
                            'service.delete'] for service in services},
            events)
        self.assertEqual({1}, {len(used) for used in partitions.values()})
        self.assertGreater(len(set.union(*partitions.values())), 1)
