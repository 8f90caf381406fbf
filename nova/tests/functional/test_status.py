# SPDX-License-Identifier: Apache-2.0
"""nova-status, as a process of its own, without a broker."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import time

import confluent_kafka
import fixtures
from oslo_utils import timeutils
from oslotest import base

from nova.tests.fixtures import processes

SUCCESS, WARNING, FAILURE = range(3)

#: Seconds within which it must answer whatever is down. Of these it waits for
#: 8, which its answer names; the rest lets a busy machine start the process.
BOUND = 30

#: in each password that a test uses
SECRET = 'hush'


class StatusTestCase(base.BaseTestCase):
    """Runs nova-status with a nova.conf that is well but for the bus."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.conf = self.folder / 'nova.conf'
        self.environment = dict(os.environ)
        self.options = {
            'DEFAULT': {'transport_url': 'fake:/'},
            'database': {
                'connection': f'sqlite:///{self.folder}/nova.sqlite'},
            'notifications': {'notification_format': 'versioned'},
            'oslo_messaging_notifications': {'driver': 'messagingv2'}}

    def set(self, group, **options):
        self.options.setdefault(group, {}).update(options)

    def run_status(self, *arguments):
        """Run it with a nova.conf of the options."""
        processes.write_conf(self.conf, self.options)
        return self.run_bare('--config-file', str(self.conf), *arguments)

    def run_bare(self, *arguments):
        done = subprocess.run(
            [sys.executable, '-m', 'nova.cmd.status', *arguments],
            capture_output=True, text=True, check=False,
            env=self.environment, timeout=processes.PATIENCE)
        self.assertNotIn(SECRET, done.stdout + done.stderr)
        return done

    def check(self):
        """Return code and details of each finding, in order."""
        done = self.run_status('notifications', 'check', '--json')
        self.assertNotIn('Traceback', done.stderr)
        self.assertNotEqual('', done.stdout, done.stderr)
        found = {one['check']: (one['result'], one['details'])
                 for one in json.loads(done.stdout)['checks']}
        self.assertEqual(max(code for code, _details in found.values()),
                         done.returncode)
        return found

    def assert_found(self, name, code, *words):
        """Check one finding; return all."""
        found = self.check()
        self.assertEqual(code, found[name][0], found)
        for word in words:
            self.assertIn(word, found[name][1])
        return found

    def sync(self):
        processes.write_conf(self.conf, self.options)
        processes.run('manage', '--config-file', self.conf, 'db', 'sync')

    def start_relay(self):
        processes.write_conf(self.conf, self.options)
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova.cmd.relay', '--config-file',
             self.conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def wait_for_relay(self):
        """Return the findings once a relay is active."""
        deadline = time.monotonic() + processes.PATIENCE
        while True:
            found = self.check()
            if found['Relay'][0] == SUCCESS:
                return found
            self.assertLess(time.monotonic(), deadline, found)


