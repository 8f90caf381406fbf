# SPDX-License-Identifier: Apache-2.0
"""The shape of every object, pinned."""

import pathlib
import os

from oslo_versionedobjects import fixture

from nova import test
from nova.notifications.objects import base as notification_base
from nova.notifications.objects import service as notification_service
from nova.objects import base
from nova.objects import fields

# A changed fingerprint needs a new VERSION of its class, and a line in the
# class's history; then its new fingerprint goes here.
FINGERPRINTS = {
    'EventType': '1.22-fab37f98c6e7513edece32ad5420f549',
    'NotificationPublisher': '2.2-b6ad48126247e10b46b6b0240e52e614',
    'Service': '1.22-8a740459ab9bf258a19c8fcb875c2d9a',
    'ServiceList': '1.19-5325bce13eebcbf22edc9678285270cc',
    'ServiceStatusNotification': '1.0-a73147b93b520ff0061865849d3dfa56',
    'ServiceStatusPayload': '1.1-64c5f80b3865832b936898f11dcddad0',
}


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
        self.assertEqual(expected, actual,
                         'Objects changed: raise their VERSION, add a line '
                         'to their history, then update FINGERPRINTS')


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
