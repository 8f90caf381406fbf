# SPDX-License-Identifier: Apache-2.0
"""All SQL on the services table; names and results are Nova's.

A call joins the transaction that is open on its context, or opens its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import contextlib
import functools
from typing import Any, Concatenate, ParamSpec, TypeVar

from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade
from oslo_utils import timeutils
import sqlalchemy as sa

from nova import conf as nova_conf
from nova import exception
from nova.context import RequestContext
from nova.db import after_commit
from nova.db import timeouts
from nova.db.main import models

P = ParamSpec('P')
R = TypeVar('R')

#: Set by processes that must not touch the database themselves.
DISABLE_DB_ACCESS = False

NEW_COMPUTE_DISABLED = 'New compute service disabled due to config option.'

_SERVICES: Any = models.Service.__table__
_KEYS = tuple(_SERVICES.columns.keys())
_LENGTHS = {column.name: column.type.length for column in _SERVICES.columns
            if isinstance(column.type, sa.String) and column.type.length}


#: codes of MariaDB and MySQL for a text that is none in a column's charset
_NOT_COMPARABLE = (1267, 3988)


class Row(dict[str, Any]):
    """A row as callers of Nova's use it: ``row['host']`` or ``row.host``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def create_context_manager(connection: str | None = None) -> Any:
    """Return a manager of the transactions on one database.

    :param connection: SQLAlchemy URL; None for ``[database] connection``
    """
    manager = enginefacade.transaction_context()
    manager.append_on_engine_create(after_commit.watch)
    if connection is not None:
        manager.configure(connection=connection,
                          connection_parameters=_parameters(cfg.CONF))
    return manager


def _parameters(conf: cfg.ConfigOpts) -> str:
    """Return what is appended to the URLs of ``[database]``."""
    options = conf.database
    limits = timeouts.url_parameters(options.connect_timeout,
                                     options.read_timeout)
    given = options.connection_parameters
    return f'{given}&{limits}' if given else limits


context_manager = create_context_manager()


def configure(conf: cfg.ConfigOpts) -> None:
    """Read ``[database]``; nothing is connected before the first use."""
    global context_manager
    if context_manager.is_started:
        context_manager.dispose_pool()
        context_manager = create_context_manager()
    context_manager.configure(**{
        opt.dest: conf.database[opt.dest]
        for opt in nova_conf.database.OSLO_OPTS
        if opt.dest not in ('backend', 'db_max_retries', 'db_retry_interval',
                            'db_inc_retry_interval', 'db_max_retry_interval',
                            'asyncio_connection', 'connection_parameters',
                            'asyncio_slave_connection')},
        connection_parameters=_parameters(conf),
        # A sleep(0) at each return of a connection, for greenthreads.
        thread_checkin=False)


def get_context_manager(context: RequestContext | None) -> Any:
    """Return the manager of the context's database."""
    return getattr(context, 'db_connection', None) or context_manager


def get_engine(use_slave: bool = False,
               context: RequestContext | None = None) -> sa.Engine:
    """Return the engine; connects on first use."""
    manager = get_context_manager(context)
    return (manager.reader if use_slave else manager.writer).get_engine()


@contextlib.contextmanager
def patient_engine(context: RequestContext | None) -> Iterator[sa.Engine]:
    """Lend an engine without a limit for a statement, for migrations."""
    engine = get_engine(context=context)
    if engine.dialect.name == 'sqlite':
        # One in memory can't be opened again.
        yield engine
        return
    manager = create_context_manager()
    manager.configure(
        connection=engine.url.render_as_string(hide_password=False),
        connection_parameters=timeouts.url_parameters(
            cfg.CONF.database.connect_timeout, read_timeout=0))
    patient = manager.writer.get_engine()
    try:
        yield patient
    finally:
        patient.dispose()


def in_transaction(context: RequestContext) -> bool:
    """Return whether a transaction is open on the context in this thread."""
    return getattr(getattr(context, '_enginefacade_context', None), 'current',
                   None) is not None


@contextlib.contextmanager
def transaction(context: RequestContext) -> Iterator[sa.Connection]:
    """Open a writer transaction on the context, or join the open one.

    Functions that were given to :func:`defer` inside run after the outermost
    transaction has committed. What they raise is logged, not raised.
    """
    _check_access()
    outermost = not in_transaction(context)
    deferred: list[Callable[[], None]] = []
    with get_context_manager(context).writer.connection.using(
            context) as connection:
        yield connection
        if outermost:
            # Taken off the connection, so that they run with it given back.
            deferred = after_commit.take(connection)
    after_commit.run(deferred)


def defer(context: RequestContext, function: Callable[[], None]) -> None:
    """Call a function after the commit; now, if no transaction is open.

    What the function raises is logged, not raised.
    """
    if not in_transaction(context):
        after_commit.run([function])
        return
    with get_context_manager(context).writer.connection.using(
            context) as connection:
        after_commit.defer(connection, function)


