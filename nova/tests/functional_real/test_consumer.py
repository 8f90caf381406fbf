# SPDX-License-Identifier: Apache-2.0
"""Consumers of RabbitMQ, beside a nova-api that sends to it."""

from __future__ import annotations

import os
import pathlib
import queue
import subprocess
import sys
import time
from typing import Any

import kombu
import openstack
from oslotest import base

from nova import consumer
from nova.consumer import bus
from nova.tests import fixtures
from nova.tests.fixtures import processes
from nova.tests.fixtures import proxy
from nova.tests.fixtures import servers

PATIENCE = 60
EXAMPLES = pathlib.Path(__file__).parents[3] / 'doc' / 'examples'


class ConsumerTestCase(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.StandardLogging())
        self.rabbit = self.useFixture(servers.RabbitMQ())
        self.api = self.useFixture(processes.NovaAPI({
            'DEFAULT': {'transport_url': self.rabbit.url},
            'notifications': {'notification_format': 'versioned'},
            'oslo_messaging_notifications': {'driver': 'messagingv2',
                                             'retry': 3}}))
        self.compute = openstack.connect(
            load_envvars=False, load_yaml_config=False, auth_type='none',
            auth={'endpoint': f'{self.api.url}/v2.1'}).compute

    def transport(self, url: str | None = None) -> Any:
        transport = consumer.connect(url or self.rabbit.url)
        self.addCleanup(transport.cleanup)
        return transport

    def listener(self, pool: str = 'p1', handler: Any = None
                 ) -> tuple[consumer.Listener, queue.Queue[Any]]:
        """Return a listener that runs, and what it hears."""
        heard: queue.Queue[Any] = queue.Queue()
        listener = consumer.Listener(
            self.transport(), handler or heard.put, pool)
        listener.start()
        self.addCleanup(listener.stop)
        return listener, heard

    def disable(self, reason: str) -> None:
        (service,) = self.compute.services(host='h1')
        answer = self.compute.put(
            f'/os-services/{service.id}', microversion='2.53',
            json={'status': 'disabled', 'disabled_reason': reason})
        self.assertEqual(200, answer.status_code, answer.text)

    def wait_for(self, what: Any) -> None:
        """Return when something is true."""
        deadline = time.monotonic() + PATIENCE
        while not what():
            self.assertLess(time.monotonic(), deadline, self.log.output)
            time.sleep(0.05)


class TestListener(ConsumerTestCase):

    def setUp(self):
        super().setUp()
        self.api.add_services(('h1', 'nova-compute'))

    def test_those_of_a_pool_share_and_another_pool_hears_all(self):
        shared = queue.Queue()
        for _member in range(2):
            self.listener('shared', shared.put)
        _listener, heard = self.listener('own')
        for number in range(10):
            self.disable(f'reason {number}')
        reasons = [f'reason {number}' for number in range(10)]
        self.assertEqual(reasons, [
            heard.get(timeout=PATIENCE).service.disabled_reason
            for _event in range(10)])
        self.assertEqual(reasons, sorted(
            shared.get(timeout=PATIENCE).service.disabled_reason
            for _event in range(10)))
        self.assertRaises(queue.Empty, shared.get, timeout=0.5)

    def test_what_cannot_be_read_is_told_once_and_passed_over(self):
        listener, heard = self.listener()
        with kombu.Connection(
                self.rabbit.url.replace('rabbit://', 'amqp://')) as connection:
            producer = connection.Producer()
            for body, kind in (
                    (b'{"broken', 'application/json'),
                    (b'[1]', 'application/json'),
                    (b'\xff\xfe', 'application/json'),
                    (b'plain', 'text/plain'),
                    (b'{"oslo.version": "9.0", "oslo.message": "{}"}',
                     'application/json'),
                    (b'{"oslo.version": "2.0", "oslo.message": "{"}',
                     'application/json')):
                producer.publish(
                    body, exchange='nova',
                    routing_key='versioned_notifications.info',
                    content_type=kind, content_encoding='utf-8')
        self.disable('after all')
        self.assertEqual('after all', heard.get(
            timeout=PATIENCE).service.disabled_reason)
        self.wait_for(lambda: listener.counts['handled'])
        self.assertEqual({'unreadable': 6, 'handled': 1},
                         dict(listener.counts))
        self.assertEqual(1, self.log.output.count('is passed over'))
        self.assertNotIn('Traceback', self.log.output)

    def test_requeued_event_that_was_overtaken_is_dropped(self):
        handled = queue.Queue()
        attempts = []

        def handle(event):
            reason = event.service.disabled_reason
            if reason == 'one' and len(attempts) < 5:
                attempts.append(reason)
                raise OSError('index is away')
            handled.put(reason)

        listener, _heard = self.listener(handler=handle)
        for reason in ('one', 'two', 'three'):
            self.disable(reason)
        self.wait_for(lambda: listener.counts['overtaken'])
        self.disable('four')
        self.assertEqual(['two', 'three', 'four'], [
            handled.get(timeout=PATIENCE) for _event in range(3)])
        self.wait_for(lambda: listener.counts['handled'] == 3)
        listener.stop()
        # Nothing is left for the next one.
        _next, heard = self.listener()
        self.assertRaises(queue.Empty, heard.get, timeout=1)

    def test_requeued_event_does_not_win_after_a_restart(self):
        handled = queue.Queue()

        def handle(event):
            reason = event.service.disabled_reason
            if reason == 'one':
                raise OSError('index is away')
            handled.put(reason)
            if reason == 'three':
                # It ends before what it has requeued comes again.
                listener._stopping.set()

        listener, _heard = self.listener(handler=handle)
        for reason in ('one', 'two', 'three'):
            self.disable(reason)
        self.assertEqual(['two', 'three'], [
            handled.get(timeout=PATIENCE) for _event in range(2)])
        listener.stop()
        _next, heard = self.listener()
        self.assertEqual(['one', 'two', 'three'], [
            heard.get(timeout=PATIENCE).service.disabled_reason
            for _event in range(3)])

    def test_a_backlog_is_not_held_in_memory(self):
        transport = self.transport()
        self.assertEqual(200, transport._driver.prefetch_size)


