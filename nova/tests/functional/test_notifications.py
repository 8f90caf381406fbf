# SPDX-License-Identifier: Apache-2.0
"""nova-manage notifications: what is sent, and all of it once more."""

import contextlib
import datetime
import itertools
import json
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid

from nova.notifications import asyncapi
from nova.notifications import samples
from nova.notifications import schema
from nova.tests import fixtures
from nova.tests.fixtures import processes
from nova.tests.functional import lifecycle
from nova.tests.functional import races
from nova.tests.functional import test_commands

_ROOT = pathlib.Path(__file__).parents[3]

_INSERT = '''
INSERT INTO services (host, binary, topic, report_count, disabled, deleted,
                      forced_down, version, uuid)
VALUES (?, ?, ?, 3, 1, ?, 0, 74, ?)
'''


class CommandTestCase(test_commands.CommandTestCase):

    def notifications(self, *arguments, **options):
        return self.run_command('manage', 'notifications', *arguments,
                                **options)

    def answer(self, *arguments, **options):
        """Return what a command prints that neither fails nor logs."""
        done = self.notifications(*arguments, **options)
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        return done.stdout


class TestDescription(CommandTestCase):

    def test_the_events_are_listed(self):
        listed = json.loads(self.answer('list', '--format', 'json',
                                        conf=False))
        self.assertEqual([
            {'event': f'service.{action}', 'payload': 'ServiceStatusPayload',
             'version': '1.1', 'sample': f'service-{action}.json'}
            for action in ('create', 'delete', 'update')], listed)
        table = self.answer('list', conf=False)
        for event in listed:
            for cell in event.values():
                self.assertIn(cell, table)

    def test_json_schema_is_printed(self):
        self.assertEqual(schema.document(), json.loads(
            self.answer('schema', conf=False)))

    def test_asyncapi_has_the_topics_and_the_exchange_of_the_site(self):
        self.assertEqual(
            asyncapi.document('nova', ['versioned_notifications']),
            json.loads(self.answer('schema', '--format', 'asyncapi',
                                   conf=False)))
        self.conf.write_text('[DEFAULT]\ncontrol_exchange = bus\n'
                             'transport_url = rabbit://127.0.0.1:1/\n'
                             '[notifications]\n'
                             'versioned_notifications_topics = one,two\n')
        self.assertEqual(
            asyncapi.document('bus', ['one', 'two']),
            json.loads(self.answer('schema', '--format', 'asyncapi')))

    def test_wrong_usage(self):
        for arguments in ((), ('schema', '--format', 'yaml'),
                          ('resync', '--rate', '0'),
                          ('resync', '--rate', 'fast')):
            self.assertEqual(2, self.notifications(*arguments).returncode)


class TestInstalled(CommandTestCase):
    """In a folder that has nothing but what setup.cfg installs."""

    def setUp(self):
        super().setUp()
        self.packages = self.folder / 'lib' / 'python3' / 'site-packages'
        shutil.copytree(_ROOT / 'nova', self.packages / 'nova',
                        ignore=shutil.ignore_patterns('tests'))

    def _asyncapi(self):
        return subprocess.run(
            [sys.executable, '-m', 'nova.cmd.manage', 'notifications',
             'schema', '--format', 'asyncapi'], capture_output=True,
            text=True, timeout=test_commands.PATIENCE, check=False,
            cwd=self.packages)

    def test_the_samples_are_found(self):
        shutil.copytree(samples.folder(), self.folder / 'share' / 'nova'
                        / 'notification_samples')
        done = self._asyncapi()
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual(['service.create', 'service.delete',
                          'service.update'], list(json.loads(done.stdout)[
                              'components']['messages']))

    def test_samples_that_are_missing_are_named(self):
        self.assert_fails(self._asyncapi(),
                          'share/nova/notification_samples')