def transactional(function: Callable[Concatenate[RequestContext, P], R]
                  ) -> Callable[Concatenate[RequestContext, P], R]:
    """Run a function in a writer transaction.

    After a deadlock the outermost such function is tried up to 5 times more;
    inside another transaction there is nothing to repeat: the deadlock has
    rolled back all of it.
    """
    def once(context: RequestContext, *args: P.args, **kwargs: P.kwargs) -> R:
        with transaction(context):
            return function(context, *args, **kwargs)

    repeated = oslo_db_api.wrap_db_retry(
        max_retries=5, retry_on_deadlock=True)(once)

    @functools.wraps(function)
    def wrapper(context: RequestContext, *args: P.args,
                **kwargs: P.kwargs) -> R:
        run = once if in_transaction(context) else repeated
        return run(context, *args, **kwargs)

    return wrapper


def pick_context_manager_writer(function: Callable[..., R]
                                ) -> Callable[..., R]:
    """Run a function of (context, …) in a writer transaction."""
    @functools.wraps(function)
    def wrapper(context: RequestContext, *args: Any, **kwargs: Any) -> R:
        with transaction(context):
            return function(context, *args, **kwargs)
    return wrapper


def _reading(allow_async: bool) -> Callable[..., Any]:
    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def wrapper(context: RequestContext, *args: Any, **kwargs: Any) -> R:
            _check_access()
            reader = get_context_manager(context).reader.connection
            if allow_async:
                reader = reader.allow_async
            with reader.using(context):
                return function(context, *args, **kwargs)
        return wrapper
    return decorate


pick_context_manager_reader = _reading(allow_async=False)
pick_context_manager_reader_allow_async = _reading(allow_async=True)


def select_db_reader_mode(function: Callable[..., R]) -> Callable[..., R]:
    """Read from ``slave_connection`` if called with ``use_slave=True``.

    For methods of (cls, context, …).
    """
    @functools.wraps(function)
    def wrapper(owner: Any, context: RequestContext, *args: Any,
                use_slave: bool = False, **kwargs: Any) -> R:
        if not use_slave:
            return function(owner, context, *args, **kwargs)
        with get_context_manager(context).reader.async_.connection.using(
                context):
            return function(owner, context, *args, **kwargs)
    return wrapper


def _check_access() -> None:
    if DISABLE_DB_ACCESS:
        raise exception.DBNotAllowed(binary='This process')


def connection_of(context: RequestContext) -> sa.Connection:
    """Return the connection of the context's open transaction."""
    return context.connection  # type: ignore[attr-defined]


@transactional
def service_create(context: RequestContext, values: dict[str, Any]) -> Row:
    """Insert a service and return its row.

    :raises ServiceBinaryExists: host and binary are taken
    :raises ServiceTopicExists: host and topic are taken
    :raises ServiceUUIDExists: the uuid is taken
    :raises ServiceFieldTooLong: a text is longer than its column
    :raises ServiceFieldNotStorable: a text is none in the column's charset
    """
    _check_lengths(values)
    if (values.get('binary') == 'nova-compute'
            and not cfg.CONF.enable_new_services):
        values = {**values, 'disabled': True,
                  'disabled_reason': NEW_COMPUTE_DISABLED}
    connection = connection_of(context)
    with _explained(values):
        result = connection.execute(
            _SERVICES.insert(), {'created_at': timeutils.utcnow(), **values})
    (service_id,) = result.inserted_primary_key  # type: ignore[misc]
    return _by_id(connection, service_id)


@transactional
def service_update(context: RequestContext, service_id: int,
                   values: dict[str, Any]) -> Row:
    """Change a service and return its row.

    A ``report_count`` is a heartbeat: it sets ``last_seen_up`` to now unless
    a time is given, and the counter never goes back, whoever else beats for
    the same record.

    :raises ServiceNotFound: there is no such service, or it was deleted
    :raises ServiceFieldTooLong: a text is longer than its column
    :raises ServiceFieldNotStorable: a text is none in the column's charset
    """
    _check_lengths(values)
    now = timeutils.utcnow()
    values = {'updated_at': now, **values}
    if 'report_count' in values:
        count = values['report_count']
        stored = _SERVICES.c.report_count
        values['report_count'] = sa.case(
            (stored < count, count), else_=stored + 1)
        values.setdefault('last_seen_up', now)
    connection = connection_of(context)
    with _explained(values):
        result = connection.execute(
            _SERVICES.update().where(*_alive(service_id)).values(values))
    if not result.rowcount:
        raise exception.ServiceNotFound(service_id=service_id)
    row = _by_id(connection, service_id)
    # MariaDB stores whole seconds; the caller gets the time that it was.
    row['updated_at'] = values['updated_at']
    return row


