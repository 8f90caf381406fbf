# SPDX-License-Identifier: Apache-2.0
"""nova-api as a process, over real connections."""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from urllib import parse
from urllib import request

import fixtures
from oslotest import base
import trustme

from nova.tests.fixtures import processes
from nova.wsgi import worker

PATH = '/v2.1/os-services'


class APIProcessTestCase(base.BaseTestCase):

    def start(self, **groups):
        return self.useFixture(processes.NovaAPI(groups))

    def get(self, api, path=PATH, **kwargs):
        with request.urlopen(api.url + path, timeout=30, **kwargs) as answer:
            return json.load(answer)

    def connect(self, api):
        where = parse.urlsplit(api.url)
        return socket.create_connection(
            (where.hostname, where.port), timeout=processes.PATIENCE)

    def read(self, connection):
        """Return what comes until the server closes the connection."""
        answer = b''
        while chunk := connection.recv(65536):
            answer += chunk
        return answer

    def send(self, api, *lines, body=b''):
        """Return what the server answers to raw bytes, to its end."""
        with self.connect(api) as connection:
            connection.sendall(b''.join(
                line.encode('latin-1') + b'\r\n' for line in lines)
                + b'\r\n' + body)
            answer = self.read(connection)
        head, _blank, text = answer.partition(b'\r\n\r\n')
        return int(head.split(b' ')[1]), head.decode(), text.decode()

    def certificates(self):
        """Return an authority, and the files of it and of the server."""
        folder = self.useFixture(fixtures.TempDir())
        authority = trustme.CA()
        server = authority.issue_cert('127.0.0.1')
        names = {name: folder.join(name) for name in ('ca', 'cert', 'key')}
        authority.cert_pem.write_to_path(names['ca'])
        server.cert_chain_pems[0].write_to_path(names['cert'])
        server.private_key_pem.write_to_path(names['key'])
        return authority, names

    def is_fault(self, answer, code):
        status, head, text = answer
        self.assertEqual(code, status)
        self.assertIn('content-type: application/json', head.lower())
        (fault,) = json.loads(text).values()
        self.assertEqual(code, fault['code'])
        return fault['message']


