# SPDX-License-Identifier: Apache-2.0
"""Limits for every wait on a database server.

A server, or a firewall on the way to it, can fall silent without an end of
the TCP connection. The drivers wait for such a server without limit. A plugin
of SQLAlchemy gives their connections limits, from the first one on; what the
database URL sets itself comes first.
"""

from __future__ import annotations

import contextlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy import dialects
from sqlalchemy import event

_NAME = 'nova_timeouts'
_CONNECT = 'nova_connect_timeout'
_READ = 'nova_read_timeout'

#: Seconds for which a server keeps an open transaction of a silent client. A
#: relay that froze in one holds the lock of its lease, which another relay
#: wants after ten seconds.
_IDLE_LIMIT = 10

#: How the kernel finds out that the peer of a PostgreSQL connection has gone:
#: after 20 s, sooner than the limit of a statement that was raised.
_DEAD_PEER = {'keepalives_idle': 10, 'keepalives_interval': 5,
              'keepalives_count': 2, 'tcp_user_timeout': 20_000}


def url_parameters(connect_timeout: int, read_timeout: int) -> str:
    """Return the parameters of a database URL that set the limits.

    :param connect_timeout: seconds for the TCP connection and the login
    :param read_timeout: seconds without any answer; 0 for no limit
    """
    return (f'plugin={_NAME}&{_CONNECT}={connect_timeout}'
            f'&{_READ}={read_timeout}')


class Timeouts(sa.CreateEnginePlugin):
    """Gives the connections of an engine limits, as its URL says."""

    def __init__(self, url: sa.URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        self._connect, self._read = (
            int(str(url.query[name])) for name in (_CONNECT, _READ))
        self._idle = min(self._read, _IDLE_LIMIT)

    def update_url(self, url: sa.URL) -> sa.URL:
        return url.difference_update_query([_CONNECT, _READ])

    def engine_created(self, engine: sa.Engine) -> None:
        if engine.dialect.driver in ('pymysql', 'mysqldb'):
            self._limit_mysql(engine)
        elif engine.dialect.driver == 'psycopg2':
            self._limit_postgresql(engine)

    def _limit_mysql(self, engine: sa.Engine) -> None:
        defaults = {'connect_timeout': self._connect}
        if self._read:
            defaults |= dict.fromkeys(('read_timeout', 'write_timeout'),
                                      self._read)
            # MySQL has no such limit and takes it for a comment.
            _run_on_connect(
                engine, 'SET @nova = 0 /*M!100300 , '
                f'SESSION idle_transaction_timeout = {self._idle} */')
        _set_defaults(engine, defaults)

    def _limit_postgresql(self, engine: sa.Engine) -> None:
        from nova.db import watchdog
        defaults = {'connect_timeout': self._connect, **_DEAD_PEER}
        if self._read:
            defaults |= watchdog.factories(self._read)
            _run_on_connect(
                engine, 'SET idle_in_transaction_session_timeout = '
                f"'{self._idle}s'")
        _set_defaults(engine, defaults)
        event.listen(engine, 'handle_error', _mark_unreachable)


def _set_defaults(engine: sa.Engine, defaults: dict[str, Any]) -> None:
    @event.listens_for(engine, 'do_connect')
    def set_defaults(_dialect: sa.Dialect, _record: object, _arguments: Any,
                     parameters: dict[str, Any]) -> None:
        for name, value in defaults.items():
            parameters.setdefault(name, value)


def _run_on_connect(engine: sa.Engine, statement: str) -> None:
    """Let the server end transactions of clients that it does not hear.

    The server does not see either that a connection has fallen silent, and
    would hold the locks of its transaction for hours.
    """
    @event.listens_for(engine, 'connect')
    def run(connection: Any, _record: object) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(statement)
        connection.commit()


def _mark_unreachable(context: sa.ExceptionContext) -> None:
    """Let oslo.db try again when PostgreSQL can't be reached.

    It knows the messages of old versions of libpq only.
    """
    reason = str(context.original_exception)
    if context.connection is None and (
            'FATAL' not in reason or 'the database system is' in reason):
        context.is_disconnect = True


dialects.plugins.register(_NAME, __name__, Timeouts.__name__)
