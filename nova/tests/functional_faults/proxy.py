# SPDX-License-Identifier: Apache-2.0
"""A network that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading

import fixtures


class Proxy(fixtures.Fixture):
    """Passes TCP connections on to a port of the loopback interface.

    :ivar port: where it listens
    """

    def __init__(self, target: int) -> None:
        super().__init__()
        self._target = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._refusing = False
        self._flowing = threading.Event()
        self._flowing.set()

    def setUp(self) -> None:
        super().setUp()
        self._server = socket.create_server(('127.0.0.1', 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        self.addCleanup(self.cut)
        self.addCleanup(_close, self._server)

    def cut(self) -> None:
        """End all connections, and refuse others until :meth:`mend`."""
        self._refusing = True
        with self._lock:
            for end in self._open:
                _close(end)
            self._open.clear()
        self._flowing.set()

    def stall(self) -> None:
        """Pass nothing on until :meth:`mend`, and end no connection."""
        self._flowing.clear()

    def mend(self) -> None:
        """Work as if nothing had been."""
        self._refusing = False
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._server.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(('127.0.0.1', self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            if self._refusing:
                self.cut()
            for ends in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        for end in (source, sink):
            _close(end)
            with self._lock:
                self._open.discard(end)


def _close(end: socket.socket) -> None:
    # Another thread that waits in accept or recv wakes up of this only.
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
