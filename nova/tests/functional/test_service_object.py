# SPDX-License-Identifier: Apache-2.0
"""The Service object on a real database."""

import concurrent.futures
import datetime

from oslo_db import exception as db_exc
from oslo_versionedobjects import exception as ovo_exc
import sqlalchemy as sa

from nova import context
from nova import exception
from nova import test
from nova.db.main import api as db
from nova.db.main import models
from nova.notifications import resync
from nova.notifications.objects import base
from nova.notifications.objects import service as notification
from nova.objects import service as service_obj
from nova.tests import fixtures

Service = service_obj.Service
ServiceList = service_obj.ServiceList


class ServiceTestCase(test.TestCase):

    def setUp(self):
        super().setUp()
        self.context = context.get_admin_context()
        self.notifier = self.useFixture(fixtures.NotificationFixture(self))

    def _service(self, **values):
        return Service(self.context, **{
            'host': 'h1', 'binary': 'nova-compute', 'topic': 'compute',
            **values})

    def _created(self, **values):
        service = self._service(**values)
        service.create()
        return service

    def _insert(self, **values):
        """Put a row into the table past everything that checks it."""
        with db.get_engine().begin() as connection:
            return connection.execute(
                models.Service.__table__.insert(), {
                    'host': 'old', 'binary': 'nova-compute',
                    'topic': 'compute', 'version': 74, 'uuid': 'u' * 36,
                    **values}).inserted_primary_key[0]

    def _events(self):
        return [record['event_type'].removeprefix('service.')
                for record in self.notifier.versioned_notifications]


class TestLifecycle(ServiceTestCase):

    def test_a_created_service_can_be_read_in_every_way(self):
        created = self._created()
        self.assertEqual(set(), created.obj_what_changed())
        for found in (
                Service.get_by_id(self.context, created.id),
                Service.get_by_uuid(self.context, created.uuid),
                Service.get_by_host_and_topic(self.context, 'h1', 'compute'),
                Service.get_by_host_and_binary(
                    self.context, 'h1', 'nova-compute'),
                Service.get_by_compute_host(self.context, 'h1'),
                Service.get_by_args(self.context, 'h1', 'nova-compute'),
                *ServiceList.get_all(self.context),
                *ServiceList.get_by_topic(self.context, 'compute'),
                *ServiceList.get_by_host(self.context, 'h1'),
                *ServiceList.get_by_binary(self.context, 'nova-compute')):
            self.assertEqual(created.obj_to_primitive(),
                             found.obj_to_primitive())

    def test_a_list_can_tell_zones(self):
        self._created()
        self._created(binary='nova-conductor', topic='conductor')
        zones = {service.binary: service.availability_zone for service in
                 ServiceList.get_all(self.context, set_zones=True)}
        self.assertEqual({'nova-compute': 'nova', 'nova-conductor':
                          'internal'}, zones)

    def test_what_is_absent_has_the_exception_of_its_call(self):
        for error, call, args in (
                (exception.ServiceNotFound, Service.get_by_id, (1,)),
                (exception.ServiceNotFound, Service.get_by_uuid, ('x',)),
                (exception.ServiceNotFound, Service.get_by_host_and_topic,
                 ('h1', 'compute')),
                (exception.ComputeHostNotFound, Service.get_by_compute_host,
                 ('h1',)),
                (exception.HostBinaryNotFound, Service.get_by_args,
                 ('h1', 'nova-compute'))):
            self.assertRaises(error, call, self.context, *args)
        self.assertIsNone(Service.get_by_host_and_binary(
            self.context, 'h1', 'nova-compute'))

    def test_only_status_changes_are_announced(self):
        service = self._created()
        service.report_count += 1
        service.save()
        service.topic = 'other'
        service.save()
        service.save()
        self.assertEqual(['create'], self._events())
        service.disabled = service.disabled
        service.save()
        self.assertEqual(['create', 'update'], self._events())

    def test_a_save_without_changes_leaves_updated_at(self):
        service = self._created()
        service.save()
        self.assertIsNone(service.updated_at)

    def test_a_deleted_service_can_be_created_again(self):
        first = self._created()
        first.destroy()
        self.assertRaises(exception.ServiceNotFound, first.destroy)
        first.disabled = True
        self.assertRaises(exception.ServiceNotFound, first.save)
        second = self._created()
        self.assertNotEqual(first.uuid, second.uuid)
        self.assertEqual(['create', 'delete', 'create'], self._events())
        deleted = db.service_get(
            context.get_admin_context(read_deleted='only'), first.id)
        self.assertEqual(first.id, deleted.deleted)
        self.assertIsNone(deleted.updated_at)

    def test_delete_says_what_the_row_was_not_a_stale_copy(self):
        stale = self._created()
        fresh = Service.get_by_id(self.context, stale.id)
        fresh.disabled_reason = 'newer'
        fresh.save()
        stale.destroy()
        self.assertEqual(
            'newer', self.notifier.versioned_notifications[-1]['payload'][
                'nova_object.data']['disabled_reason'])

    def test_of_many_deletes_at_once_one_wins(self):
        service = self._created()

        def destroy(_number):
            copy = Service.get_by_id(context.get_admin_context(), service.id)
            try:
                copy.destroy()
            except exception.ServiceNotFound:
                return 0
            return 1

        def attempt(number):
            try:
                return destroy(number)
            except exception.ServiceNotFound:
                return 0

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(1, sum(pool.map(attempt, range(8))))
        self.assertEqual(['create', 'delete'], self._events())

    def test_of_many_creates_at_once_one_wins(self):
        def create(_number):
            service = Service(context.get_admin_context(), host='h1',
                              binary='nova-compute', topic='compute')
            try:
                service.create()
            except (exception.ServiceBinaryExists,
                    exception.ServiceTopicExists):
                return 0
            return 1

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(1, sum(pool.map(create, range(8))))
        self.assertEqual(['create'], self._events())