class TestServer(APIProcessTestCase):

    def test_it_answers_and_stops(self):
        api = self.start()
        self.assertEqual({'services': []}, self.get(api))
        self.assertEqual(['v2.0', 'v2.1'], [
            version['id'] for version in self.get(api, '/')['versions']])
        self.assertIn('"GET /v2.1/os-services" status: 200', api.log)
        self.assertEqual(0, api.stop())
        self.assertNotIn('Traceback', api.log)

    def test_requests_that_were_begun_are_finished(self):
        api = self.start()
        with self.connect(api) as client:
            client.sendall(f'PUT {PATH}/enable HTTP/1.1\r\nHost: h\r\n'
                           'Expect: 100-continue\r\n'
                           'Content-Length: 2\r\n\r\n'.encode())
            # A process has it when it asks for the body.
            self.assertTrue(client.recv(65536))
            api.process.send_signal(signal.SIGTERM)
            api.wait_for_log('Handling signal: term')
            client.sendall(b'{}')
            self.assertTrue(self.read(client).startswith(b'HTTP/1.1 400 '))
        self.assertEqual(0, api.stop())

    def test_sigint_ends_it_without_waiting_for_requests(self):
        api = self.start()
        with self.connect(api) as client:
            client.sendall(f'PUT {PATH}/enable HTTP/1.1\r\nHost: h\r\n'
                           'Expect: 100-continue\r\n'
                           'Content-Length: 2\r\n\r\n'.encode())
            self.assertTrue(client.recv(65536))
            api.process.send_signal(signal.SIGINT)
            self.assertEqual(0, api.process.wait(processes.PATIENCE))
            self.assertEqual(b'', self.read(client))
        self.assertNotIn('Traceback', api.log)

    def test_it_stops_while_its_processes_still_start(self):
        for _time in range(3):
            api = self.start(DEFAULT={'osapi_compute_workers': 8})
            self.assertEqual(0, api.stop())

    def test_several_processes_answer_at_once(self):
        api = self.start(DEFAULT={'osapi_compute_workers': 2,
                                  'osapi_compute_threads': 4})
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.get(api), range(200)))
        self.assertEqual([{'services': []}] * 200, answers)
        workers = set(re.findall(
            r' (\d+) INFO nova.api.openstack.requestlog', api.log))
        self.assertEqual(2, len(workers))

    def test_a_changed_configuration_is_taken_up(self):
        api = self.start()
        old = api.conf.read_text()
        api.conf.write_text(old.replace(
            '[api]', '[api]\ncompute_link_prefix = https://elsewhere'))
        api.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + processes.PATIENCE
        link = ''
        while 'elsewhere' not in link and time.monotonic() < deadline:
            link = self.get(api, '/')['versions'][0]['links'][0]['href']
            time.sleep(0.1)
        self.assertEqual('https://elsewhere/v2/', link)

    def test_a_broken_configuration_is_not(self):
        api = self.start()
        api.conf.write_text(api.conf.read_text().replace(
            'auth_strategy = noauth2', 'auth_strategy = trust'))
        api.process.send_signal(signal.SIGHUP)
        api.wait_for_log('was not taken up: .*auth_strategy')
        self.assertEqual({'services': []}, self.get(api))

    def test_tls_with_client_certificates(self):
        authority, names = self.certificates()
        api = self.start(wsgi={'ssl_cert_file': names['cert'],
                               'ssl_key_file': names['key'],
                               'ssl_ca_file': names['ca']})
        self.assertTrue(api.url.startswith('https://'))
        context = ssl.create_default_context(cafile=names['ca'])
        self.assertRaises(OSError, self.get, api, context=context)
        authority.issue_cert('client@example.org').configure_cert(context)
        self.assertEqual({'services': []}, self.get(api, context=context))
        self.assertEqual('https://127.0.0.1', self.get(
            api, '/', context=context)['versions'][0]['links'][0]['href']
            .rpartition(':')[0])

    def test_a_body_follows_100_continue(self):
        api = self.start()
        with self.connect(api) as client:
            client.sendall(f'PUT {PATH}/enable HTTP/1.1\r\nHost: h\r\n'
                           'Expect: 100-continue\r\nContent-Length: 2\r\n'
                           'Connection: close\r\n\r\n'.encode())
            self.assertEqual(b'HTTP/1.1 100 Continue\r\n\r\n',
                             client.recv(65536))
            client.sendall(b'{}')
            self.assertTrue(self.read(client).startswith(b'HTTP/1.1 400 '))

    def test_pipelined_requests_are_answered_in_order(self):
        api = self.start()
        with self.connect(api) as client:
            for path, more in (('/healthcheck', ''), ('/nope', ''),
                               (PATH, 'Connection: close\r\n')):
                client.sendall(f'GET {path} HTTP/1.1\r\nHost: h\r\n{more}'
                               '\r\n'.encode())
            answers = self.read(client)
        self.assertEqual([b'200', b'300', b'200'], re.findall(
            rb'HTTP/1.1 (\d+) ', answers))

    def test_under_another_server(self):
        api = self.start()
        api.stop()
        done = subprocess.run(
            [sys.executable, '-c',
             'import webob; '
             'from nova.wsgi.osapi_compute import application; '
             'print(webob.Request.blank("/v2.1/os-services").get_response('
             'application).text)'],
            env={**os.environ, 'OS_NOVA_CONFIG_DIR': str(api.conf.parent),
                 'OS_NOVA_CONFIG_FILES': 'nova.conf;nova.conf'},
            capture_output=True, text=True, check=True, timeout=60)
        self.assertEqual('{"services":[]}\n', done.stdout)


