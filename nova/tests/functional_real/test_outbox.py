# SPDX-License-Identifier: Apache-2.0
"""The outbox and its relay on real databases and a real bus."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import re
import socket
import subprocess
import sys
import time

import fixtures as third_party
import kombu
from oslo_config import cfg

from nova import context
from nova import rpc
from nova.db.main import outbox
from nova.notifications import asyncapi
from nova.objects import service as service_obj
from nova.tests.fixtures import processes
from nova.tests.fixtures import servers
from nova.tests.fixtures.relay import RelayFixture
from nova.tests.functional import lifecycle

#: seconds within which another relay must have taken over
TAKEOVER = 15


class _OnDatabase(lifecycle.LifecycleTestCase):

    SERVER: type[third_party.Fixture]

    def database_url(self):
        self.database = self.useFixture(self.SERVER()).url
        return self.database

    def transport_url(self):
        self.rabbit = self.useFixture(servers.RabbitMQ())
        return self.rabbit.url

    def setUp(self):
        super().setUp()
        self.flags(group='notifications', delivery='outbox')


class _DatabaseTests:

    def test_a_consumer_hears_the_whole_life(self):
        self.useFixture(RelayFixture())
        self.check_lifecycle()

    def test_the_bytes_are_those_of_direct(self):
        self.flags(group='notifications',
                   versioned_notifications_topics=['raw'])
        rpc.cleanup()
        rpc.init(cfg.CONF)
        # Four bytes in UTF-8, special in JSON, and half of a character.
        self.context.user_name = '𠮷野'
        self.context.project_name = 'Müll "\0\x7f\u2028\\'
        self.context.remote_address = '\ud83d'
        service = self.create()
        self.useFixture(RelayFixture())
        self._raw()
        sent = []
        for way in ('outbox', 'direct'):
            self.flags(group='notifications', delivery=way)
            service.disabled_reason = 'Größe ändern 野'
            service.save()
            sent.append(self._raw())
        self.assertEqual(*sent)
        self.assertIn('"priority": "INFO"', sent[0][0])
        self.assertIn(r'"_context_user_name": "\ud842\udfb7\u91ce"',
                      sent[0][0])
        self._check_properties(sent[0][2])

    def _check_properties(self, properties):
        """Compare with what consumers are told."""
        document = asyncapi.document('nova', ['raw'])
        message = document['components']['messages']['service.update']
        operation = document['operations']['send.raw.info']
        self.assertEqual(
            (message['contentType'],
             message['bindings']['amqp']['contentEncoding'],
             operation['bindings']['amqp']['deliveryMode']),
            (properties['content_type'], properties['content_encoding'],
             properties['delivery_mode']))

    def _raw(self):
        """Return the text and the properties of the next message."""
        url = self.rabbit.url.replace('rabbit://', 'amqp://')
        deadline = time.monotonic() + 10
        with kombu.Connection(url) as bus:
            message = None
            while message is None:
                self.assertLess(time.monotonic(), deadline)
                try:
                    message = bus.default_channel.basic_get(
                        'raw.info', no_ack=True)
                except bus.channel_errors:
                    # Made with the first message.
                    time.sleep(0.1)
        self.schema.check_body(message.body)
        outer = json.loads(message.body)
        # What is another's each time.
        inner = re.sub(r'("(message_id|timestamp|_unique_id)": )"[^"]*"',
                       r'\1"…"', outer.pop('oslo.message'))
        return inner, outer, message.properties

    def test_it_is_heard_at_once(self):
        self.useFixture(RelayFixture())
        self.create()
        self.heard.get(timeout=10)
        delays = []
        for number in range(20):
            start = time.monotonic()
            self.create(f'host{number}')
            self.heard.get(timeout=10)
            delays.append(time.monotonic() - start)
        self.assertLess(sorted(delays)[10], 0.15, delays)

    def test_the_order_is_that_of_the_commits(self):
        service = self.create()
        self.heard_counts = []

        def change(_number):
            own = service_obj.Service.get_by_id(
                context.get_admin_context(), service.id)
            # The counter is advanced in the database.
            own.report_count += 1
            own.forced_down = False
            own.save()

        self.useFixture(RelayFixture())
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(change, range(80)))
        self.assertEqual(list(range(81)), [
            self.heard.get(timeout=20)['payload']['nova_object.data'][
                'report_count'] for _event in range(81)])

    def test_nothing_is_lost_while_the_bus_is_down(self):
        self.useFixture(RelayFixture())
        service = self.create()
        self.heard.get(timeout=10)
        self.rabbit.stop()
        durations = []
        for number in range(30):
            start = time.monotonic()
            service.disabled_reason = str(number)
            service.save()
            durations.append(time.monotonic() - start)
        # A busy machine slows down some of the changes; the bus would all.
        self.assertLess(sorted(durations)[15], 1)
        time.sleep(2)
        self.rabbit.start()
        self.wait_until_empty()
        reasons = []
        while len(set(reasons)) < 30:
            reasons.append(self.heard.get(timeout=30)[
                'payload']['nova_object.data']['disabled_reason'])
        # Some may come twice, none earlier than it should.
        self.assertEqual([str(number) for number in range(30)],
                         list(dict.fromkeys(reasons)))
        self.assertEqual(1, self.stdlog.output.count('wait in the outbox'))
        self.assertEqual(1, self.stdlog.output.count('are published again'))

    def test_what_the_bus_refuses_is_parked_and_the_rest_goes_on(self):
        self.rabbit.limit_messages(10_000)
        outbox.add(self.context, {
            'aggregatetype': 'service', 'aggregateid': 'u', 'priority': 'info',
            'type': 'service.update', 'publisher_id': 'nova-compute:big',
            'message_id': 'm', 'timestamp': 't', 'context': '{}',
            'topics': '["versioned_notifications"]',
            'payload': json.dumps({'text': 'x' * 60_000})})
        for number in range(3):
            self.create(f'h{number}')
        self.useFixture(RelayFixture())
        self.wait_until_empty()
        (parked,) = outbox.listed(self.context, True, 10)
        self.assertEqual(('nova-compute:big', 5),
                         (parked['publisher_id'], parked['attempts']))
        self.assertIn('larger than', parked['error'])
        self.assertEqual(
            {'h0', 'h1', 'h2'},
            {self.heard.get(timeout=10)['payload']['nova_object.data']['host']
             for _event in range(3)})

    def test_error_with_any_character_is_kept_with_the_parked_row(self):
        outbox.add(self.context, {
            'aggregatetype': 'service', 'aggregateid': 'u', 'priority': 'info',
            'type': 'service.update', 'publisher_id': 'nova-compute:h1',
            'message_id': 'm', 'timestamp': 't', 'payload': '{}',
            'topics': '["versioned_notifications"]',
            'context': json.dumps(['𠮷野', 'x' * 60_000])})
        self.useFixture(RelayFixture())
        self.wait_until_empty()
        (parked,) = outbox.listed(self.context, True, 10)
        self.assertRegex(parked['error'],
                         r"^context is \['\\U00020bb7野', 'xxx")
        outbox.refused(self.context, parked['id'], 'later', park=False)
        self.assertEqual([parked], outbox.listed(self.context, True, 10))

    def test_an_exchange_that_is_gone_is_made_again(self):
        self.flags(group='relay', max_attempts=1)
        self.useFixture(RelayFixture())
        service = self.create()
        self.heard.get(timeout=10)
        with kombu.Connection(
                self.rabbit.url.replace('rabbit://', 'amqp://')) as bus:
            bus.default_channel.exchange_delete('nova')
        service.disabled_reason = 'x'
        service.save()
        self.wait_until_empty()
        self.assertEqual(0, outbox.status(self.context)['parked'])
        self.assertEqual('x', self.heard.get(timeout=10)[
            'payload']['nova_object.data']['disabled_reason'])

    def test_another_relay_takes_over_when_the_active_one_is_killed(self):
        conf = self.write_conf()
        relays = [self.start_relay(conf) for _number in range(2)]
        self.create('h1')
        self.heard.get(timeout=20)
        holder = self.status(conf)['relay']
        active = [process for process in relays
                  if f':{process.pid}:' in holder]
        self.assertEqual(1, len(active), holder)
        active[0].kill()
        start = time.monotonic()
        self.create('h2')
        self.assertEqual('h2', self.heard.get(timeout=TAKEOVER)[
            'payload']['nova_object.data']['host'])
        self.assertLess(time.monotonic() - start, TAKEOVER)
        status = self.status(conf)
        self.assertNotEqual(holder, status['relay'])
        self.assertEqual((0, 0, True), (
            status['depth'], status['parked'], status['relay_alive']))

    def write_conf(self):
        file = pathlib.Path(
            self.useFixture(third_party.TempDir()).path, 'nova.conf')
        processes.write_conf(file, {
            'DEFAULT': {'transport_url': self.rabbit.url},
            'database': {'connection': self.database},
            'notifications': {'notification_format': 'versioned',
                              'delivery': 'outbox'},
            'oslo_messaging_notifications': {'driver': 'messagingv2'}})
        return file

    def start_relay(self, conf):
        """Start a relay and wait until it answers for its health."""
        port = servers.free_port()
        own = conf.with_suffix(f'.{port}')
        processes.write_conf(own, {'relay': {'metrics_port': port}})
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova.cmd.relay', '--config-file', conf,
             '--config-file', own],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        deadline = time.monotonic() + processes.PATIENCE
        while True:
            try:
                socket.create_connection(('127.0.0.1', port)).close()
                return process
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)

    def status(self, conf):
        return json.loads(processes.run(
            'manage', '--config-file', conf, 'outbox', 'status', '--format',
            'json'))


class TestMariaDB(_DatabaseTests, _OnDatabase):
    SERVER = servers.MariaDB


class TestPostgreSQL(_DatabaseTests, _OnDatabase):
    SERVER = servers.PostgreSQL