class TestTransaction(ServiceTestCase):

    def test_what_can_not_be_said_is_not_done(self):
        service = self._created()
        before = Service.get_by_id(self.context, service.id)

        def fail(*_arguments):
            raise OSError

        self.stub_out('nova.objects.service._announce', fail)
        service.disabled = True
        for change in (self._service(host='h2').create, service.save,
                       service.destroy, service.announce):
            self.assertRaises(OSError, change)
        (stored,) = ServiceList.get_all(self.context)
        self.assertEqual(before.obj_to_primitive(), stored.obj_to_primitive())

    def test_rollback_announces_nothing(self):
        service = self._created()
        service.disabled = True

        def change():
            with db.context_manager.writer.using(self.context):
                service.save()
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, change)
        self.assertEqual(['create'], self._events())
        self.assertFalse(
            Service.get_by_id(self.context, service.id).disabled)

    def test_an_outer_transaction_is_announced_at_its_end(self):
        for writer in (db.context_manager.writer,
                       db.context_manager.writer.connection):
            self.notifier.reset()
            with writer.using(self.context):
                service = self._created(host=f'h{id(writer)}')
                service.destroy()
                self.assertEqual([], self._events())
            self.assertEqual(['create', 'delete'], self._events())

    def test_what_was_committed_on_the_way_is_announced(self):
        def change():
            with db.context_manager.writer.using(self.context) as session:
                self._created(host='kept')
                session.commit()
                self._created(host='taken-back')
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, change)
        self.assertEqual(['nova-compute:kept'], [
            record['publisher_id']
            for record in self.notifier.versioned_notifications])

    def test_a_savepoint_takes_back_only_its_own(self):
        service = self._created()

        def inner():
            with db.context_manager.writer.savepoint.using(self.context):
                service.forced_down = True
                service.save()
                raise ZeroDivisionError

        with db.context_manager.writer.using(self.context):
            service.disabled = True
            service.save()
            self.assertRaises(ZeroDivisionError, inner)
        self.assertEqual(['create', 'update'], self._events())
        self.assertFalse(self.notifier.versioned_notifications[-1]['payload'][
            'nova_object.data']['forced_down'])

    def test_a_failing_bus_does_not_fail_the_change(self):
        class Broken:
            def is_enabled(self):
                return True

            def prepare(self, publisher_id):
                return self

            def info(self, *args, **kwargs):
                raise ConnectionError('the bus is gone')

        self.stub_out('nova.rpc.NOTIFIER', Broken())
        service = self._created()
        self.assertEqual(service.id, Service.get_by_id(
            self.context, service.id).id)
        self.assertIn('could not be sent', self.stdlog.output)


