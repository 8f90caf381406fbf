# SPDX-License-Identifier: Apache-2.0
"""nova-status with a RabbitMQ and a MariaDB of the tests' own."""

from __future__ import annotations

import time

from amqp import exceptions as amqp_exc
import kombu

from nova.tests.fixtures import servers
from nova.tests.functional import test_status
from nova.tests.functional.test_status import FAILURE
from nova.tests.functional.test_status import SUCCESS
from nova.tests.functional.test_status import WARNING

QUEUE = 'versioned_notifications.info'
CHECK = f'Queue {QUEUE}'


class _OnRabbitMQ(test_status.StatusTestCase):

    def setUp(self):
        super().setUp()
        self.rabbit = self.useFixture(servers.RabbitMQ())
        self.vhost = self.rabbit.url.rpartition('/')[2]
        self.set('DEFAULT', transport_url=self.rabbit.url)
        self.set('oslo_messaging_notifications', retry=3)
        self.set('oslo_messaging_rabbit', amqp_durable_queues='true')

    def control(self, *command):
        """Run rabbitmqctl on the private server."""
        self.rabbit.control(*command)

    def connect(self):
        bus = kombu.Connection(self.rabbit.url.replace('rabbit:', 'amqp:'))
        self.addCleanup(bus.release)
        return bus.channel()

    def declare(self, name=QUEUE, durable=True, key=QUEUE, **arguments):
        """Make exchange and queue as a sender would; return the channel."""
        channel = self.connect()
        kombu.Queue(name, kombu.Exchange('nova', 'topic', durable=durable),
                    routing_key=key, durable=durable,
                    queue_arguments=arguments)(channel).declare()
        return channel

    def consume(self, channel, name=QUEUE):
        channel.basic_consume(name, no_ack=True, callback=self.fail)

    def add_user(self, configure, write, read):
        """Let a user of these permissions send."""
        self.control('add_user', self.vhost, 'hush')
        self.addCleanup(self.control, 'delete_user', self.vhost)
        self.control('set_permissions', '-p', self.vhost, self.vhost,
                     configure, write, read)
        self.set('DEFAULT', transport_url=self.rabbit.url.replace(
            'guest:guest', f'{self.vhost}:hush'))


