# SPDX-License-Identifier: Apache-2.0
"""Is what was committed heard, once and in order, whatever breaks?

Everything breaks once, in the order of ``NOVA_TEST_SEED``, and then again
until ``NOVA_TEST_SECONDS`` are over.
"""

from __future__ import annotations

import collections
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import fixtures as third_party
from oslo_config import cfg
import oslo_messaging
import sqlalchemy as sa

from nova import config
from nova import test
from nova.tests.fixtures import processes
from nova.tests.fixtures import proxy
from nova.tests.fixtures import rabbit_cluster
from nova.tests.fixtures import servers
from nova.tests.functional_faults import writer

SECONDS = float(os.environ.get('NOVA_TEST_SECONDS') or 60)
SEED = int(os.environ.get('NOVA_TEST_SEED') or random.SystemRandom().randrange(
    10 ** 6))
WRITERS = 3

#: seconds after the last fault within which all must have been heard
PATIENCE = 120

_BROKERS = '''
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = rabbit@ctl1
cluster_formation.classic_config.nodes.2 = rabbit@ctl2
cluster_formation.classic_config.nodes.3 = rabbit@ctl3
listeners.tcp.default = 5671
disk_free_limit.absolute = 1MB
'''


def _say(text: str) -> None:
    sys.stderr.write(f'{text}\n')


class _Consumer:
    """Keeps what it hears, but the second of two with the same message_id.

    :ivar heard: uuid → events and reasons, in order
    """

    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[str, str]]] = (
            collections.defaultdict(list))
        self.repeated = 0
        self._known: set[str] = set()

    def info(self, _context, _publisher_id, event_type, payload, metadata):
        if metadata['message_id'] in self._known:
            self.repeated += 1
            return
        self._known.add(metadata['message_id'])
        data = payload['nova_object.data']
        reason = ('' if event_type == 'service.delete'
                  else data['disabled_reason'])
        self.heard[data['uuid']].append((event_type, reason))

    def number(self) -> int:
        return len(self._known)


