# SPDX-License-Identifier: Apache-2.0
"""nova-standalone, as whoever starts it sees it."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import fixtures
from oslotest import base
import requests
import sqlalchemy as sa

from nova.db import migration
from nova.tests.fixtures import processes
from nova.tests.fixtures import standalone

CONTROLLER = {('ctl-1', 'nova-conductor'), ('ctl-1', 'nova-scheduler')}
UUID = r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'


class StandaloneTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def start(self, *arguments):
        return self.useFixture(standalone.Standalone(
            *arguments, TMPDIR=str(self.folder)))

    def services(self, running):
        """Return what the board knows: uuid, host, binary, zone, state …"""
        return requests.get(f'{running.board}services', timeout=10
                            ).json()['services']

    def wait_for_services(self, running, number):
        deadline = time.monotonic() + processes.PATIENCE
        while len(self.services(running)) != number:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        return self.services(running)

    def wait_until(self, condition):
        deadline = time.monotonic() + processes.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)


class TestStandalone(StandaloneTestCase):

    def test_all_of_it_is_there_and_moves(self):
        running = self.start()
        shown = self.wait_for_services(running, 4)
        self.assertEqual(
            {('cmp-00001', 'nova-compute'), ('cmp-00002', 'nova-compute'),
             *CONTROLLER}, {(row[1], row[2]) for row in shown})
        self.assertEqual({'up'}, {row[4] for row in shown})
        self.assertEqual(
            {row[0] for row in shown},
            {service.id for service in running.compute.services()})
        self.assertIn('<h1>Services</h1>',
                      requests.get(running.board, timeout=10).text)
        running.change('cmp-00001', status='disabled',
                       disabled_reason='broken')
        running.wait_for(r'service\.update nova-compute on cmp-00001: '
                         r'disabled, reason: broken\n')
        self.wait_until(lambda: 'broken' in {
            row[6] for row in self.services(running)})

    def test_many_hosts_beat_and_those_that_were_deleted_do_not(self):
        conf = self.folder / 'user.conf'
        processes.write_conf(conf, {'DEFAULT': {
            'report_interval': 1, 'service_down_time': 60}})
        running = self.start('--services', 40, '--config-file', conf)
        self.wait_for_services(running, 42)
        gone = next(service.id for service in running.compute.services(
            host='cmp-00002'))
        running.compute.delete(f'/os-services/{gone}', microversion='2.53')
        self.wait_for_services(running, 41)
        # A heartbeat that the deletion overtook fails before the next round.
        self._wait_for_heartbeats(running)
        before = len(running.output)
        self._wait_for_heartbeats(running)
        self.assertNotRegex(running.output[before:], 'WARNING|ERROR')
        self.assertNotRegex(running.output,
                            '(WARNING|ERROR)(?!.*record .* cmp-00002 is gone)')

    def _wait_for_heartbeats(self, running):
        """Return when each service has sent one more heartbeat."""
        earlier = {service.id: service.updated_at
                   for service in running.compute.services()}
        self.wait_until(lambda: all(
            service.updated_at and service.updated_at != earlier[service.id]
            for service in running.compute.services()))

    def test_it_ends_when_told_to_and_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            running = self.start()
            self.assertNotEqual([], list(self.folder.iterdir()))
            # A page that looks on does not hold it.
            stream = requests.get(f'{running.board}events?since=x-0',
                                  stream=True, timeout=10)
            self.addCleanup(stream.close)
            self.assertEqual(0, running.stop(number))
            self.assertEqual([], list(self.folder.iterdir()))
            self.assertNotIn('Traceback', running.output)

    def test_a_state_directory_keeps_the_services(self):
        state = self.folder / 'new' / 'state'
        running = self.start('--state-dir', state)
        shown = self.wait_for_services(running, 4)
        running.change('cmp-00001', status='disabled',
                       disabled_reason='broken')
        self.assertIn(str(state), running.output)
        self.assertEqual(0, running.stop())
        running.start()
        again = self.wait_for_services(running, 4)
        self.assertEqual({row[0] for row in shown}, {row[0] for row in again})
        self.assertIn('broken', {row[6] for row in again})
        self.check_refusal(
            f'--state-dir {state} is used by another nova-standalone',
            '--state-dir', state)

    def check_refusal(self, pattern, *arguments, code=1):
        ended = subprocess.run(
            [sys.executable, '-m', 'nova.cmd.standalone', '--port', '0',
             '--board-port', '0', *map(str, arguments)], text=True,
            capture_output=True, check=False, timeout=processes.PATIENCE)
        self.assertEqual((code, ''), (ended.returncode, ended.stdout),
                         ended.stderr)
        self.assertRegex(ended.stderr, rf'\A(nova-standalone: )?{pattern}.*'
                         r'\n\Z')

    def test_a_port_that_is_taken(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
            for option in ('--port', '--board-port'):
                self.check_refusal(f'{option} {port} is taken', option, port)

    def test_a_state_directory_that_can_not_be_used(self):
        file = self.folder / 'file'
        file.touch()
        for state in (file, file / 'x', '/proc/x'):
            self.check_refusal(
                f'--state-dir {state} should be a directory that can be '
                'written to', '--state-dir', state)

    def test_a_state_directory_of_a_newer_schema(self):
        self.assertEqual(0, self.start('--state-dir', self.folder).stop())
        engine = sa.create_engine(f'sqlite:///{self.folder}/nova.sqlite',
                                  poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                f'UPDATE {migration.VERSION_TABLE} '
                "SET version_num = 'fedcba987654'")
        self.check_refusal('.*revision fedcba987654, which this version does '
                           'not know', '--state-dir', self.folder)

    def test_values_that_make_no_sense(self):
        for option, value in (('services', 0), ('services', 'x'),
                              ('port', 99999), ('board_port', -1)):
            self.check_refusal(
                f'.*argument --{option}: .*{value}',
                f'--{option.replace("_", "-")}={value}')


class TestTour(StandaloneTestCase):

    def test_it_shows_each_change_beside_its_notification(self):
        shown = subprocess.run(
            [sys.executable, '-m', 'nova.cmd.standalone', '--port', '0',
             '--board-port', '0', '--tour'], text=True, check=True,
            capture_output=True, timeout=processes.PATIENCE)
        self.assertEqual('', shown.stderr)
        steps = re.split(r'(?m)^\d\. ', shown.stdout)[1:]
        self.assertEqual(
            ['create', *['update'] * 4, 'delete'],
            [re.search(r'service\.(\w+) from nova-compute:tour-1', step)[1]
             for step in steps])
        self.assertEqual(
            [set(), {'disabled', 'disabled_reason'}, {'forced_down'},
             {'forced_down'}, {'disabled', 'disabled_reason'}, set()],
            [set(re.findall(r'(?m)^ +(\w+) .*← changed$', step))
             for step in steps])
        for step, answer in zip(steps[1:], [200] * 4 + [204], strict=True):
            self.assertRegex(
                step, rf'(PUT|DELETE) /v2.1/os-services/{UUID}.*→ {answer}\n')
        self.assertIn('6 changes, 6 notifications.', shown.stdout)

    def test_a_terminal_without_arrows(self):
        shown = subprocess.run(
            [sys.executable, '-m', 'nova.cmd.standalone', '--port', '0',
             '--board-port', '0', '--tour'], text=True, check=True,
            capture_output=True, timeout=processes.PATIENCE,
            env={**os.environ, 'PYTHONIOENCODING': 'ascii'})
        self.assertIn(r'\u2190 changed', shown.stdout)
