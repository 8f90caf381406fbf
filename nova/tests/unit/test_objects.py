# SPDX-License-Identifier: Apache-2.0
"""The shape of every object, pinned."""

import inspect
import os
import pathlib

from oslo_versionedobjects import fields as ovo_fields
from oslo_versionedobjects import fixture

from nova import test
from nova.notifications.objects import base as notification_base
from nova.notifications.objects import service as notification_service
from nova.objects import base
from nova.objects import fields
from nova.objects import service

# What to do when one differs: run the test, it says so.
FINGERPRINTS = {
    'EventType': '1.22-fab37f98c6e7513edece32ad5420f549',
    'NotificationPublisher': '2.2-b6ad48126247e10b46b6b0240e52e614',
    'Service': '1.22-8a740459ab9bf258a19c8fcb875c2d9a',
    'ServiceList': '1.19-5325bce13eebcbf22edc9678285270cc',
    'ServiceStatusNotification': '1.0-a73147b93b520ff0061865849d3dfa56',
    'ServiceStatusPayload': '1.1-64c5f80b3865832b936898f11dcddad0',
}


_VERSION_FIRST = """\
{name} changed, and VERSION is still {version}. Consumers tell by it what they
get: raise it first, the minor if fields were only added, the major if one was
removed or changed, and add a line to the history above it. Run this again."""

_THEN = """\
{name} changed to {version}. Put {fingerprint!r} into FINGERPRINTS."""

_PAYLOAD_TOO = """\
It is a payload, so also:
* GENERATE_SAMPLES=1 tox -e functional; commit doc/notification_samples
* update _DATA in nova/tests/unit/test_schema.py
* describe the field in doc/source/reference/notifications.rst
* reno new <slug>"""


def advice(expected, actual):
    """Return what to do about fingerprints that differ."""
    # testtools puts it behind the difference.
    lines = ['']
    for name, fingerprint in actual.items():
        version = str(fingerprint).partition('-')[0]
        same = str(expected.get(name)).partition('-')[0] == version
        lines.append((_VERSION_FIRST if same else _THEN).format(
            name=name, version=version, fingerprint=fingerprint))
        if name.endswith('Payload'):
            lines.append(_PAYLOAD_TOO)
    return '\n'.join(lines)


def _schema(cls):
    if issubclass(cls, notification_base.NotificationPayloadBase):
        return (sorted(cls.SCHEMA.items()),)
    return ()


class TestFingerprints(test.NoDBTestCase):

    def test_objects_have_the_pinned_shape(self):
        base.NovaObjectRegistry.register_notification_objects()
        ours = {name: classes for name, classes
                in base.NovaObjectRegistry.obj_classes().items()
                if classes[0].__module__.startswith('nova.')}
        checker = fixture.ObjectVersionChecker(ours)
        if os.environ.get('GENERATE_HASHES'):
            hashes = checker.get_hashes(extra_data_func=_schema)
            pathlib.Path('object_hashes.txt').write_text(''.join(
                f'{name}: {value}\n' for name, value in sorted(
                    hashes.items())))
        expected, actual = checker.test_hashes(
            FINGERPRINTS, extra_data_func=_schema)
        self.assertEqual(expected, actual, advice(expected, actual))

    def test_every_version_has_its_line_in_the_history(self):
        for cls in (*base.NovaObjectRegistry.notification_classes,
                    service.Service, service.ServiceList):
            self.assertIn(f'# {cls.VERSION}: ', inspect.getsource(cls))

    def test_a_payload_that_kept_its_version_is_told_to_raise_it(self):
        told = advice({'SomePayload': '1.1-old'}, {'SomePayload': '1.1-new'})
        for words in ('VERSION is still 1.1', 'raise it', 'history',
                      'GENERATE_SAMPLES=1 tox -e functional'):
            self.assertIn(words, told)
        self.assertNotIn('FINGERPRINTS', told)

    def test_a_payload_of_a_new_version_is_told_what_is_left(self):
        told = advice({'SomePayload': '1.1-old'}, {'SomePayload': '1.2-new'})
        for words in ("'1.2-new' into FINGERPRINTS", 'GENERATE_SAMPLES=1'):
            self.assertIn(words, told)
        self.assertNotIn('VERSION is still', told)


