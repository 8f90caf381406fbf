# SPDX-License-Identifier: Apache-2.0
"""The life of a service, played through the REST API and explained."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import json
import queue
import threading
import time
from typing import Any

import openstack
import rich.console
import rich.text

from nova import consumer
from nova import exception
from nova.standalone import process

HOST = 'tour-1'

#: seconds that a notification may take
_PATIENCE = 30

#: seconds within which the end is noticed while no event arrives
_TICK = 0.3


@dataclasses.dataclass(frozen=True)
class _Step:
    """A change and what it means.

    :ivar title: what is done
    :ivar why: what a consumer makes of it
    :ivar command: the same with openstackclient
    :ivar method: of the request
    :ivar body: of the request
    """

    title: str
    why: str
    command: str
    method: str
    body: dict[str, Any] | None = None


_STEPS = (
    _Step('An operator disables it, and says why',
          'The scheduler passes it over from now on.',
          f'set --disable --disable-reason "disk is broken" {HOST} '
          'nova-compute', 'PUT',
          {'status': 'disabled', 'disabled_reason': 'disk is broken'}),
    _Step('An operator knows that the host is dead, and says so',
          'Nobody has to wait until its heartbeat is missed.',
          f'set --down {HOST} nova-compute', 'PUT', {'forced_down': True}),
    _Step('The host is back', 'Its own heartbeat counts again.',
          f'set --up {HOST} nova-compute', 'PUT', {'forced_down': False}),
    _Step('It is enabled again', 'The scheduler may choose it.',
          f'set --enable {HOST} nova-compute', 'PUT', {'status': 'enabled'}),
    _Step('The host is taken away for good', 'Its record goes with it.',
          'delete {uuid}', 'DELETE'),
)


class _Stopped(Exception):
    """The tour ends before its end."""


def play(standalone: process.Standalone,
         heard: queue.SimpleQueue[consumer.ServiceEvent],
         stopping: threading.Event) -> None:
    """Play it and print it.

    :param heard: where the events come
    :param stopping: set to end it early
    :raises NovaException: a request failed, or was not heard of
    """
    with contextlib.suppress(_Stopped):
        _play(standalone, lambda: _next(heard, stopping))


def _play(standalone: process.Standalone,
          next_event: Callable[[], consumer.ServiceEvent]) -> None:
    console = rich.console.Console(highlight=False, soft_wrap=True)
    compute = openstack.connect(
        load_envvars=False, load_yaml_config=False, auth_type='none',
        auth={'endpoint': standalone.endpoint}).compute
    console.print('A notification tells whoever listens what has changed, '
                  'with the whole state. Watch it come.')
    standalone.hosts.register(HOST, 'nova-compute')
    event = next_event()
    _explain(console, 1, 'A nova-compute starts on a new host',
             'It registers itself; no request is needed.', event, event)
    for number, step in enumerate(_STEPS, 2):
        uuid = event.service.uuid
        answer = compute.request(
            f'/os-services/{uuid}', step.method, json=step.body,
            microversion='2.53', raise_exc=False)
        if not answer.ok:
            raise exception.NovaException(
                f'{step.method} was answered with {answer.status_code}: '
                f'{answer.text}')
        before, event = event, next_event()
        _explain(console, number, step.title, step.why, before, event, (
            f'openstack compute service {step.command.format(uuid=uuid)}',
            f'{step.method} /v2.1/os-services/{uuid}'
            + (f' {json.dumps(step.body)}' if step.body else '')
            + f' → {answer.status_code}'))
    console.print(f'\n{len(_STEPS) + 1} changes, '
                  f'{len(_STEPS) + 1} notifications.')


def _next(heard: queue.SimpleQueue[consumer.ServiceEvent],
          stopping: threading.Event) -> consumer.ServiceEvent:
    """Return the next event of the host; others are passed over."""
    deadline = time.monotonic() + _PATIENCE
    while not stopping.is_set():
        if time.monotonic() > deadline:
            raise exception.NovaException(
                f'no notification came within {_PATIENCE} s')
        with contextlib.suppress(queue.Empty):
            event = heard.get(timeout=_TICK)
            if event.service.host == HOST:
                return event
    raise _Stopped


def _explain(console: rich.console.Console, number: int, title: str,
             why: str, before: consumer.ServiceEvent,
             event: consumer.ServiceEvent,
             lines: tuple[str, ...] = ()) -> None:
    console.print(f'\n[bold]{number}. {title}.[/bold] {why}')
    for line in lines:
        console.print(rich.text.Text(f'   {line}', 'cyan'))
    console.print(rich.text.Text(
        f'   {event.event_type} from {event.publisher_id}', 'green'))
    was = _data(before)
    for name, value in _data(event).items():
        console.print(rich.text.Text(
            f'      {name:17} {json.dumps(value)}'
            + ('' if value == was[name] else '  ← changed'),
            'dim' if value == was[name] else 'bold'))


def _data(event: consumer.ServiceEvent) -> dict[str, Any]:
    return event.message['payload']['nova_object.data']
