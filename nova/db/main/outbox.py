# SPDX-License-Identifier: Apache-2.0
"""All SQL on the outbox of notifications and on the lease of its relay."""

from __future__ import annotations

from collections.abc import Sequence
import re
from typing import Any

from oslo_db import exception as db_exc
from oslo_utils import timeutils
import sqlalchemy as sa

from nova.context import RequestContext
from nova.db.main import api
from nova.db.main import models

#: rows of each kind that :func:`status` counts at most
COUNTED = 50_000

_OUTBOX: Any = models.NotificationOutbox.__table__
_RELAY: Any = models.NotificationRelay.__table__
# Its number is not asked for.
_INSERT = _OUTBOX.insert().inline()
_THE_RELAY = _RELAY.c.id == 1
_PARKED = _OUTBOX.c.parked_at.is_not(None)
_WAITING = _OUTBOX.c.parked_at.is_(None)
# The order of the index on parked rows: the longest parked first.
_PARKED_ORDER = (_OUTBOX.c.parked_at, _OUTBOX.c.id)
# Waiting rows among which the oldest is looked for.
_NEXT = 100
_ERROR_LENGTH = 2_000
# PostgreSQL stores no NUL, MySQL's charset utf8 no character of four bytes,
# and no database half a character.
_UNSTORABLE = re.compile('[\0\ud800-\udfff\U00010000-\U0010ffff]')


def exists(context: RequestContext) -> bool:
    """Return whether the schema has an outbox."""
    return sa.inspect(api.get_engine(context=context)).has_table(_OUTBOX.name)


def add(context: RequestContext, values: dict[str, Any]) -> None:
    """Store a notification, in the transaction of its change."""
    if not api.in_transaction(context):
        with api.transaction(context):
            add(context, values)
        return
    # Joining the transaction once more would take half as long again.
    api.connection_of(context).execute(_INSERT, {
        'attempts': 0, 'created_at': timeutils.utcnow(), **values})


@api.pick_context_manager_reader
def waiting(context: RequestContext, limit: int) -> list[api.Row]:
    """Return the oldest notifications that are not parked, in order."""
    return _rows(context, sa.select(_OUTBOX).where(_WAITING).order_by(
        _OUTBOX.c.id).limit(limit))


@api.pick_context_manager_reader
def oldest_waiting(context: RequestContext) -> tuple[int, float] | None:
    """Return the id of the next waiting row, and the oldest age in seconds.

    None means that nothing waits. An index finds the row: the answer takes as
    long with a large backlog as with a small one. The age is the highest of
    the next rows, because the clocks of the hosts that wrote them may differ.
    """
    first = sa.select(_OUTBOX.c.id, _OUTBOX.c.created_at).where(
        _WAITING).order_by(_OUTBOX.c.id).limit(_NEXT).subquery()
    outbox_id, created_at = api.connection_of(context).execute(sa.select(
        sa.func.min(first.c.id), sa.func.min(first.c.created_at))).one()
    if outbox_id is None:
        return None
    return outbox_id, timeutils.delta_seconds(created_at, timeutils.utcnow())


@api.pick_context_manager_reader
def listed(context: RequestContext, parked: bool,
           limit: int) -> list[api.Row]:
    """Return the oldest notifications, or the longest parked ones."""
    statement = sa.select(_OUTBOX).limit(limit)
    return _rows(context, statement.where(_PARKED).order_by(*_PARKED_ORDER)
                 if parked else statement.order_by(_OUTBOX.c.id))


@api.pick_context_manager_reader
def newest_id(context: RequestContext) -> int:
    """Return the highest id of a notification, 0 if there is none."""
    return api.connection_of(context).scalar(
        sa.select(sa.func.max(_OUTBOX.c.id))) or 0


@api.pick_context_manager_reader
def fetch_parked_after(context: RequestContext, after: int, up_to: int,
                       limit: int) -> list[api.Row]:
    """Return the first parked notifications of a range of ids, in id order.

    :param after: id before the range
    :param up_to: last id of the range
    """
    return _rows(context, sa.select(_OUTBOX).where(
        _PARKED, _OUTBOX.c.id > after, _OUTBOX.c.id <= up_to).order_by(
            _OUTBOX.c.id).limit(limit))


@api.pick_context_manager_reader
def fetch_parked(context: RequestContext,
                 ids: Sequence[int]) -> list[api.Row]:
    """Return those of the notifications that are parked, in id order."""
    return _rows(context, sa.select(_OUTBOX).where(
        *_parked(ids)).order_by(_OUTBOX.c.id))


@api.transactional
def remove(context: RequestContext, ids: Sequence[int]) -> int:
    """Delete notifications; return how many there were."""
    return api.connection_of(context).execute(
        _OUTBOX.delete().where(_OUTBOX.c.id.in_(ids))).rowcount


