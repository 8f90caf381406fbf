# SPDX-License-Identifier: Apache-2.0
"""A service process that starts, and what is in its way."""

import threading
import time

from nova import context
from nova import exception
from nova import manager
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


class _FailingManager(manager.Manager):
    def graceful_shutdown(self, timeout):
        self.timeouts = [*getattr(self, 'timeouts', []), timeout]
        raise ZeroDivisionError('this manager fails')


class _HangingManager(manager.Manager):
    def __init__(self, host):
        super().__init__(host)
        self.released = threading.Event()

    def graceful_shutdown(self, timeout):
        self.released.wait()


class TestStop(test.TestCase):

    PATIENCE = 60

    def setUp(self):
        super().setUp()
        self.stub_out('nova.servicegroup.api.INITIAL_REPORTING_DELAY', 0.01)
        self.flags(manager_shutdown_timeout=self.PATIENCE)

    def start(self, manager_class):
        started = self.start_service(
            'compute', host='h1', report_interval=1,
            manager=f'{__name__}.{manager_class.__name__}')
        self.wait_for_heartbeat_after(started, 0)
        return started

    def heartbeats(self, started):
        return service_obj.Service.get_by_id(
            context.get_admin_context(), started.service_ref.id).report_count

    def wait_for_heartbeat_after(self, started, count):
        deadline = time.monotonic() + self.PATIENCE
        while self.heartbeats(started) <= count:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def check_no_heartbeat_follows(self, started):
        count = self.heartbeats(started)
        time.sleep(2.5)
        self.assertEqual(count, self.heartbeats(started))

    def test_stop_ends_heartbeats_although_the_manager_fails(self):
        started = self.start(_FailingManager)
        started.stop()
        self.assertIn('this manager fails', self.stdlog.output)
        self.assertIn('shutdown finished', self.stdlog.output)
        self.check_no_heartbeat_follows(started)

    def test_stop_leaves_a_hanging_manager_behind(self):
        self.flags(manager_shutdown_timeout=1)
        started = self.start(_HangingManager)
        self.addCleanup(started.manager.released.set)
        stopper = threading.Thread(target=started.stop, daemon=True)
        stopper.start()
        stopper.join(self.PATIENCE)
        self.assertFalse(stopper.is_alive())
        self.assertIn('within 1 s and is left behind', self.stdlog.output)
        self.check_no_heartbeat_follows(started)

    def test_heartbeats_go_on_while_the_manager_finishes_its_work(self):
        started = self.start(_HangingManager)
        self.addCleanup(started.manager.released.set)
        stopper = threading.Thread(target=started.stop)
        stopper.start()
        self.addCleanup(stopper.join)
        self.wait_for_heartbeat_after(started, self.heartbeats(started) + 1)
        started.manager.released.set()
        stopper.join(self.PATIENCE)
        self.assertFalse(stopper.is_alive())
        self.assertNotIn('left behind', self.stdlog.output)
        self.check_no_heartbeat_follows(started)

    def test_second_stop_does_nothing(self):
        started = self.start(_FailingManager)
        started.stop()
        started.stop()
        self.assertEqual([self.PATIENCE], started.manager.timeouts)

    def test_stop_does_not_wait_for_a_manager_without_time(self):
        self.flags(manager_shutdown_timeout=0)
        started = self.start(_HangingManager)
        self.addCleanup(started.manager.released.set)
        started.stop()
        self.assertNotIn('left behind', self.stdlog.output)

    def test_reset_after_stop_does_not_start_heartbeats(self):
        started = self.start(_FailingManager)
        started.stop()
        started.reset()
        self.check_no_heartbeat_follows(started)

    def test_kill_deletes_the_record_although_the_manager_fails(self):
        started = self.start(_FailingManager)
        for _time in range(2):
            started.kill()
        self.assertRaises(exception.ServiceNotFound, self.heartbeats, started)
