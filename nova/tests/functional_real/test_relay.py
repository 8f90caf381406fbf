# SPDX-License-Identifier: Apache-2.0
"""The relay and direct delivery when RabbitMQ loses, stalls or is silent."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from urllib import error
from urllib import parse
from urllib import request

import kombu
from oslo_config import cfg

from nova import rpc
from nova.db.main import outbox
from nova.notifications import publisher
from nova.tests.fixtures import proxy
from nova.tests.fixtures import servers
from nova.tests.fixtures.relay import RelayFixture
from nova.tests.functional import lifecycle

#: seconds within which notifications are published again, or a process ends
RECOVERY, END = 45, 15

QUEUE = 'versioned_notifications.info'


class _BehindProxy(lifecycle.LifecycleTestCase):
    """The bus is reached through a proxy; the consumer reaches it directly."""

    def transport_url(self):
        self.rabbit = self.useFixture(servers.RabbitMQ())
        url = parse.urlsplit(self.rabbit.url)
        self.proxy = self.useFixture(proxy.Proxy(url.port))
        self.url = self.rabbit.url.replace(
            f':{url.port}/', f':{self.proxy.port}/')
        return self.url

    def listening_url(self):
        return self.rabbit.url

    def setUp(self):
        super().setUp()
        self.flags(group='notifications', delivery='outbox')

    def hosts(self, number):
        return [self.heard.get(timeout=RECOVERY)['payload'][
            'nova_object.data']['host'] for _event in range(number)]


class TestSilentBroker(_BehindProxy):

    def test_relay_publishes_again_on_a_new_connection(self):
        self.useFixture(RelayFixture())
        self.create('h1')
        self.assertEqual(['h1'], self.hosts(1))
        self.proxy.silence()
        start = time.monotonic()
        self.create('h2')
        self.assertEqual(['h2'], self.hosts(1))
        self.assertLess(time.monotonic() - start, RECOVERY)
        self.wait_until_empty()
        self.assertEqual(1, self.stdlog.output.count('wait in the outbox'))
        self.assertEqual(1, self.stdlog.output.count('are published again'))

    def test_idle_relay_notices_it(self):
        self.useFixture(RelayFixture())
        self.create('h1')
        self.assertEqual(['h1'], self.hosts(1))
        self.proxy.stall()
        deadline = time.monotonic() + 2 * RECOVERY
        while 'because of the message bus' not in self.stdlog.output:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def test_another_relay_with_a_working_bus_takes_over(self):
        self.start_relay()
        self.create('h1')
        self.assertEqual(['h1'], self.hosts(1))
        self.proxy.stall()
        cfg.CONF.set_override('transport_url', self.rabbit.url)
        second = self.useFixture(RelayFixture())
        start = time.monotonic()
        self.create('h2')
        self.assertEqual(['h2'], self.hosts(1))
        self.assertLess(time.monotonic() - start, RECOVERY)
        self.assertTrue(second.lease.held)
        self.wait_until_empty()
        # What the proxy holds back is a message that was sent already.
        self.proxy.mend()

    def test_sigterm_ends_the_relay_which_gives_its_lease_up(self):
        relay, port = self.start_relay()
        self.create('h1')
        self.assertEqual(['h1'], self.hosts(1))
        self.wait_for_health(port, 200)
        self.proxy.stall()
        self.create('h2')
        self.wait_for_health(port, 503)
        start = time.monotonic()
        relay.terminate()
        self.assertEqual(0, relay.wait(END))
        self.assertLess(time.monotonic() - start, END)
        self.assertIsNone(outbox.lease(self.context)[0])
        self.proxy.mend()

    def start_relay(self):
        """Return a running nova-relay, and the port of its health."""
        conf, port = self.conf_file(), servers.free_port()
        with conf.open('a') as file:
            file.write(f'\n[relay]\nmetrics_port = {port}\n')
        relay = subprocess.Popen(
            [sys.executable, '-m', 'nova.cmd.relay', '--config-file', conf])
        self.addCleanup(relay.wait)
        self.addCleanup(relay.kill)
        return relay, port

    def wait_for_health(self, port, status):
        deadline = time.monotonic() + RECOVERY
        while self.health_status(port) != status:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def health_status(self, port):
        try:
            with request.urlopen(f'http://127.0.0.1:{port}/healthcheck',
                                 timeout=5) as answer:
                return answer.status
        except error.HTTPError as answer:
            return answer.code


class TestBlockedBroker(_BehindProxy):

    def test_relay_waits_and_reports_it(self):
        relay = self.useFixture(RelayFixture())
        self.create('h1')
        self.assertEqual(['h1'], self.hosts(1))
        self.rabbit.control('set_disk_free_limit', '900000GB')
        self.addCleanup(self.rabbit.control, 'set_disk_free_limit', '1MB')
        self.create('h2')
        deadline = time.monotonic() + RECOVERY
        while 'takes no messages' not in (relay.health()['trouble'] or ''):
            self.assertLess(time.monotonic(), deadline, relay.health())
            time.sleep(0.1)
        # Longer than a confirmation may take.
        time.sleep(12)
        self.rabbit.control('set_disk_free_limit', '1MB')
        self.assertEqual(['h2'], self.hosts(1))
        self.wait_until_empty()
        self.assertIsNone(relay.health()['trouble'])
        self.assertNotIn('wait in the outbox', self.stdlog.output)
        # It kept the connection, so nothing was published twice.
        self.assertTrue(self.heard.empty())


class TestUnroutable(_BehindProxy):
    """The queue is deleted after the sender has declared it."""

    def setUp(self):
        super().setUp()
        self.stop_listening()
        self.bus = kombu.Connection(
            self.rabbit.url.replace('rabbit://', 'amqp://'))
        self.addCleanup(self.bus.release)

    def read_reasons(self, number):
        """Return the reasons in the next messages of the queue."""
        reasons: list[str] = []
        deadline = time.monotonic() + RECOVERY
        while len(reasons) < number:
            self.assertLess(time.monotonic(), deadline, reasons)
            try:
                message = self.bus.default_channel.basic_get(
                    QUEUE, no_ack=True)
            except self.bus.channel_errors:
                message = None
            if message is None:
                time.sleep(0.05)
                continue
            inner = json.loads(json.loads(message.body)['oslo.message'])
            reasons.append(inner['payload']['nova_object.data'][
                'disabled_reason'])
        return reasons

    def check_a_deleted_queue(self):
        service = self.create('h1')
        self.assertEqual([None], self.read_reasons(1))
        self.bus.default_channel.queue_delete(QUEUE)
        wanted = [str(number) for number in range(10)]
        for reason in wanted:
            service.disabled_reason = reason
            service.save()
        self.assertEqual(wanted, self.read_reasons(10))

    def test_outbox_publishes_to_a_queue_declared_again(self):
        self.useFixture(RelayFixture())
        self.check_a_deleted_queue()
        self.wait_until_empty()

    def test_direct_publishes_to_a_queue_declared_again(self):
        self.flags(group='notifications', delivery='direct')
        lost = rpc.LOSSES.lost
        self.check_a_deleted_queue()
        self.assertEqual(lost, rpc.LOSSES.lost)

    def test_direct_counts_what_no_queue_takes(self):
        self.flags(group='notifications', delivery='direct')
        service = self.create('h1')
        lost = rpc.LOSSES.lost
        with self.queue_deleted_again_and_again():
            deadline = time.monotonic() + 2 * RECOVERY
            while rpc.LOSSES.lost == lost:
                self.assertLess(time.monotonic(), deadline)
                service.disabled_reason = 'lost'
                service.save()
        self.assertIn('had no queue for it', self.stdlog.output)
        self.bus.default_channel.queue_delete(QUEUE)
        lost = rpc.LOSSES.lost
        wanted = [str(number) for number in range(10)]
        for reason in wanted:
            service.disabled_reason = reason
            service.save()
        self.assertEqual(wanted, self.read_reasons(10))
        self.assertEqual(lost, rpc.LOSSES.lost)

    @contextlib.contextmanager
    def queue_deleted_again_and_again(self):
        ending = threading.Event()

        def delete():
            with self.bus.clone() as bus:
                while not ending.is_set():
                    bus.default_channel.queue_delete(QUEUE)

        thread = threading.Thread(target=delete)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


class TestLeaseLost(_BehindProxy):

    def test_publisher_writes_nothing_after_the_last_check_fails(self):
        self.stop_listening()
        # One is asked for before the message is made, one before its bytes.
        answers = iter([True, False])
        for host in ('h1', 'h2'):
            self.create(host)
        first, second = outbox.waiting(self.context, 10)
        publishing = publisher.Publisher(cfg.CONF)
        publishing.publish(first, lambda: True)
        self.assertRaises(publisher.LeaseLost, publishing.publish, second,
                          lambda: next(answers))
        self.assertRaises(StopIteration, next, answers)
        with kombu.Connection(
                self.rabbit.url.replace('rabbit://', 'amqp://')) as bus:
            self.assertEqual(1, bus.default_channel.queue_declare(
                QUEUE, passive=True).message_count)
        # It can publish again once it may.
        publishing.publish(second, lambda: True)
