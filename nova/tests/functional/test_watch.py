# SPDX-License-Identifier: Apache-2.0
"""nova-watch without a message bus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any
import urllib.request

import openstack
from oslotest import base

from nova.tests.fixtures import processes
from nova.tests.unit import test_consumer_limits

HOSTILE = 'disk \x1b[2J\u202e[red]'


class WatchTestCase(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(processes.NovaAPI(self.options()))
        self.env = {'OS_AUTH_TYPE': 'none',
                    'OS_ENDPOINT': f'{self.api.url}/v2.1'}
        self.compute = openstack.connect(
            load_envvars=False, load_yaml_config=False, auth_type='none',
            auth={'endpoint': self.env['OS_ENDPOINT']}).compute

    def options(self) -> processes.Options:
        """Return what the nova.conf of the API has."""
        return {}

    def change(self, host: str, **values: Any) -> None:
        (service,) = self.compute.services(host=host)
        answer = self.compute.put(f'/os-services/{service.id}',
                                  microversion='2.53', json=values)
        self.assertEqual(200, answer.status_code, answer.text)

    def run_watch(self, *arguments: object, **env: str
                  ) -> subprocess.CompletedProcess[str]:
        """Return what has become of nova-watch."""
        return subprocess.run(
            [sys.executable, '-m', 'nova.cmd.watch', *map(str, arguments)],
            env={**os.environ, **self.env, **env}, capture_output=True,
            text=True, check=False, timeout=processes.PATIENCE)

    def check_refusal(self, pattern: str, *arguments: object,
                      **env: str) -> None:
        """Check that one line says why it ends with 1."""
        ended = self.run_watch(*arguments, **env)
        self.assertEqual((1, ''), (ended.returncode, ended.stdout))
        self.assertRegex(ended.stderr, rf'\Anova-watch: {pattern}.*\n\Z')


class TestOnce(WatchTestCase):

    def setUp(self):
        super().setUp()
        self.api.add_services(('h2', 'nova-compute'), ('h1', 'nova-compute'),
                              ('h1', 'nova-conductor'))

    def rows(self, *arguments):
        ended = self.run_watch('--once', *arguments)
        self.assertEqual((0, ''), (ended.returncode, ended.stderr))
        return [tuple(cell.strip() for cell in line.split('|')[1:-1])
                for line in ended.stdout.splitlines() if '|' in line]

    def test_it_lists_the_services(self):
        self.change('h2', status='disabled', disabled_reason=HOSTILE[:5])
        self.change('h2', forced_down=True)
        head, _rule, *rows = self.rows()
        self.assertEqual(('host', 'binary', 'zone', 'state', 'status',
                          'reason', 'updated'), head)
        self.assertEqual([
            ('h1', 'nova-compute', 'nova', 'up', 'enabled', ''),
            ('h1', 'nova-conductor', 'internal', 'up', 'enabled', ''),
            ('h2', 'nova-compute', 'nova', 'forced down', 'disabled', 'disk')],
            [row[:-1] for row in rows])
        self.assertEqual('-', rows[0][-1])
        self.assertRegex(rows[2][-1], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$')

    def test_hosts_and_binaries_are_chosen_by_patterns(self):
        self.assertEqual(
            [('h1', 'nova-compute'), ('h2', 'nova-compute')],
            [row[:2] for row in self.rows('--binary', '*-comp*')[2:]])
        self.assertEqual(
            [('h1', 'nova-conductor')],
            [row[:2] for row in self.rows(
                '--host', 'h1', '--host', 'h3', '--binary',
                'nova-conductor')[2:]])
        self.assertEqual([], self.rows('--host', 'h')[2:])

    def test_json_is_one_object_a_line(self):
        ended = self.run_watch('--once', '--json', '--host', 'h2')
        (service,) = map(json.loads, ended.stdout.splitlines())
        (listed,) = self.compute.services(host='h2')
        self.assertEqual({
            'uuid': listed.id, 'host': 'h2', 'binary': 'nova-compute',
            'zone': 'nova', 'state': 'up', 'disabled': False,
            'disabled_reason': None, 'forced_down': False,
            'updated_at': None}, service)

    def test_it_needs_no_database(self):
        ended = self.run_watch('--once', PYTHONPROFILEIMPORTTIME='1')
        self.assertEqual(0, ended.returncode)
        self.assertIn('openstack', ended.stderr)
        self.assertNotIn('sqlalchemy', ended.stderr)


class TestRefusals(WatchTestCase):

    def test_an_api_that_is_not_there(self):
        self.check_refusal('the REST API: .*127.0.0.1:1.*--os-cloud',
                           '--once', OS_ENDPOINT='http://127.0.0.1:1/')

    def test_an_unknown_cloud(self):
        self.check_refusal('the REST API: Cloud nowhere was not found',
                           '--once', '--os-cloud', 'nowhere')

    def test_a_user_who_may_not_list_services(self):
        self.check_refusal(
            "the REST API: .*Policy doesn't allow", '--once',
            OS_AUTH_TYPE='admin_token', OS_TOKEN='demo:demo')

    def test_a_bus_that_is_none(self):
        for url, pattern in (
                ('rabbit//u:secret@h', 'transport_url is not a URL'),
                ('carrier://u:secret@h', 'transport_url: .*carrier'),
                ('fake:/', 'transport_url is fake:')):
            ended = self.run_watch('--events', '--transport-url', url)
            self.assertEqual((1, ''), (ended.returncode, ended.stdout))
            self.assertRegex(
                ended.stderr,
                rf'\Anova-watch: the message bus: {pattern}.*\n\Z')
            self.assertNotIn('secret', ended.stderr)

    def test_two_wishes_at_once(self):
        ended = self.run_watch('--once', '--events')
        self.assertEqual(
            (2, 'nova-watch: give --once or --events, not both\n'),
            (ended.returncode, ended.stderr))


class TestHTTP(WatchTestCase):

    def check_misuse(self, text, *arguments):
        ended = self.run_watch(*arguments)
        self.assertEqual((2, '', f'nova-watch: {text}\n'),
                         (ended.returncode, ended.stdout, ended.stderr))

    def test_an_address_that_is_none(self):
        for wrong in ('', ':1', 'x', '127.0.0.1:x', '127.0.0.1:65536',
                      '::1:80', 'http://127.0.0.1:80'):
            self.check_misuse(f"--http '{wrong}' should be ADDR:PORT, e.g. "
                              '127.0.0.1:8775', f'--http={wrong}')

    def test_something_else_at_once(self):
        for option in ('--once', '--events', '--json'):
            self.check_misuse('give --http without --once, --events and '
                              '--json', '--http', '127.0.0.1:0', option)

    def test_an_address_that_can_not_be_listened_on(self):
        taken = self.api.url.partition('//')[2]
        for address, why in ((taken, 'Address already in use'),
                             ('192.0.2.1:1', 'Cannot assign requested')):
            self.check_refusal(
                f'--http {address} can not be listened on: {why}',
                '--http', address, '--transport-url', 'rabbit://127.0.0.1:1/')
        self.check_refusal(
            '--http host.invalid:1 can not be listened on: ', '--http',
            'host.invalid:1', '--transport-url', 'rabbit://127.0.0.1:1/')


class TestSilence(WatchTestCase):
    """A REST API and a bus that accept connections and never answer."""

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(test_consumer_limits.Server())
        self.env['OS_ENDPOINT'] = f'http://127.0.0.1:{self.server.port}/v2.1'

    def watch(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova.cmd.watch', '--transport-url',
             f'rabbit://u:p@127.0.0.1:{self.server.port}/', *arguments],
            env={**os.environ, **self.env}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def check_end(self, process):
        start = time.monotonic()
        process.terminate()
        self.assertEqual(0, process.wait(processes.PATIENCE))
        self.assertLess(time.monotonic() - start, 20)
        self.assertNotIn('Traceback', process.stderr.read())

    def test_board_shows_the_trouble_and_ends_in_time(self):
        process = self.watch('--http', '127.0.0.1:0')
        _board, url = process.stdout.readline().split()
        with urllib.request.urlopen(
                f'{url}services', timeout=processes.PATIENCE) as answer:
            position = json.load(answer)['position']
        with urllib.request.urlopen(
                f'{url}events?since={position}',
                timeout=processes.PATIENCE) as stream:
            while b'timed out' not in stream.readline():
                pass
        self.check_end(process)

    def test_events_end_in_time(self):
        process = self.watch('--events')
        self.assertIn('is waited for', process.stderr.readline())
        self.check_end(process)

    def test_once_says_that_nothing_came(self):
        self.check_refusal('the REST API: .*timed out', '--once')