class TestExample(ConsumerTestCase):

    def test_the_program_of_the_documentation_follows(self):
        self.api.add_services(('h1', 'nova-compute'))
        program = subprocess.Popen(
            [sys.executable, EXAMPLES / 'follow.py', self.rabbit.url, 'own'],
            stdout=subprocess.PIPE, text=True, env={
                **os.environ, 'OS_AUTH_TYPE': 'none',
                'OS_ENDPOINT': f'{self.api.url}/v2.1'})
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        self.assertEqual('added nova-compute h1 up None\n',
                         program.stdout.readline())
        self.disable('broken')
        self.assertEqual('changed nova-compute h1 up broken\n',
                         program.stdout.readline())


class TestMirror(ConsumerTestCase):

    def mirror(self, url=None):
        mirror = consumer.ServiceMirror(
            self.transport(url), consumer.ServiceLister(openstack.connect(
                load_envvars=False, load_yaml_config=False,
                auth_type='none',
                auth={'endpoint': f'{self.api.url}/v2.1'})),
            'mirror', grace=0.5)
        mirror.start()
        self.addCleanup(mirror.stop)
        return mirror

    def test_it_follows_and_survives_a_restart_of_the_bus(self):
        self.api.add_services(('h1', 'nova-compute'))
        mirror = self.mirror()
        self.assertTrue(mirror.wait_until_synced(PATIENCE))
        self.disable('before')
        (uuid,) = (service.uuid for service in mirror.services())
        self.wait_for(lambda: mirror.get(uuid).disabled_reason == 'before')
        self.rabbit.stop()
        self.wait_for(lambda: mirror.trouble)
        self.assertIn('127.0.0.1', mirror.trouble)
        # Nobody takes this notification: it is lost.
        self.disable('meanwhile')
        self.rabbit.start()
        self.wait_for(lambda: mirror.get(uuid).disabled_reason == 'meanwhile')
        self.assertIsNone(mirror.trouble)
        self.disable('after')
        self.wait_for(lambda: mirror.get(uuid).disabled_reason == 'after')
        self.assertNotIn('Traceback', self.log.output)

    def test_a_silent_bus_is_trouble_within_half_a_minute(self):
        self.api.add_services(('h1', 'nova-compute'))
        address, vhost = self.rabbit.url.rpartition('@')[2].split('/')
        network = self.useFixture(proxy.Proxy(int(address.split(':')[1])))
        mirror = self.mirror(
            f'rabbit://guest:guest@127.0.0.1:{network.port}/{vhost}')
        self.assertTrue(mirror.wait_until_synced(PATIENCE))
        self.wait_for(lambda: not mirror.trouble)
        network.stall()
        start = time.monotonic()
        self.wait_for(lambda: mirror.trouble)
        self.assertLess(time.monotonic() - start, 30)
        self.disable('meanwhile')
        network.mend()
        (service,) = mirror.services()
        self.wait_for(lambda: (
            mirror.get(service.uuid).disabled_reason == 'meanwhile'
            and not mirror.trouble))
        network.stall()
        start = time.monotonic()
        mirror.stop()
        self.assertLess(time.monotonic() - start, 10)

    def test_mirror_that_waits_for_the_bus_subscribes_when_it_is_there(self):
        self.api.add_services(('h1', 'nova-compute'))
        self.rabbit.stop()
        mirror = self.mirror()
        self.wait_for(lambda: '127.0.0.1' in mirror.trouble)
        self.rabbit.start()
        self.assertTrue(mirror.wait_until_synced(PATIENCE))
        self.wait_for(lambda: not mirror.trouble)

    def test_mirror_that_is_not_let_in_says_so(self):
        mirror = self.mirror(self.rabbit.url.replace(':guest@', ':secret@'))
        self.wait_for(lambda: 'ACCESS_REFUSED' in mirror.trouble)
        self.assertNotIn('secret', mirror.trouble + self.log.output)


class TestBus(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.url = self.useFixture(servers.RabbitMQ()).url

    def test_who_is_not_let_in_and_what_is_away_are_told_apart(self):
        bus.check(consumer.connect(self.url))
        for url in (self.url.replace(':guest@', ':secret@'),
                    f'{self.url}-unknown'):
            error = self.assertRaises(
                consumer.BusRefused, bus.check, consumer.connect(url))
            self.assertNotIn('secret', str(error))
        error = self.assertRaises(consumer.BusError, bus.check, (
            consumer.connect(f'rabbit://127.0.0.1:{servers.free_port()}/')))
        self.assertNotIsInstance(error, consumer.BusRefused)

    def test_the_queue_of_a_pool_can_be_deleted(self):
        transport = consumer.connect(self.url)
        listener = consumer.Listener(transport, print, 'passing')
        listener.start()
        listener.stop()
        with kombu.Connection(
                self.url.replace('rabbit://', 'amqp://')) as connection:
            kombu.Queue('passing', channel=connection).queue_declare(
                passive=True)
            bus.delete_pool(transport, 'passing')
            self.assertRaises(
                connection.channel_errors, kombu.Queue(
                    'passing', channel=connection).queue_declare,
                passive=True)