class _Process:
    """A command that is started again when it was killed."""

    def __init__(self, log: pathlib.Path, *command: object) -> None:
        self._log = log
        self._command = [sys.executable, '-m', *map(str, command)]
        self.start()

    def start(self) -> None:
        with self._log.open('ab') as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class TestFaults(test.TestCase):

    STUB_RPC = False
    USES_DB = False

    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        self.folder = pathlib.Path(
            self.useFixture(third_party.TempDir()).path)
        self.nodes = rabbit_cluster.start_nodes(_BROKERS, {})
        self.proxies = [self.useFixture(proxy.Proxy(node.port))
                        for node in self.nodes]
        self.database = servers.MariaDBServer(durable=True)
        self.database.start()
        self.url = self.database.url.replace('/mysql', '/test')
        self.engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        admin = sa.create_engine(self.database.url, poolclass=sa.NullPool)
        with admin.begin() as connection:
            connection.exec_driver_sql('CREATE DATABASE test')

    def write_conf(self, delivery):
        hosts = ','.join(f'guest:guest@127.0.0.1:{way.port}'
                         for way in self.proxies)
        self.bus = f'rabbit://{hosts}/'
        file = self.folder / 'nova.conf'
        processes.write_conf(file, {
            'DEFAULT': {'transport_url': self.bus},
            'database': {'connection': self.url},
            'notifications': {'notification_format': 'versioned',
                              'delivery': delivery},
            'oslo_messaging_notifications': {
                'driver': 'messagingv2', 'retry': 3},
            'oslo_messaging_rabbit': {'rabbit_quorum_queue': True}})
        return file

    def listen(self):
        consumer = _Consumer()
        conf = cfg.ConfigOpts()
        conf([])
        config.set_lib_defaults()
        transport = oslo_messaging.get_notification_transport(conf, self.bus)
        conf.set_override('rabbit_quorum_queue', True, 'oslo_messaging_rabbit')
        listener = oslo_messaging.get_notification_listener(
            transport,
            [oslo_messaging.Target(topic='versioned_notifications')],
            [consumer], executor='threading')
        # Several at once would be out of order.
        conf.set_override('executor_thread_pool_size', 1)
        listener.start()
        self.addCleanup(transport.cleanup)
        self.addCleanup(listener.wait)
        self.addCleanup(listener.stop)
        return consumer

    def start(self, name, *command):
        process = _Process(self.folder / f'{name}.log', *command)
        self.addCleanup(process.kill)
        return process

    # What can break. Each takes what is to break and mends it again.

    def writer_is_killed(self):
        self.restart(self.chance.choice(self.writers))

    def relay_is_killed(self):
        if self.relays:
            self.restart(self.chance.choice(self.relays))

    def restart(self, process):
        process.kill()
        self.pause()
        process.start()

    def network_is_cut(self):
        for way in self.proxies:
            way.cut()
        self.pause()
        for way in self.proxies:
            way.mend()

    def network_stalls(self):
        for way in self.proxies:
            way.stall()
        self.pause()
        for way in self.proxies:
            way.mend()

    def node_stops(self):
        node = self.chance.choice(self.nodes)
        node.control('stop_app')
        self.pause()
        node.control('start_app')

    def bus_restarts(self):
        for node in self.nodes:
            node.control('stop_app')
        self.pause()
        starting = [threading.Thread(target=node.control, args=('start_app',))
                    for node in self.nodes]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()

    def disk_is_full(self):
        for node in self.nodes:
            node.control('set_disk_free_limit', '900000GB')
        self.pause()
        for node in self.nodes:
            node.control('set_disk_free_limit', '1MB')

    def database_is_killed(self):
        self.database.kill()
        self.pause()
        self.database.start()

    def pause(self):
        time.sleep(self.chance.uniform(0.5, 5))

    FAULTS = (writer_is_killed, relay_is_killed, network_is_cut,
              network_stalls, node_stops, bus_restarts, disk_is_full,
              database_is_killed)

    def run_into_faults(self, delivery):
        """Return what has been committed, and the consumer."""
        _say(f'NOVA_TEST_SEED={SEED}, delivery = {delivery}')
        conf = self.write_conf(delivery)
        processes.run('manage', '--config-file', conf, 'db', 'sync')
        writer.LEDGER.create(self.engine)
        consumer = self.listen()
        self.writers = [
            self.start(f'writer{number}',
                       'nova.tests.functional_faults.writer', conf,
                       self.chance.random()) for number in range(WRITERS)]
        self.relays = [
            self.start(f'relay{number}', 'nova.cmd.relay', '--config-file',
                       conf) for number in range(2)
        ] if delivery == 'outbox' else []
        self.pause()
        end = time.monotonic() + SECONDS
        faults = self.chance.sample(self.FAULTS, len(self.FAULTS))
        while faults or time.monotonic() < end:
            fault = (faults.pop() if faults
                     else self.chance.choice(self.FAULTS))
            _say(f'  {fault.__name__.replace("_", " ")}')
            fault(self)
            self.pause()
        for process in self.writers:
            process.kill()
        return self.committed(), consumer

    def committed(self):
        changes = collections.defaultdict(list)
        with self.engine.connect() as connection:
            for row in connection.execute(
                    writer.LEDGER.select().order_by(writer.LEDGER.c.id)):
                changes[row.uuid].append((row.event_type, row.reason))
        return changes

    def wait_for(self, consumer, number):
        deadline = time.monotonic() + PATIENCE
        while consumer.number() < number and time.monotonic() < deadline:
            time.sleep(0.2)
        # What should not come may come as well.
        time.sleep(2)

    def test_outbox(self):
        committed, consumer = self.run_into_faults('outbox')
        number = sum(map(len, committed.values()))
        self.wait_for(consumer, number)
        _say(f'  {number} changes were committed, {consumer.number()} heard, '
             f'{consumer.repeated} heard again')
        self.assertGreater(number, 10 * SECONDS)
        for uuid, changes in committed.items():
            self.assertEqual(changes, consumer.heard[uuid], f'seed {SEED}')
        self.assertEqual(set(committed), set(consumer.heard))

    def test_direct(self):
        """What is heard was committed; how much is lost is chance."""
        committed, consumer = self.run_into_faults('direct')
        number = sum(map(len, committed.values()))
        time.sleep(10)
        _say(f'  {number} changes were committed, '
             f'{number - consumer.number()} never heard')
        self.assertTrue(consumer.heard)
        for uuid, changes in consumer.heard.items():
            self.assertLessEqual(set(changes), set(committed[uuid]))