class TestBadInput(ServiceTestCase):

    def _assert_nothing_was_said_or_written(self):
        self.assertEqual([], self._events())
        self.assertEqual(0, len(ServiceList.get_all(self.context)))

    def test_an_unknown_binary(self):
        error = self.assertRaises(
            ValueError, self._service(binary='nova-unknown').create)
        self.assertIn("binary 'nova-unknown'", str(error))
        self._assert_nothing_was_said_or_written()

    def test_no_host(self):
        error = self.assertRaises(ValueError, self._service(host=None).create)
        self.assertIn('host', str(error))
        self._assert_nothing_was_said_or_written()

    def test_a_host_longer_than_its_column(self):
        error = self.assertRaises(exception.ServiceFieldTooLong,
                                  self._service(host='h' * 300).create)
        self.assertEqual('host is 300 characters long; at most 255 fit',
                         str(error))
        self._assert_nothing_was_said_or_written()

    def test_a_row_that_can_not_be_announced_can_beat(self):
        service = Service.get_by_id(
            self.context, self._insert(binary='nova-unknown'))
        service.report_count += 1
        service.save()
        self.assertEqual(1, Service.get_by_id(
            self.context, service.id).report_count)

    def test_nothing_can_become_what_can_not_be_announced(self):
        for values in ({'binary': 'nova-unknown'}, {'host': None}):
            service = self._created(host=f'h{values}'[:20])
            service.update(values)
            self.assertRaises(ValueError, service.save)
            stored = Service.get_by_id(self.context, service.id)
            self.assertEqual('nova-compute', stored.binary)
            self.assertIsNotNone(stored.host)

    def test_an_identity_does_not_change(self):
        service = self._created()
        self.assertRaises(ovo_exc.ReadOnlyFieldError, setattr, service, 'id',
                          service.id + 1)

    def test_hypervisors_are_not_kept_here(self):
        self.assertRaises(exception.ObjectActionError,
                          ServiceList.get_all_computes_by_hv_type,
                          self.context, 'kvm')

    def test_a_row_that_can_not_be_announced_can_be_deleted(self):
        for values in ({'binary': 'nova-unknown'}, {'host': None}):
            service_id = self._insert(**values)
            service = Service.get_by_id(self.context, service_id)
            service.disabled = True
            self.assertRaises(ValueError, service.save)
            service.destroy()
            self._assert_nothing_was_said_or_written()
            with db.get_engine().begin() as connection:
                connection.execute(models.Service.__table__.delete())

    def test_each_duplicate_has_its_exception(self):
        first = self._created()
        for error, values in (
                (exception.ServiceBinaryExists, {'topic': 'other'}),
                (exception.ServiceTopicExists, {'binary': 'nova-conductor'}),
                (exception.ServiceUUIDExists,
                 {'host': 'h2', 'uuid': first.uuid})):
            failed = self.assertRaises(error, self._service(**values).create)
        self.assertIn(first.uuid, str(failed))

    def test_a_second_create_is_refused(self):
        service = self._created()
        self.assertRaises(exception.ObjectActionError, service.create)

    def test_a_version_can_not_be_given(self):
        self.assertRaises(exception.ObjectActionError, Service, version=1)

    def test_lazy_loading(self):
        service = self._created()
        for name in ('compute_node', 'availability_zone'):
            self.assertRaises(exception.ObjectActionError, getattr, service,
                              name)
        self.assertRaises(exception.ObjectActionError, getattr,
                          Service(self.context), 'id')
        self.assertRaises(exception.OrphanedObjectError, getattr, Service(),
                          'host')
        other = self._created(binary='nova-conductor', topic='conductor')
        self.assertRaises(exception.ServiceNotFound, getattr, other,
                          'compute_node')


class TestVersions(ServiceTestCase):

    def test_an_old_process_is_refused_and_an_old_record_managed(self):
        old = self._created(host='old', forced_down=True)
        db.service_update(self.context, old.id, {'version': 70})
        self._created(host='new')
        record = Service.get_by_id(self.context, old.id)
        record.disabled = True
        record.save()
        record.forced_down = False
        record.save()
        self.stub_out('nova.objects.service.SERVICE_VERSION', 69)
        self.assertRaises(exception.ServiceTooOld,
                          self._service(host='older').create)

    def test_minimum_version(self):
        minimum = Service.get_minimum_version
        self.assertEqual(0, minimum(self.context, 'nova-compute'))
        self._insert(host='a', version=71, uuid='a')
        self._insert(host='b', version=70, uuid='b', forced_down=True)
        self._insert(host='c', version=None, uuid='c', disabled=True,
                     binary='nova-conductor')
        self.assertEqual(71, minimum(self.context, 'nova-compute'))
        self.assertEqual(71, minimum(
            self.context, 'nova-compute', use_slave=True))
        self.assertEqual(0, Service.get_minimum_version_multi(
            self.context, ['nova-compute', 'nova-conductor']))
        self.assertRaises(exception.ObjectActionError, minimum, self.context,
                          'compute')

    def test_the_minimum_is_remembered_where_that_is_asked_for(self):
        minimum = Service.get_minimum_version

        def insert(version):
            self._insert(host=f'h{version}', uuid=str(version),
                         version=version)
            return minimum(self.context, 'nova-compute')

        self.stub_out('nova.objects.service.Service._SERVICE_VERSION_CACHING',
                      False)
        self.assertEqual([73, 72], [insert(73), insert(72)])
        Service.enable_min_version_cache()
        self.assertEqual([71, 71], [insert(71), insert(70)])
        # Of another binary nothing is known yet.
        self.assertEqual(0, minimum(self.context, 'nova-conductor'))
        Service.clear_min_version_cache()
        self.assertEqual(70, minimum(self.context, 'nova-compute'))

    def test_what_has_no_version_is_not_compared(self):
        self._created()
        Service(self.context, binary='nova-compute').check_minimum_version()


