# SPDX-License-Identifier: Apache-2.0
"""Consumers of OpenStack, on RabbitMQ, each as a user of its pool only."""

import pathlib

import amqp
import kombu

from nova.tests.fixtures import servers
from nova.tests.functional import interop

PASSWORD = 'secret'
SCRIPT = (pathlib.Path(__file__).parents[3] / 'doc' / 'examples' / 'rabbitmq'
          / 'pool_user.sh')


class TestInterop(interop.InteropTests, interop.InteropTestCase):

    def transport_url(self):
        self.rabbit = self.useFixture(servers.RabbitMQ())
        return self.rabbit.url

    def test_who_comes_back_gets_what_was_sent_meanwhile(self):
        for consumer in interop.Searchlight(), interop.Watcher():
            listener = self.start(consumer)
            listener.stop()
            listener.wait()
            expected = self.play()
            self.start(consumer)
            self.check_heard(expected, consumer)


class TestPoolUser(TestInterop):
    """The same as users whom ``pool_user.sh`` has made."""

    def transport_url(self):
        url = super().transport_url()
        for pool in interop.Searchlight.POOL, interop.Watcher.POOL:
            self.rabbit.run_script(SCRIPT, url.rpartition('/')[2], pool,
                                   CONSUMER_PASSWORD=PASSWORD)
            self.addCleanup(self.rabbit.control, 'delete_user', pool)
        return url

    def start(self, consumer):
        self.user = consumer.POOL
        return super().start(consumer)

    def listening_url(self):
        return self.rabbit.url.replace(
            'guest:guest@', f'{self.user}:{PASSWORD}@')

    def test_it_can_do_nothing_else(self):
        self.start(interop.Watcher())
        with kombu.Connection(self.listening_url().replace(
                'rabbit://', 'amqp://')) as bus:
            for forbidden in (
                    lambda channel: channel.queue_declare('conductor'),
                    lambda channel: channel.queue_delete(
                        interop.Searchlight.POOL),
                    lambda channel: channel.basic_get(
                        'versioned_notifications.info'),
                    lambda channel: channel.basic_publish_confirm(
                        amqp.Message('{}'), 'nova',
                        'versioned_notifications.info')):
                self.assertRaises(amqp.AccessRefused, forbidden,
                                  bus.channel())
