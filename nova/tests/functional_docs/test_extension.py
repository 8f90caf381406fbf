# SPDX-License-Identifier: Apache-2.0
"""What the build of the documentation refuses."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import fixtures
from oslotest import base

from nova.notifications import schema
from nova.notifications.objects import service
from nova.tests.functional_docs import pages

CONF = '''\
import sys
sys.path.insert(0, {ext!r})
extensions = ['versioned_notifications']
'''

# An event that nobody has taken a sample of.
UNKNOWN = '''
from nova.notifications.objects import base
from nova.objects import base as nova_base
from nova.objects import fields

@nova_base.NovaObjectRegistry.register_notification
class SecretNotification(base.NotificationBase):
    VERSION = '1.0'
    fields = {'payload': fields.ObjectField('ServiceStatusPayload')}
'''

EVENTS = [event.event_type for event in schema.events()]
FIELDS = list(service.ServiceStatusPayload.fields)


class TestExtension(base.BaseTestCase):

    def build(self, events=EVENTS, described=FIELDS, conf=''):
        """Return the failure of a build, or None, and the folder."""
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (folder / 'conf.py').write_text(CONF.format(
            ext=str(pages.ROOT / 'doc' / 'ext')) + conf)
        lines = ['Title', '=====', '']
        for event in events:
            lines += [f'.. versioned_notification:: {event}', '',
                      '   Said.', '']
        lines += ['.. notification_payload:: ServiceStatusPayload', '']
        for field in described:
            lines += [f'   {field}', f'      means {field}']
        lines += ['', '.. command_help:: nova-manage outbox list']
        (folder / 'index.rst').write_text('\n'.join(lines))
        done = subprocess.run(
            [sys.executable, '-m', 'sphinx', '-W', '-q', '-b', 'html',
             str(folder), str(folder / 'out')], text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            # Sphinx refuses a locale that the machine has not.
            env={**os.environ, 'LC_ALL': 'C.UTF-8'})
        if done.returncode:
            return done.stdout
        return (folder / 'out' / 'index.html').read_text()

    def test_all_is_shown(self):
        page = self.build()
        for text in (*EVENTS, *(f'means {field}' for field in FIELDS),
                     '1.1: uuid', '--parked'):
            self.assertIn(text, page)

    def test_an_event_that_is_not_shown(self):
        self.assertIn('not shown by versioned_notification: service.update',
                      self.build([name for name in EVENTS
                                  if name != 'service.update']))

    def test_an_event_that_there_is_not(self):
        self.assertIn("no event is called 'service.x'; known are: service.",
                      self.build([*EVENTS, 'service.x']))

    def test_a_notification_without_a_sample(self):
        self.assertIn('emitted without a sample: SecretNotification',
                      self.build(conf=UNKNOWN))

    def test_fields_and_their_meanings(self):
        for described in (FIELDS[1:], [*FIELDS, 'host2']):
            self.assertRegex(
                self.build(described=described),
                'fields of ServiceStatusPayload and their meanings differ: '
                'host2? ')
