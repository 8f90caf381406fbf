# SPDX-License-Identifier: Apache-2.0
"""A service process that starts, and what is in its way."""

from nova import context
from nova import exception
from nova import service
from nova import test
from nova.api.openstack import wsgi_app
from nova.db.main import api
from nova.objects import service as service_obj


class TestStart(test.TestCase):

    def setUp(self):
        super().setUp()
        self.context = context.get_admin_context()

    def old_compute(self):
        """Leave a nova-compute of a version that is not supported."""
        service_obj.Service(self.context, host='old', binary='nova-compute',
                            topic='compute').create()
        with api.get_engine().begin() as connection:
            connection.exec_driver_sql('UPDATE services SET version = 1')

    def test_beside_a_compute_that_is_too_old(self):
        self.old_compute()
        refusal = self.assertRaises(exception.TooOldComputeService,
                                    self.start_service, 'conductor')
        self.assertIn(service_obj.OLDEST_SUPPORTED_SERVICE_VERSION,
                      str(refusal))
        self.flags(disable_compute_service_check_for_ffu=True,
                   group='workarounds')
        self.start_service('conductor')
        self.assertIn('has service version 1', self.stdlog.output)

    def test_the_api_beside_a_compute_that_is_too_old(self):
        self.old_compute()
        refusal = self.assertRaises(exception.TooOldComputeService,
                                    wsgi_app.register, 'osapi_compute')
        self.assertIn('has service version 1', str(refusal))
        self.assertEqual(['nova-compute'], [
            found.binary for found
            in service_obj.ServiceList.get_all(self.context)])
        self.flags(disable_compute_service_check_for_ffu=True,
                   group='workarounds')
        wsgi_app.register('osapi_compute')
        self.assertIn('has service version 1', self.stdlog.output)

    def test_a_record_of_another_binary(self):
        other = service_obj.Service(
            self.context, host='h1', binary='nova-scheduler',
            topic='compute')
        other.create()
        refusal = self.assertRaises(exception.ServiceTopicExists,
                                    self.start_service, 'compute', host='h1')
        self.assertIn(other.uuid, str(refusal))
        self.assertIn('stop and delete that one', str(refusal))

    def test_a_directory_for_temporary_files(self):
        self.flags(tempdir='/nonexistent')
        self.assertRaises(SystemExit, service._check_tempdir)
        self.assertIn('tempdir must be a directory that can be written to',
                      self.stdlog.output)

    def test_it_bears_that_its_record_is_gone(self):
        started = self.start_service('compute', host='h1')
        started.service_ref.destroy()
        started.kill()
        self.assertIn('was gone already', self.stdlog.output)

    def test_reset_takes_up_the_interval(self):
        started = self.start_service('compute', host='h1')
        self.flags(report_interval=77)
        started.reset()
        self.assertEqual(77, started.report_interval)

    def test_a_manager_has_less_time_than_the_process(self):
        self.flags(graceful_shutdown_timeout=60, manager_shutdown_timeout=90)
        self.assertEqual(50, service._manager_timeout())
        self.flags(manager_shutdown_timeout=30)
        self.assertEqual(30, service._manager_timeout())
        self.assertIn('50 is used', self.stdlog.output)