class TestBus(_OnRabbitMQ):

    def test_all_is_well(self):
        channel = self.declare()
        self.consume(channel)
        everything = self.declare('everything', key='#')
        where = self.rabbit.url.rpartition('@')[2].partition('/')[0]
        for _again in range(2):
            self.assertEqual({
                'Format': (SUCCESS, 'versioned'),
                'Driver': (SUCCESS, 'messagingv2'),
                'Delivery': (SUCCESS, 'direct; what the bus does not take '
                                      'after 3 retries is lost'),
                'Message bus': (SUCCESS, f'{where} has confirmed a message'),
                CHECK: (SUCCESS, 'Consumers: 1, messages: 0. It is durable.'),
                'Outbox': (SUCCESS, 'none, and delivery is direct')},
                self.check())
        for name, seen in ((QUEUE, channel), ('everything', everything)):
            self.assertEqual(0, seen.queue_declare(
                name, passive=True).message_count)

    def test_what_is_missing_stays_so(self):
        self.set('notifications', versioned_notifications_topics='one,two')
        found = self.check()
        self.assertEqual(SUCCESS, found['Message bus'][0])
        self.assertIn('exchange nova is made with the first notification',
                      found['Message bus'][1])
        for name in ('one', 'two'):
            code, details = found[f'Queue {name}.info']
            self.assertEqual(WARNING, code)
            self.assertIn('Start a consumer', details)
            self.assertRaises(amqp_exc.NotFound, self.connect().queue_declare,
                              f'{name}.info', passive=True)
        self.assertRaises(
            amqp_exc.NotFound, self.connect().exchange_declare, 'nova',
            'topic', passive=True)

    def test_nobody_consumes(self):
        kombu.Producer(self.declare()).publish(
            '', exchange='nova', routing_key=QUEUE)
        self.assert_found(CHECK, WARNING, 'Nobody consumes it, 1 messages',
                          'It is durable.')

    def test_a_deep_queue(self):
        channel = self.declare()
        producer = kombu.Producer(channel)
        for _message in range(1001):
            producer.publish('', exchange='nova', routing_key=QUEUE)
        # One that never acknowledges what it has got.
        channel.basic_qos(0, 1, False)
        channel.basic_consume(QUEUE, callback=lambda _message: None)
        self.assert_found(CHECK, WARNING, 'messages: 1,000', 'Consumers: 1')

    def test_a_queue_that_does_not_outlive_the_broker(self):
        self.set('oslo_messaging_rabbit', amqp_durable_queues='false')
        self.consume(self.declare(durable=False))
        found = self.assert_found(
            CHECK, WARNING, 'Consumers: 1, messages: 0. It is not durable',
            'rabbit_quorum_queue', 'amqp_durable_queues')
        self.assertEqual(SUCCESS, found['Message bus'][0])

    def test_a_quorum_queue(self):
        self.set('oslo_messaging_rabbit', rabbit_quorum_queue='true',
                 rabbit_quorum_delivery_limit=5)
        self.consume(self.declare(**{'x-queue-type': 'quorum',
                                     'x-delivery-limit': 5}))
        self.assert_found(CHECK, SUCCESS, 'It is durable.')

    def test_what_was_made_otherwise_can_not_be_sent_to(self):
        self.consume(self.declare())
        self.set('oslo_messaging_rabbit', amqp_durable_queues='false')
        found = self.assert_found(
            CHECK, FAILURE, "'durable' for queue", 'Nothing can be sent')
        self.assertEqual(FAILURE, found['Message bus'][0])
        self.assertIn("'durable' for exchange 'nova'",
                      found['Message bus'][1])
        self.set('oslo_messaging_rabbit', rabbit_quorum_queue='true')
        found = self.assert_found(CHECK, FAILURE, "'x-queue-type' for queue")
        self.assertEqual(SUCCESS, found['Message bus'][0])

    def test_a_user_who_may_not_publish(self):
        self.consume(self.declare())
        self.add_user('.*', 'versioned.*', '.*')
        found = self.assert_found(
            'Message bus', FAILURE,
            f'User {self.vhost} may not write to exchange nova',
            'Senders need configure, write and read')
        self.assertEqual(SUCCESS, found[CHECK][0])

    def test_a_user_who_may_not_declare(self):
        self.consume(self.declare())
        self.add_user('nova', '.*', '.*')
        found = self.assert_found(
            CHECK, FAILURE, 'Consumers: 1',
            f'User {self.vhost} may not configure queue {QUEUE}')
        self.assertEqual(SUCCESS, found['Message bus'][0])

    def test_a_user_who_may_not_enter(self):
        self.add_user('.*', '.*', '.*')
        self.control('clear_permissions', '-p', self.vhost, self.vhost)
        self.assert_found('Message bus', FAILURE, 'NOT_ALLOWED', 'refused',
                          'Check that')
        self.set('DEFAULT', transport_url=self.rabbit.url.replace(
            'guest:guest', 'guest:hush'))
        self.assert_found('Message bus', FAILURE, 'Login was refused')

    def test_another_host_is_taken_for_one_that_is_down(self):
        self.set('DEFAULT', transport_url=self.rabbit.url.replace(
            'guest:guest@', 'guest:guest@127.0.0.1:1,guest:guest@'))
        for _again in range(3):
            self.assert_found('Message bus', SUCCESS)

    def test_a_broker_that_is_down(self):
        self.consume(self.declare())
        self.rabbit.stop()
        start = time.monotonic()
        found = self.assert_found('Message bus', FAILURE, 'refused')
        self.assertLess(time.monotonic() - start, test_status.BOUND)
        self.assertNotIn(CHECK, found)

    def test_a_broker_that_takes_nothing(self):
        self.declare()
        self.addCleanup(self.control, 'set_vm_memory_high_watermark', '0.4')
        self.control('set_vm_memory_high_watermark', '0.00001')
        start = time.monotonic()
        self.assert_found('Message bus', FAILURE, 'was reached, but',
                          'alarm of its memory or disk')
        self.assertLess(time.monotonic() - start, test_status.BOUND)


class TestOutbox(_OnRabbitMQ):

    def setUp(self):
        super().setUp()
        self.set('database',
                 connection=self.useFixture(servers.MariaDB()).url)
        self.set('notifications', delivery='outbox')

    def test_all_is_well_with_a_relay_only(self):
        self.consume(self.declare())
        self.assert_found('Outbox', FAILURE, "'nova-manage db sync'")
        self.sync()
        found = self.assert_found('Relay', FAILURE, 'No relay is active')
        self.assertEqual((SUCCESS, '0 wait.'), found['Outbox'])
        self.start_relay()
        found = self.wait_for_relay()
        self.assertEqual({SUCCESS}, {code for code, _text in found.values()})
