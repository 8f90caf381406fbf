# SPDX-License-Identifier: Apache-2.0
"""What a consumer makes of a notification."""

import copy
import datetime
import subprocess
import sys
import unittest

from nova import consumer

UUID = 'fa69c544-906b-4a6a-a9c6-c1f7a8078c73'

MESSAGE = {
    'message_id': 'm1', 'publisher_id': 'nova-compute:h1',
    'event_type': 'service.update', 'priority': 'INFO',
    'timestamp': '2026-11-23 06:08:27.123456',
    'payload': {
        'nova_object.name': 'ServiceStatusPayload',
        'nova_object.namespace': 'nova', 'nova_object.version': '1.1',
        'nova_object.data': {
            'host': 'h1', 'binary': 'nova-compute', 'topic': 'compute',
            'report_count': 7, 'disabled': True, 'disabled_reason': 'broken',
            'availability_zone': None,
            'last_seen_up': '2026-11-23T06:08:20Z', 'forced_down': False,
            'version': 74, 'uuid': UUID}}}


def time(*values):
    return datetime.datetime(2026, 11, 23, *values, tzinfo=datetime.UTC)


class TestParse(unittest.TestCase):

    def changed(self, path, **values):
        """Return the message with other values; ``...`` takes a key out."""
        message = copy.deepcopy(MESSAGE)
        part = message
        for name in path:
            part = part[f'nova_object.{name}' if name == 'data' else name]
        for name, value in values.items():
            key = name.replace('__', '.')
            if value is ...:
                del part[key]
            else:
                part[key] = value
        return message

    def refused(self, message):
        with self.assertRaises(consumer.NotUnderstood) as caught:
            consumer.parse(message)
        return caught.exception

    def test_an_event_is_told_whole(self):
        self.assertEqual(consumer.ServiceEvent(
            'm1', 'service.update', 'nova-compute:h1',
            time(6, 8, 27, 123456), consumer.Service(
                uuid=UUID, host='h1', binary='nova-compute', disabled=True,
                disabled_reason='broken', forced_down=False,
                topic='compute', report_count=7, last_seen_up=time(6, 8, 20),
                version=74), MESSAGE), consumer.parse(MESSAGE))
        self.assertIs(MESSAGE, consumer.parse(MESSAGE).message)

    def test_a_newer_minor_version_with_more_keys_is_understood(self):
        message = self.changed(('payload', 'data'), more=[1])
        message['payload']['nova_object.version'] = '1.99'
        message['more'] = None
        self.assertEqual(consumer.parse(MESSAGE), consumer.parse(message))

    def test_a_newer_major_version_is_refused(self):
        error = self.refused(
            self.changed(('payload',), nova_object__version='2.0'))
        self.assertEqual('unsupported payload version', error.kind)
        self.assertIn('ServiceStatusPayload 2.0; 1.x is understood',
                      str(error))

    def test_times_are_utc(self):
        for text, expected in (
                ('2026-11-23 06:08:27', time(6, 8, 27)),
                ('2026-11-23T07:08:27+01:00', time(6, 8, 27))):
            event = consumer.parse(self.changed((), timestamp=text))
            self.assertEqual(expected, event.timestamp)
            self.assertEqual(datetime.UTC, event.timestamp.tzinfo)

    def test_null_where_it_may_be(self):
        names = ('host', 'binary', 'topic', 'disabled_reason',
                 'availability_zone', 'last_seen_up')
        service = consumer.parse(self.changed(
            ('payload', 'data'), **dict.fromkeys(names))).service
        self.assertEqual({None}, {getattr(service, name) for name in names
                                  if name != 'availability_zone'})

    def test_what_is_no_event_is_refused_with_its_kind(self):
        data = ('payload', 'data')
        for kind, message in (
                ('not a notification', None),
                ('not a notification', []),
                ('not a notification', {'result': 1}),
                ('not a notification', self.changed((), event_type=7)),
                ('unknown event type',
                 self.changed((), event_type='instance.update')),
                ('unknown event type',
                 self.changed((), event_type='service.create.start')),
                ('no message_id', self.changed((), message_id=...)),
                ('no message_id', self.changed((), message_id=['m'])),
                ('no publisher_id', self.changed((), publisher_id='')),
                ('no timestamp', self.changed((), timestamp=None)),
                ('bad timestamp', self.changed((), timestamp='yesterday')),
                ('unversioned', self.changed((), payload=...)),
                ('unversioned', self.changed((), payload={'host': 'h1'})),
                ('unversioned', self.changed((), payload='text')),
                ('unknown payload', self.changed(
                    ('payload',), nova_object__name='Other')),
                ('unsupported payload version', self.changed(
                    ('payload',), nova_object__version=...)),
                ('no data', self.changed(
                    ('payload',), nova_object__data=[1])),
                ('no uuid', self.changed(data, uuid=...)),
                ('bad uuid', self.changed(data, uuid=None)),
                ('bad uuid', self.changed(data, uuid='')),
                ('no host', self.changed(data, host=...)),
                ('bad disabled', self.changed(data, disabled=1)),
                ('bad report_count', self.changed(data, report_count=True)),
                ('bad last_seen_up', self.changed(
                    data, last_seen_up='never'))):
            with self.subTest(kind=kind):
                self.assertEqual(kind, self.refused(message).kind)


class TestImport(unittest.TestCase):

    def test_a_consumer_needs_no_database(self):
        subprocess.run([sys.executable, '-c', (
            'import sys, nova.consumer; '
            'unwanted = {"sqlalchemy", "oslo_db", "alembic", "nova.rpc"}; '
            'sys.exit(str(unwanted & sys.modules.keys()) '
            'if unwanted & sys.modules.keys() else 0)')], check=True)
