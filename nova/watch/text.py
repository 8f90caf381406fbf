# SPDX-License-Identifier: Apache-2.0
"""Services and events as lines of text and of JSON."""

from __future__ import annotations

import datetime
import json

from nova import consumer

HEAD = ('host', 'binary', 'zone', 'state', 'status', 'reason', 'updated')

#: what the REST API tells, of the fields of a Service
_LISTED = ('uuid', 'host', 'binary', 'zone', 'state', 'disabled',
           'disabled_reason', 'forced_down', 'updated_at')


def printable(text: str | None) -> str:
    """Return a text that can't move the cursor or turn the line around."""
    return ''.join(
        letter if letter.isprintable()
        else letter.encode('unicode_escape').decode()
        for letter in text or '')


def status(service: consumer.Service) -> str:
    """Return what an operator has set."""
    return 'disabled' if service.disabled else 'enabled'


def state(service: consumer.Service) -> str:
    """Return what is known of its heartbeat."""
    return 'forced down' if service.forced_down else service.state or '-'


def line(event: consumer.ServiceEvent) -> str:
    """Return an event as a line for the eye."""
    service = event.service
    facts = [status(service)]
    if service.forced_down:
        facts.append('forced down')
    if service.disabled_reason:
        facts.append(f'reason: {printable(service.disabled_reason)}')
    return (f'{event.timestamp:%Y-%m-%d %H:%M:%S} {event.event_type:14} '
            f'{printable(service.binary)} on {printable(service.host)}: '
            f'{", ".join(facts)}')


def json_line(event: consumer.ServiceEvent) -> str:
    """Return the notification of an event, as it came."""
    return json.dumps(event.message)


def row(service: consumer.Service) -> tuple[str, ...]:
    """Return what the REST API tells of a service, for :data:`HEAD`."""
    return (printable(service.host), printable(service.binary),
            printable(service.zone), state(service), status(service),
            printable(service.disabled_reason),
            f'{service.updated_at:%Y-%m-%d %H:%M:%S}' if service.updated_at
            else '-')


def json_service(service: consumer.Service) -> str:
    """Return what the REST API tells of a service, under the names of it."""
    return json.dumps({name: getattr(service, name) for name in _LISTED},
                      default=datetime.datetime.isoformat)
