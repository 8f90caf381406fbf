# SPDX-License-Identifier: Apache-2.0
"""Retry parked notifications without taking a consumer back in time.

A parked notification tells an old state: later ones of the same service may
have reached the consumers already. So a retry sends the state that the service
has now. :func:`retry` has the whole rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
import dataclasses
import enum
import json
from typing import Any

from nova import exception
from nova.context import RequestContext
from nova.db.main import api as db
from nova.db.main import outbox
from nova.notifications import delivery
from nova.objects import fields
from nova.objects import service as service_obj

_CREATE, _UPDATE, _DELETE = _SERVICE_EVENTS = (
    'service.create', 'service.update', 'service.delete')

#: rows that are read at once
_BATCH = 500


class Fate(enum.StrEnum):
    """What a retry does with a parked notification."""

    SENT_AGAIN = 'sent_again'
    REPLACED = 'replaced'
    DROPPED = 'dropped'
    LEFT = 'left'


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What a retry did with one parked notification.

    :ivar id: of its row in the outbox
    :ivar event: its event type
    :ivar publisher_id: ``<source>:<host>``
    :ivar fate: what was done
    :ivar reason: why it was dropped or left, else None
    """

    id: int
    event: str
    publisher_id: str
    fate: Fate
    reason: str | None = None


def retry(context: RequestContext,
          ids: Collection[int] | None = None) -> Iterator[Decision]:
    """Let the relay send parked notifications, or what replaces them.

    * The service exists and the notification tells its current state: it is
      sent as it was, with the same message_id.
    * The service exists and has another state: all of its notifications that
      are retried are replaced by one new one with the current state, at the
      end of the outbox. It is a service.create if one of them was, for
      consumers that add a service only then.
    * The service is gone: a service.delete is sent as it was. Others are
      dropped.
    * There is no rule for notifications of other objects: their current state
      is not known here. They stay parked unless their ids are given.

    Each service is dealt with in one transaction, in which its row is locked.
    The work is done while the result is iterated over.

    :param context: of no transaction; new notifications are sent with it
    :param ids: of notifications; those that are not parked are left out. None
        means all that are parked
    """
    sent: dict[str, str] = {}
    for rows in _batches(context, ids):
        states: dict[str, list[db.Row]] = {}
        others = []
        for row in rows:
            if _tells_a_service(row):
                states.setdefault(row['aggregateid'], []).append(row)
            else:
                others.append(row)
        services = db.service_get_all_by_uuids(context, states)
        deleted, known = [], []
        for uuid, group in states.items():
            event = _event(group)
            if uuid not in services:
                deleted += _ids(group)
            elif sent.get(uuid) in (_CREATE, event):
                known += _ids(group)
            else:
                decisions = _retry_service(
                    context, services[uuid]['id'], _ids(group))
                yield from decisions
                if any(decision.fate is not Fate.LEFT
                       for decision in decisions):
                    sent[uuid] = event
        yield from _retry_deleted(context, deleted)
        yield from _replace(context, known)
        yield from _retry_others(context, _ids(others), named=ids is not None)


def superseded(context: RequestContext,
               rows: Sequence[db.Row]) -> set[int]:
    """Return the ids of parked rows that a retry would not send as they are.

    :param rows: of the outbox
    """
    found = set()
    parked = [row for row in rows
              if row['parked_at'] is not None and _tells_a_service(row)]
    for start in range(0, len(parked), _BATCH):
        batch = parked[start:start + _BATCH]
        services = db.service_get_all_by_uuids(
            context, {row['aggregateid'] for row in batch})
        current = {uuid: _current(context, service)
                   for uuid, service in services.items()}
        found |= {row['id'] for row in batch if _is_superseded(row, current)}
    return found


def _is_superseded(
        row: db.Row,
        current: dict[str, delivery.Notification | None]) -> bool:
    if row['aggregateid'] not in current:
        return row['type'] != _DELETE
    notification = current[row['aggregateid']]
    # One that can't be announced stays as it is.
    return notification is not None and not _tells(row, notification)


def _batches(context: RequestContext,
             ids: Collection[int] | None) -> Iterator[list[db.Row]]:
    """Yield parked rows in id order, each at most once.

    The relay may park a row again while this goes on, and new rows come in.
    """
    if ids is not None:
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), _BATCH):
            yield outbox.fetch_parked(context, wanted[start:start + _BATCH])
        return
    newest, last = outbox.newest_id(context), 0
    while rows := outbox.fetch_parked_after(context, last, newest, _BATCH):
        yield rows
        last = rows[-1]['id']


def _tells_a_service(row: db.Row) -> bool:
    return (row['aggregatetype'] == 'service'
            and row['type'] in _SERVICE_EVENTS)