class TestResync(ServiceTestCase):

    def test_one_that_is_deleted_meanwhile_does_not_stop_it(self):
        services = [self._created(host=f'h{number}') for number in range(3)]
        self.notifier.reset()

        def paced(items, rate):
            services[0].destroy()
            return iter(items)

        self.stub_out('nova.notifications.resync._paced', paced)
        self.assertEqual((2, 0), resync.announce(
            self.context, None, None, rate=100))
        self.assertEqual(['delete', 'update', 'update'], self._events())


class TestHeartbeat(ServiceTestCase):

    def test_named_time_of_a_beat_is_stored(self):
        named = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
        service = self._created()
        service.report_count += 1
        service.last_seen_up = named
        service.save()
        self.assertEqual((1, named), (
            service.report_count, service.last_seen_up))
        service.report_count += 1
        service.save()
        self.assertGreater(service.last_seen_up, named)

    def test_every_beat_of_two_workers_counts(self):
        first = self._created()
        second = Service.get_by_id(self.context, first.id)
        first.report_count += 1
        first.save()
        seen = first.last_seen_up
        second.report_count += 1
        second.save()
        self.assertEqual(2, second.report_count)
        self.assertGreater(second.last_seen_up, seen)


class TestDeadlock(ServiceTestCase):

    def test_the_outermost_transaction_is_repeated(self):
        attempts = []

        @db.transactional
        def change(_context):
            attempts.append(None)
            if len(attempts) == 1:
                raise db_exc.DBDeadlock
            return 'done'

        self.assertEqual('done', change(self.context))
        self.assertEqual(2, len(attempts))

    def test_an_inner_one_is_not(self):
        attempts = []

        @db.transactional
        def change(_context):
            attempts.append(None)
            raise db_exc.DBDeadlock

        def outer():
            with db.transaction(self.context):
                change(self.context)

        self.assertRaises(db_exc.DBDeadlock, outer)
        self.assertEqual(1, len(attempts))


class TestBackport(ServiceTestCase):

    def test_an_older_reader_gets_what_it_knows(self):
        service = self._created()
        for version, absent in (
                ('1.21', set()), ('1.20', {'uuid'}),
                ('1.15', {'uuid', 'version'}),
                ('1.13', {'uuid', 'version', 'forced_down'}),
                ('1.12', {'uuid', 'version', 'forced_down',
                          'last_seen_up'})):
            known = service.obj_to_primitive(version)['nova_object.data']
            self.assertEqual(
                absent, {'uuid', 'version', 'forced_down', 'last_seen_up'}
                - set(known))


class TestDisabledNotifications(ServiceTestCase):

    def test_a_payload_that_was_not_populated_is_not_sent(self):
        service = self._created()
        self.flags(notification_format='unversioned', group='notifications')
        payload = notification.ServiceStatusPayload(service)
        self.flags(notification_format='versioned', group='notifications')
        event = notification.ServiceStatusNotification(
            priority='info',
            event_type=base.EventType('service', 'update'),
            publisher=base.NotificationPublisher.from_service_obj(service),
            payload=payload)
        error = self.assertRaises(AssertionError, event.emit, self.context)
        self.assertIn('ServiceStatusPayload', str(error))
        self.assertEqual(['create'], self._events())

    def test_nothing_is_sent_in_the_old_format_only(self):
        self.flags(notification_format='unversioned', group='notifications')
        self._created().destroy()
        self.assertEqual([], self._events())


class TestTable(ServiceTestCase):

    def test_columns_and_constraints_are_novas(self):
        inspector = sa.inspect(db.get_engine())
        self.assertEqual(
            ['created_at', 'updated_at', 'deleted_at', 'id', 'host',
             'binary', 'topic', 'report_count', 'disabled', 'deleted',
             'disabled_reason', 'last_seen_up', 'forced_down', 'version',
             'uuid'],
            [column['name'] for column in inspector.get_columns('services')])
        self.assertEqual(
            {('uniq_services0host0topic0deleted',
              ('host', 'topic', 'deleted')),
             ('uniq_services0host0binary0deleted',
              ('host', 'binary', 'deleted'))},
            {(unique['name'], tuple(unique['column_names'])) for unique
             in inspector.get_unique_constraints('services')})
