# SPDX-License-Identifier: Apache-2.0
"""nova-watch beside RabbitMQ and a nova-api that sends to it."""

from __future__ import annotations

import json
import os
import pathlib
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import amqp
import kombu
import requests

from nova import consumer
from nova.tests.fixtures import processes
from nova.tests.fixtures import servers
from nova.tests.fixtures import terminal
from nova.tests.functional import test_watch

DOCUMENTATION = pathlib.Path(
    __file__).parents[3] / 'doc' / 'source' / 'reference' / 'watch.rst'
HOSTILE = 'disk \u202e[red]'


class WatchTestCase(test_watch.WatchTestCase):

    def options(self):
        self.rabbit = self.useFixture(servers.RabbitMQ())
        self.vhost = self.rabbit.url.rpartition('/')[2]
        return {'DEFAULT': {'transport_url': self.rabbit.url},
                'notifications': {'notification_format': 'versioned'},
                'oslo_messaging_notifications': {'driver': 'messagingv2',
                                                 'retry': 3}}

    def setUp(self):
        super().setUp()
        self.api.add_services(('h1', 'nova-compute'), ('h2', 'nova-compute'))

    def pools(self):
        """Return the queues that were made for nova-watch."""
        return [name for name in self.rabbit.control(
            '-p', self.vhost, 'list_queues', 'name').split()
            if name.startswith('nova-watch.')]

    def wait_for_pools(self, number):
        deadline = time.monotonic() + processes.PATIENCE
        while len(self.pools()) != number:
            self.assertLess(time.monotonic(), deadline, self.pools())
            time.sleep(0.2)


class TestTable(WatchTestCase):

    def watch(self, *arguments, **env):
        return self.useFixture(terminal.Terminal(
            'watch', '--config-file', self.api.conf, *arguments,
            env={**self.env, **env}))

    def test_it_repaints_what_changes(self):
        screen = self.watch()
        shown = screen.wait_for('2 services, 0 down, 0 disabled')
        self.assertRegex(
            shown, r'(?m)^h1 +nova-compute +nova +● up +enabled +- +-$')
        self.change('h2', status='disabled', disabled_reason=HOSTILE)
        self.change('h2', forced_down=True)
        self.change('h1', status='disabled')
        shown = screen.wait_for('1 down, 2 disabled')
        # What is down is first.
        self.assertRegex(
            shown, r'(?m)^h2 +nova-compute +nova +✖ forced down +disabled +'
            r'disk \\u202e\[red\] +service.update +\ds$\n^h1 ')
        self.assertRegex(
            shown, r'(?m)^\d{4}-.* service.update nova-compute on h2: '
            r'disabled, forced down, reason: disk \\u202e\[red\]$')
        (service,) = self.compute.services(host='h1')
        self.compute.delete(f'/os-services/{service.id}',
                            microversion='2.53')
        self.assertNotRegex(screen.wait_for('1 service,'), '(?m)^h1 ')

    def test_it_leaves_the_terminal_and_the_bus_as_they_were(self):
        screen = self.watch('--host', 'h1')
        screen.wait_for('1 service, ')
        self.assertEqual(1, len(self.pools()))
        screen.process.send_signal(signal.SIGINT)
        self.assertEqual(0, screen.process.wait(processes.PATIENCE))
        self.assertEqual([], self.pools())
        self.assertNotIn('Traceback', screen.text)

    def test_a_bus_that_goes_is_told_and_waited_for(self):
        screen = self.watch()
        screen.wait_for('current; Ctrl-C ends')
        self.rabbit.stop()
        screen.wait_for('not current: ')
        self.change('h1', status='disabled', disabled_reason='meanwhile')
        self.rabbit.start()
        self.assertIn('meanwhile', screen.wait_for('1 disabled   current;'))
        self.change('h1', status='enabled')
        screen.wait_for('0 disabled')

    def test_what_can_not_be_listed_yet_is_waited_for(self):
        self.api.stop()
        screen = self.watch()
        screen.wait_for('waiting for the list of services')
        self.assertEqual(
            1, screen.wait_for('not current').count('is waited for'))
        screen.process.terminate()
        self.assertEqual(0, screen.process.wait(processes.PATIENCE))
        # It is there also when the screen is gone.
        self.assertIn('The REST API is waited for',
                      screen.wait_for('WARNING'))

    def test_it_refuses_what_it_is_refused(self):
        screen = self.watch(OS_AUTH_TYPE='admin_token', OS_TOKEN='demo:demo')
        self.assertEqual(1, screen.process.wait(processes.PATIENCE))
        screen.wait_for("nova-watch: the REST API: ")