class TestSlowClients(APIProcessTestCase):
    """Clients that hold their connection must not keep others waiting."""

    HEAD = f'GET {PATH} HTTP/1.1\r\nHost: h\r\n'.encode()
    BODY = f'PUT {PATH}/enable HTTP/1.1\r\nHost: h\r\n'.encode()

    def start(self, seconds=3600, **groups):
        wsgi = {'client_timeout': seconds, **groups.pop('wsgi', {})}
        return super().start(wsgi=wsgi, **groups)

    def hold(self, api, number, sent=b''):
        """Return connections over which something was sent."""
        held = []
        for _connection in range(number):
            connection = self.connect(api)
            self.addCleanup(connection.close)
            connection.sendall(sent)
            held.append(connection)
        return held

    def is_healthy(self, api, **kwargs):
        with request.urlopen(f'{api.url}/healthcheck',
                             timeout=processes.PATIENCE, **kwargs) as answer:
            self.assertEqual(200, answer.status)

    def test_half_requests_keep_nobody_waiting(self):
        api = self.start(DEFAULT={'osapi_compute_workers': 2})
        for sent in (b'', self.HEAD[:5], self.HEAD,
                     self.BODY + b'Content-Length: 9\r\n\r\n{',
                     self.BODY + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{',
                     b'GET / HTTP/1.1\r\nHost: h\r\n\r\n' + self.HEAD):
            self.hold(api, 100, sent)
            self.is_healthy(api)
            self.assertEqual({'services': []}, self.get(api))

    def test_requests_that_trickle_keep_nobody_waiting(self):
        api = self.start()
        held = self.hold(api, 100, self.HEAD)
        for _time in range(3):
            for connection in held:
                connection.sendall(b'x')
            self.is_healthy(api)

    def test_answers_that_are_not_read_keep_nobody_waiting(self):
        api = self.start(DEFAULT={'osapi_compute_threads': 2})
        api.add_services(*((f'host{number}', 'nova-compute')
                           for number in range(1000)))
        # More than buffers hold.
        self.hold(api, 10, (self.HEAD + b'\r\n') * 100)
        answered = -1
        while answered != (answered := api.log.count('status: 200')):
            # Go on when no answer can be sent any more.
            time.sleep(2)
        self.is_healthy(api)

    def test_unfinished_handshakes_keep_nobody_waiting(self):
        _authority, names = self.certificates()
        api = self.start(wsgi={'ssl_cert_file': names['cert'],
                               'ssl_key_file': names['key']})
        self.hold(api, 100, b'\x16\x03\x01')
        self.is_healthy(
            api, context=ssl.create_default_context(cafile=names['ca']))

    def test_more_connections_than_one_process_holds(self):
        api = self.start()
        oldest, *_others = self.hold(api, worker.MAX_CONNECTIONS, self.HEAD)
        self.is_healthy(api)
        self.assertEqual(b'', self.read(oldest))

    def test_half_a_request_is_ended_with_a_fault(self):
        api = self.start(seconds=1)
        held = self.hold(api, 20, self.BODY + b'Content-Length: 9\r\n\r\n{')
        for connection in held:
            head, _blank, text = self.read(connection).partition(b'\r\n\r\n')
            self.assertTrue(head.startswith(b'HTTP/1.1 408 Request Timeout'))
            self.assertEqual({'computeFault': {
                'code': 408, 'message': 'The whole request must arrive '
                'within 1 seconds'}}, json.loads(text))
        self.assertIn('127.0.0.1 did not send its whole request', api.log)

    def test_a_connection_without_a_request_is_closed(self):
        api = self.start(seconds=1)
        for connection in self.hold(api, 20):
            self.assertEqual(b'', self.read(connection))

    def test_a_client_that_does_not_read_is_dropped(self):
        api = self.start(seconds=1, DEFAULT={'debug': True})
        api.add_services(*((f'host{number}', 'nova-compute')
                           for number in range(1000)))
        self.hold(api, 1, (self.HEAD + b'\r\n') * 100)
        api.wait_for_log('The connection with .* was ended')
        self.assertLess(api.log.count('"GET /v2.1/os-services" status: 200'),
                        100)

    def test_sigterm_does_not_wait_for_clients_that_sent_nothing(self):
        api = self.start()
        self.hold(api, 20)
        self.is_healthy(api)
        self.assertEqual(0, api.stop())


class TestBadRequests(APIProcessTestCase):
    """What no client library sends."""

    def setUp(self):
        super().setUp()
        self.api = self.start()

    def test_what_is_no_http_gets_a_fault(self):
        for code, lines in (
                (400, ['GARBAGE']),
                (400, [f'get {PATH} HTTP/1.1', 'Host: h']),
                (400, [f'GET {PATH} HTTP/1.1', 'Host: h', 'Bad Name: x']),
                (400, [f'PUT {PATH}/enable HTTP/1.1', 'Host: h',
                       'Content-Length: many']),
                (414, [f'GET {PATH}?host={"h" * 9000} HTTP/1.1', 'Host: h']),
                (431, [f'GET {PATH} HTTP/1.1', 'Host: h',
                       f'X-Auth-Token: {"t" * 20000}'])):
            self.is_fault(self.send(self.api, *lines), code)

    def test_a_body_of_two_megabytes(self):
        size = 2 * 1024 ** 2
        for headers, body in (
                ([f'Content-Length: {size}'], b' ' * size),
                (['Transfer-Encoding: chunked'],
                 b'%x\r\n%s\r\n0\r\n\r\n' % (size, b' ' * size))):
            message = self.is_fault(self.send(
                self.api, f'PUT {PATH}/enable HTTP/1.1', 'Host: h',
                'Connection: close', *headers, body=body), 413)
            self.assertIn('114688', message)

    def test_a_chunked_body_is_read(self):
        message = self.is_fault(self.send(
            self.api, f'PUT {PATH}/enable HTTP/1.1', 'Host: h',
            'Connection: close', 'Transfer-Encoding: chunked',
            body=b'2\r\n{}\r\n0\r\n\r\n'), 400)
        self.assertIn('is a required property', message)

    def test_lengths_that_are_none(self):
        put = (f'PUT {PATH}/enable HTTP/1.1', 'Host: h')
        for body in (b'zz\r\n', b'-5\r\n{}\r\n0\r\n\r\n',
                     b'2\r\n{}}}\r\n0\r\n\r\n', b'\r\n' * 9,
                     b'1;' + b'x' * 70000):
            self.is_fault(self.send(
                self.api, *put, 'Transfer-Encoding: chunked', body=body), 400)
        for length in ('-5', '+2', '2, 2', '0x2'):
            self.is_fault(self.send(
                self.api, *put, f'Content-Length: {length}', body=b'{}'), 400)
        self.assertNotIn('Traceback', self.api.log)

    def test_a_client_that_stops_within_its_body(self):
        for framing, body in (('Content-Length: 9', b'{'),
                              ('Transfer-Encoding: chunked', b'9\r\n{')):
            with self.connect(self.api) as client:
                client.sendall(f'PUT {PATH}/enable HTTP/1.1\r\nHost: h\r\n'
                               f'{framing}\r\n\r\n'.encode() + body)
                client.shutdown(socket.SHUT_WR)
                self.assertTrue(self.read(client).startswith(
                    b'HTTP/1.1 400 '))
        self.assertNotIn('Traceback', self.api.log)

    def test_bytes_that_are_no_text(self):
        for path in ('/\xff\xfe', f'{PATH}/\xff', f'{PATH}?host=\xff'):
            self.is_fault(self.send(
                self.api, f'GET {path.replace("/", "/v2.1/", 1)} HTTP/1.1'
                if path.startswith('/\xff') else f'GET {path} HTTP/1.1',
                'Host: h', 'Connection: close'), 400)


class TestOldComputes(APIProcessTestCase):
    """nova-api does not run beside a nova-compute that is too old."""

    def setUp(self):
        super().setUp()
        self.api = self.start()
        self.api.stop()
        self.api.add_services(('old', 'nova-compute'), version=71)

    def load(self):
        """Load the application as a WSGI server does."""
        return subprocess.run(
            [sys.executable, '-c',
             'from nova.wsgi.osapi_compute import application'],
            env={**os.environ, 'OS_NOVA_CONFIG_DIR': str(self.api.conf.parent),
                 'OS_NOVA_CONFIG_FILES': 'nova.conf'},
            capture_output=True, text=True, check=False,
            timeout=processes.PATIENCE)

    def test_the_command_says_why_it_does_not_start(self):
        done = subprocess.run(
            [sys.executable, '-m', 'nova.cmd.api', '--config-file',
             self.api.conf], capture_output=True, text=True, check=False,
            timeout=processes.PATIENCE)
        self.assertEqual((1, ''), (done.returncode, done.stdout))
        self.assertIn('nova-api: The oldest nova-compute of this system has '
                      'service version 71; Gazpacho needs at least 72.',
                      done.stderr)
        self.assertNotIn('Traceback', done.stderr)

    def test_the_application_is_not_loaded(self):
        done = self.load()
        self.assertEqual(1, done.returncode)
        self.assertIn('nova.exception.TooOldComputeService: The oldest '
                      'nova-compute of this system has service version 71',
                      done.stderr)

    def test_unless_the_workaround_is_set(self):
        with self.api.conf.open('a') as conf:
            conf.write('\n[workarounds]\n'
                       'disable_compute_service_check_for_ffu = true\n')
        done = self.load()
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn('WARNING nova.registration', done.stderr)
        self.api.start()
        self.assertEqual(1, len(self.get(self.api)['services']))


class TestRefusals(APIProcessTestCase):
    """nova-api that can't start says why, in one line."""

    def fails(self, *words, **groups):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        conf = folder / 'nova.conf'
        processes.write_conf(conf, {
            'DEFAULT': {'transport_url': 'fake:/',
                        'osapi_compute_listen_port': 0,
                        **groups.pop('DEFAULT', {})},
            'database': {'connection': f'sqlite:///{folder}/nova.sqlite'},
            'api': {'auth_strategy': 'noauth2'}, **groups})
        done = subprocess.run(
            [sys.executable, '-m', 'nova.cmd.api', '--config-file', conf],
            capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((1, ''), (done.returncode, done.stdout))
        (line,) = [line for line in done.stderr.splitlines()
                   if line.startswith('nova-api: ')]
        self.assertNotIn('Traceback', done.stderr)
        for word in words:
            self.assertIn(word, line)

    def test_without_authentication_only_on_loopback(self):
        self.fails('osapi_compute_listen is 0.0.0.0', 'noauth_remote_access',
                   DEFAULT={'osapi_compute_listen': '0.0.0.0'})

    def test_unless_told_so(self):
        api = self.start(DEFAULT={'osapi_compute_listen': '0.0.0.0'},
                         api={'noauth_remote_access': True})
        self.assertIn('http://0.0.0.0:', api.url)

    def test_a_port_that_is_taken(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
            self.fails(f'osapi_compute_listen_port {port}: Address already '
                       'in use', DEFAULT={'osapi_compute_listen_port': port})

    def test_an_address_of_another_machine(self):
        self.fails('osapi_compute_listen 192.0.2.1',
                   DEFAULT={'osapi_compute_listen': '192.0.2.1'})

    def test_a_database_without_tables(self):
        self.fails('sqlite:///', 'no table services', 'nova-manage db sync')

    def test_keystone_that_is_not_configured(self):
        self.fails('[keystone_authtoken] auth_type',
                   api={'auth_strategy': 'keystone'})

    def test_certificates_that_are_none(self):
        self.fails('[wsgi] ssl_cert_file is set, but ssl_key_file is not',
                   wsgi={'ssl_cert_file': '/nope'})
        self.fails('[wsgi] ssl_key_file is set, but ssl_cert_file is not',
                   wsgi={'ssl_key_file': '/nope'})
        self.fails('ssl_cert_file /nope', 'No such file',
                   wsgi={'ssl_cert_file': '/nope', 'ssl_key_file': '/nope'})

    def test_a_policy_file_that_is_none(self):
        file = self.useFixture(fixtures.TempDir()).join('policy.yaml')
        for text in ('a: [1', '- a', 'just words',
                     '"os_compute_api:os-services:list": "rule:nothing"'):
            pathlib.Path(file).write_text(text)
            self.fails(f'policy_file {file} must be YAML',
                       oslo_policy={'policy_file': file})
