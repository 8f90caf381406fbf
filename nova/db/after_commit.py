# SPDX-License-Identifier: Apache-2.0
"""Call a function once the transaction that it belongs to has committed.

What is deferred is kept on the DBAPI connection, so it does not matter
whether the transaction was opened as a session or as a connection. A rollback
drops it; the rollback to a savepoint drops what came after that savepoint.
Functions run when the connection is handed back to the pool: a transaction
that is over is the only one that can't be rolled back any more.
"""

from collections.abc import Callable, Iterable
import logging
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

LOG = logging.getLogger(__name__)

_DEFERRED = 'nova_deferred'
_SAVEPOINTS = 'nova_savepoints'
_COMMITTING = 'nova_committing'
_COMMITTED = 'nova_committed'


def defer(connection: sa.Connection, function: Callable[[], None]) -> None:
    """Call the function after the connection's transaction has committed.

    :param connection: of an engine that :func:`watch` has been called for,
        in a transaction
    """
    connection.info.setdefault(_DEFERRED, []).append(function)


def take(connection: sa.Connection) -> list[Callable[[], None]]:
    """Return what was deferred, and leave it to the caller to run it."""
    return connection.info.pop(_DEFERRED, [])


def run(functions: Iterable[Callable[[], None]]) -> None:
    """Call functions whose transaction has committed; log what they raise.

    The change is made: an error must not reach the caller as if the change
    had failed, and must not keep the other functions from running.
    """
    for function in functions:
        try:
            function()
        except Exception:
            LOG.exception('A function that was deferred until after the '
                          'commit failed')


def watch(engine: sa.Engine) -> None:
    """Make :func:`defer` work on the connections of an engine."""
    event.listen(engine, 'savepoint', _on_savepoint)
    event.listen(engine, 'rollback_savepoint', _on_rollback_savepoint)
    event.listen(engine, 'release_savepoint', _on_release_savepoint)
    event.listen(engine, 'commit', _on_commit)
    event.listen(engine, 'begin', _on_begin)
    event.listen(engine, 'rollback', _on_rollback)
    event.listen(engine, 'handle_error', _on_error)
    event.listen(engine, 'checkin', _on_checkin)


def _on_savepoint(connection: sa.Connection, _name: str | None) -> None:
    # Savepoints nest, and SQLAlchemy does not tell their names yet.
    connection.info.setdefault(_SAVEPOINTS, []).append(
        len(connection.info.get(_DEFERRED, ())))


def _on_rollback_savepoint(connection: sa.Connection, _name: str,
                           _context: None) -> None:
    start = connection.info[_SAVEPOINTS].pop()
    del connection.info.get(_DEFERRED, [])[start:]


def _on_release_savepoint(connection: sa.Connection, _name: str,
                          _context: None) -> None:
    connection.info[_SAVEPOINTS].pop()


def _on_commit(connection: sa.Connection) -> None:
    # Called just before the COMMIT; _on_error takes it back if that fails.
    connection.info[_COMMITTING] = take(connection)


def _on_begin(connection: sa.Connection) -> None:
    _settle(connection.info)


def _settle(info: dict[str, Any]) -> None:
    """Take note that the last COMMIT, if there was one, did not fail."""
    info.setdefault(_COMMITTED, []).extend(info.pop(_COMMITTING, []))


def _on_rollback(connection: sa.Connection) -> None:
    # One that was lost has no information any more, and raises for it.
    if not connection.invalidated:
        take(connection)


def _on_error(context: sa.engine.ExceptionContext) -> None:
    if context.connection is not None and not context.connection.invalidated:
        context.connection.info.pop(_COMMITTING, None)


def _on_checkin(_dbapi_connection: object,
                record: sa.pool.ConnectionPoolEntry) -> None:
    info: Any = record.info
    _settle(info)
    functions = info.pop(_COMMITTED)
    for key in (_DEFERRED, _SAVEPOINTS):
        info.pop(key, None)
    run(functions)
