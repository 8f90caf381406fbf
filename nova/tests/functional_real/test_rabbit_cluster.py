# SPDX-License-Identifier: Apache-2.0
"""The documented RabbitMQ: a cluster with TLS and a user per role."""

import json
import ssl
import time

import amqp
import kombu
from oslo_config import cfg
import oslo_messaging

from nova.db.main import outbox
from nova.notifications import check
from nova.tests.fixtures import rabbit_cluster
from nova.tests.fixtures.relay import RelayFixture
from nova.tests.functional import lifecycle

QUEUE = 'versioned_notifications.info'

#: what the relay may configure and write to
WANTED = '^(nova|versioned_notifications\\.info)$'


class TestRabbitCluster(lifecycle.LifecycleTestCase):

    def transport_url(self):
        self.cluster = self.useFixture(rabbit_cluster.RabbitCluster())
        # Its options exist from the first transport on.
        oslo_messaging.get_notification_transport(cfg.CONF, 'rabbit://')
        self.flags(group='oslo_messaging_rabbit', ssl=True,
                   ssl_ca_file=str(self.cluster.ca), rabbit_quorum_queue=True)
        return self.cluster.url('nova-relay')

    def listening_url(self):
        return self.cluster.url('searchlight')

    def setUp(self):
        super().setUp()
        self.flags(group='notifications', delivery='outbox')
        self.addCleanup(self._empty)

    def _empty(self):
        self.cluster.control('purge_queue', '-p', 'nova', QUEUE)

    def change(self, service, *reasons):
        for reason in reasons:
            service.disabled_reason = reason
            service.save()

    def wait_until(self, condition, patience=60):
        deadline = time.monotonic() + patience
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.stdlog.output)
            time.sleep(0.05)

    def depth(self):
        return outbox.status(self.context)['depth']

    def heard_reasons(self, number):
        return [self.heard.get(timeout=30)['payload']['nova_object.data'][
            'disabled_reason'] for _event in range(number)]

    def queues(self):
        """Return name → row of ``rabbitmqctl list_queues``."""
        columns = 'name', 'type', 'durable', 'members', 'messages', 'policy'
        answer = json.loads(self.cluster.control(
            'list_queues', '-p', 'nova', '--formatter', 'json', *columns))
        return {row['name']: row for row in answer}

    def bus(self, user, node=0):
        url = (f'amqps://{user}:'
               f'{rabbit_cluster.PASSWORDS[user]}@localhost:'
               f'{self.cluster.nodes[node].port}/nova')
        bus = kombu.Connection(url, ssl={
            'ca_certs': str(self.cluster.ca), 'cert_reqs': ssl.CERT_REQUIRED,
            'server_hostname': 'localhost'})
        self.addCleanup(bus.release)
        return bus

    def test_a_consumer_hears_the_whole_life(self):
        self.useFixture(RelayFixture())
        self.check_lifecycle()
        queue = self.queues()[QUEUE]
        self.assertEqual(('quorum', True, 3, 'notifications'), (
            queue['type'], queue['durable'], len(queue['members']),
            queue['policy']))

    def test_the_relay_passes_the_check(self):
        self.create()
        self.useFixture(RelayFixture())
        self.wait_until_empty()
        self.assertEqual([], [
            finding for finding in check.look(cfg.CONF) if finding.code])

    def test_without_permission_it_waits(self):
        self._assert_waits_without(
            'set_permissions', '-p', 'nova', 'nova-relay', WANTED, '^$',
            '^nova$')

    def test_kept_out_of_the_virtual_host_it_waits(self):
        self._assert_waits_without(
            'clear_permissions', '-p', 'nova', 'nova-relay')

    def _assert_waits_without(self, *change):
        self.cluster.control(*change)
        restore = ['set_permissions', '-p', 'nova', 'nova-relay', WANTED,
                   WANTED, '^nova$']
        self.addCleanup(self.cluster.control, *restore)
        self.create()
        self.useFixture(RelayFixture())
        self.wait_until(lambda: 'wait in the outbox' in self.stdlog.output)
        # So many attempts park what is refused for itself.
        time.sleep(8)
        self.assertEqual((1, 0), (
            self.depth(), outbox.status(self.context)['parked']))
        self.cluster.control(*restore)
        self.wait_until_empty()
        self.assertEqual('service.create',
                         self.heard.get(timeout=30)['event_type'])

    def test_who_sends_can_not_read(self):
        channel = self.bus('nova-relay').default_channel
        error = self.assertRaises(
            amqp.AccessRefused, channel.basic_get, QUEUE)
        self.assertIn(QUEUE, str(error))

    def test_who_reads_can_not_send(self):
        bus = self.bus('searchlight')
        producer = kombu.Producer(bus.default_channel)
        producer.publish('forged', exchange='nova', routing_key=QUEUE)
        # Sending has no answer; what comes next has.
        error = self.assertRaises(
            amqp.AccessRefused, bus.default_channel.queue_declare, QUEUE,
            passive=True)
        self.assertIn("exchange 'nova'", str(error))

    def test_none_may_touch_anything_else(self):
        for user in rabbit_cluster.PASSWORDS:
            channel = self.bus(user).default_channel
            self.assertRaises(
                amqp.AccessRefused, channel.queue_declare, 'conductor')
        self.assertNotIn('guest', self.cluster.control('list_users'))

    def test_another_authority_is_not_trusted(self):
        self.flags(group='oslo_messaging_rabbit',
                   ssl_ca_file='/etc/ssl/certs/ca-certificates.crt')
        transport = oslo_messaging.get_notification_transport(
            cfg.CONF, self.cluster.url('nova-relay'))
        self.addCleanup(transport.cleanup)
        error = self.assertRaises(
            kombu.exceptions.OperationalError,
            transport._send_notification,
            oslo_messaging.Target(topic=QUEUE), {}, {}, version=2.0, retry=0)
        self.assertIn('CERTIFICATE_VERIFY_FAILED', str(error))

    def test_nothing_is_lost_when_the_leading_node_stops(self):
        self.useFixture(RelayFixture())
        service = self.create()
        self.heard.get(timeout=30)
        leader = json.loads(self.cluster.control(
            'list_queues', '-p', 'nova', '--formatter', 'json', 'name',
            'leader'))[0]['leader']
        (node,) = (node for node in self.cluster.nodes
                   if node.name == leader)
        expected = [str(number) for number in range(60)]
        self.change(service, *expected[:20])
        node.control('stop_app')
        self.addCleanup(node.control, 'start_app')
        self.change(service, *expected[20:])
        heard = []
        while len(set(heard)) < 60:
            heard += self.heard_reasons(1)
        self.assertEqual(expected, list(dict.fromkeys(heard)))

    def bound(self, length, overflow):
        policy = ['-p', 'nova', '--apply-to', 'queues', '--priority', '1',
                  'smaller', '^versioned_notifications',
                  json.dumps({'max-length': length, 'overflow': overflow})]
        self.cluster.control('set_policy', *policy)
        self.addCleanup(self.cluster.control, 'clear_policy', '-p', 'nova',
                        'smaller')
        self.wait_until(
            lambda: self.queues()[QUEUE]['policy'] == 'smaller')

    def test_a_queue_that_nobody_reads_is_bounded(self):
        self.stop_listening()
        self.bound(10, 'drop-head')
        self.useFixture(RelayFixture())
        self.change(self.create(), *map(str, range(50)))
        self.wait_until(lambda: not self.depth())
        self.wait_until(lambda: self.queues()[QUEUE]['messages'] <= 10)
        newest = self.bus('searchlight').default_channel.basic_get(QUEUE)
        self.assertIn('service.update', newest.body)

    def test_what_a_full_queue_rejects_waits_in_the_outbox(self):
        self.stop_listening()
        self.bound(10, 'reject-publish')
        self.useFixture(RelayFixture())
        self.change(self.create(), *map(str, range(50)))
        self.wait_until(lambda: 'wait in the outbox' in self.stdlog.output)
        time.sleep(2)
        self.assertGreater(self.depth(), 20)
        self.assertEqual(0, outbox.status(self.context)['parked'])
        self.listen()
        heard = []
        while len(set(heard)) < 51:
            heard += self.heard_reasons(1)
        self.assertEqual([None, *map(str, range(50))],
                         list(dict.fromkeys(heard)))
