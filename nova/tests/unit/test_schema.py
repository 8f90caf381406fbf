# SPDX-License-Identifier: Apache-2.0
"""What consumers are told of the messages."""

import json

import jsonschema

from nova import exception
from nova import test
from nova.notifications import asyncapi
from nova.notifications import samples
from nova.notifications import schema
from nova.notifications.objects import base as notification_base
from nova.objects import base
from nova.tests import fixtures

_UUID = ('^[a-fA-F0-9]{8}-?[a-fA-F0-9]{4}-?[a-fA-F0-9]{4}-?[a-fA-F0-9]{4}-?'
         '[a-fA-F0-9]{12}$')
_TEXT = {'type': ['string', 'null']}
_DATA = {
    'host': _TEXT, 'binary': _TEXT, 'topic': _TEXT,
    'report_count': {'type': 'integer'}, 'disabled': {'type': 'boolean'},
    'disabled_reason': _TEXT, 'availability_zone': _TEXT,
    'last_seen_up': {'type': ['string', 'null'], 'format': 'date-time',
                     'pattern': r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$'},
    'forced_down': {'type': 'boolean'}, 'version': {'type': 'integer'},
    'uuid': {'type': 'string', 'pattern': _UUID}}


def _message():
    example = asyncapi.document('nova', ['t'])['components']['messages'][
        'service.update']['examples'][0]['payload']
    return json.loads(example['oslo.message'])


class TestEvents(test.NoDBTestCase):

    def test_all_are_listed_with_what_shows_them(self):
        self.assertEqual([
            ('service.create', 'ServiceStatusPayload', 'service-create.json'),
            ('service.delete', 'ServiceStatusPayload', 'service-delete.json'),
            ('service.update', 'ServiceStatusPayload', 'service-update.json'),
        ], [(event.event_type, event.payload.__name__, event.sample)
            for event in schema.events()])

    def test_every_notification_has_samples(self):
        self.assertEqual([], [
            cls for cls in base.NovaObjectRegistry.notification_classes
            if issubclass(cls, notification_base.NotificationBase)
            and not getattr(cls, 'samples', None)])

    def test_every_sample_shows_the_event_of_its_name(self):
        self.assertEqual(
            {event.sample: (event.event_type, event.payload.VERSION)
             for event in schema.events()},
            {file.name: (sample['event_type'],
                         sample['payload']['nova_object.version'])
             for file in samples.folder().glob('*.json')
             for sample in [samples.read(file.name)]})


class TestJSONSchema(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.document = schema.document()
        self.validator = jsonschema.Draft202012Validator(
            self.document, format_checker=jsonschema.FormatChecker())

    def test_it_is_one(self):
        jsonschema.Draft202012Validator.check_schema(self.document)

    def test_a_payload_has_the_types_of_its_fields(self):
        properties = self.document['$defs']['ServiceStatusPayload'][
            'properties']
        data = properties.pop('nova_object.data')
        self.assertEqual(_DATA, data['properties'])
        self.assertEqual(list(_DATA), data['required'])
        self.assertEqual(
            [{'const': 'ServiceStatusPayload'}, {'const': 'nova'}],
            [properties['nova_object.name'],
             properties['nova_object.namespace']])

    def test_all_say_what_they_are(self):
        for name, described in self.document['$defs'].items():
            self.assertRegex(described['description'], r'^\w.*\.$', name)

    def _is_valid(self, path=(), *value):
        """Check a message of which one value is another, or is gone."""
        message = _message()
        inner = message
        for key in path[:-1]:
            inner = inner[key]
        if path and value:
            (inner[path[-1]],) = value
        elif path:
            del inner[path[-1]]
        return self.validator.is_valid(message)

    def test_what_a_later_minor_version_sends_is_valid(self):
        self.assertTrue(self._is_valid())
        self.assertTrue(self._is_valid(
            ('payload', 'nova_object.version'), '1.99'))
        self.assertTrue(self._is_valid(
            ('payload', 'nova_object.data', 'new'), {}))
        self.assertTrue(self._is_valid(('_context_new',), 1))
        self.assertTrue(self._is_valid(
            ('timestamp',), '2026-01-01 00:00:00'))

    def test_what_is_not_as_promised_is_invalid(self):
        data = 'payload', 'nova_object.data'
        for path, *value in (
                (('payload', 'nova_object.version'), '2.0'),
                (('payload', 'nova_object.version'),),
                (('payload', 'nova_object.name'), 'OtherPayload'),
                ((*data, 'host'),),
                ((*data, 'uuid'), None),
                ((*data, 'last_seen_up'), '2012-10-29 13:42:05'),
                ((*data, 'disabled'), 0),
                (('timestamp',), '2026-01-01T00:00:00Z'),
                (('timestamp',),),
                (('message_id',), '5'),
                (('priority',), 'info'),
                (('publisher_id',), 'nova-compute'),
                (('event_type',), 'service.explode')):
            self.assertFalse(self._is_valid(path, *value), path)


class TestSchemaFixture(test.NoDBTestCase):

    def _check(self, **values):
        checked = fixtures.SchemaFixture()
        checked.setUp()
        checked.check({**_message(), **values})
        checked.cleanUp()

    def test_what_is_not_described_fails_the_test(self):
        self._check()
        for wrong in ({'priority': 'info'}, {'new': 1},
                      {'event_type': 'service.explode'}):
            self.assertRaises(AssertionError, self._check, **wrong)


class TestAsyncAPI(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.document = asyncapi.document('bus', ['one', 'two'])

    def test_its_schemas_are_some(self):
        for message in self.document['components']['messages'].values():
            jsonschema.Draft202012Validator.check_schema(message['payload'])
        for described in self.document['components']['schemas'].values():
            jsonschema.Draft202012Validator.check_schema(described)

    def test_each_topic_has_a_channel_with_every_event(self):
        events = ['service.create', 'service.delete', 'service.update']
        channels = self.document['channels']
        self.assertEqual(['one.info', 'two.info'], list(channels))
        channel = channels['two.info']
        del channel['description']
        self.assertEqual({
            'address': 'two.info',
            'messages': {
                name: {'$ref': f'#/components/messages/{name}'}
                for name in events},
            'bindings': {
                'amqp': {'is': 'routingKey', 'bindingVersion': '0.3.0',
                         'exchange': {'name': 'bus', 'type': 'topic'}},
                'kafka': {'topic': 'two.info', 'bindingVersion': '0.5.0'}}},
            channel)
        operation = self.document['operations']['send.two.info']
        self.assertEqual(
            ('send', {'$ref': '#/channels/two.info'}, [
                {'$ref': f'#/channels/two.info/messages/{name}'}
                for name in events]),
            (operation['action'], operation['channel'],
             operation['messages']))

    def test_the_examples_are_the_samples_and_valid(self):
        validator = jsonschema.Draft202012Validator(
            schema.document(), format_checker=jsonschema.FormatChecker())
        for event in schema.events():
            (example,) = self.document['components']['messages'][
                event.event_type]['examples']
            message = json.loads(example['payload']['oslo.message'])
            validator.validate(message)
            del message['message_id'], message['timestamp']
            self.assertEqual(samples.read(event.sample), message)
            self.assertEqual(event.sample, example['name'])


class TestSamples(test.NoDBTestCase):

    def test_what_is_not_installed_is_named(self):
        self.stub_out('nova.notifications.samples._PLACES', ('share/no',))
        error = self.assertRaises(exception.SamplesNotFound, samples.folder)
        self.assertIn('share/no', str(error))
