# SPDX-License-Identifier: Apache-2.0
"""Notifications of services as typed events."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime
import sys
from typing import Any

EVENT_TYPES = ('service.create', 'service.update', 'service.delete')

_PAYLOAD = 'ServiceStatusPayload'
_MAJOR = '1'

_TEXT: frozenset[type] = frozenset((str, type(None)))
#: what a payload must hold, and as what
_DATA: dict[str, frozenset[type]] = {
    'uuid': frozenset((str,)),
    'host': _TEXT,
    'binary': _TEXT,
    'topic': _TEXT,
    'disabled': frozenset((bool,)),
    'disabled_reason': _TEXT,
    'forced_down': frozenset((bool,)),
    'availability_zone': _TEXT,
    'report_count': frozenset((int,)),
    'last_seen_up': _TEXT,
    'version': frozenset((int,)),
}


class NotUnderstood(Exception):
    """A message that is no event of a service.

    :ivar kind: what is wrong, in words that do not depend on the message
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f'{kind}: {detail}')
        self.kind = kind


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """The status of a service, as an event or the REST API tells it.

    :ivar uuid: its identity; another record of the same host and binary has
        another one
    :ivar disabled: the scheduler passes it over
    :ivar disabled_reason: why, in an operator's words
    :ivar forced_down: an operator declared it down
    :ivar state: ``up`` or ``down`` when it was last told, else None; a
        heartbeat that stays away is not announced
    :ivar zone: availability zone; told by the API only
    :ivar updated_at: last change of the record, UTC; told by the API only
    :ivar topic: RPC topic; this and the following are told by events only
    :ivar report_count: heartbeats so far
    :ivar last_seen_up: last heartbeat, UTC
    :ivar version: service version of its code
    """

    uuid: str
    host: str | None
    binary: str | None
    disabled: bool
    disabled_reason: str | None
    forced_down: bool
    state: str | None = None
    zone: str | None = None
    updated_at: datetime.datetime | None = None
    topic: str | None = None
    report_count: int | None = None
    last_seen_up: datetime.datetime | None = None
    version: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceEvent:
    """What has happened to a service.

    :ivar message_id: the same each time that the bus delivers it
    :ivar event_type: one of :data:`EVENT_TYPES`
    :ivar publisher_id: ``<source>:<host>``
    :ivar timestamp: when, UTC, by the clock of who made the change
    :ivar service: the status after it; of a deleted one, the last
    :ivar message: the notification as it came, with its payload
    """

    message_id: str
    event_type: str
    publisher_id: str
    timestamp: datetime.datetime
    service: Service
    message: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)


def parse(message: Any) -> ServiceEvent:
    """Return the event that a notification tells.

    Keys that are not known are passed over: a newer minor version of the
    payload may have them.

    :param message: dict of message_id, publisher_id, event_type, timestamp
        and payload
    :raises NotUnderstood: it tells none
    """
    event_type = message.get('event_type') if isinstance(
        message, Mapping) else None
    if not isinstance(event_type, str):
        raise NotUnderstood('not a notification', 'it has no event_type')
    if event_type not in EVENT_TYPES:
        raise NotUnderstood('unknown event type', repr(event_type))
    message_id, publisher_id, timestamp = (
        _text(message, name)
        for name in ('message_id', 'publisher_id', 'timestamp'))
    return ServiceEvent(
        message_id, event_type, publisher_id, _time('timestamp', timestamp),
        _service(_data(message.get('payload'))), message)


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise NotUnderstood(f'no {name}', f'{value!r} is not a text')
    return value


def _data(payload: Any) -> Mapping[str, Any]:
    """Return the data of a payload of a version that is understood."""
    if not isinstance(payload, Mapping) or 'nova_object.data' not in payload:
        raise NotUnderstood('unversioned', (
            'its payload has no nova_object.data; set [notifications] '
            'notification_format = versioned in nova.conf'))
    name = payload.get('nova_object.name')
    if name != _PAYLOAD:
        raise NotUnderstood('unknown payload', f'{name!r}, not {_PAYLOAD}')
    version = payload.get('nova_object.version')
    if str(version).partition('.')[0] != _MAJOR:
        raise NotUnderstood('unsupported payload version', (
            f'{_PAYLOAD} {version}; {_MAJOR}.x is understood. Upgrade this '
            'consumer.'))
    data = payload['nova_object.data']
    if not isinstance(data, Mapping):
        raise NotUnderstood('no data', f'nova_object.data is {data!r}')
    return data


def _service(data: Mapping[str, Any]) -> Service:
    for name, kinds in _DATA.items():
        if name not in data:
            raise NotUnderstood(f'no {name}', 'it is not in the payload')
        if type(data[name]) not in kinds:
            raise NotUnderstood(f'bad {name}', f'it is {data[name]!r}')
    if not data['uuid']:
        raise NotUnderstood('bad uuid', 'it is empty')
    seen = data['last_seen_up']
    return Service(
        uuid=data['uuid'], host=data['host'],
        binary=shared(data['binary']), disabled=data['disabled'],
        disabled_reason=data['disabled_reason'],
        forced_down=data['forced_down'],
        zone=shared(data['availability_zone']), topic=shared(data['topic']),
        report_count=data['report_count'],
        last_seen_up=_time('last_seen_up', seen) if seen else None,
        version=data['version'])


def shared(text: str | None) -> str | None:
    """Return one object for equal texts: thousands of services have it."""
    return text if text is None else sys.intern(text)


def _time(name: str, text: str) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise NotUnderstood(f'bad {name}', f'{text!r} is no time') from None
    if time.tzinfo is None:
        return time.replace(tzinfo=datetime.UTC)
    return time.astimezone(datetime.UTC)
