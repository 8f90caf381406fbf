# SPDX-License-Identifier: Apache-2.0
"""The processes of nova-api that answer requests.

The event loop of a process talks to all clients: it receives a request whole
before it takes one of the few threads that run the application, and it sends
the answer after it has given the thread back. A client that is slow, or that
sends half a request, therefore holds no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
import io
import logging
import os
import re
import signal
import socket
import time
from typing import Any

from gunicorn import http
from gunicorn import sock
from gunicorn.workers import gthread

from nova.api.openstack import faults

LOG = logging.getLogger(__name__)

ENDING_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}

#: Connections of one process; with two file descriptors each they stay below
#: the usual limit of 1024. The client that was waited for longest loses its
#: connection when one more comes.
MAX_CONNECTIONS = 400

#: bytes that are received at a time
_MAX_READ = 64 * 1024

#: bytes of a line of a request; gunicorn refuses shorter ones already
_MAX_LINE = 64 * 1024

#: bytes of a request beside what its body may have
_MAX_OVERHEAD = 1024 * 1024

#: bytes of an answer that a client must take within client_timeout
_PIECE = 1024 * 1024

#: seconds that a client has to close its end after the last answer, and to
#: use a connection that it keeps open while the process stops
_LINGER = 2.0

_REQUEST_LINE = re.compile(rb'\S+ .+ HTTP/\d|\r\n')
_FRAMING = re.compile(
    rb'\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r]*)',
    re.IGNORECASE)


class Worker(gthread.ThreadWorker):
    """Runs the application in gunicorn's threads, for clients of a loop."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: set[asyncio.Task[None]] = set()
        #: those that have to send or to take something, the longest first
        self._due: dict[Any, None] = {}
        #: those that have not begun a request
        self._idle: set[Any] = set()

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End at once.

        gunicorn's own handler takes a lock that the interrupted code may hold.
        """
        os._exit(0)

    def handle_error(self, req: Any, client: Any, addr: Any,
                     exc: Exception) -> None:
        """Answer what is no HTTP with a fault instead of a page."""
        page = _Exchange(b'')
        super().handle_error(req, page, addr, exc)
        if not page.answer:
            return
        status = page.answer.partition(b'\r\n')[0]
        _protocol, code, reason = status.decode().split(' ', 2)
        client.sendall(_fault(int(code), reason, f'{reason}: {exc}'))

    def run(self) -> None:
        """Serve until SIGTERM; finish what was begun by then."""
        conf = self.app.conf
        self._client_timeout = conf.wsgi.client_timeout
        self._max_body = conf.oslo_middleware.max_request_body_size
        self._tls = sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        acceptors = {loop.create_task(self._accept(listener.sock))
                     for listener in self.sockets}
        stopped = loop.create_task(stopping.wait())
        while self.alive and self.is_parent_alive():
            self.notify()
            done, _pending = await asyncio.wait(
                {stopped, *acceptors}, timeout=1.0,
                return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # An acceptor ends with its error only.
                task.result()
                self.alive = False
        for acceptor in acceptors:
            acceptor.cancel()
        await self._drain()
        self.tpool.shutdown(wait=False)

    async def _drain(self) -> None:
        """Wait until the requests that were begun are answered."""
        deadline = time.monotonic() + self.cfg.graceful_timeout
        if self._idle:
            await asyncio.wait(set(self._idle), timeout=_LINGER)
        for task in self._idle:
            task.cancel()
        while self._connections and time.monotonic() < deadline:
            self.notify()
            await asyncio.wait(set(self._connections), timeout=1.0)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            await self._make_room()
            try:
                client, address = await loop.sock_accept(listener)
            except OSError as error:
                LOG.warning('A connection could not be accepted: %s', error)
                await asyncio.sleep(0.1)
                continue
            task = loop.create_task(self._talk(
                client, address, listener.getsockname()))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _make_room(self) -> None:
        while len(self._connections) >= MAX_CONNECTIONS:
            ending = set(self._connections)
            for longest in list(self._due)[:1]:
                longest.cancel()
                ending = {longest}
            await asyncio.wait(ending, timeout=1.0,
                               return_when=asyncio.FIRST_COMPLETED)

    async def _talk(self, client: socket.socket, address: Any,
                    server: Any) -> None:
        """Serve one connection to its end."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_MAX_READ)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            async with self._client_is_due(self._client_timeout):
                transport, _protocol = await loop.connect_accepted_socket(
                    lambda: protocol, client, ssl=self._tls,
                    ssl_shutdown_timeout=(
                        self._client_timeout if self._tls else None))
        except OSError as error:
            LOG.info('No connection with %s: %s', address[0], error)
            return
        # Let drain() wait until the client's machine has all of it.
        transport.set_write_buffer_limits(0)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        request = _Request(reader, writer, self._max_body)
        try:
            patience = self._client_timeout
            while await self._receive(request, address, patience):
                exchange = _Exchange(request.take())
                # A descriptor of its own, which the loop does not close.
                direct = None if self._tls else client.dup()
                kept = await loop.run_in_executor(
                    self.tpool, self._work, exchange, address, server, direct)
                await self._send(writer, exchange.answer)
                if not (kept and request.whole):
                    break
                patience = self.cfg.keepalive
            await self._close(reader, writer)
        except OSError as error:
            LOG.debug('The connection with %s was ended: %s', address, error)
        finally:
            transport.abort()

    async def _receive(self, request: _Request, address: Any,
                       patience: float) -> bool:
        """Receive a request; return whether it should be handled.

        :param patience: seconds until it must have begun
        :raises OSError: it did not begin
        """
        async with self._client_is_due(patience, idle=True):
            if not await request.begin():
                return False
        try:
            async with self._client_is_due(self._client_timeout):
                await request.receive()
        except TimeoutError:
            LOG.info('%s did not send its whole request within [wsgi] '
                     'client_timeout (%s s)', address[0],
                     self._client_timeout)
            await self._send(request.writer, _fault(
                408, 'Request Timeout', 'The whole request must arrive '
                f'within {self._client_timeout} seconds'))
            return False
        except ValueError as error:
            await self._send(request.writer, _fault(
                400, 'Bad Request', f'Malformed request body: {error}'))
            return False
        return True

    def _work(self, exchange: _Exchange, address: Any, server: Any,
              direct: socket.socket | None) -> bool:
        """Handle a request in a thread; return whether to go on.

        :param direct: takes at once what it can of the answer, which is
            faster than through the loop; None for TLS. It is closed.
        """
        connection = gthread.TConn(self.cfg, exchange, address, server)
        connection.parser = http.get_parser(self.cfg, exchange, address)
        connection.data_ready = True
        kept = self.handle(connection)
        if direct:
            with direct, contextlib.suppress(OSError):
                del exchange.answer[:direct.send(exchange.answer)]
        # Where the next request begins is known only if gunicorn took this
        # one to end where it was taken to end here.
        return (kept and not exchange.recv(1)
                and not connection.parser.unreader.take_buffered())

    async def _send(self, writer: asyncio.StreamWriter,
                    answer: bytes | bytearray) -> None:
        for start in range(0, len(answer), _PIECE):
            async with self._client_is_due(self._client_timeout):
                writer.write(answer[start:start + _PIECE])
                await writer.drain()

    async def _close(self, reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> None:
        """Close a connection so that the client gets the whole answer.

        Closed with received bytes unread, TCP would throw the answer away.
        """
        if writer.can_write_eof():
            writer.write_eof()
            async with self._client_is_due(_LINGER):
                while await reader.read(_MAX_READ):
                    pass
        async with self._client_is_due(self._client_timeout):
            writer.close()
            await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def _client_is_due(self, seconds: float,
                             idle: bool = False) -> AsyncIterator[None]:
        """Limit the time of a wait for the client.

        :param idle: the client need not do anything
        :raises TimeoutError: it took longer
        """
        task = asyncio.current_task()
        self._due[task] = None
        if idle:
            self._idle.add(task)
        try:
            async with asyncio.timeout(seconds):
                yield
        finally:
            del self._due[task]
            self._idle.discard(task)


class _Request:
    """The requests of a connection, one after the other.

    :param max_body: bytes that a body may have
    :ivar whole: whether all of the request was received
    """

    def __init__(self, reader: asyncio.StreamReader,
                 writer: asyncio.StreamWriter, max_body: int) -> None:
        self.writer = writer
        self.whole = False
        self._reader = reader
        self._max_body = max_body
        self._received = bytearray()
        self._end = 0

    async def begin(self) -> bool:
        """Wait for its begin; return False if the client is gone."""
        self.whole = False
        if not self._received:
            self._received += await self._reader.read(_MAX_READ)
        return bool(self._received)

    async def receive(self) -> None:
        """Receive it, or as much as shows why it can't be answered.

        :raises ValueError: its body has no end that can be found
        """
        self._end = 0
        try:
            await self._receive_head()
            self.whole = await self._receive_body()
        except (_BadHeadError, EOFError) as error:
            LOG.debug('A request was not received whole: %s', error)
            self._end = len(self._received)

    def take(self) -> bytes:
        """Return what was received of it, and forget it."""
        taken = bytes(self._received[:self._end])
        del self._received[:self._end]
        return taken

    async def _receive_head(self) -> None:
        try:
            line = await self._receive_line()
            if not _REQUEST_LINE.match(line):
                raise ValueError('the first line is no request')
            while line != b'\r\n':
                line = await self._receive_line()
        except ValueError as error:
            raise _BadHeadError(str(error)) from error

    async def _receive_body(self) -> bool:
        """Receive the body; return False if it is too large."""
        fields = {name.lower(): value for name, value
                  in _FRAMING.findall(self._received, 0, self._end)}
        chunked = b'transfer-encoding' in fields
        length = _number(fields.get(b'content-length', b'0'), 10)
        if length > self._max_body:
            return False
        if (fields.get(b'expect', b'').lower() == b'100-continue'
                and (chunked or length)):
            self.writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        if chunked:
            return await self._receive_chunks()
        await self._receive_to(self._end + length)
        return True

    async def _receive_chunks(self) -> bool:
        # The application must see that it is more than it reads.
        left = 2 * self._max_body + 1
        while size := _number(await self._receive_line(), 16):
            await self._receive_to(self._end + min(size + 2, left))
            left -= size
            if left <= 0:
                return False
            if not self._received.endswith(b'\r\n', 0, self._end):
                raise ValueError(f'a chunk is longer than {size} bytes')
        while await self._receive_line() != b'\r\n':
            pass
        return True

    async def _receive_line(self) -> bytes:
        start = searched = self._end
        while (found := self._received.find(b'\r\n', searched)) < 0:
            if len(self._received) - start > _MAX_LINE:
                raise ValueError('a line is too long')
            searched = max(start, len(self._received) - 1)
            await self._receive_more()
        self._end = found + 2
        return bytes(self._received[start:self._end])

    async def _receive_to(self, end: int) -> None:
        while len(self._received) < end:
            await self._receive_more()
        self._end = end

    async def _receive_more(self) -> None:
        if len(self._received) > 2 * self._max_body + _MAX_OVERHEAD:
            raise ValueError('the request is too large')
        more = await self._reader.read(_MAX_READ)
        if not more:
            raise EOFError('the client has closed the connection')
        self._received += more


class _BadHeadError(Exception):
    """gunicorn knows better what is wrong, and says it."""


class _Exchange:
    """Takes the place of a socket: a request, and what is answered.

    :param request: what it receives, and then the end
    :ivar answer: what was sent
    """

    def __init__(self, request: bytes) -> None:
        self._request = io.BytesIO(request)
        self.answer = bytearray()

    def recv(self, size: int) -> bytes:
        return self._request.read(size)

    def sendall(self, data: bytes) -> None:
        self.answer += data

    def send(self, data: bytes) -> int:
        """Drop "100 Continue", which the client has got or needs no more."""
        return len(data)

    def gettimeout(self) -> float:
        return 0.0

    def _nothing(self, *_arguments: object) -> None:
        """There is nothing to set or to close."""

    setblocking = settimeout = shutdown = close = _nothing


def _number(text: bytes, base: int) -> int:
    digits = re.match(rb'[0-9A-Fa-f]+', text)
    if not digits:
        raise ValueError(f'{text!r} is no length')
    return int(digits[0], base)


def _fault(code: int, reason: str, message: str) -> bytes:
    body = faults.response(code, message).body
    return (f'HTTP/1.1 {code} {reason}\r\nConnection: close\r\n'
            'Content-Type: application/json; charset=UTF-8\r\n'
            f'Content-Length: {len(body)}\r\n\r\n').encode() + body
