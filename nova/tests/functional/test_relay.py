# SPDX-License-Identifier: Apache-2.0
"""nova-relay and nova-manage outbox as processes."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from urllib import error
from urllib import request

from nova.tests.fixtures import servers
from nova.tests.functional import test_commands

#: seconds that the relay may take to send
PATIENCE = 30

CONF = '''
[DEFAULT]
transport_url = fake:/
[database]
connection = sqlite:///{folder}/nova.sqlite
[notifications]
notification_format = {wanted}
delivery = outbox
[oslo_messaging_notifications]
driver = log
'''

UUID = 'e81d66a4-ddd3-4aba-8a84-171d1cb4d339'

COLUMNS = {
    'aggregatetype': 'service', 'aggregateid': 'u', 'type': 'service.update',
    'payload': '{"nova_object.data": {}}', 'message_id': 'm1',
    'timestamp': '2026-01-01 00:00:00.1', 'publisher_id': 'nova-compute:h1',
    'priority': 'info', 'topics': '["versioned_notifications"]',
    'context': '{}', 'created_at': '2026-01-01 00:00:00.000000',
    'attempts': 0}


class TestRelayCommand(test_commands.CommandTestCase):

    def write_conf(self, wanted='versioned', more=''):
        self.conf.write_text(
            CONF.format(folder=self.folder, wanted=wanted) + more)

    def store(self, **values):
        row = {**COLUMNS, **values}
        with sqlite3.connect(self.folder / 'nova.sqlite') as database:
            database.execute(
                f'INSERT INTO notification_outbox ({", ".join(row)}) VALUES '
                f'({", ".join("?" * len(row))})', list(row.values()))

    def outbox(self, *arguments):
        return self.run_command('manage', 'outbox', *arguments)

    def status(self):
        return json.loads(self.outbox('status', '--format', 'json').stdout)

    def test_without_the_table_it_says_what_to_do(self):
        for done in (self.run_command('relay'), self.outbox('status'),
                     self.run_command('service', '--binary', 'nova-compute')):
            self.assertEqual(1, done.returncode)
            self.assertIn("run 'nova-manage db sync'", done.stderr)

    def test_without_anything_to_send_to_it_says_what_to_set(self):
        self.run_command('manage', 'db', 'sync')
        self.write_conf(wanted='unversioned')
        self.assert_fails(self.run_command('relay'),
                          'notification_format to versioned')

    def start(self):
        """Start a relay and wait until it has parked what is broken."""
        log = self.folder / 'log'
        with log.open('w') as output:
            relay = subprocess.Popen(
                [sys.executable, '-m', 'nova.cmd.relay', '--config-file',
                 self.conf], stderr=output)
        self.addCleanup(relay.wait)
        self.addCleanup(relay.kill)
        deadline = time.monotonic() + PATIENCE
        while 'was parked' not in log.read_text():
            self.assertLess(time.monotonic(), deadline, log.read_text())
            time.sleep(0.1)
        return relay, log

    def test_its_health_and_figures(self):
        self.run_command('manage', 'db', 'sync')
        self.store()
        self.store(payload='{', message_id='broken')
        port = servers.free_port()
        self.write_conf(more=f'[relay]\nmetrics_port = {port}\n')
        relay, _log = self.start()
        url = f'http://127.0.0.1:{port}'
        health = self.wait_for_health(url)
        self.assertRegex(health['holder'], f':{relay.pid}:')
        self.assertEqual(health['holder'], health.pop('relay'))
        del health['holder']
        self.assertEqual(
            {'active': True, 'trouble': None, 'oldest_age': None}, health)
        with request.urlopen(f'{url}/metrics', timeout=30) as answer:
            figures = answer.read().decode().splitlines()
        for line in ('nova_outbox_publish_seconds_count 1.0',
                     'nova_outbox_parked_total 1.0',
                     'nova_outbox_retried_total 0.0',
                     'nova_outbox_relay_active 1.0',
                     'nova_outbox_trouble 0.0',
                     'nova_outbox_depth 0.0',
                     'nova_outbox_oldest_seconds 0.0',
                     'nova_outbox_parked_depth 1.0'):
            self.assertIn(line, figures)
        with sqlite3.connect(self.folder / 'nova.sqlite') as database:
            database.execute('DROP TABLE notification_outbox')
        refusal = self.wait_for_trouble(url)
        self.assertEqual(503, refusal.code)
        self.assertIn('the database', json.load(refusal)['trouble'])
        with request.urlopen(f'{url}/metrics', timeout=30) as answer:
            figures = answer.read().decode().splitlines()
        self.assertIn('nova_outbox_trouble 1.0', figures)
        self.assertIn('nova_outbox_parked_total 1.0', figures)
        with sqlite3.connect(self.folder / 'nova.sqlite') as database:
            database.execute('CREATE TABLE notification_outbox (id INTEGER)')
        self.assert_fails(self.run_command('relay'), 'metrics_port',
                          'Address already in use')

    def wait_for_health(self, url):
        """Return the health once the relay has seen the outbox drained."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with request.urlopen(f'{url}/healthcheck', timeout=30) as answer:
                health = json.load(answer)
            if health['oldest_age'] is None:
                return health
            self.assertLess(time.monotonic(), deadline, health)
            time.sleep(0.1)

    def wait_for_trouble(self, url):
        """Return the answer of an unhealthy relay."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                request.urlopen(f'{url}/healthcheck', timeout=30).close()
            except error.HTTPError as refusal:
                return refusal
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def test_who_holds_a_connection_does_not_hold_the_relay(self):
        self.run_command('manage', 'db', 'sync')
        self.store(payload='{')
        port = servers.free_port()
        self.write_conf(more=f'[relay]\nmetrics_port = {port}\n')
        relay, _log = self.start()
        with socket.create_connection(('127.0.0.1', port)):
            relay.send_signal(signal.SIGTERM)
            self.assertEqual(0, relay.wait(PATIENCE))

    def test_it_sends_parks_and_stops(self):
        self.run_command('manage', 'db', 'sync')
        self.store()
        self.store(payload='{', message_id='broken')
        relay, log = self.start()
        status = self.status()
        self.assertEqual((0, 1, None, True), (
            status['depth'], status['parked'], status['oldest_age'],
            status['relay_alive']))
        self.assertIn(f':{relay.pid}:', status['relay'])
        relay.send_signal(signal.SIGTERM)
        self.assertEqual(0, relay.wait(PATIENCE))
        self.assertIn('"message_id": "m1"', log.read_text())
        self.assertEqual((None, False), (
            self.status()['relay'], self.status()['relay_alive']))

    def test_an_operator_sees_what_waits_and_deals_with_what_is_parked(self):
        self.run_command('manage', 'db', 'sync')
        self.store()
        for number in range(3):
            self.store(parked_at='2026-01-01 00:00:01.000000', attempts=5,
                       error='too large', message_id=f'p{number}')
        status = self.status()
        self.assertEqual((1, 3), (status['depth'], status['parked']))
        self.assertGreater(status['oldest_age'], 1000)
        self.assertRegex(self.outbox('status').stdout,
                         r'parked +\| 3 +\|\n\| active relay \| none')
        self.assertEqual(['m1', 'p0', 'p1', 'p2'], [
            row['message_id'] for row in json.loads(
                self.outbox('list', '--format', 'json').stdout)])
        listed = self.outbox('list', '--parked', '--limit', '1').stdout
        self.assertIn('too large', listed)
        self.assertEqual(5, len(listed.splitlines()))
        self.assertEqual('1 discarded\n', self.outbox('discard', '3').stdout)
        self.assertEqual('2 discarded\n',
                         self.outbox('discard', '--all').stdout)
        status = self.status()
        self.assertEqual((1, 0), (status['depth'], status['parked']))

    def _store_parked(self):
        """Store a service and parked notifications of it and of others."""
        with sqlite3.connect(self.folder / 'nova.sqlite') as database:
            database.execute(
                'INSERT INTO services (host, binary, topic, report_count, '
                'disabled, deleted, forced_down, version, uuid) VALUES '
                "('h1', 'nova-compute', 'compute', 3, 0, 0, 0, 74, ?)",
                (UUID,))
        self.store(message_id='waiting')
        for aggregateid, event in (
                (UUID, 'service.update'), ('deleted', 'service.update'),
                ('deleted', 'service.delete'), ('other', 'other.update')):
            self.store(parked_at='2026-01-01 00:00:01.000000', error='large',
                       aggregateid=aggregateid, message_id=event, type=event,
                       aggregatetype=event.partition('.')[0])

    def test_list_tells_which_parked_ones_are_superseded(self):
        self.run_command('manage', 'db', 'sync')
        self._store_parked()
        self.assertEqual(
            [(1, False), (2, True), (3, True), (4, False), (5, False)],
            [(row['id'], row['superseded']) for row in json.loads(
                self.outbox('list', '--format', 'json').stdout)])
        listed = self.outbox('list').stdout.splitlines()
        self.assertEqual(
            ['superseded', '', 'yes', 'yes', 'no', 'no'],
            [line.split('|')[7].strip() for line in listed
             if line.startswith('| ')])

    def test_retry_says_what_it_does_with_each(self):
        self.run_command('manage', 'db', 'sync')
        self._store_parked()
        done = self.outbox('retry', '1', '2', '99', '2')
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual([
            '1 is not parked', '99 is not parked',
            '0 sent again as they were, 1 replaced by the current state, '
            '0 dropped, 0 left parked'], done.stdout.splitlines())
        done = self.outbox('retry', '--all')
        self.assertEqual([
            'dropped 3, service.update of nova-compute:h1: its service is '
            'deleted',
            'left 5, other.update of nova-compute:h1: no current state to '
            'compare it with is known; give its id to send it as it was',
            '1 sent again as they were, 0 replaced by the current state, '
            '1 dropped, 1 left parked'], done.stdout.splitlines())
        self.assertEqual(
            {'sent_again': 1, 'replaced': 0, 'dropped': 0, 'left': 0,
             'not_parked': [4], 'details': []},
            json.loads(self.outbox('retry', '4', '5', '--format',
                                   'json').stdout))
        with sqlite3.connect(self.folder / 'nova.sqlite') as database:
            waiting = list(database.execute(
                'SELECT message_id, type FROM notification_outbox WHERE '
                'parked_at IS NULL ORDER BY id'))
        self.assertEqual([
            ('waiting', 'service.update'),
            ('service.delete', 'service.delete'),
            ('other.update', 'other.update'),
            (waiting[-1][0], 'service.update')], waiting)

    def test_retry_needs_no_bus_and_no_outbox_in_its_configuration(self):
        self.conf.write_text(
            '[DEFAULT]\ntransport_url = none:/\n[database]\n'
            f'connection = sqlite:///{self.folder}/nova.sqlite\n')
        self.run_command('manage', 'db', 'sync')
        self._store_parked()
        done = self.outbox('retry', '2')
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertIn('1 replaced by the current state', done.stdout)
        self.assertEqual(2, self.status()['depth'])

    def test_wrong_usage(self):
        self.run_command('manage', 'db', 'sync')
        for arguments in ((), ('discard',), ('retry', 'x'), ('list', '--limit',
                          '0'), ('discard', '--all', '1'),
                          ('retry', str(2 ** 63))):
            self.assertEqual(2, self.outbox(*arguments).returncode)