def _ids(rows: Iterable[db.Row]) -> list[int]:
    return [row['id'] for row in rows]


def _event(rows: Iterable[db.Row]) -> str:
    """Return the event type with which the current state replaces rows."""
    created = any(row['type'] == _CREATE for row in rows)
    return _CREATE if created else _UPDATE


@db.transactional
def _retry_service(context: RequestContext, service_id: int,
                   ids: Sequence[int]) -> list[Decision]:
    """Retry the notifications of a service that existed a moment ago."""
    try:
        # Until the commit nobody can change the service, and another retry
        # waits here before it reads the parked rows.
        service = db.service_lock(context, service_id)
    except exception.ServiceNotFound:
        return _retry_deleted(context, ids)
    rows = outbox.fetch_parked(context, ids)
    if not rows:
        return []
    event = _event(rows)
    try:
        current = service_obj.current_notification(
            context, service, event.partition('.')[2])
    except ValueError as error:
        return [_decision(row, Fate.LEFT, str(error)) for row in rows]
    kept = [row for row in rows
            if row['type'] == event and _tells(row, current)][-1:]
    decisions = [_decision(row, Fate.SENT_AGAIN if row in kept
                           else Fate.REPLACED) for row in rows]
    _carry_out(context, decisions)
    if not kept:
        delivery.store(context, current, _topics(rows[-1]))
    return decisions


@db.transactional
def _replace(context: RequestContext, ids: Sequence[int]) -> list[Decision]:
    """Delete notifications of services whose current state is stored already.

    These are older than that state, so no service needs to be locked.
    """
    decisions = [_decision(row, Fate.REPLACED)
                 for row in outbox.fetch_parked(context, ids)]
    _carry_out(context, decisions)
    return decisions


@db.transactional
def _retry_deleted(context: RequestContext,
                   ids: Sequence[int]) -> list[Decision]:
    """Retry the notifications of services that are gone.

    Nothing needs to be locked: a service with the same uuid never comes back.
    """
    decisions = [
        _decide_unchanged(row) if row['type'] == _DELETE else _decision(
            row, Fate.DROPPED, 'its service is deleted')
        for row in outbox.fetch_parked(context, ids)]
    _carry_out(context, decisions)
    return decisions


@db.transactional
def _retry_others(context: RequestContext, ids: Sequence[int],
                  named: bool) -> list[Decision]:
    """Retry notifications that do not tell the state of a service."""
    decisions = [
        _decide_unchanged(row) if named else _decision(
            row, Fate.LEFT, 'no current state to compare it with is known; '
            'give its id to send it as it was')
        for row in outbox.fetch_parked(context, ids)]
    _carry_out(context, decisions)
    return decisions


def _carry_out(context: RequestContext, decisions: list[Decision]) -> None:
    unparked = [decision.id for decision in decisions
                if decision.fate is Fate.SENT_AGAIN]
    discarded = [decision.id for decision in decisions
                 if decision.fate in (Fate.REPLACED, Fate.DROPPED)]
    if unparked:
        outbox.unpark(context, unparked)
    if discarded:
        outbox.discard(context, discarded)


def _decide_unchanged(row: db.Row) -> Decision:
    if _payload(row) is None:
        return _decision(row, Fate.LEFT, 'it can not be read')
    return _decision(row, Fate.SENT_AGAIN)


def _decision(row: db.Row, fate: Fate, reason: str | None = None) -> Decision:
    return Decision(row['id'], row['type'], row['publisher_id'], fate, reason)


def _current(context: RequestContext,
             service: db.Row) -> delivery.Notification | None:
    """Return a service's notification; None if it can't be announced."""
    try:
        return service_obj.current_notification(
            context, service, fields.NotificationAction.UPDATE)
    except ValueError:
        return None


def _tells(row: db.Row, current: delivery.Notification) -> bool:
    """Return whether a row that the relay can read tells the current state."""
    return row['type'] != _DELETE and _payload(row) == current.payload


def _payload(row: db.Row) -> dict[str, Any] | None:
    """Return a row's payload; None if the relay can't read the row."""
    try:
        context, payload, topics = (
            json.loads(row[name]) for name in ('context', 'payload', 'topics'))
    except ValueError:
        return None
    readable = (isinstance(context, dict) and isinstance(payload, dict)
                and isinstance(topics, list))
    return payload if readable else None


def _topics(row: db.Row) -> list[str] | None:
    """Return a row's topics; None if they can't be read."""
    try:
        topics = json.loads(row['topics'])
    except ValueError:
        return None
    return topics if isinstance(topics, list) else None
