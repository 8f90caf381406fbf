# SPDX-License-Identifier: Apache-2.0
"""Directives that show the notifications as the code and the samples are.

``.. versioned_notification:: EVENT_TYPE`` shows an event with its sample; its
content says when it is sent. ``.. notification_payload:: CLASS`` shows the
fields of a payload; its content is a definition for each, which says what it
means. ``.. command_help:: COMMAND…`` shows what a command says of itself.

The build fails if an event that is emitted has no sample or is not shown, if
a sample belongs to no event, and if a field has no meaning or a meaning no
field.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import application
from sphinx import errors
from sphinx.util import docutils

from nova.notifications import samples
from nova.notifications import schema
from nova.notifications.objects import base as notification
from nova.objects import base

_TYPES = {'StringField': 'string', 'IntegerField': 'integer',
          'BooleanField': 'boolean', 'UUIDField': 'string, a UUID',
          'DateTimeField': 'string, ``YYYY-MM-DDTHH:MM:SSZ``'}


class VersionedNotification(docutils.SphinxDirective):
    """An event."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        events = {event.event_type: event for event in schema.events()}
        if name not in events:
            raise self.error(f'no event is called {name!r}; known are: '
                             f'{", ".join(events)}')
        event = events[name]
        shown(self.env).add(name)
        sample = json.dumps(samples.read(event.sample), indent=2)
        return _parsed(self, [
            f'``{event.notification.__name__}`` '
            f'{event.notification.VERSION} with ``{event.payload.__name__}`` '
            f'{event.payload.VERSION}. ' + ' '.join(self.content), '',
            '.. code-block:: json', '', *_indented(sample.splitlines())])


class NotificationPayload(docutils.SphinxDirective):
    """The fields of a payload and the history of its versions."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        cls: Any = next((cls for cls in
                         base.NovaObjectRegistry.notification_classes
                         if cls.__name__ == name), None)
        if cls is None:
            raise self.error(f'no notification class is called {name!r}')
        meanings = self._meanings()
        wrong = set(cls.fields) ^ set(meanings)
        if wrong:
            raise self.error(f'fields of {name} and their meanings differ: '
                             f'{", ".join(sorted(wrong))}')
        lines = ['.. list-table::', '   :header-rows: 1',
                 '   :widths: 20 22 8 50', '', '   * - field', '     - type',
                 '     - null', '     - meaning']
        for field, kind in cls.fields.items():
            lines += [f'   * - ``{field}``',
                      f'     - {_TYPES[type(kind).__name__]}',
                      f'     - {"yes" if kind.nullable else "no"}',
                      f'     - {meanings[field]}']
        lines += ['', 'Versions:', '']
        lines += [f'* {version}: {text}' for version, text in re.findall(
            r'# ([\d., ]+): (.+)', inspect.getsource(cls))]
        return _parsed(self, lines)

    def _meanings(self) -> dict[str, str]:
        text = '\n'.join(self.content)
        return {name: ' '.join(meaning.split()) for name, meaning in
                re.findall(r'(?m)^(\w+)\n((?: +.+\n?)+)', text)}


class CommandHelp(docutils.SphinxDirective):
    """What a command says with --help."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        command, *arguments = self.arguments[0].split()
        module = command.removeprefix('nova-').replace('-', '_')
        said = subprocess.run(
            [sys.executable, '-m', f'nova.cmd.{module}', *arguments,
             '--help'], capture_output=True, text=True, check=False,
            env={**os.environ, 'COLUMNS': '79'})
        if said.returncode:
            raise self.error(f'{self.arguments[0]}: {said.stderr}')
        return [nodes.literal_block(said.stdout, said.stdout,
                                    language='text')]


def shown(env: Any) -> set[str]:
    """Return the events that pages show."""
    if not hasattr(env, 'versioned_notifications'):
        env.versioned_notifications = set()
    return env.versioned_notifications


def check(app: application.Sphinx, env: Any) -> None:
    """Compare what is emitted, the samples and what is shown.

    :raises ExtensionError: they differ
    """
    events = schema.events()
    without = [cls.__name__ for cls in
               base.NovaObjectRegistry.notification_classes
               if issubclass(cls, notification.NotificationBase)
               and not getattr(cls, 'samples', ())]
    files = {path.name for path in samples.folder().glob('*.json')}
    for what, names in (
            ('notifications are emitted without a sample', without),
            ('samples do not exist', {event.sample for event in events}
             - files),
            ('samples belong to no notification',
             files - {event.sample for event in events}),
            ('events are not shown by versioned_notification',
             {event.event_type for event in events} - shown(env))):
        if names:
            raise errors.ExtensionError(
                f'these {what}: {", ".join(sorted(names))}')


def _indented(lines: list[str]) -> list[str]:
    return [f'   {line}' for line in lines]


def _parsed(directive: docutils.SphinxDirective, lines: list[str]
            ) -> list[nodes.Node]:
    return directive.parse_text_to_nodes(StringList(
        lines, directive.get_source_info()[0]))


def setup(app: application.Sphinx) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive('versioned_notification', VersionedNotification)
    app.add_directive('notification_payload', NotificationPayload)
    app.add_directive('command_help', CommandHelp)
    app.connect('env-check-consistency', check)
    # The set of what is shown is not merged.
    return {'parallel_read_safe': False}
