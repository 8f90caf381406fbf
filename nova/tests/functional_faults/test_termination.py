# SPDX-License-Identifier: Apache-2.0
"""SIGTERM ends the processes in time, whatever they are waiting for."""

from __future__ import annotations

from concurrent import futures
import itertools
import pathlib
import random
import sys
import time

import fixtures as third_party
import sqlalchemy as sa
import testscenarios
from testtools import content

from nova import test
from nova.db.main import models
from nova.tests.fixtures import processes
from nova.tests.fixtures import proxy
from nova.tests.fixtures import servers
from nova.tests.functional_faults import consumer as recording
from nova.tests.functional_faults import injector
from nova.tests.functional_faults import writer

#: seconds within which SIGTERM ends a process
LIMIT = 15

#: seconds within which another relay takes a lease that was given up: a few
#: of its looks, on a busy machine
TAKEOVER = 5

#: seconds to wait for what has no limit here
PATIENCE = 60

_FAULTS = {
    'silent': proxy.Proxy.silence,
    'stalled': proxy.Proxy.stall,
    'dead': proxy.Proxy.cut}

load_tests = testscenarios.load_tests_apply_scenarios


class TestTermination(test.TestCase):
    """A relay with work to do, another that stands by, and a service."""

    STUB_RPC = False
    USES_DB = False

    scenarios = [
        (f'{fault} {part}', {'server': server, 'part': part, 'fault': fault})
        for (part, server), fault in itertools.product(
            (('MariaDB', servers.MariaDB), ('PostgreSQL', servers.PostgreSQL),
             ('RabbitMQ', servers.MariaDB)), _FAULTS)
    ] + [('no fault', {'server': servers.MariaDB, 'part': '', 'fault': ''})]

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(third_party.TempDir()).path)
        self.addCleanup(self.keep_logs)
        database = sa.make_url(self.useFixture(self.server()).url)
        bus = sa.make_url(self.useFixture(servers.RabbitMQ()).url)
        self.engine = sa.create_engine(database, poolclass=sa.NullPool)
        self.network, self.bus = (self.useFixture(proxy.Proxy(url.port))
                                  for url in (database, bus))
        conf = self.write_conf(
            'nova', database.set(port=self.network.port),
            bus.set(port=self.bus.port), 'direct')
        # The fault does not reach the writer: the relay has work all along.
        writer_conf = self.write_conf('writer', database, bus, 'outbox')
        processes.run('manage', '--config-file', writer_conf, 'db', 'sync')
        writer.LEDGER.create(self.engine)
        consumer = recording.Consumer(_text(bus), recording.QUORUM)
        self.addCleanup(consumer.stop)
        self.relays = [
            self.start(f'relay{number}', 'nova.cmd.relay', '--config-file',
                       conf) for number in range(2)]
        self.service = self.start(
            'service', 'nova.cmd.service', '--config-file', conf, '--binary',
            'nova-conductor')
        self.start('writer', 'nova.tests.functional_faults.writer',
                   writer_conf, random.random())
        self.assertIsNotNone(consumer.seconds_until_change_after(
            time.time(), PATIENCE), 'nothing arrives')
        self.wait_for(PATIENCE, self.service_beats)

    def write_conf(self, name, database, bus, delivery):
        file = self.folder / f'{name}.conf'
        processes.write_conf(file, {
            'DEFAULT': {'transport_url': _text(bus), 'host': 'conductor1',
                        'report_interval': 1},
            'database': {'connection': _text(database)},
            'notifications': {'notification_format': 'versioned',
                              'delivery': delivery},
            'oslo_messaging_notifications': {
                'driver': 'messagingv2', 'retry': 3},
            'oslo_messaging_rabbit': recording.QUORUM})
        return file

    def keep_logs(self):
        for log in self.folder.glob('*.log'):
            text = log.read_text(errors='replace')[-20000:]
            self.addDetail(log.name, content.text_content(text))

    def start(self, name, *command):
        process = injector.Process(self.folder / f'{name}.log', *command)
        self.addCleanup(process.kill)
        return process

    def service_beats(self):
        services = models.Service.__table__
        with self.engine.connect() as connection:
            return connection.scalar(
                sa.select(services.c.report_count).where(
                    services.c.binary == 'nova-conductor'))

    def wait_for(self, limit, condition):
        """Return the seconds until a condition was true; None: never."""
        start = time.monotonic()
        while time.monotonic() - start < limit:
            if condition():
                return time.monotonic() - start
            time.sleep(0.05)
        return None

    def test_sigterm_ends_relay_and_service_in_time(self):
        active, other = sorted(
            self.relays, reverse=True,
            key=lambda relay: relay.pid == injector.active_relay(self.engine))
        if self.fault:
            _FAULTS[self.fault](
                self.bus if self.part == 'RabbitMQ' else self.network)
            # Let them run into it.
            time.sleep(random.uniform(1, 4))
        with futures.ThreadPoolExecutor() as threads:
            relay, service = threads.map(
                lambda process: process.terminate(4 * LIMIT),
                (active, self.service))
        takeover = None
        if relay is not None:
            takeover = self.wait_for(
                4 * TAKEOVER if self.part in ('', 'RabbitMQ') else 0,
                lambda: injector.active_relay(self.engine) == other.pid)
        sys.stderr.write(
            f'  {self.fault} {self.part}: nova-relay ended after '
            f'{_seconds(relay)}, nova-service after {_seconds(service)}, '
            f'the other relay was active after {_seconds(takeover)}\n')
        self.assertIsNotNone(relay, 'nova-relay did not end')
        self.assertIsNotNone(service, 'nova-service did not end')
        self.assertLess(relay, LIMIT)
        self.assertLess(service, LIMIT)
        if self.part in ('', 'RabbitMQ'):
            self.assertIsNotNone(takeover, 'the lease was not given up')
            self.assertLess(takeover, TAKEOVER)


def _text(url: sa.URL) -> str:
    return url.render_as_string(hide_password=False)


def _seconds(seconds: float | None) -> str:
    return 'never' if seconds is None else f'{seconds:.1f} s'
