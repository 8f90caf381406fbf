# SPDX-License-Identifier: Apache-2.0
"""Every committed change is received, in order, whatever breaks.

Each fault happens at least once, in the order of ``NOVA_TEST_SEED``, then
two at once now and then, until ``NOVA_TEST_CHANGES`` changes are committed
and ``NOVA_TEST_SECONDS`` are over. ``NOVA_TEST_FAULTS`` names the only
faults to inject.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
from concurrent import futures
import functools
import os
import pathlib
import random
import sys
import time
import uuid

import fixtures as third_party
import sqlalchemy as sa
import testscenarios
from testtools import content

from nova import test
from nova.tests.fixtures import processes
from nova.tests.fixtures import proxy
from nova.tests.fixtures import rabbit_cluster
from nova.tests.fixtures import servers
from nova.tests.functional_faults import consumer as recording
from nova.tests.functional_faults import injector
from nova.tests.functional_faults import writer

SECONDS = float(os.environ.get('NOVA_TEST_SECONDS') or 0)
CHANGES = int(os.environ.get('NOVA_TEST_CHANGES') or 10_000)
SEED = int(os.environ.get('NOVA_TEST_SEED') or random.SystemRandom().randrange(
    10 ** 6))
ONLY = (os.environ.get('NOVA_TEST_FAULTS') or '').split()
WRITERS = 3
RELAYS = 2

#: how often two faults happen at once
PAIRS = 3

#: seconds after the last fault within which all must have been received
PATIENCE = 120

_BROKERS = '''
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = rabbit@ctl1
cluster_formation.classic_config.nodes.2 = rabbit@ctl2
cluster_formation.classic_config.nodes.3 = rabbit@ctl3
listeners.tcp.default = 5671
disk_free_limit.absolute = 1MB
'''

Committed = dict[str, list[recording.Change]]

load_tests = testscenarios.load_tests_apply_scenarios


def _say(text: str) -> None:
    sys.stderr.write(f'{text}\n')


@functools.cache
def _nodes() -> list[servers.RabbitNode]:
    return rabbit_cluster.start_nodes(_BROKERS, {})


class _FaultsTestCase(test.TestCase):
    """A test with writers, relays, a database and a bus that can all fail."""

    STUB_RPC = False
    USES_DB = False
    delivery: str
    queues: Mapping[str, object] = recording.QUORUM
    server: type[servers.MariaDBServer] | type[servers.PostgreSQLServer]

    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        #: when faults began, and their names
        self.history = []
        self.folder = pathlib.Path(
            self.useFixture(third_party.TempDir()).path)
        self.addCleanup(self.keep_logs)
        self.vhost = uuid.uuid4().hex
        node = _nodes()[0]
        node.control('add_vhost', self.vhost)
        node.control('set_permissions', '-p', self.vhost, 'guest', '.*', '.*',
                     '.*')
        self.database = self.server(durable=True)
        self.database.start()
        self.addCleanup(self.database.kill)
        admin = sa.create_engine(self.database.url, poolclass=sa.NullPool,
                                 isolation_level='AUTOCOMMIT')
        with admin.connect() as connection:
            connection.exec_driver_sql('CREATE DATABASE test')
        url = sa.make_url(self.database.url).set(database='test')
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.network = self.useFixture(proxy.Proxy(url.port))
        self.bus, self.readers = (
            [self.useFixture(proxy.Proxy(node.port)) for node in _nodes()]
            for _number in range(2))
        self.conf = self.write_conf(url.set(port=self.network.port))

    def write_conf(self, database):
        file = self.folder / 'nova.conf'
        processes.write_conf(file, {
            'DEFAULT': {'transport_url': self.transport_url(self.bus)},
            'database': {'connection': database.render_as_string(
                hide_password=False)},
            'notifications': {'notification_format': 'versioned',
                              'delivery': self.delivery},
            'oslo_messaging_notifications': {
                'driver': 'messagingv2', 'retry': 3},
            'oslo_messaging_rabbit': self.queues})
        return file

    def transport_url(self, ways):
        hosts = ','.join(f'guest:guest@127.0.0.1:{way.port}' for way in ways)
        return f'rabbit://{hosts}/{self.vhost}'

    def keep_logs(self):
        for log in self.folder.glob('*.log'):
            text = log.read_text(errors='replace')[-20000:]
            self.addDetail(log.name, content.text_content(text))

    def start(self, name, *command):
        process = injector.Process(self.folder / f'{name}.log', *command)
        self.addCleanup(process.kill)
        return process

    def start_all(self):
        """Start the consumer, the relays and the writers."""
        _say(f'NOVA_TEST_SEED={SEED}, delivery = {self.delivery}, '
             f'{self.engine.dialect.name}')
        processes.run('manage', '--config-file', self.conf, 'db', 'sync')
        writer.LEDGER.create(self.engine)
        self.consumer = recording.Consumer(
            self.transport_url(self.readers), self.queues)
        self.addCleanup(self.consumer.stop)
        relays = [
            self.start(f'relay{number}', 'nova.cmd.relay', '--config-file',
                       self.conf) for number in range(RELAYS)
        ] if self.delivery == 'outbox' else []
        self.writers = [
            self.start(f'writer{number}',
                       'nova.tests.functional_faults.writer', self.conf,
                       self.chance.random()) for number in range(WRITERS)]
        self.injector = injector.Injector(
            chance=self.chance, nodes=_nodes(), vhost=self.vhost,
            bus=self.bus, readers=self.readers, database=self.database,
            network=self.network, engine=self.engine, writers=self.writers,
            relays=relays, consumer=self.consumer)
        self.assertIsNotNone(
            self.consumer.seconds_until_change_after(time.time(), PATIENCE),
            'nothing arrives before the first fault')

    def run_into_faults(self, parts, changes):
        """Inject each fault of some parts, until all is committed.

        :returns: name of the faults → seconds that each recovery took
        """
        start = time.monotonic()
        single = [(fault,) for part in parts for fault in injector.FAULTS[part]
                  if not ONLY or fault.__name__ in ONLY]
        waiting = self.chance.sample(single, len(single))
        if not ONLY:
            waiting += [self.pair(parts) for _number in range(PAIRS)]
        waiting.reverse()
        recovery = collections.defaultdict(list)
        while (waiting or time.monotonic() - start < SECONDS
               or self.number_of_changes() < changes):
            faults = waiting.pop() if waiting else self.chance.choice(
                single) if self.chance.random() < 0.7 else self.pair(parts)
            name = ' and '.join(fault.__name__ for fault in faults)
            recovery[name].append(self.inject(name, faults))
            self.injector.pause()
        return recovery

    def stop_writers(self):
        for process in self.writers:
            process.kill()

    def pair(self, parts):
        return tuple(self.chance.choice(injector.FAULTS[part])
                     for part in self.chance.sample(parts, 2))

    def inject(self, name, faults):
        """Inject faults; return the seconds until all was well again."""
        self.history.append((time.time(), name))
        with futures.ThreadPoolExecutor(len(faults)) as threads:
            moment = max(threads.map(
                lambda fault: fault(self.injector), faults))
        seconds = self.consumer.seconds_until_change_after(
            moment, injector.PATIENCE)
        _say(f'  {name.replace("_", " ")}: ' + (
            f'not over after {injector.PATIENCE} s' if seconds is None
            else f'over after {seconds:.1f} s'))
        return seconds

    def number_of_changes(self):
        with self.engine.connect() as connection:
            return connection.scalar(
                sa.select(sa.func.count()).select_from(writer.LEDGER))

    def committed(self) -> Committed:
        changes = collections.defaultdict(list)
        with self.engine.connect() as connection:
            for row in connection.execute(
                    writer.LEDGER.select().order_by(writer.LEDGER.c.id)):
                changes[row.uuid].append((row.event_type, row.reason))
        return changes


class _OutboxTestCase(_FaultsTestCase):

    delivery = 'outbox'

    def check_all_arrived(self):
        """Check that what was committed arrives, in order, and only that."""
        self.wait_for_all()
        committed, received = self.committed(), self.consumer.first_arrivals()
        self.report(committed, received)
        self.assertEqual(0, self.injector.removed)
        self.assertEqual(set(committed), set(received))
        for uuid_, changes in committed.items():
            self.check_order(changes, received[uuid_])

    def wait_for_all(self):
        """Wait until as much has arrived as was committed, for good."""
        deadline = time.monotonic() + PATIENCE
        settled = 0
        while settled < 4 and time.monotonic() < deadline:
            complete = self.consumer.number() == self.number_of_changes()
            # More than that may arrive as well: look for two seconds.
            settled = settled + 1 if complete else 0
            time.sleep(0.5)

    def report(self, committed, received):
        number = sum(map(len, committed.values()))
        first = [arrival for arrivals in received.values()
                 for arrival in arrivals]
        arrivals = self.consumer.arrivals
        old = recording.out_of_order(arrivals)
        last = {arrival.uuid: arrival for arrival in arrivals}
        _say(f'  {number} changes were committed, {len(first)} received, '
             f'{len(arrivals) - len(first)} received again '
             f'({len(old)} of those after a newer one of the service), '
             f'{len(recording.out_of_order(first))} out of order')
        for arrival in set(last.values()) & set(old):
            _say('  the last message of a service was an old one, after '
                 f'"{self.fault_before(arrival.received)}"')

    def fault_before(self, moment):
        return [name for begin, name in self.history if begin < moment][-1]

    def check_order(self, changes, arrivals):
        """Check that one service's changes have arrived in order.

        One out of order may be there if its timestamp shows that it is old.
        """
        old = recording.out_of_order(arrivals)
        self.assertEqual(sorted(changes),
                         sorted(arrival.change for arrival in arrivals),
                         f'seed {SEED}')
        if not old:
            self.assertEqual(
                changes, [arrival.change for arrival in arrivals],
                f'seed {SEED}')
            return
        late = [arrival.change for arrival in old]
        self.assertEqual(
            [change for change in changes if change not in late],
            [arrival.change for arrival in arrivals
             if arrival.change not in late], f'seed {SEED}')


class TestOutbox(_OutboxTestCase):

    scenarios = [('MariaDB', {'server': servers.MariaDBServer}),
                 ('PostgreSQL', {'server': servers.PostgreSQLServer})]

    def test_every_change_arrives_in_order_and_in_time(self):
        self.start_all()
        recovery = self.run_into_faults(list(injector.FAULTS), CHANGES)
        self.stop_writers()
        self.check_all_arrived()
        self.check_recovery(recovery)

    def check_recovery(self, recovery):
        slow = {name: seconds for name, seconds in recovery.items()
                if any(each is None or each > injector.LIMITS.get(
                    name, injector.PATIENCE) for each in seconds)}
        self.assertEqual({}, slow, f'seed {SEED}')


class TestAutoDelete(_OutboxTestCase):

    server = servers.MariaDBServer
    queues = {'amqp_auto_delete': True}

    def test_every_change_arrives_after_the_queue_was_deleted(self):
        self.start_all()
        for _number in range(3):
            self.assertIsNotNone(self.inject(
                'queue is auto-deleted',
                [injector.Injector.queue_is_auto_deleted]))
        self.stop_writers()
        self.check_all_arrived()


class TestDirect(_FaultsTestCase):

    delivery = 'direct'
    server = servers.MariaDBServer

    def test_what_arrives_was_committed_and_each_loss_is_logged(self):
        """How much is lost is chance."""
        self.start_all()
        self.run_into_faults(['writers', 'bus'], 0)
        self.stop_writers()
        time.sleep(10)
        committed, received = self.committed(), self.consumer.first_arrivals()
        number = sum(map(len, committed.values()))
        lost = number - self.consumer.number()
        logged = sum(log.read_text().count('A notification was lost')
                     for log in self.folder.glob('writer*.log'))
        _say(f'  {number} changes were committed, {lost} never received, '
             f'{logged} logged as lost')
        self.assertTrue(received)
        # A writer that is killed can lose the last one without a word.
        self.assertLessEqual(
            lost, logged + self.injector.killed_writers + WRITERS)
        for uuid_, arrivals in received.items():
            self.assertLessEqual({arrival.change for arrival in arrivals},
                                 set(committed[uuid_]))
