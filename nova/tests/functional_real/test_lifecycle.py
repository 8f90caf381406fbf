# SPDX-License-Identifier: Apache-2.0
"""The life of a service on real servers."""

import concurrent.futures
import contextlib
import queue
import subprocess
import sys
import time

import kombu
from oslo_db import exception as db_exc
import sqlalchemy as sa

from nova import context
from nova import exception
from nova import rpc
from nova import test
from nova.db import migration
from nova.db.main import api as db
from nova.db.main import models
from nova.notifications import asyncapi
from nova.objects import service as service_obj
from nova.tests import fixtures
from nova.tests.fixtures import processes
from nova.tests.fixtures import servers
from nova.tests.functional import lifecycle
from nova.tests.functional import races


class _OnDatabase(lifecycle.LifecycleTestCase):

    SERVER = None

    def database_url(self):
        return self.useFixture(self.SERVER()).url

    def transport_url(self):
        self.rabbit = self.useFixture(servers.RabbitMQ())
        url = self.rabbit.url
        # What an earlier test left must not be heard by this one.
        with kombu.Connection(url.replace('rabbit://', 'amqp://')) as bus:
            bus.default_channel.queue_delete('versioned_notifications.info')
        return url


class _DatabaseTests:

    def test_a_consumer_hears_the_whole_life(self):
        self.check_lifecycle()

    def test_a_consumer_hears_all_that_is_there(self):
        for number in range(3):
            self.create(f'h{number}')
        with self._bound_queue() as bound:
            self.assertEqual('3 announced\n', self.resync())
            for _message in range(3):
                self.schema.check_body(bound.get(no_ack=True).body)
        heard = [self.heard.get(timeout=10) for _event in range(6)]
        self.assertEqual(
            [message['payload'] for message in heard[:3]],
            [message['payload'] for message in heard[3:]])
        self.assertEqual(['service.update'] * 3, [
            message['event_type'] for message in heard[3:]])

    @contextlib.contextmanager
    def _bound_queue(self):
        """Bind a queue as the AsyncAPI document says that it can be."""
        ((address, channel),) = asyncapi.document(
            'nova', ['versioned_notifications'])['channels'].items()
        url = self.rabbit.url.replace('rabbit://', 'amqp://')
        with kombu.Connection(url) as bus:
            exchange = kombu.Exchange(
                channel['bindings']['amqp']['exchange']['name'],
                no_declare=True)
            bound = kombu.Queue('', exchange, address, exclusive=True)(
                bus.default_channel)
            bound.declare()
            yield bound

    def test_of_many_creates_at_once_one_wins(self):
        def create(_number):
            service = service_obj.Service(
                context.get_admin_context(), host='h1', topic='compute',
                binary='nova-compute')
            try:
                service.create()
            except (exception.ServiceBinaryExists,
                    exception.ServiceTopicExists):
                return 0
            return 1

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(1, sum(pool.map(create, range(8))))
        self.assertEqual('service.create',
                         self.heard.get(timeout=10)['event_type'])
        self.assertTrue(self.heard.empty())

    def test_of_many_deletes_at_once_one_wins(self):
        service = service_obj.Service(
            self.context, host='h1', topic='compute', binary='nova-compute')
        service.create()

        def destroy(_number):
            copy = service.obj_clone()
            copy._context = context.get_admin_context()
            try:
                copy.destroy()
            except exception.ServiceNotFound:
                return 0
            return 1

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(1, sum(pool.map(destroy, range(8))))
        self.assertEqual(
            ['service.create', 'service.delete'],
            [self.heard.get(timeout=10)['event_type'] for _event in range(2)])
        self.assertRaises(queue.Empty, self.heard.get, timeout=0.2)

    def test_every_beat_of_many_workers_counts(self):
        service = service_obj.Service(
            self.context, host='h1', topic='compute', binary='nova-compute')
        service.create()

        def beat(_number):
            copy = service_obj.Service.get_by_id(
                context.get_admin_context(), service.id)
            copy.report_count += 1
            copy.save()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(beat, range(40)))
        self.assertEqual(40, service_obj.Service.get_by_id(
            self.context, service.id).report_count)

    def test_each_duplicate_has_its_exception(self):
        def service(**values):
            return service_obj.Service(self.context, **{
                'host': 'h1', 'binary': 'nova-compute', 'topic': 'compute',
                **values})

        first = service()
        first.create()
        for error, values in (
                (exception.ServiceBinaryExists, {'topic': 'other'}),
                (exception.ServiceTopicExists, {'binary': 'nova-conductor'}),
                (exception.ServiceUUIDExists,
                 {'host': 'h2', 'uuid': first.uuid})):
            self.assertRaises(error, service(**values).create)

    def test_rollback_announces_nothing(self):
        def change():
            with db.context_manager.writer.using(self.context):
                service_obj.Service(
                    self.context, host='h1', topic='compute',
                    binary='nova-compute').create()
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, change)
        self.check_lifecycle()

    def test_an_existing_cell_database_is_adopted(self):
        with db.get_engine().begin() as connection:
            connection.execute(sa.text(
                f'DROP TABLE {migration.VERSION_TABLE}'))
            connection.execute(sa.text(
                'CREATE TABLE alembic_version (version_num VARCHAR(32))'))
            connection.execute(sa.text(
                "INSERT INTO alembic_version VALUES ('ab450ba04102')"))
            connection.execute(models.Service.__table__.insert(), {
                'host': 'h0', 'binary': 'nova-compute', 'topic': 'compute',
                'version': 74, 'uuid': 'u' * 36})
        migration.db_sync()
        with db.get_engine().connect() as connection:
            self.assertEqual('ab450ba04102', connection.execute(sa.text(
                'SELECT version_num FROM alembic_version')).scalar())
        self.assertEqual(['h0'], [
            service.host for service
            in service_obj.ServiceList.get_all(self.context)])
        self.check_lifecycle()

    def test_a_table_of_another_shape_is_refused(self):
        with db.get_engine().begin() as connection:
            connection.execute(sa.text(
                f'DROP TABLE {migration.VERSION_TABLE}'))
            connection.execute(sa.text(
                'ALTER TABLE services DROP COLUMN forced_down'))
        error = self.assertRaises(exception.SchemaMismatch,
                                  migration.db_sync)
        self.assertIn('column forced_down is missing', str(error))
        self.assertIsNone(migration.db_version())


