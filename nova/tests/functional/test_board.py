# SPDX-License-Identifier: Apache-2.0
"""The board over HTTP."""

from __future__ import annotations

import dataclasses
import gzip
import http.client
import json
import socket
import time

from oslotest import base

from nova import consumer
from nova.board import feed
from nova.board import server
from nova.tests.unit import test_consumer_events

PATIENCE = 30
SERVICE = consumer.parse(test_consumer_events.MESSAGE).service


class BoardTestCase(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.trouble: str | None = None
        self.feed = feed.Feed()
        self.start()

    def start(self, port: int = 0) -> None:
        self.board = server.BoardServer(
            self.feed, '127.0.0.1', port, lambda: self.trouble)
        self.board.start()
        self.addCleanup(self.board.stop)
        self.port = int(self.board.url.split(':')[2].strip('/'))

    def ask(self, path: str, method: str = 'GET', **headers: str
            ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()

    def snapshot(self) -> dict[str, object]:
        return json.loads(self.ask('/services')[1])

    def stream(self, position: str, **headers: str) -> _Stream:
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request('GET', f'/events?since={position}',
                           headers=headers)
        return _Stream(connection)

    def add(self, host: str) -> consumer.Service:
        service = dataclasses.replace(SERVICE, uuid=host, host=host)
        self.feed.callbacks.added(service)
        return service


class _Stream:
    """The messages of a stream, except what is told of trouble."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        # The response holds the socket open: close() would not do.
        self.socket = connection.sock
        self.response = connection.getresponse()

    @property
    def status(self) -> int:
        return self.response.status

    def next(self, trouble: bool = False) -> dict[str, str]:
        while True:
            message: dict[str, str] = {}
            while line := self.response.readline().decode().rstrip('\n'):
                name, _colon, value = line.partition(': ')
                message[name] = value
            if not message:
                raise EOFError
            if 'event' in message and trouble == (
                    message['event'] == 'trouble'):
                return message


class TestFeed(BoardTestCase):

    def test_a_snapshot_and_what_follows_is_all(self):
        first = self.add('h1')
        snapshot = self.snapshot()
        self.assertEqual(['h1'], [row[0] for row in snapshot['services']])
        stream = self.stream(snapshot['position'])
        second = self.add('h2')
        self.feed.callbacks.removed(first)
        self.feed.callbacks.changed(second, dataclasses.replace(
            second, state='down', disabled_reason='é\n'))
        messages = [stream.next() for _message in range(3)]
        self.assertEqual(['service', 'removed', 'service'],
                         [message['event'] for message in messages])
        self.assertEqual([
            ['h2', 'h2', SERVICE.binary, SERVICE.zone, SERVICE.state,
             SERVICE.disabled, SERVICE.disabled_reason, SERVICE.forced_down],
            'h1',
            ['h2', 'h2', SERVICE.binary, SERVICE.zone, 'down',
             SERVICE.disabled, 'é\n', SERVICE.forced_down]],
            [json.loads(message['data']) for message in messages])
        self.assertEqual(['h2'], [
            row[0] for row in self.snapshot()['services']])

    def test_events_come_whole_and_are_remembered(self):
        stream = self.stream(self.snapshot()['position'])
        event = consumer.parse(test_consumer_events.MESSAGE)
        self.feed.heard(event)
        self.feed.callbacks.added(event.service)
        message = stream.next()
        self.assertEqual('notification', message['event'])
        self.assertEqual(test_consumer_events.MESSAGE,
                         json.loads(message['data']))
        snapshot = self.snapshot()
        self.assertEqual([test_consumer_events.MESSAGE],
                         snapshot['notifications'])
        self.assertEqual(
            [event.event_type, event.timestamp.isoformat()],
            snapshot['services'][0][-2:])

    def test_drift_is_told(self):
        stream = self.stream(self.snapshot()['position'])
        self.feed.drifted(consumer.Drift('u1', None, SERVICE))
        message = stream.next()
        self.assertEqual(('drift', f'"{SERVICE.binary} on {SERVICE.host} '
                          'is there"'), (message['event'], message['data']))

    def test_who_comes_back_gets_what_it_has_missed(self):
        stream = self.stream(self.snapshot()['position'])
        self.add('h1')
        position = stream.next()['id']
        self.add('h2')
        self.add('h3')
        # Of a browser the header counts, and not what it asked for at first.
        again = self.stream('0-0', **{'Last-Event-ID': position})
        self.assertEqual(['h2', 'h3'], [
            json.loads(again.next()['data'])[0] for _message in range(2)])

    def test_who_was_away_too_long_starts_anew(self):
        start = self.snapshot()['position']
        for _number in range(2001):
            self.feed.callbacks.added(SERVICE)
        for position in (start, 'other-1', '', 'x', f'{start}x',
                         start.replace('-0', '-99999')):
            stream = self.stream(position)
            self.assertEqual('reset', stream.next()['event'], position)
            self.assertRaises(EOFError, stream.next)

    def test_trouble_is_told_at_once_and_its_end(self):
        stream = self.stream(self.snapshot()['position'])
        self.assertEqual('null', stream.next(trouble=True)['data'])
        for self.trouble, told in (('bus is away', '"bus is away"'),
                                   (None, 'null')):
            self.assertEqual(told, stream.next(trouble=True)['data'])


class TestServer(BoardTestCase):

    def test_the_page_and_what_it_needs(self):
        for path, kind, inside in (
                ('/', 'text/html', b'static/board.js'),
                ('/static/board.js', 'text/javascript', b'EventSource'),
                ('/static/board.css', 'text/css', b'prefers-'),
                ('/static/icon.svg', 'image/svg+xml', b'<svg')):
            response, body = self.ask(path)
            self.assertEqual(200, response.status, path)
            self.assertIn(kind, response.headers['Content-Type'])
            self.assertIn(inside, body)
            self.check_headers(response)
            head, nothing = self.ask(path, 'HEAD')
            self.assertEqual(
                (200, str(len(body)), b''),
                (head.status, head.headers['Content-Length'], nothing))

    def check_headers(self, response):
        policy = response.headers['Content-Security-Policy']
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn('unsafe', policy)
        self.assertEqual('nosniff', response.headers['X-Content-Type-Options'])

    def test_a_page_has_nothing_inline(self):
        page = self.ask('/')[1].decode()
        self.assertNotIn('style=', page)
        self.assertNotRegex(page, r'<script(?![^>]*src=)| on\w+=|https?://')

    def test_a_long_list_is_compressed(self):
        self.add('h1')
        response, body = self.ask('/services', **{'Accept-Encoding': 'gzip'})
        self.assertEqual('gzip', response.headers['Content-Encoding'])
        self.assertEqual(self.snapshot(), json.loads(gzip.decompress(body)))

    def test_what_there_is_not(self):
        for path in ('/x', '/static/', '/static/../server.py',
                     '/static/%2e%2e/server.py', '/services/1'):
            response, _body = self.ask(path)
            self.assertEqual(404, response.status, path)
            self.check_headers(response)

    def test_it_can_only_be_read(self):
        for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'BREW'):
            response, _body = self.ask('/services', method)
            self.assertEqual((405, 'GET, HEAD'),
                             (response.status, response.headers['Allow']))

    def test_no_other_site_can_read_it_under_its_own_name(self):
        for host, status in (('evil.example', 421), ('', 421), ('[', 421),
                             ('127.0.0.1.evil.example', 421),
                             ('localhost:1', 200), ('127.0.0.1', 200)):
            response, _body = self.ask('/services', Host=host)
            self.assertEqual(status, response.status, host)

    def test_garbage_harms_nobody(self):
        for garbage in (b'\x00\xff\x16\x03\x01garbage\r\n\r\n',
                        b'GET / HTTP/9.9\r\n\r\n', b'G' * 100_000,
                        b'GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n',
                        b'GET /events?since=%ff%00 HTTP/1.1\r\n'
                        b'Host: localhost\r\n'
                        b'Last-Event-ID: \xff\xfe\r\n\r\n'):
            with socket.create_connection(('127.0.0.1', self.port)) as one:
                one.sendall(garbage)
                one.shutdown(socket.SHUT_WR)
                one.settimeout(PATIENCE)
                one.recv(100)
        self.assertEqual(200, self.ask('/')[0].status)

    def test_who_never_reads_is_left(self):
        position = self.snapshot()['position']
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            lazy.connect(('127.0.0.1', self.port))
            lazy.sendall(f'GET /events?since={position} HTTP/1.1\r\n'
                         'Host: localhost\r\n\r\n'.encode())
            stream = self.stream(position)
            long = dataclasses.replace(SERVICE, disabled_reason='x' * 10_000)
            for number in range(1000):
                self.feed.callbacks.added(dataclasses.replace(
                    long, uuid=f'u{number}'))
                stream.next()
            self.assertEqual(200, self.ask('/')[0].status)

    def test_too_many_streams_are_refused_and_pages_are_not(self):
        position = self.snapshot()['position']
        streams = [self.stream(position) for _stream in range(20)]
        refused = self.stream(position).response
        self.assertEqual((503, '5'), (
            refused.status, refused.headers['Retry-After']))
        self.assertEqual(200, self.ask('/')[0].status)
        streams[0].socket.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + PATIENCE
        while self.stream(position).status != 200:
            self.assertLess(time.monotonic(), deadline)
            self.add('h1')
            time.sleep(0.2)

    def test_it_ends_while_pages_look_on(self):
        stream = self.stream(self.snapshot()['position'])
        start = time.monotonic()
        self.board.stop()
        self.assertLess(time.monotonic() - start, 5)
        self.assertRaises((EOFError, OSError), stream.next)

    def test_a_port_that_is_taken(self):
        self.assertRaises(OSError, server.BoardServer, self.feed,
                          '127.0.0.1', self.port)
