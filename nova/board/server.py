# SPDX-License-Identifier: Apache-2.0
"""The board over HTTP: a page, a snapshot and a stream, read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import gzip
from importlib import resources
import logging
import threading
import time
from typing import TYPE_CHECKING
from urllib import parse

from cheroot import wsgi

from nova.board import feed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

LOG = logging.getLogger(__name__)

#: requests at a time, and how many of them may be streams
_THREADS = 24
_STREAMS = 20

#: seconds for a client to send or to take something
_TIMEOUT = 10

#: seconds between signs of life on a stream
_BEAT = 5

_LOOPBACK = ('127.0.0.1', '::1', 'localhost')

_FILES = {
    '/': ('index.html', 'text/html; charset=utf-8'),
    '/static/board.css': ('board.css', 'text/css; charset=utf-8'),
    '/static/board.js': ('board.js', 'text/javascript; charset=utf-8'),
    '/static/icon.svg': ('icon.svg', 'image/svg+xml'),
}

_SECURITY = [
    ('Content-Security-Policy',
     "default-src 'none'; script-src 'self'; style-src 'self'; "
     "img-src 'self'; connect-src 'self'; base-uri 'none'; "
     "form-action 'none'; frame-ancestors 'none'"),
    ('X-Content-Type-Options', 'nosniff'),
    ('X-Frame-Options', 'DENY'),
    ('Referrer-Policy', 'no-referrer'),
    ('Cross-Origin-Resource-Policy', 'same-origin'),
    ('Cache-Control', 'no-store'),
]


class BoardServer:
    """Serves the board of a feed.

    :param address: to listen on
    :param port: to listen on; 0 is a free one
    :param trouble: returns why the services may not be current, or None
    :ivar url: where it is seen
    :raises OSError: it can't listen there
    """

    def __init__(self, the_feed: feed.Feed, address: str, port: int,
                 trouble: Callable[[], str | None] = lambda: None) -> None:
        self._stopping = threading.Event()
        self._server = _Server(
            (address, port), _Application(the_feed, trouble, self._stopping,
                                          address in _LOOPBACK),
            numthreads=_THREADS, server_name='board', timeout=_TIMEOUT,
            shutdown_timeout=_TIMEOUT)
        self._server.prepare()
        name = f'[{address}]' if ':' in address else address
        self.url = f'http://{name}:{self._server.bind_addr[1]}/'
        self._thread = threading.Thread(
            target=self._server.serve, name='board', daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and return, within a limit."""
        self._stopping.set()
        self._server.stop()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT)


class _Server(wsgi.Server):

    def error_log(self, msg: str = '', level: int = logging.INFO,
                  traceback: bool = False) -> None:
        # Whoever sends garbage must not fill the log.
        LOG.debug('%s', msg, exc_info=traceback)


class _Application:
    def __init__(self, the_feed: feed.Feed, trouble: Callable[[], str | None],
                 stopping: threading.Event, local: bool) -> None:
        self._feed = the_feed
        self._trouble = trouble
        self._stopping = stopping
        self._local = local
        self._streams = threading.BoundedSemaphore(_STREAMS)
        folder = resources.files('nova.board') / 'static'
        self._files = {path: (kind, (folder / name).read_bytes())
                       for path, (name, kind) in _FILES.items()}
        self._paths = {*self._files, '/services', '/events'}

    def __call__(self, environ: WSGIEnvironment,
                 start_response: StartResponse) -> Iterable[bytes]:
        refusal = self._refusal(environ)
        if refusal:
            return _answer(environ, start_response, refusal, 'text/plain',
                           refusal.encode(), ('Allow', 'GET, HEAD'))
        path = environ['PATH_INFO']
        if path == '/events' and environ['REQUEST_METHOD'] == 'GET':
            return self._open_stream(environ, start_response)
        kind, body = self._content(path)
        headers = []
        if path == '/services' and 'gzip' in environ.get(
                'HTTP_ACCEPT_ENCODING', ''):
            body = gzip.compress(body, 1)
            headers = [('Content-Encoding', 'gzip')]
        return _answer(environ, start_response, '200 OK', kind, body,
                       *headers)

    def _refusal(self, environ: WSGIEnvironment) -> str | None:
        if environ['REQUEST_METHOD'] not in ('GET', 'HEAD'):
            return '405 Method Not Allowed'
        if self._local and _host(environ) not in _LOOPBACK:
            # A page of another site must not read this one by a name of its
            # own (DNS rebinding).
            return '421 Misdirected Request'
        if environ['PATH_INFO'] not in self._paths:
            return '404 Not Found'
        return None

    def _content(self, path: str) -> tuple[str, bytes]:
        if path == '/services':
            return 'application/json', self._feed.snapshot()
        return self._files.get(path, ('text/event-stream', b''))

    def _open_stream(self, environ: WSGIEnvironment,
                     start_response: StartResponse) -> Iterable[bytes]:
        if not self._streams.acquire(blocking=False):
            return _answer(environ, start_response, '503 Service Unavailable',
                           'text/plain', b'too many pages look on',
                           ('Retry-After', '5'))
        start_response('200 OK', [
            ('Content-Type', 'text/event-stream'), *_SECURITY])
        return _Stream(self._stream(_position(environ)),
                       self._streams.release)

    def _stream(self, position: str) -> Iterator[bytes]:
        yield b'retry: 1000\n\n'
        told: object = self
        beat = 0.0
        while not self._stopping.is_set():
            trouble = self._trouble()
            if trouble != told or time.monotonic() > beat:
                yield feed.message('trouble', trouble)
                told, beat = trouble, time.monotonic() + _BEAT
            news = self._feed.since(position, 0.5)
            if news is None:
                yield feed.message('reset', position)
                return
            position, messages = news
            if messages:
                yield b''.join(messages)


class _Stream:
    """An answer that gives its place free at its end, begun or not."""

    def __init__(self, parts: Iterator[bytes],
                 release: Callable[[], object]) -> None:
        self._parts = parts
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        self._release()


def _answer(environ: WSGIEnvironment, start_response: StartResponse,
            status: str, kind: str, body: bytes,
            *headers: tuple[str, str]) -> list[bytes]:
    start_response(status, [
        ('Content-Type', kind), ('Content-Length', str(len(body))),
        *_SECURITY, *headers])
    return [] if environ['REQUEST_METHOD'] == 'HEAD' else [body]


def _host(environ: WSGIEnvironment) -> str | None:
    try:
        return parse.urlsplit(f'//{environ.get("HTTP_HOST", "")}').hostname
    except ValueError:
        return None


def _position(environ: WSGIEnvironment) -> str:
    asked = parse.parse_qs(environ.get('QUERY_STRING', '')).get('since', [''])
    return environ.get('HTTP_LAST_EVENT_ID') or asked[0]
