# SPDX-License-Identifier: Apache-2.0
"""Consumers beside a REST API and a bus that accept and never answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import fixtures
import openstack

from nova import consumer

PATIENCE = 30
#: seconds that stop() may take
STOP = 10

ANSWER = (b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
          b'Content-Length: 16\r\n\r\n{"services": []}')


class Server(fixtures.Fixture):
    """Accepts connections and behaves in one of several ways.

    :ivar clients: the connections so far
    :ivar behaviour: ``answer``, ``silent``, ``stall`` in the body, or
        ``drip``, which sends one byte in a while
    """

    behaviour = 'silent'

    def setUp(self):
        super().setUp()
        self._server = socket.create_server(('127.0.0.1', 0))
        self.port = self._server.getsockname()[1]
        self.clients = []
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()
        self.addCleanup(self._close)

    def connection(self, **options):
        return openstack.connect(
            load_envvars=False, load_yaml_config=False, **(options or {
                'auth_type': 'none', 'auth': {
                    'endpoint': f'http://127.0.0.1:{self.port}/v2.1'}}))

    def _accept(self):
        while not self._over.is_set():
            try:
                client, _address = self._server.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(
                target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client.recv(65536)
            if self.behaviour == 'answer':
                client.sendall(ANSWER)
            elif self.behaviour == 'stall':
                client.sendall(ANSWER[:-5])
            elif self.behaviour == 'drip':
                for number in range(len(ANSWER)):
                    client.sendall(ANSWER[number:number + 1])
                    if self._over.wait(0.3):
                        return
        except OSError:
            pass

    def _close(self):
        self._over.set()
        for end in (self._server, *self.clients):
            # accept() of another thread wakes up of this only.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class LimitsTestCase(fixtures.TestWithFixtures):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.server = self.useFixture(Server())

    def check_time(self, seconds, call):
        start = time.monotonic()
        try:
            return call()
        finally:
            self.assertLess(time.monotonic() - start, seconds)

    def wait_for(self, what, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


class TestLister(LimitsTestCase):

    def list(self, **options):
        return consumer.ServiceLister(
            self.server.connection(**options), timeout=1, limit=2)()

    def test_listing_ends_in_time_whatever_the_server_does(self):
        for self.server.behaviour in ('silent', 'stall', 'drip'):
            with self.assertRaises(consumer.APIError) as caught:
                self.check_time(PATIENCE / 2, self.list)
            self.assertNotIsInstance(caught.exception, consumer.APIRefused)
        self.assertIn('no complete answer', str(caught.exception))
        self.server.behaviour = 'answer'
        self.assertEqual([], self.list())

    def test_authentication_ends_in_time(self):
        for self.server.behaviour in ('silent', 'drip'):
            with self.assertRaises(consumer.APIError):
                self.check_time(PATIENCE / 2, lambda: self.list(
                    auth_type='password', auth={
                        'auth_url': f'http://127.0.0.1:{self.server.port}/v3',
                        'username': 'u', 'password': 'p',
                        'project_name': 'p', 'user_domain_id': 'default',
                        'project_domain_id': 'default'}))

    def test_cancel_ends_a_listing_at_once(self):
        lister = consumer.ServiceLister(self.server.connection())
        timer = threading.Timer(0.5, lister.cancel)
        timer.start()
        self.addCleanup(timer.join)
        with self.assertRaisesRegex(consumer.APIError, 'cancelled'):
            self.check_time(PATIENCE / 2, lister)
        self.server.behaviour = 'answer'
        self.assertEqual([], lister())


class TestMirror(LimitsTestCase):

    def mirror(self, lister, bus='fake:/', **options):
        self.called = []
        mirror = consumer.ServiceMirror(
            consumer.connect(bus), lister, 'pool',
            consumer.Callbacks(added=self.called.append), **options)
        mirror.start()
        self.addCleanup(mirror.stop)
        return mirror

    def test_an_api_that_never_answers_is_trouble(self):
        mirror = self.mirror(
            consumer.ServiceLister(self.server.connection(), timeout=3),
            overdue=1)
        self.wait_for(lambda: 'has not answered' in (mirror.trouble or ''))
        # In the end the request fails, which is trouble until one succeeds.
        self.wait_for(lambda: 'timed out' in (mirror.trouble or ''))
        self.server.behaviour = 'answer'
        self.assertTrue(mirror.wait_until_synced(PATIENCE))
        self.assertIsNone(mirror.trouble)

    def test_stop_returns_while_the_api_is_silent(self):
        mirror = self.mirror(
            consumer.ServiceLister(self.server.connection()))
        self.wait_for(lambda: self.server.clients)
        self.check_time(STOP, mirror.stop)
        self.assertFalse(mirror._thread.is_alive())

    def test_stop_returns_while_a_lister_of_the_user_hangs(self):
        release, hanging = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def hang():
            hanging.set()
            release.wait(PATIENCE)
            return [consumer.Service(
                'u', 'h1', 'nova-compute', False, None, False)]

        mirror = self.mirror(hang)
        self.assertTrue(hanging.wait(PATIENCE))
        self.check_time(STOP, mirror.stop)
        release.set()
        mirror._thread.join(PATIENCE)
        self.assertEqual([], self.called)

    def test_stop_returns_while_the_bus_is_silent(self):
        mirror = self.mirror(
            list, f'rabbit://u:secret@127.0.0.1:{self.server.port}/')
        self.wait_for(lambda: 'timed out' in (mirror.trouble or ''))
        self.assertNotIn('secret', mirror.trouble + self.log.output)
        self.check_time(STOP, mirror.stop)
        # It does not subscribe later on.
        mirror._thread.join(PATIENCE)
        self.assertFalse(mirror._thread.is_alive())