class TestEvents(WatchTestCase):

    def watch(self, *arguments):
        """Return a nova-watch that listens, and the lines that it prints."""
        number = len(self.pools())
        process = subprocess.Popen(
            [*processes.INTERRUPTIBLE, sys.executable, '-m',
             'nova.cmd.watch', '--config-file', str(self.api.conf),
             *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.env})
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        lines = queue.Queue()

        def read():
            for line in process.stdout:
                lines.put(line)

        threading.Thread(target=read, daemon=True).start()
        self.wait_for_pools(number + 1)
        return process, lines

    def test_all_hear_all(self):
        heard = queue.Queue()
        transport = consumer.connect(self.rabbit.url)
        self.addCleanup(transport.cleanup)

        def take(event):
            if event.event_type == 'service.update':
                heard.put(event)

        real_consumer = consumer.Listener(transport, take, None)
        real_consumer.start()
        self.addCleanup(real_consumer.stop)
        _process, lines = self.watch()
        _process, filtered = self.watch('--events', '--host', 'h2')
        _process, as_json = self.watch('--json')
        for number in range(5):
            self.change('h1', status='disabled', disabled_reason=f'r{number}')
        self.change('h2', forced_down=True)
        for number in range(5):
            event = heard.get(timeout=processes.PATIENCE)
            self.assertEqual(f'r{number}', event.service.disabled_reason)
            self.assertEqual(event.message, json.loads(
                as_json.get(timeout=processes.PATIENCE)))
            self.assertRegex(
                lines.get(timeout=processes.PATIENCE),
                r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d service.update nova-compute '
                rf'on h1: disabled, reason: r{number}\n$')
        self.assertRegex(filtered.get(timeout=processes.PATIENCE),
                         ' on h2: enabled, forced down\n$')

    def test_it_ends_quietly_when_it_is_told_to(self):
        for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            process, _lines = self.watch('--events')
            process.send_signal(ending)
            self.assertEqual(0, process.wait(processes.PATIENCE), ending)
            self.assertEqual('', process.stderr.read())
            self.assertEqual([], self.pools())

    def test_it_ends_quietly_when_nobody_reads_any_more(self):
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova.cmd.watch', '--json',
             '--transport-url', self.rabbit.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        self.wait_for_pools(1)
        process.stdout.close()
        self.change('h1', status='disabled')
        self.assertEqual(0, process.wait(processes.PATIENCE))
        self.assertEqual('', process.stderr.read())
        process.stderr.close()
        self.assertEqual([], self.pools())

    def test_it_listens_again_when_the_bus_is_back(self):
        _process, lines = self.watch('--events')
        self.rabbit.stop()
        self.rabbit.start()
        self.wait_for_pools(1)
        deadline = time.monotonic() + processes.PATIENCE
        while lines.empty():
            # Until the queue has its reader again nobody may be there.
            self.assertLess(time.monotonic(), deadline)
            self.change('h1', status='disabled')
            self.change('h1', status='enabled')
            time.sleep(0.5)
        self.assertIn(' on h1: disabled', lines.get())