@api.transactional
def refused(context: RequestContext, outbox_id: int, error: str,
            park: bool) -> None:
    """Keep why the bus did not take a notification that waits.

    :param park: try no more
    """
    # One that another relay has parked meanwhile stays parked.
    api.connection_of(context).execute(
        _OUTBOX.update().where(_OUTBOX.c.id == outbox_id, _WAITING).values(
            attempts=_OUTBOX.c.attempts + 1, error=_storable(error),
            parked_at=timeutils.utcnow() if park else None))


@api.transactional
def unpark(context: RequestContext, ids: Sequence[int]) -> int:
    """Let the relay try parked notifications again; return how many."""
    return api.connection_of(context).execute(
        _OUTBOX.update().where(*_parked(ids)).values(
            attempts=0, parked_at=None)).rowcount


@api.transactional
def discard(context: RequestContext, ids: Sequence[int] | None) -> int:
    """Delete parked notifications for good; return how many.

    :param ids: None means all
    """
    return api.connection_of(context).execute(
        _OUTBOX.delete().where(*_parked(ids))).rowcount


@api.pick_context_manager_reader
def status(context: RequestContext) -> dict[str, Any]:
    """Return ``depth``, ``oldest_age``, ``parked`` and ``relay``.

    Depth and parked are exact up to ``COUNTED``; they stop there, so that the
    time to count does not grow with the backlog. The age is in seconds, None
    if nothing waits; the relay is the holder of the lease, or None.
    """
    connection = api.connection_of(context)
    oldest = oldest_waiting(context)
    return {'depth': _count(connection, _WAITING, _OUTBOX.c.id),
            'oldest_age': None if oldest is None else oldest[1],
            'parked': _count(connection, _PARKED, *_PARKED_ORDER),
            'relay': connection.scalar(
                sa.select(_RELAY.c.holder).where(_THE_RELAY))}


def describe_count(count: int) -> str:
    """Return a number of :func:`status` as operators read it."""
    return f'{count:,} or more' if count >= COUNTED else f'{count:,}'


@api.pick_context_manager_reader
def lease(context: RequestContext) -> tuple[str | None, int] | None:
    """Return who holds the lease, and its last beat; None before the first.
    """
    row = api.connection_of(context).execute(
        sa.select(_RELAY.c.holder, _RELAY.c.beat).where(_THE_RELAY)).first()
    return None if row is None else (row.holder, row.beat)


@api.transactional
def take_lease(context: RequestContext, holder: str,
               seen: tuple[str | None, int] | None) -> bool:
    """Take the lease if it is still as it was seen; return whether it was."""
    connection = api.connection_of(context)
    if seen is None:
        try:
            connection.execute(_RELAY.insert(), {
                'id': 1, 'holder': holder, 'beat': 0})
        except db_exc.DBDuplicateEntry:
            return False
        return True
    _holder, beat = seen
    return _beat(connection, holder, _RELAY.c.beat == beat)


@api.transactional
def renew_lease(context: RequestContext, holder: str) -> bool:
    """Beat; return whether the lease is still the holder's."""
    return _beat(api.connection_of(context), holder, _RELAY.c.holder == holder)


@api.transactional
def give_up_lease(context: RequestContext, holder: str) -> None:
    """Let another relay take the lease at once."""
    api.connection_of(context).execute(
        _RELAY.update().where(_THE_RELAY, _RELAY.c.holder == holder).values(
            holder=None, beat=_RELAY.c.beat + 1))


def _beat(connection: sa.Connection, holder: str, *where: Any) -> bool:
    return connection.execute(
        _RELAY.update().where(_THE_RELAY, *where).values(
            holder=holder, beat=_RELAY.c.beat + 1)).rowcount == 1


def _count(connection: sa.Connection, where: Any, *order: Any) -> int:
    """Count rows up to ``COUNTED``, in the order of their index."""
    some = sa.select(_OUTBOX.c.id).where(where).order_by(*order).limit(
        COUNTED).subquery()
    return connection.scalar(
        sa.select(sa.func.count()).select_from(some)) or 0


def _storable(text: str) -> str:
    """Return a text that every database can store, not too long to read."""
    return _UNSTORABLE.sub(
        lambda found: found[0].encode('unicode_escape').decode(),
        text[:_ERROR_LENGTH])


def _parked(ids: Sequence[int] | None) -> tuple[Any, ...]:
    return (_PARKED,) if ids is None else (_PARKED, _OUTBOX.c.id.in_(ids))


def _rows(context: RequestContext, statement: Any) -> list[api.Row]:
    return [api.Row(row._mapping) for row in
            api.connection_of(context).execute(statement)]