class TestEnums(test.NoDBTestCase):

    def test_every_source_is_what_a_publisher_can_be(self):
        self.assertEqual(
            ('nova-api', 'nova-compute', 'nova-conductor', 'nova-scheduler',
             'nova-network', 'nova-consoleauth', 'nova-cells',
             'nova-console', 'nova-metadata'), fields.NotificationSource.ALL)
        self.assertEqual('nova-api', fields.NotificationSource.API)

    def test_the_api_binary_has_another_source(self):
        get = fields.NotificationSource.get_source_by_binary
        self.assertEqual('nova-api', get('nova-osapi_compute'))
        self.assertEqual('nova-compute', get('nova-compute'))

    def test_constants_are_named_after_values(self):
        self.assertEqual('cache_images',
                         fields.NotificationAction.IMAGE_CACHE)
        self.assertEqual('import', fields.NotificationAction.IMPORT)
        self.assertEqual(59, len(fields.NotificationAction.ALL))


class TestNotificationParts(test.NoDBTestCase):

    def test_event_type_leaves_an_unset_phase_out(self):
        make = notification_base.EventType
        self.assertEqual('service.create', make(
            'service', 'create').to_notification_event_type_field())
        self.assertEqual('instance.create.start', make(
            'instance', 'create', 'start').to_notification_event_type_field())

    def test_an_unknown_source_is_refused(self):
        self.assertRaises(ValueError, notification_base.NotificationPublisher,
                          host='h1', source='nova-unknown')

    def test_samples_are_listed_from_the_innermost_decorator(self):
        self.assertEqual(
            ['service-delete.json', 'service-update.json',
             'service-create.json'],
            notification_service.ServiceStatusNotification.samples)


class TestNestedPayload(test.NoDBTestCase):
    """A payload within a payload, as later notifications will have them."""

    def setUp(self):
        super().setUp()

        # Not registered for good: other tests look at all that are.
        @base.NovaObjectRegistry.register_if(False)
        class Inner(notification_base.NotificationPayloadBase):
            VERSION = '1.0'
            fields = {'name': fields.StringField()}

        @base.NovaObjectRegistry.register_if(False)
        class Outer(notification_base.NotificationPayloadBase):
            VERSION = '1.0'
            fields = {'inner': fields.ObjectField('Inner', nullable=True),
                      'count': fields.IntegerField()}

        self.inner, self.outer = Inner(), Outer()
        self.inner.name = 'a'
        self.outer.count = 1
        self.outer.obj_reset_changes()
        # Past the check of the type, which looks at what is registered.
        self.outer._obj_inner = self.inner

    def test_a_change_inside_is_a_change(self):
        self.assertEqual({'inner'}, self.outer.obj_what_changed())
        self.inner.obj_reset_changes()
        self.assertEqual(set(), self.outer.obj_what_changed())
        self.outer._obj_inner = None
        self.assertEqual(set(), self.outer.obj_what_changed())

    def test_the_short_way_leads_to_the_same(self):
        self.inner.obj_reset_changes()
        short = self.outer.obj_to_primitive()
        self.assertEqual(
            super(notification_base.NotificationObject,
                  self.outer).obj_to_primitive(), short)
        self.assertEqual('a', short['nova_object.data']['inner'][
            'nova_object.data']['name'])
        # What has changed is told by the long way only.
        self.outer.count = 2
        self.assertEqual(['count'], self.outer.obj_to_primitive()[
            'nova_object.changes'])


class TestFields(test.NoDBTestCase):

    def test_field_types_of_the_library_are_there(self):
        types = {
            name: found for name, found in vars(ovo_fields).items()
            if isinstance(found, type)
            and issubclass(found, ovo_fields.Field | ovo_fields.FieldType)
            and found is not ovo_fields.CompoundFieldType}
        self.assertIn('DictOfStringsField', types)
        self.assertEqual(types, {
            name: getattr(fields, name, None) for name in types})
