# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import timeutils

from nova import context
from nova.objects import service as service_obj
from nova.tests.functional.notification_sample_tests import (
    notification_sample_base as base,
)

UUID = 'fa69c544-906b-4a6a-a9c6-c1f7a8078c73'


class ServiceTestBase(base.NotificationSampleTestBase):

    def _created(self, host):
        service = service_obj.Service(
            context.get_admin_context(), host=host, binary='nova-compute',
            topic='compute', uuid=UUID)
        service.create()
        return service

    def _beaten(self):
        """Return host1's service with a heartbeat six seconds ago."""
        service = self._created('host1')
        timeutils.set_time_override(
            datetime.datetime(2012, 10, 29, 13, 42, 5))
        service.report_count = 1
        service.save()
        timeutils.set_time_override(
            datetime.datetime(2012, 10, 29, 13, 42, 11))
        self.notifier.reset()
        return service


class TestServiceNotifications(ServiceTestBase):

    def test_create(self):
        self._created('host2')
        self._verify_notification('service-create')

    def test_a_new_compute_that_is_disabled_by_configuration_says_so(self):
        self.flags(enable_new_services=False)
        self._created('host2')
        self._verify_notification('service-create', {
            'disabled': True,
            'disabled_reason':
                'New compute service disabled due to config option.'})

    def test_delete(self):
        service = self._created('host2')
        self.admin_api.api_delete(f'/os-services/{service.id}')
        self.assertEqual(2, len(self.notifier.versioned_notifications))
        self._verify_notification(
            'service-delete', actual=self.notifier.versioned_notifications[1])

    def test_a_sample_that_does_not_match_fails(self):
        service = self._beaten()
        service.forced_down = True
        service.save()
        self.assertRaises(self.failureException, self._verify_notification,
                          'service-update', {'disabled': True})

    def test_a_process_that_starts_announces_itself(self):
        service = self.start_service('conductor', host='host2')
        self._verify_notification('service-create', {
            'binary': 'nova-conductor', 'topic': 'conductor',
            'uuid': service.service_ref.uuid,
        }, actual={**self.notifier.versioned_notifications[0],
                   'publisher_id': 'nova-compute:host2'})
        self.assertEqual('nova-conductor:host2',
                         self.notifier.versioned_notifications[0][
                             'publisher_id'])


class TestServiceUpdateNotifications(ServiceTestBase):
    """Updates as clients of the last microversion with actions make them."""

    microversion = '2.52'

    def setUp(self):
        super().setUp()
        self.admin_api.microversion = self.microversion
        self._beaten()

    def _put(self, action, **body):
        self.admin_api.put_service(
            action, {'host': 'host1', 'binary': 'nova-compute', **body})

    def test_enable(self):
        self._put('enable')
        self._verify_notification('service-update')

    def test_disable(self):
        self._put('disable')
        self._verify_notification('service-update', {'disabled': True})

    def test_disable_with_a_reason(self):
        self._put('disable-log-reason', disabled_reason='test2')
        self._verify_notification('service-update', {
            'disabled': True, 'disabled_reason': 'test2'})

    def test_force_down(self):
        self._put('force-down', forced_down=True)
        self._verify_notification('service-update', {'forced_down': True})


class TestServiceUpdateNotificationsLatest(TestServiceUpdateNotifications):
    """The same by uuid."""

    microversion = 'latest'

    def _put(self, action, **body):
        if action == 'force-down':
            self.admin_api.put_service_force_down(UUID, body['forced_down'])
            return
        status = 'enabled' if action == 'enable' else 'disabled'
        self.admin_api.put_service(UUID, {'status': status, **body})