class TestCommand(StatusTestCase):

    def test_the_table_is_the_answer(self):
        done = self.run_status('notifications', 'check')
        lines = [line.strip('| ') for line in done.stdout.splitlines()
                 if line.startswith('|')]
        self.assertEqual('Notification Check Results', lines[0])
        self.assertEqual(['Check: Format', 'Result: Success',
                          'Details: versioned'], lines[1:4])
        self.assertEqual('+', done.stdout[0])
        self.assertEqual((WARNING, ''), (done.returncode, done.stderr))

    def test_all_findings(self):
        self.assertEqual({
            'Format': (SUCCESS, 'versioned'),
            'Driver': (SUCCESS, 'messagingv2'),
            'Delivery': (SUCCESS, 'direct'),
            'Message bus': (WARNING, (
                'transport_url is fake:, a bus inside each process: nothing '
                'leaves it. Set it to '
                'rabbit://USER:PASSWORD@HOST:5672/VHOST.')),
            'Outbox': (SUCCESS, 'none, and delivery is direct')},
            self.check())

    def test_all_is_well(self):
        self.sync()
        cluster = confluent_kafka.Producer({'test.mock.num.brokers': 1})
        cluster.produce('versioned_notifications.info', b'')
        self.assertEqual(0, cluster.flush(10))
        (broker,) = cluster.list_topics(timeout=10).brokers.values()
        self.set('DEFAULT',
                 transport_url=f'kafka://{broker.host}:{broker.port}/')
        found = self.assert_found(
            'Topic versioned_notifications.info', SUCCESS, '4 partitions',
            'kafka-consumer-groups')
        self.assertEqual({SUCCESS}, {code for code, _text in found.values()})
        self.assertIn('answers', found['Message bus'][1])
        self.assertEqual('0 wait.', found['Outbox'][1])

    def test_wrong_usage(self):
        for arguments in ([], ['nope'], ['notifications'],
                          ['notifications', 'nope'],
                          ['notifications', 'check', '--nope']):
            done = self.run_status(*arguments)
            self.assertEqual((2, ''), (done.returncode, done.stdout))
            self.assertIn('nova-status', done.stderr)
            self.assertNotIn('Traceback', done.stderr)

    def test_help_and_version(self):
        for option, expected in (('--help', 'notifications'),
                                 ('--version', '.')):
            done = self.run_bare(option)
            self.assertEqual(0, done.returncode)
            self.assertIn(expected, done.stdout)

    def test_a_config_dir(self):
        processes.write_conf(self.conf, self.options)
        done = self.run_bare('--config-dir', str(self.folder),
                             'notifications', 'check')
        self.assertIn('Details: versioned', done.stdout)

    def _assert_unexpected(self, done, *words):
        self.assertEqual((255, ''), (done.returncode, done.stdout))
        (line,) = done.stderr.splitlines()
        self.assertTrue(line.startswith('nova-status: '), line)
        for word in words:
            self.assertIn(word, line)

    def test_a_missing_config_file_is_unexpected(self):
        self._assert_unexpected(self.run_bare(
            '--config-file', '/nope', 'notifications', 'check'), '/nope')

    def test_a_value_that_cannot_be_is_unexpected(self):
        self.set('notifications', notification_format='loud')
        self._assert_unexpected(
            self.run_status('notifications', 'check'), 'loud', 'versioned')
        self.set('notifications', notification_format='versioned')
        self.set('oslo_messaging_notifications', retry='often')
        self._assert_unexpected(
            self.run_status('notifications', 'check'), 'retry', 'often')
        done = self.run_status('--debug', 'notifications', 'check')
        self.assertEqual(255, done.returncode)
        self.assertIn('Traceback', done.stderr)


class TestConfiguration(StatusTestCase):

    def test_formats(self):
        self.set('notifications', notification_format='both')
        self.assert_found('Format', SUCCESS, 'both')
        self.set('notifications', notification_format='unversioned')
        self.assert_found('Format', FAILURE, 'Set it to versioned.')

    def test_drivers(self):
        for driver, code, words in (
                ('', FAILURE, 'not set'),
                ('noop', FAILURE, 'is noop: nothing is sent'),
                ('messagingv3', FAILURE, 'no messagingv3'),
                ('log', WARNING, 'Add messagingv2.'),
                ('messaging\ndriver = messagingv2', WARNING, 'sent twice'),
                ('messaging', SUCCESS, 'messaging'),
                ('messagingv2\ndriver = log', SUCCESS, 'log, messagingv2')):
            self.set('oslo_messaging_notifications', driver=driver)
            if not driver:
                del self.options['oslo_messaging_notifications']
            found = self.assert_found('Driver', code, words)
            self.assertEqual(driver != 'log', 'Message bus' in found)

    def test_no_topic(self):
        self.set('notifications', versioned_notifications_topics='')
        self.assert_found('Topics', FAILURE, 'nothing is sent')

    def test_a_request_that_may_wait_for_ever(self):
        self.set('DEFAULT', transport_url='rabbit://127.0.0.1:1/')
        self.assert_found('Delivery', WARNING, 'retry is -1', 'Set retry to')
        for retry in (0, 3):
            self.set('oslo_messaging_notifications', retry=retry)
            self.assert_found('Delivery', SUCCESS, 'direct',
                              f'after {retry} retries')
        self.set('oslo_messaging_notifications', retry=-1)
        self.set('notifications', delivery='outbox')
        self.assert_found('Delivery', SUCCESS, 'outbox')