class TestMariaDB(races.AnnounceTests, _DatabaseTests, _OnDatabase):
    SERVER = servers.MariaDB

    def test_a_bus_that_goes_down_ends_a_resync(self):
        # At one a second, enough of them for a broker that stops slowly.
        for number in range(60):
            self.create(f'h{number}')
            self.heard.get(timeout=10)
        process = subprocess.Popen(
            [sys.executable, '-m', 'nova.cmd.manage', '--config-file',
             str(self.conf_file()), 'notifications', 'resync', '--rate', '1'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        self.heard.get(timeout=processes.PATIENCE)
        self.rabbit.stop()
        output, errors = process.communicate(timeout=processes.PATIENCE)
        self.assertEqual((1, ''), (process.returncode, output))
        self.assertIn('of 60 services were announced', errors)
        self.assertNotIn('Traceback', errors)


class TestPostgreSQL(races.AnnounceTests, _DatabaseTests, _OnDatabase):
    SERVER = servers.PostgreSQL

    def test_a_commit_that_fails_announces_nothing(self):
        def change():
            with db.context_manager.writer.using(self.context) as session:
                service_obj.Service(
                    self.context, host='h1', topic='compute',
                    binary='nova-compute').create()
                session.execute(sa.text(
                    'CREATE TEMP TABLE late (id INTEGER PRIMARY KEY, other '
                    'INTEGER REFERENCES late (id) '
                    'DEFERRABLE INITIALLY DEFERRED)'))
                session.execute(sa.text('INSERT INTO late VALUES (1, 2)'))

        self.assertRaises(db_exc.DBReferenceError, change)
        self.check_lifecycle()


class TestDeadBus(test.TestCase):

    STUB_RPC = False

    def test_it_does_not_hold_the_change_longer_than_retry_allows(self):
        self.useFixture(fixtures.RPCFixture(
            drivers=('messagingv2',),
            url=f'rabbit://guest:guest@127.0.0.1:{servers.free_port()}/'))
        self.flags(retry=0, group='oslo_messaging_notifications')
        rpc.init(test.CONF)
        service = service_obj.Service(
            context.get_admin_context(), host='h1', topic='compute',
            binary='nova-compute')
        lost = rpc.LOSSES.lost
        start = time.monotonic()
        service.create()
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual('h1', service_obj.Service.get_by_id(
            context.get_admin_context(), service.id).host)
        self.assertEqual(lost + 1, rpc.LOSSES.lost)
        self.assertIn('A notification was lost', self.stdlog.output)
