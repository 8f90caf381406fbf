# SPDX-License-Identifier: Apache-2.0
"""The commands, as processes of their own."""

import contextlib
import json
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time
import uuid

import fixtures
from oslotest import base

from nova.api.openstack import api_version_request

PATIENCE = 60

CONF = '''
[DEFAULT]
transport_url = fake:/
report_interval = {interval}
[database]
connection = sqlite:///{folder}/nova.sqlite?timeout=0.2
max_retries = 0
[notifications]
notification_format = {wanted}
[oslo_messaging_notifications]
driver = messagingv2
'''

#: A program of somebody else, with several workers.
_WORKERS = '''
import sys
from nova import config, objects, service
config.parse_args(['test', '--config-file', sys.argv[1]])
config.setup_logging()
objects.register_all()
service.serve(service.Service.create(host='h1', binary='nova-conductor'),
              workers=2)
service.wait()
'''


class CommandTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.conf = self.folder / 'nova.conf'
        self.write_conf()

    def write_conf(self, interval=1, wanted='versioned'):
        self.conf.write_text(CONF.format(
            folder=self.folder, interval=interval, wanted=wanted))

    def run_command(self, module, *args, conf=True):
        config = ['--config-file', str(self.conf)] if conf else []
        done = subprocess.run(
            [sys.executable, '-m', f'nova.cmd.{module}',
             *config, *args],
            capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertNotIn('Traceback', done.stdout + done.stderr)
        return done

    def assert_fails(self, done, *words):
        """Check for exit 1, nothing on stdout, and one line that explains."""
        self.assertEqual((1, ''), (done.returncode, done.stdout))
        explained = [line for line in done.stderr.splitlines()
                     if line.startswith('nova-')]
        self.assertEqual(1, len(explained), done.stderr)
        for word in words:
            self.assertIn(word, explained[0])


class TestManage(CommandTestCase):

    def test_sync_and_version(self):
        self.assertEqual(
            'None\n', self.run_command('manage', 'db', 'version').stdout)
        for _again in range(2):
            done = self.run_command('manage', 'db', 'sync')
            self.assertEqual((0, ''), (done.returncode, done.stdout))
        self.assertEqual(
            'c40e7d92b5f8\n',
            self.run_command('manage', 'db', 'version').stdout)

    def test_the_api_is_described(self):
        for version, described, change in (
                ('latest', str(api_version_request.MAX_VERSION),
                 '{service_id}'), ('2.1', '2.1', 'disable-log-reason'),
                ('2.69', '2.69', '{service_id}')):
            done = self.run_command('manage', 'api', 'openapi',
                                    '--microversion', version, conf=False)
            document = json.loads(done.stdout)
            self.assertEqual(described, document['info']['version'])
            self.assertIn(f'/v2.1/os-services/{change}', document['paths'])
        for wrong in ('2', '2.9999', 'x'):
            self.assert_fails(self.run_command(
                'manage', 'api', 'openapi', '--microversion', wrong,
                conf=False), wrong)

    def test_a_schema_that_is_newer(self):
        self.run_command('manage', 'db', 'sync')
        with contextlib.closing(sqlite3.connect(
                self.folder / 'nova.sqlite')) as database:
            database.execute(
                'UPDATE service_notifications_alembic_version '
                "SET version_num = 'fedcba987654'")
            database.commit()
        self.assert_fails(self.run_command('manage', 'db', 'sync'),
                          'revision fedcba987654', 'newer version')

    def test_another_shape_is_refused_with_the_difference(self):
        with contextlib.closing(sqlite3.connect(
                self.folder / 'nova.sqlite')) as database:
            database.execute('CREATE TABLE services (id INTEGER PRIMARY KEY, '
                             'surprise TEXT)')
        self.assert_fails(
            self.run_command('manage', 'db', 'sync'), "table 'services'",
            'column host is missing', 'column surprise is not expected')

    def test_an_unknown_revision(self):
        self.assert_fails(self.run_command('manage', 'db', 'sync', 'nope'),
                          "'nope'", '5d1c6f0a92be')

    def test_wrong_usage(self):
        self.assertEqual(2, self.run_command('manage', 'nope').returncode)
        self.assertEqual(2, self.run_command('manage', 'db').returncode)

    def test_a_missing_config_file(self):
        self.assert_fails(
            self.run_command('manage', '--config-file', '/nope', 'db',
                             'sync', conf=False), '/nope')

    def test_an_unknown_notification_format(self):
        self.write_conf(wanted='loud')
        self.assert_fails(self.run_command('manage', 'db', 'sync'),
                          'notification_format', 'versioned', 'loud')

    def test_a_value_of_the_wrong_type(self):
        self.write_conf(interval='often')
        self.assert_fails(self.run_command('manage', 'db', 'sync'),
                          'report_interval', 'often')

    def test_a_negative_time_to_stop_is_refused(self):
        self.conf.write_text('[DEFAULT]\ngraceful_shutdown_timeout = -5\n')
        self.assert_fails(self.run_command('manage', 'db', 'sync'),
                          'graceful_shutdown_timeout', '-5')

    def test_an_unreachable_database_shows_no_password(self):
        for driver, password, words in (
                ('mysql+pymysql', 'hush', '127.0.0.1:1/nova'),
                ('postgresql+psycopg2', 'hush', '127.0.0.1:1/nova'),
                # Of this one the end is taken for a part of the host.
                ('mysql+pymysql', 'hu@hush', 'percent-encoded')):
            self.conf.write_text(
                '[database]\nmax_retries = 0\nconnection = '
                f'{driver}://nova:{password}@127.0.0.1:1/nova\n')
            for command in (('db', 'sync'), ('outbox', 'status')):
                done = self.run_command('manage', *command)
                self.assert_fails(done, words)
                self.assertNotIn('hush', done.stderr)

    def test_no_database(self):
        self.conf.write_text('[DEFAULT]\n')
        self.assert_fails(self.run_command('manage', 'db', 'sync'),
                          '[database] connection')


class TestDemo(CommandTestCase):

    def test_json_is_one_notification_a_line(self):
        done = self.run_command('demo', '--json', conf=False)
        self.assertEqual(0, done.returncode, done.stderr)
        heard = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(
            ['service.create', 'service.update', 'service.update',
             'service.delete'], [event['event_type'] for event in heard])

    def test_text_ends_with_a_summary(self):
        done = self.run_command('demo', conf=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual('4 changes made, 4 notifications received.',
                         done.stdout.splitlines()[-1])


class TestService(CommandTestCase):

    def setUp(self):
        super().setUp()
        self.run_command('manage', 'db', 'sync')
        self.database = sqlite3.connect(
            self.folder / 'nova.sqlite', isolation_level=None, timeout=10)
        self.addCleanup(self.database.close)

    def start(self, host):
        return self.start_program(
            '-m', 'nova.cmd.service', '--config-file', str(self.conf),
            '--binary', 'nova-conductor', '--host', host)

    def start_program(self, *arguments):
        log = self.folder / f'{uuid.uuid4().hex}.log'
        with log.open('wb') as output:
            process = subprocess.Popen([sys.executable, *arguments],
                                       stdout=output, stderr=output)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, log

    def wait_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def beats(self, host):
        return self.database.execute(
            'SELECT report_count FROM services WHERE host = ? '
            'AND deleted = 0', [host]).fetchall()

    def beaten(self, host, least=1):
        return any(count >= least for (count,) in self.beats(host))

    def test_it_beats_through_an_outage_reloads_and_stops(self):
        process, log = self.start('h1')
        other, _log = self.start('h2')
        self.wait_for(lambda: self.beaten('h1') and self.beaten('h2'), 'beat')
        self.database.execute('BEGIN EXCLUSIVE')
        self.wait_for(lambda: 'do not arrive' in log.read_text(), 'loss')
        time.sleep(3)
        self.database.execute('COMMIT')
        self.wait_for(lambda: 'arrive again' in log.read_text(), 'recovery')
        self.assertEqual(1, log.read_text().count('do not arrive'))
        self.assertEqual(1, log.read_text().count('arrive again'))

        self.write_conf(interval=3600)
        process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: 'was reloaded' in log.read_text(), 'reload')

        # The first beat of the new interval comes; the next is an hour away.
        counted = self.beats('h1')
        self.wait_for(lambda: self.beats('h1') != counted, 'first beat')
        counted = self.beats('h1')
        time.sleep(3)
        self.assertEqual(counted, self.beats('h1'))

        for running in (process, other):
            running.send_signal(signal.SIGTERM)
            self.assertEqual(0, running.wait(20), log.read_text())
        self.assertNotIn('Traceback', log.read_text())
        self.assertEqual(1, len(self.beats('h1')))

    def test_flood_of_reloads_does_not_keep_it_from_ending(self):
        process, log = self.start('h1')
        self.wait_for(lambda: self.beaten('h1'), 'beat')
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: 'was reloaded' in log.read_text(), 'reload')
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(20), log.read_text())
        self.assertNotIn('Traceback', log.read_text())

    def test_it_ends_while_a_heartbeat_hangs(self):
        self.set_database_timeout(PATIENCE)
        process, log = self.start('h1')
        self.wait_for(lambda: self.beaten('h1'), 'beat')
        self.database.execute('BEGIN EXCLUSIVE')
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(15), log.read_text())
        self.database.execute('ROLLBACK')

    def set_database_timeout(self, seconds):
        self.conf.write_text(self.conf.read_text().replace(
            'timeout=0.2', f'timeout={seconds}'))

    def test_several_workers_send_heartbeats_and_end(self):
        process, log = self.start_program('-c', _WORKERS, str(self.conf))
        self.wait_for(lambda: self.beaten('h1', least=3), 'heartbeats')
        for _number in range(1000):
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(PATIENCE), log.read_text())
        self.assertNotIn('Traceback', log.read_text())

    def test_it_takes_up_its_record(self):
        for _again in range(2):
            process, log = self.start('h1')
            self.wait_for(lambda log=log: 'Starting conductor' in
                          log.read_text(), 'start')
            self.wait_for(lambda: self.beats('h1'), 'record')
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(0, process.wait(20), log.read_text())
        self.assertEqual(1, len(self.beats('h1')))

    def test_a_record_in_its_way_is_named(self):
        self.database.execute(
            'INSERT INTO services (host, binary, topic, report_count, '
            'disabled, deleted, forced_down, version, uuid) VALUES '
            "('h1', 'nova-compute', 'conductor', 0, 0, 0, 0, 74, 'u1')")
        self.assert_fails(
            self.run_command('service', '--binary', 'nova-conductor',
                             '--host', 'h1'), 'nova-compute', 'u1')

    def test_a_process_that_is_too_old_does_not_start(self):
        self.database.execute(
            'INSERT INTO services (host, binary, topic, report_count, '
            'disabled, deleted, forced_down, version, uuid) VALUES '
            "('h1', 'nova-conductor', 'conductor', 0, 0, 0, 0, 99, 'u1')")
        self.assert_fails(
            self.run_command('service', '--binary', 'nova-conductor',
                             '--host', 'h2'), 'v74', 'v99')

    def test_a_missing_binary_is_wrong_usage(self):
        done = self.run_command('service')
        self.assertEqual(
            (2, '', 'nova-service: --binary is required\n'),
            (done.returncode, done.stdout, done.stderr))

    def test_an_unknown_binary_leaves_nothing(self):
        self.assert_fails(
            self.run_command('service', '--binary', 'nova-unknown',
                             '--host', 'h1'), 'nova-unknown')
        self.assertEqual([], self.beats('h1'))