class TestPermissions(WatchTestCase):

    def run_documented(self, command):
        """Run a command of the documentation in the virtual host of ours."""
        (line,) = re.findall(rf'(?m)^   # rabbitmqctl ({command} .*)$',
                             DOCUMENTATION.read_text())
        name, *arguments = shlex.split(line)
        return self.rabbit.control(
            name, *([] if name == 'add_user' else ['-p', self.vhost]),
            *arguments)

    def test_the_user_of_the_documentation_may_listen_and_no_more(self):
        self.run_documented('add_user')
        self.addCleanup(self.rabbit.control, 'delete_user', 'watcher')
        self.run_documented('set_permissions')
        url = self.rabbit.url.replace('guest:guest@', 'watcher:PASSWORD@')
        screen = self.useFixture(terminal.Terminal(
            'watch', '--transport-url', url, env=self.env))
        screen.wait_for('current; Ctrl-C ends')
        self.change('h1', status='disabled')
        screen.wait_for('1 disabled')
        screen.process.terminate()
        self.assertEqual(0, screen.process.wait(processes.PATIENCE))
        self.assertEqual([], self.pools())
        with kombu.Connection(url.replace('rabbit://', 'amqp://')) as bus:
            for forbidden in (
                    lambda channel: channel.queue_declare('other'),
                    lambda channel: channel.basic_get(
                        'versioned_notifications.info'),
                    lambda channel: channel.basic_publish_confirm(
                        amqp.Message('{}'), 'nova',
                        'versioned_notifications.info')):
                self.assertRaises(amqp.exceptions.AccessRefused, forbidden,
                                  bus.channel())

    def test_the_policy_of_the_documentation_ends_what_is_left(self):
        self.run_documented('set_policy')
        with kombu.Connection(
                self.rabbit.url.replace('rabbit://', 'amqp://')) as bus:
            bus.default_channel.queue_declare(
                'nova-watch.h1.0123abcd', durable=False, auto_delete=False)
        self.assertEqual('nova-watch', self.rabbit.control(
            '-p', self.vhost, 'list_queues', '--no-table-headers',
            'policy').strip())

    def test_a_permission_that_comes_late_is_enough(self):
        self.run_documented('add_user')
        self.addCleanup(self.rabbit.control, 'delete_user', 'watcher')
        self.rabbit.control('set_permissions', '-p', self.vhost, 'watcher',
                            '^none$', '.*', '.*')
        screen = self.useFixture(terminal.Terminal(
            'watch', '--transport-url',
            self.rabbit.url.replace('guest:guest@', 'watcher:PASSWORD@'),
            env=self.env))
        screen.wait_for('not current: Exchange.declare: (403)')
        self.run_documented('set_permissions')
        screen.wait_for('current; Ctrl-C ends')


class TestBoard(WatchTestCase):

    def rows(self, url):
        """Return what the board shows: host → state and reason."""
        answer = requests.get(f'{url}services', timeout=10).json()
        return {row[1]: (row[4], row[6]) for row in answer['services']}

    def test_it_serves_the_board(self):
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova.cmd.watch', '--config-file',
             str(self.api.conf), '--http', '127.0.0.1:0', '--host', 'h*'],
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, **self.env})
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        (url,) = re.findall(r'\Aboard  (http://127\.0\.0\.1:\d+/)\n\Z',
                            process.stdout.readline())
        self.api.add_services(('h3', 'nova-compute'), ('x', 'nova-compute'))
        self.change('x', status='disabled', disabled_reason='not shown')
        self.change('h1', status='disabled', disabled_reason=HOSTILE)
        self.change('h2', forced_down=True)
        deadline = time.monotonic() + processes.PATIENCE
        while self.rows(url).get('h2', '')[0] != 'down':
            self.assertLess(time.monotonic(), deadline, self.rows(url))
            time.sleep(0.1)
        self.assertEqual({'h1': ('up', HOSTILE), 'h2': ('down', None)}, {
            host: row for host, row in self.rows(url).items()
            if host != 'h3'})
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(processes.PATIENCE))
        self.assertEqual([], self.pools())


class TestRefusals(WatchTestCase):

    def test_a_wrong_password(self):
        self.check_refusal(
            'the message bus: .*ACCESS_REFUSED', '--events',
            '--transport-url', self.rabbit.url.replace(':guest@', ':wrong@'))

    def test_a_user_who_may_not_listen(self):
        self.rabbit.control('add_user', 'u1', 'secret')
        self.rabbit.control('set_permissions', '-p', self.vhost, 'u1',
                            '^none$', '.*', '.*')
        self.check_refusal(
            "the message bus: Exchange.declare: .*ACCESS_REFUSED.*'u1'",
            '--events', '--transport-url',
            self.rabbit.url.replace('guest:guest@', 'u1:secret@'))