@transactional
def service_destroy(context: RequestContext, service_id: int) -> Row:
    """Soft-delete a service and return its row as it was then.

    The UPDATE comes first: it decides which of two callers deletes, and the
    row can't change between it and the commit.

    :raises ServiceNotFound: there is no such service, or it was deleted
    """
    connection = connection_of(context)
    result = connection.execute(
        _SERVICES.update().where(*_alive(service_id)).values(
            deleted=_SERVICES.c.id, deleted_at=timeutils.utcnow(),
            # Named, or the column's onupdate would set it.
            updated_at=_SERVICES.c.updated_at))
    if not result.rowcount:
        raise exception.ServiceNotFound(service_id=service_id)
    return _by_id(connection, service_id)


@transactional
def service_lock(context: RequestContext, service_id: int) -> Row:
    """Return a service's row, which nobody can change before the commit.

    By an UPDATE that changes nothing, which all databases lock for.

    :raises ServiceNotFound: there is no such service, or it was deleted
    """
    connection = connection_of(context)
    result = connection.execute(
        _SERVICES.update().where(*_alive(service_id)).values(
            # Named, or the column's onupdate would set it.
            updated_at=_SERVICES.c.updated_at))
    if not result.rowcount:
        raise exception.ServiceNotFound(service_id=service_id)
    return _by_id(connection, service_id)


@pick_context_manager_reader
def service_get(context: RequestContext, service_id: int) -> Row:
    """Return the service with this id.

    :raises ServiceNotFound: the context may read no such service
    """
    return _one(context, exception.ServiceNotFound(service_id=service_id),
                _SERVICES.c.id == service_id, *_visible(context))


@pick_context_manager_reader
def service_get_by_uuid(context: RequestContext, service_uuid: str) -> Row:
    """Return the service with this uuid.

    :raises ServiceNotFound: the context may read no such service
    """
    absent = exception.ServiceNotFound(service_id=service_uuid)
    row = _one(context, absent, _SERVICES.c.uuid == service_uuid,
               *_visible(context))
    if row['uuid'] != service_uuid:
        # MySQL compares without case.
        raise absent
    return row


@pick_context_manager_reader
def service_get_all_by_uuids(context: RequestContext,
                             uuids: Iterable[str]) -> dict[str, Row]:
    """Return the services with these uuids that are not deleted, by uuid.

    The uuids are sent in one statement: some hundreds at most.
    """
    return {row['uuid']: row for row in _all(
        context, _SERVICES.c.uuid.in_(list(uuids)), _SERVICES.c.deleted == 0)}


@pick_context_manager_reader
def service_get_by_host_and_topic(context: RequestContext, host: str,
                                  topic: str) -> Row | None:
    """Return the enabled service of a host and topic, or None."""
    return _first(context, _SERVICES.c.host == host,
                  _SERVICES.c.topic == topic,
                  _SERVICES.c.disabled.is_(False), _SERVICES.c.deleted == 0)


@pick_context_manager_reader
def service_get_by_host_and_binary(context: RequestContext, host: str,
                                   binary: str) -> Row:
    """Return the service of a host and binary.

    :raises HostBinaryNotFound: there is none
    """
    return _one(context,
                exception.HostBinaryNotFound(host=host, binary=binary),
                _SERVICES.c.host == host, _SERVICES.c.binary == binary,
                _SERVICES.c.deleted == 0)


@pick_context_manager_reader_allow_async
def service_get_by_compute_host(context: RequestContext, host: str) -> Row:
    """Return the nova-compute service of a host.

    :raises ComputeHostNotFound: there is none
    """
    return _one(context, exception.ComputeHostNotFound(host=host),
                _SERVICES.c.host == host,
                _SERVICES.c.binary == 'nova-compute',
                _SERVICES.c.deleted == 0)


@pick_context_manager_reader
def service_get_all(context: RequestContext, disabled: bool | None = None,
                    host: str | None = None,
                    binary: str | None = None) -> list[Row]:
    """Return all services in id order.

    :param disabled: None means enabled and disabled
    :param host: None means any
    :param binary: None means any
    """
    exact = {name: value for name, value in (
        ('host', host), ('binary', binary)) if value is not None}
    wanted = [_SERVICES.c[name] == value for name, value in exact.items()]
    if disabled is not None:
        wanted.append(_SERVICES.c.disabled.is_(disabled))
    rows = _all(context, *wanted, *_visible(context))
    if exact:
        # MySQL compares without case.
        rows = [row for row in rows if exact.items() <= row.items()]
    return rows