class TestBus(StatusTestCase):

    def _assert_down(self, *words):
        start = time.monotonic()
        found = self.assert_found('Message bus', FAILURE, *words)
        self.assertLess(time.monotonic() - start, BOUND)
        self.assertNotIn('Queue versioned_notifications.info', found)

    def test_nobody_listens_there(self):
        self.set('DEFAULT', transport_url=(
            'rabbit://u:hush1@127.0.0.1:1,u:hush2@127.0.0.1:2/v'))
        self._assert_down('127.0.0.1:1, 127.0.0.1:2', 'refused',
                          'Check that RabbitMQ runs')
        # Said once, not in the log as well.
        self.assertEqual('', self.run_status('notifications', 'check').stderr)
        # The notifications' own comes first.
        self.set('oslo_messaging_notifications',
                 transport_url='kafka://u:hush@127.0.0.1:3/')
        self._assert_down('127.0.0.1:3', 'refused', 'oslo_messaging_kafka')

    def test_somebody_listens_there_and_never_answers(self):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            where = f'127.0.0.1:{silent.getsockname()[1]}'
            for scheme in ('rabbit', 'kafka'):
                self.set('DEFAULT',
                         transport_url=f'{scheme}://u:hush@{where}/')
                self._assert_down(where)
            # Longer than the whole may take.
            hosts = ','.join([f'u:hush@{where}'] * 4)
            self.set('DEFAULT', transport_url=f'rabbit://{hosts}/')
            self._assert_down('no answer within 8 s')

    def test_a_url_that_is_read_otherwise_than_it_was_meant(self):
        for url in ('rabbit://u:hush/x@127.0.0.1/',
                    'rabbit://u:1#hush@127.0.0.1/',
                    'rabbit://u:hush%2Fx@127.0.0.1:1/',
                    '127.0.0.1:5672'):
            self.set('DEFAULT', transport_url=url)
            self._assert_down('percent-encoded')

    def test_an_unknown_bus(self):
        self.set('DEFAULT', transport_url='rabit://u:hush@127.0.0.1/')
        self._assert_down('rabit', 'rabbit://USER:PASSWORD@HOST:5672/VHOST')

    def test_tls_as_it_cannot_be(self):
        self.set('oslo_messaging_rabbit', ssl='true', ssl_version='nope')
        self.set('DEFAULT', transport_url='rabbit://u:hush@127.0.0.1:1/')
        self._assert_down('SSL version', '[oslo_messaging_rabbit]')

    def test_kafka_without_its_package(self):
        (self.folder / 'confluent_kafka.py').write_text(
            "raise ImportError('No module named confluent_kafka')")
        self.environment['PYTHONPATH'] = os.pathsep.join(
            [str(self.folder), *sys.path])
        self.set('DEFAULT', transport_url='kafka://u:hush@127.0.0.1:1/')
        self._assert_down('needs the Python package confluent_kafka')

    def test_kafka_without_the_topic(self):
        cluster = confluent_kafka.Producer({'test.mock.num.brokers': 1})
        (broker,) = cluster.list_topics(timeout=10).brokers.values()
        self.set('DEFAULT',
                 transport_url=f'kafka://{broker.host}:{broker.port}/v')
        for _again in range(2):
            self.assert_found('Topic versioned_notifications.info.v',
                              WARNING, 'does not exist')