class TestResync(CommandTestCase):

    def setUp(self):
        super().setUp()
        self.run_command('manage', 'db', 'sync')
        self.set_options(driver='log')

    def set_options(self, driver, url='fake:/', **options):
        self.write_conf()
        text = self.conf.read_text()
        text = text.replace('driver = messagingv2', f'driver = {driver}')
        text = text.replace('fake:/', url)
        text = text.replace('[notifications]', '\n'.join((
            '[notifications]', *(f'{name} = {value}' for name, value
                                 in options.items()))))
        self.conf.write_text(text)

    def query(self, statement, *values):
        with contextlib.closing(sqlite3.connect(
                self.folder / 'nova.sqlite')) as database, database:
            return database.execute(statement, values).fetchall()

    def add(self, host, binary, deleted=0):
        identity = str(uuid.uuid4())
        self.query(_INSERT, host, binary, f'topic of {binary}', deleted,
                   identity)
        return identity

    def resync(self, *arguments):
        """Return what is printed, and the messages in the driver's log."""
        done = self.notifications('resync', *arguments)
        self.assertEqual(0, done.returncode, done.stderr)
        sent = [json.loads(line[line.index('{'):])
                for line in done.stderr.splitlines()
                if 'oslo.messaging.notification.service.' in line]
        checked = self.useFixture(fixtures.SchemaFixture())
        for message in sent:
            checked.check(message)
        return done.stdout, sent

    def hosts(self, *arguments):
        answer, sent = self.resync(*arguments)
        return answer, [message['payload']['nova_object.data']['host']
                        for message in sent]

    def test_each_service_is_announced_as_it_is(self):
        first = self.add('h1', 'nova-compute')
        second = self.add('h1', 'nova-osapi_compute')
        self.add('h2', 'nova-compute', deleted=3)
        before = self.query('SELECT * FROM services')
        answer, sent = self.resync()
        self.assertEqual('2 announced\n', answer)
        self.assertEqual(before, self.query('SELECT * FROM services'))
        for message in sent:
            del message['message_id'], message['timestamp']
        self.assertEqual([{
            'event_type': 'service.update', 'priority': 'INFO',
            'publisher_id': publisher, 'payload': {
                'nova_object.name': 'ServiceStatusPayload',
                'nova_object.namespace': 'nova',
                'nova_object.version': '1.1',
                'nova_object.data': {
                    'host': 'h1', 'binary': binary,
                    'topic': f'topic of {binary}', 'report_count': 3,
                    'disabled': True, 'disabled_reason': None,
                    'availability_zone': None, 'last_seen_up': None,
                    'forced_down': False, 'version': 74, 'uuid': identity}}}
            for publisher, binary, identity in (
                ('nova-compute:h1', 'nova-compute', first),
                ('nova-api:h1', 'nova-osapi_compute', second))], sent)

    def test_filters(self):
        for host in ('h1', 'h2'):
            for binary in ('nova-compute', 'nova-conductor'):
                self.add(host, binary)
        self.assertEqual(('2 announced\n', ['h2', 'h2']),
                         self.hosts('--host', 'h2'))
        self.assertEqual(('2 announced\n', ['h1', 'h2']),
                         self.hosts('--binary', 'nova-compute'))
        self.assertEqual(
            ('1 announced\n', ['h2']),
            self.hosts('--host', 'h2', '--binary', 'nova-compute'))
        self.assertEqual(
            ('0 announced: there is no service of host h3 and binary '
             'nova-compute\n', []),
            self.hosts('--host', 'h3', '--binary', 'nova-compute'))

    def test_an_empty_registry_is_said(self):
        self.assertEqual(('0 announced: there is no service\n', []),
                         self.hosts())

    def test_what_cannot_be_announced_is_passed_over(self):
        self.add('h1', 'nova-unknown')
        self.add(None, 'nova-compute')
        self.add('h2', 'nova-compute')
        done = self.notifications('resync')
        self.assertEqual(
            (0, '1 announced, 2 passed over: see the warnings\n'),
            (done.returncode, done.stdout))
        self.assertIn('nova-unknown of host h1 was passed over', done.stderr)
        self.assertIn('host of a nova-compute service must', done.stderr)

    def _times(self):
        return [datetime.datetime.fromisoformat(text) for (text,) in
                self.query('SELECT timestamp FROM notification_outbox '
                           'ORDER BY id')]

    def test_with_the_outbox_they_wait_for_the_relay_at_an_even_pace(self):
        self.set_options('messagingv2', delivery='outbox')
        for number in range(5):
            self.add(f'h{number}', 'nova-compute')
        answer, _sent = self.resync('--rate', '4')
        self.assertEqual('5 announced\n', answer)
        times = self._times()
        self.assertEqual(5, len(times))
        pauses = [(later - earlier).total_seconds()
                  for earlier, later in itertools.pairwise(times)]
        self.assertGreater(min(pauses), 0.2)
        # A busy machine makes some of the pauses longer, but not all.
        self.assertLess(min(pauses), 0.9)

    def _start_slowly(self, services):
        """Return a process that has announced the first of some services.

        It announces one a second.
        """
        self.set_options('messagingv2', delivery='outbox')
        for number in range(services):
            self.add(f'h{number}', 'nova-compute')
        process = subprocess.Popen(
            [*processes.INTERRUPTIBLE, sys.executable, '-m',
             'nova.cmd.manage', '--config-file', str(self.conf),
             'notifications', 'resync', '--rate', '1'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + test_commands.PATIENCE
        while not self._times():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        return process

    def test_it_stops_when_told(self):
        process = self._start_slowly(services=100)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=test_commands.PATIENCE)
        self.assertEqual((130, '', ''), (process.returncode, output, errors))
        self.assertLess(len(self._times()), 100)

    def test_what_is_deleted_meanwhile_is_left_out(self):
        process = self._start_slowly(services=6)
        self.query("UPDATE services SET deleted = id WHERE host = 'h5'")
        output, errors = process.communicate(timeout=test_commands.PATIENCE)
        self.assertEqual((0, '5 announced\n', ''),
                         (process.returncode, output, errors))
        self.assertEqual(5, len(self._times()))

    def test_without_notifications_it_is_refused(self):
        self.write_conf(wanted='unversioned')
        self.assert_fails(self.notifications('resync'), 'notification_format',
                          '[oslo_messaging_notifications] driver')
        self.set_options(driver='noop')
        self.assert_fails(self.notifications('resync'),
                          '[oslo_messaging_notifications] driver')

    def test_without_an_outbox_it_is_refused(self):
        self.set_options('messagingv2', delivery='outbox')
        self.add('h1', 'nova-compute')
        self.query('DROP TABLE notification_outbox')
        self.assert_fails(self.notifications('resync'), 'db sync')

    def test_a_bus_that_is_down_is_said_and_ends_it(self):
        self.set_options('messagingv2', 'rabbit://guest:guest@127.0.0.1:1/')
        for number in range(3):
            self.add(f'h{number}', 'nova-compute')
        self.assert_fails(self.notifications('resync'),
                          '0 of 3 services were announced')


class TestAnnounce(races.AnnounceTests, lifecycle.LifecycleTestCase):
    """On SQLite."""
