# SPDX-License-Identifier: Apache-2.0
"""Connections to a database that fall silent while new ones work."""

import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import fixtures
from oslo_db import exception as db_exc
import sqlalchemy as sa
from testtools import content

from nova import context
from nova import test
from nova.db.main import api as db
from nova.db.main import models
from nova.objects import service as service_obj
from nova.tests.fixtures import processes
from nova.tests.fixtures import proxy
from nova.tests.fixtures import servers

#: seconds within which everything must work again, and a process must end
RECOVERY = 45
ENDING = 15


def _start(conf):
    return subprocess.Popen(
        [sys.executable, '-m', 'nova.cmd.service', '--config-file', str(conf),
         '--binary', 'nova-conductor', '--host', 'h1'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class _SilentDatabaseTests:

    SERVER = None
    SLEEP = None
    #: seconds without an answer in tests that need not have the default
    LIMIT = 3

    def database_url(self):
        url = sa.make_url(self.useFixture(self.SERVER()).url)
        self.direct = sa.create_engine(url, poolclass=sa.NullPool)
        self.proxy = self.useFixture(proxy.Proxy(url.port))
        return url.set(port=self.proxy.port).render_as_string(
            hide_password=False)

    def setUp(self):
        super().setUp()
        self.context = context.get_admin_context()

    def limit(self, seconds):
        self.flags(read_timeout=seconds, group='database')
        db.configure(test.CONF)

    def create(self, host):
        service = service_obj.Service(self.context, host=host,
                                      binary='nova-compute', topic='compute')
        service.create()
        return service

    def services(self):
        with db.get_engine().connect() as connection:
            return connection.execute(sa.select(
                sa.func.count()).select_from(models.Service)).scalar_one()

    def test_silence_costs_one_limit_however_many_connections_wait(self):
        self.limit(self.LIMIT)
        engine = db.get_engine()
        for connection in [engine.connect() for _number in range(4)]:
            connection.close()
        self.proxy.silence()
        start = time.monotonic()
        connections = [engine.connect() for _number in range(4)]
        for connection in connections:
            self.assertEqual(1, connection.scalar(sa.select(1)))
            connection.close()
        self.assertLess(time.monotonic() - start, 3 * self.LIMIT)

    def test_statement_without_an_answer_is_a_lost_connection(self):
        self.limit(self.LIMIT)
        service = self.create('h1')

        def change():
            with db.transaction(self.context) as connection:
                connection.execute(sa.update(models.Service).values(
                    disabled_reason='lost'))
                self.proxy.silence()
                connection.execute(sa.update(models.Service).values(
                    disabled_reason='lost as well'))

        start = time.monotonic()
        self.assertRaises(db_exc.DBConnectionError, change)
        # The server lives on; it must not hold the lock of the lost change.
        service.disabled_reason = 'kept'
        deadline = start + RECOVERY
        while True:
            try:
                service.save()
                break
            except db_exc.DBConnectionError:
                self.assertLess(time.monotonic(), deadline)
        self.assertLess(time.monotonic(), deadline)
        self.assertEqual('kept', service_obj.Service.get_by_id(
            self.context, service.id).disabled_reason)

    def test_transaction_of_a_silent_client_frees_its_locks(self):
        service = self.create('h1')
        change = models.Service.__table__.update().where(
            models.Service.id == service.id)
        silent = db.get_engine().connect()
        self.addCleanup(silent.close)
        silent.execute(change.values(report_count=1))
        self.proxy.silence()
        start = time.monotonic()
        service.disabled = True
        service.save()
        # The server ends it after ten seconds.
        self.assertLess(time.monotonic() - start, ENDING)
        silent.invalidate()

    def test_lost_commit_is_not_repeated(self):
        self.limit(self.LIMIT)
        calls = []

        @db.transactional
        def change(context):
            calls.append(context)
            db.service_create(context, {
                'host': 'h1', 'binary': 'nova-compute', 'topic': 'compute',
                'uuid': 'u' * 36})
            self.proxy.silence()

        self.assertRaises(db_exc.DBConnectionError, change, self.context)
        self.assertEqual(1, len(calls))
        self.assertEqual(0, self.services())

    def test_other_cell_has_the_limit(self):
        self.limit(self.LIMIT)
        manager = db.create_context_manager(
            test.CONF.database.connection)
        self.addCleanup(manager.dispose_pool)
        engine = manager.writer.get_engine()
        with engine.connect() as connection:
            self.assertRaises(db_exc.DBConnectionError,
                              connection.execute, sa.text(self.SLEEP))

    def test_migration_has_no_limit(self):
        self.limit(1)
        with (db.patient_engine(self.context) as engine,
              engine.connect() as connection):
            connection.execute(sa.text(self.SLEEP))

    def test_limit_holds_in_a_forked_process(self):
        self.limit(self.LIMIT)
        with db.get_engine().connect() as connection:
            connection.scalar(sa.select(1))
        done = subprocess.run(
            [sys.executable, '-c', _FORKED, test.CONF.database.connection,
             str(self.LIMIT), self.SLEEP], text=True, capture_output=True,
            timeout=processes.PATIENCE, check=False)
        self.assertEqual('DBConnectionError\n', done.stdout, done.stderr)


class _ProcessTests:

    def conf(self, url, **database):
        conf = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'conf')
        processes.write_conf(conf, {
            'DEFAULT': {'transport_url': 'fake:/', 'report_interval': 2},
            'database': {'connection': url, **database}})
        return conf

    def start(self, conf):
        process = _start(conf)
        self.lines = []
        reader = threading.Thread(
            target=lambda: self.lines.extend(process.stdout), daemon=True)
        reader.start()
        self.addCleanup(reader.join, processes.PATIENCE)
        self.addCleanup(process.kill)
        return process

    def end(self, process):
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(ENDING)
        self.addDetail('end', content.text_content(
            f'{time.monotonic() - start:.1f} s after SIGTERM'))
        return code

    def wait_for_heartbeat(self, limit):
        start = time.monotonic()
        count = self.heartbeats()
        while self.heartbeats() <= count:
            self.assertLess(time.monotonic() - start, limit,
                            ''.join(self.lines))
            time.sleep(0.1)
        return time.monotonic() - start

    def heartbeats(self):
        with self.direct.connect() as connection:
            return connection.scalar(sa.select(
                models.Service.report_count)) or 0

    def test_service_sends_heartbeats_again_and_ends_in_time(self):
        url = test.CONF.database.connection
        process = self.start(self.conf(url))
        self.wait_for_heartbeat(processes.PATIENCE)
        self.proxy.silence()
        self.addDetail('recovery', content.text_content(
            f'{self.wait_for_heartbeat(RECOVERY):.1f} s'))
        self.proxy.silence()
        # By now the next heartbeat waits for an answer.
        time.sleep(4)
        self.assertEqual(0, self.end(process), ''.join(self.lines))
        self.assertNotIn('Traceback', ''.join(self.lines))

    def test_service_ends_while_the_database_does_not_answer_at_first(self):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            url = sa.make_url(test.CONF.database.connection).set(
                port=silent.getsockname()[1])
            process = self.start(self.conf(
                url.render_as_string(hide_password=False)))
            silent.settimeout(processes.PATIENCE)
            with silent.accept()[0]:
                self.assertEqual(-signal.SIGTERM, self.end(process))

    def test_service_starts_when_the_database_is_back(self):
        url = test.CONF.database.connection
        self.proxy.cut()
        process = self.start(self.conf(url))
        while 'SQL connection failed' not in ''.join(self.lines):
            self.assertIsNone(process.poll(), ''.join(self.lines))
            time.sleep(0.1)
        self.proxy.mend()
        self.wait_for_heartbeat(RECOVERY)
        self.assertEqual(0, self.end(process), ''.join(self.lines))


_FORKED = '''
import os, sys, time
from nova.conf import CONF
from nova.db.main import api
import sqlalchemy as sa
from testtools import content
CONF([], project='nova', default_config_files=[])
CONF.set_override('connection', sys.argv[1], group='database')
CONF.set_override('read_timeout', int(sys.argv[2]), group='database')
api.configure(CONF)
with api.get_engine().connect() as connection:
    connection.scalar(sa.select(1))
if os.fork() == 0:
    try:
        with api.get_engine().connect() as connection:
            connection.execute(sa.text(sys.argv[3]))
    except Exception as error:
        print(type(error).__name__, flush=True)
    os._exit(0)
os.wait()
'''


class TestMariaDB(_SilentDatabaseTests, _ProcessTests, test.TestCase):
    SERVER = servers.MariaDB
    SLEEP = 'SELECT SLEEP(6)'


class TestPostgreSQL(_SilentDatabaseTests, _ProcessTests, test.TestCase):
    SERVER = servers.PostgreSQL
    SLEEP = 'SELECT pg_sleep(6)'