@pick_context_manager_reader
def service_get_all_by_topic(context: RequestContext,
                             topic: str) -> list[Row]:
    """Return the enabled services of a topic in id order."""
    return _all(context, _SERVICES.c.topic == topic,
                _SERVICES.c.disabled.is_(False), _SERVICES.c.deleted == 0)


@pick_context_manager_reader
def service_get_all_by_binary(context: RequestContext, binary: str,
                              include_disabled: bool = False) -> list[Row]:
    """Return the services of a binary in id order."""
    wanted = [] if include_disabled else [_SERVICES.c.disabled.is_(False)]
    return _all(context, _SERVICES.c.binary == binary, *wanted,
                *_visible(context))


@pick_context_manager_reader
def service_get_all_by_host(context: RequestContext,
                            host: str) -> list[Row]:
    """Return the services of a host in id order."""
    return _all(context, _SERVICES.c.host == host, _SERVICES.c.deleted == 0)


@pick_context_manager_reader_allow_async
def service_get_minimum_version(context: RequestContext,
                                binaries: Iterable[str]
                                ) -> dict[str, int | None]:
    """Return the smallest version a binary; forced-down services don't count.

    A binary without services is left out; a NULL version counts as 0.
    """
    statement = (
        sa.select(_SERVICES.c.binary,
                  sa.func.min(sa.func.coalesce(_SERVICES.c.version, 0)))
        .where(_SERVICES.c.binary.in_(list(binaries)),
               _SERVICES.c.deleted == 0,
               _SERVICES.c.forced_down.is_(False))
        .group_by(_SERVICES.c.binary))
    found = connection_of(context).execute(statement)
    return dict(tuple(row) for row in found)


_SELECT_BY_ID = sa.select(_SERVICES).where(
    _SERVICES.c.id == sa.bindparam('service_id'))


def _alive(service_id: int) -> tuple[Any, ...]:
    return _SERVICES.c.id == service_id, _SERVICES.c.deleted == 0


def _visible(context: RequestContext) -> tuple[Any, ...]:
    return {'no': (_SERVICES.c.deleted == 0,),
            'only': (_SERVICES.c.deleted != 0,),
            'yes': ()}[context.read_deleted]


def _row(values: Iterable[Any]) -> Row:
    return Row(zip(_KEYS, values, strict=True))


def _by_id(connection: sa.Connection, service_id: int) -> Row:
    return _row(connection.execute(
        _SELECT_BY_ID, {'service_id': service_id}).one())


def _all(context: RequestContext, *where: Any) -> list[Row]:
    statement = sa.select(_SERVICES).where(*where).order_by(_SERVICES.c.id)
    return _fetch(context, statement)


def _first(context: RequestContext, *where: Any) -> Row | None:
    statement = sa.select(_SERVICES).where(*where).order_by(
        _SERVICES.c.id).limit(1)
    rows = _fetch(context, statement)
    return rows[0] if rows else None


def _fetch(context: RequestContext, statement: sa.Select[Any]) -> list[Row]:
    """Return the rows of a query that compares columns with texts.

    No row matches a text with characters that its column can't store.
    """
    try:
        found = connection_of(context).execute(statement)
    except sa.exc.OperationalError as error:
        if error.orig is None or error.orig.args[0] not in _NOT_COMPARABLE:
            raise
        return []
    return [_row(values) for values in found]


def _one(context: RequestContext, missing: exception.NovaException,
         *where: Any) -> Row:
    row = _first(context, *where)
    if row is None:
        raise missing
    return row


def _check_lengths(values: dict[str, Any]) -> None:
    # SQLite would store it, MariaDB and PostgreSQL each fail in their own way.
    for field, limit in _LENGTHS.items():
        value = values.get(field)
        if value is not None and len(value) > limit:
            raise exception.ServiceFieldTooLong(
                field=field, length=len(value), limit=limit)


@contextlib.contextmanager
def _explained(values: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except db_exc.DBDuplicateEntry as error:
        raise _duplicate(error, values) from error
    except db_exc.DBError as error:
        # utf8 of MySQL is three bytes a character.
        wide = [field for field in _LENGTHS
                if max(values.get(field) or '', default='') > '\uffff']
        if type(error.inner_exception).__name__ != 'DataError' or not wide:
            raise
        raise exception.ServiceFieldNotStorable(field=wide[0]) from error


def _duplicate(error: db_exc.DBDuplicateEntry,
               values: dict[str, Any]) -> exception.NovaException:
    # Columns on PostgreSQL and SQLite, the name of the index on MariaDB.
    violated = ' '.join(error.columns)
    kwargs = {key: values.get(key)
              for key in ('host', 'binary', 'topic', 'uuid')}
    if 'uuid' in violated:
        return exception.ServiceUUIDExists(**kwargs)
    if 'binary' in violated:
        return exception.ServiceBinaryExists(**kwargs)
    return exception.ServiceTopicExists(**kwargs)
