# SPDX-License-Identifier: Apache-2.0
"""Calls of psycopg2 that end in time although the server is silent.

libpq has no limit for an answer. A thread shuts the socket of a connection
down whose call takes too long; the call then fails as if the server had
closed the connection.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import socket
import threading
import time
from typing import Any

import psycopg2
from psycopg2 import extensions

#: seconds by which a call may outlast its limit
_TICK = 0.5


def factories(limit: int) -> dict[str, Any]:
    """Return arguments of ``psycopg2.connect()`` that limit each call.

    :param limit: seconds
    """
    return {'connection_factory': type('Connection', (_Connection,),
                                       {'limit': limit}),
            'cursor_factory': _Cursor}


class _Watchdog:
    def __init__(self) -> None:
        self._deadlines: dict[_Connection, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self, connection: _Connection) -> Iterator[None]:
        """End what happens inside at the limit of its connection."""
        with self._lock:
            self._deadlines[connection] = time.monotonic() + connection.limit
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name='database watchdog', daemon=True)
                self._thread.start()
        try:
            yield
        except psycopg2.Error as error:
            if connection in self._deadlines:
                raise
            raise psycopg2.OperationalError(
                'the server sent no answer within '
                f'{connection.limit} s') from error
        finally:
            with self._lock:
                self._deadlines.pop(connection, None)

    def _run(self) -> None:
        while True:
            time.sleep(_TICK)
            now = time.monotonic()
            # A connection in here is in a call, and can't be closed.
            with self._lock:
                for connection in [
                        connection for connection, deadline
                        in self._deadlines.items() if deadline < now]:
                    del self._deadlines[connection]
                    _shut_down(connection)


def _shut_down(connection: _Connection) -> None:
    with (contextlib.suppress(OSError, psycopg2.Error),
          socket.socket(fileno=os.dup(connection.fileno())) as end):
        end.shutdown(socket.SHUT_RDWR)


_watchdog = _Watchdog()


def _renew() -> None:
    global _watchdog
    _watchdog = _Watchdog()


# A child process has no thread, and may have got a lock that is held.
os.register_at_fork(after_in_child=_renew)


class _Connection(extensions.connection):
    limit: int

    def commit(self) -> None:
        with _watchdog.watch(self):
            super().commit()

    def rollback(self) -> None:
        with _watchdog.watch(self):
            super().rollback()


class _Cursor(extensions.cursor):
    connection: _Connection

    def execute(self, *arguments: Any) -> None:
        with _watchdog.watch(self.connection):
            super().execute(*arguments)

    def executemany(self, *arguments: Any) -> None:
        with _watchdog.watch(self.connection):
            super().executemany(*arguments)