class TestOutbox(StatusTestCase):

    def setUp(self):
        super().setUp()
        self.set('notifications', delivery='outbox')

    def add(self, age=0, parked=False):
        """Store a notification of so many seconds ago."""
        then = timeutils.utcnow() - datetime.timedelta(seconds=age)
        with contextlib.closing(sqlite3.connect(
                self.folder / 'nova.sqlite')) as database, database:
            database.execute(
                'INSERT INTO notification_outbox (aggregatetype, '
                'aggregateid, type, payload, message_id, timestamp, '
                'publisher_id, priority, topics, context, attempts, '
                "created_at, parked_at) VALUES ('service', 'u', "
                "'service.create', '{}', 'm', 't', 'p', 'info', '[]', '{}', "
                '0, ?, ?)', (str(then), str(then) if parked else None))

    def test_it_must_be_there_if_it_is_used(self):
        self.assert_found('Outbox', FAILURE, "'nova-manage db sync'")
        self.sync()
        self.assert_found('Outbox', SUCCESS, '0 wait.')

    def test_somebody_must_empty_it(self):
        self.sync()
        self.assert_found('Relay', FAILURE, 'No relay is active',
                          'Start nova-relay.')
        self.start_relay()
        self.assertIn('is active', self.wait_for_relay()['Relay'][1])

    def test_a_relay_that_died_is_named(self):
        self.sync()
        with contextlib.closing(sqlite3.connect(
                self.folder / 'nova.sqlite')) as database, database:
            database.execute('INSERT INTO notification_relay (id, holder, '
                             "beat) VALUES (1, 'ctl1:7:x', 3)")
        self.assert_found('Relay', FAILURE, 'ctl1:7:x was the last')

    def test_old_ones(self):
        self.sync()
        self.add(age=30)
        self.assert_found('Outbox', SUCCESS, '1 wait.')
        self.add(age=4000)
        self.assert_found('Outbox', WARNING, '2 wait', 'for 4,00',
                          'log of nova-relay')

    def test_parked_ones(self):
        self.sync()
        self.add(age=4000, parked=True)
        self.assertEqual((WARNING, (
            "0 wait. 1 are parked. See why with 'nova-manage outbox list "
            "--parked', then let the relay try them again ('nova-manage "
            "outbox retry') or delete them ('nova-manage outbox discard').")),
            self.check()['Outbox'])

    def test_leftovers_of_another_delivery(self):
        self.sync()
        self.set('notifications', delivery='direct')
        self.assertNotIn('Relay', self.check())
        self.add()
        found = self.assert_found('Outbox', WARNING, '1 wait',
                                  'Keep nova-relay running')
        self.assertEqual(FAILURE, found['Relay'][0])

    def test_a_database_that_is_down(self):
        for scheme in ('mysql+pymysql', 'postgresql+psycopg2'):
            self.set('database',
                     connection=f'{scheme}://nova:hush@127.0.0.1:1/nova')
            self.assert_found('Outbox', FAILURE, '127.0.0.1', 'refused',
                              'Check [database] connection')

    def test_a_database_that_never_answers(self):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            port = silent.getsockname()[1]
            self.set('database', connection=(
                f'mysql+pymysql://nova:hush@127.0.0.1:{port}/nova'))
            start = time.monotonic()
            self.assert_found('Outbox', FAILURE, 'no answer within 8 s',
                              '[database] connection')
            self.assertLess(time.monotonic() - start, BOUND)

    def test_a_url_that_names_no_database(self):
        for url, reason in (
                ('', 'is not set'), ('hush', 'is not a URL'),
                ('mysql+pymysql://nova:p@hush@127.0.0.1/nova', 'be read'),
                ('mysql+pymysql://nova:hush@h:1:2/nova', 'is not a URL'),
                ('nope+no://nova:hush@127.0.0.1/nova', 'dialects:nope'),
                ('postgresql+pg8000://nova:hush@127.0.0.1/nova',
                 "No module named 'pg8000'")):
            self.set('database', connection=url)
            self.assert_found('Outbox', FAILURE, reason, 'percent-encoded')
