# SPDX-License-Identifier: Apache-2.0
"""The REST API on real databases, heard over a real bus."""

from __future__ import annotations

import concurrent.futures
from urllib import parse

import fixtures as third_party

from nova import exception
from nova.objects import service as service_obj
from nova.tests import fixtures
from nova.tests.fixtures import servers
from nova.tests.functional import lifecycle

UUID = 'e81d66a4-ddd3-4aba-8a84-171d1cb4d339'

WIDE_REASON = (b'{"status": "disabled", '
               b'"disabled_reason": "\\ud83d\\ude00"}')


class _OnDatabase(lifecycle.LifecycleTestCase):

    SERVER: type[third_party.Fixture]

    def database_url(self):
        return self.useFixture(self.SERVER()).url

    def transport_url(self):
        return self.useFixture(servers.RabbitMQ()).url

    def setUp(self):
        super().setUp()
        self.admin = self.useFixture(fixtures.OSAPIFixture()).admin_api
        self.admin.microversion = '2.53'
        self._heard('service.create', 'fake-mini')
        service_obj.Service(
            self.context, host='host1', binary='nova-compute',
            topic='compute', uuid=UUID).create()
        self._heard('service.create', 'host1')

    def _heard(self, event_type, host):
        message = self.heard.get(timeout=10)
        values = message['payload']['nova_object.data']
        self.assertEqual((event_type, host),
                         (message['event_type'], values['host']))
        return values


class _NamesTests:

    def test_names_beyond_the_charset_match_nothing(self):
        for wide in ('\U0001f600', 'host1\U0001f600'):
            self.assertEqual([], self.admin.get_services(host=wide))
            self.assertEqual([], self.admin.get_services(binary=wide))
            self.assertEqual([], self.admin.get_services(
                host='host1', binary=wide))
            self.assertIsNone(service_obj.Service.get_by_host_and_binary(
                self.context, wide, 'nova-compute'))
            self.assertEqual(0, len(service_obj.ServiceList.get_by_host(
                self.context, wide)))
            self.assertRaises(
                exception.ServiceNotFound, service_obj.Service.get_by_uuid,
                self.context, wide)
            self.assertEqual(400, self.admin.request(
                'PUT', f'/os-services/{parse.quote(wide)}',
                b'{"status": "enabled"}').status)
        self.assertEqual(1, len(self.admin.get_services(host='host1')))


class _DatabaseTests(_NamesTests):

    def test_each_change_is_heard(self):
        reason = 'größer 第二\nsecond line'
        self.admin.put_service(UUID, {'status': 'disabled',
                                      'disabled_reason': reason})
        heard = self._heard('service.update', 'host1')
        self.assertEqual((True, reason),
                         (heard['disabled'], heard['disabled_reason']))
        (record,) = self.admin.get_services()
        self.assertEqual(('disabled', reason),
                         (record['status'], record['disabled_reason']))
        self.assertRegex(record['updated_at'],
                         r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$')
        self.admin.put_service_force_down(UUID, True)
        self.assertTrue(self._heard('service.update', 'host1')['forced_down'])
        self.admin.api_delete(f'/os-services/{UUID}')
        self._heard('service.delete', 'host1')
        self.assertTrue(self.heard.empty())

    def test_names_match_exactly(self):
        self.assertEqual(1, len(self.admin.get_services(host='host1')))
        for host in ('HOST1', 'host1 ', 'höst1', 'host%'):
            self.assertEqual([], self.admin.get_services(host=host))
        for uuid in (UUID.upper(), UUID.replace('-', '')):
            for method in ('PUT', 'DELETE'):
                self.assertEqual(404, self.admin.request(
                    method, f'/os-services/{uuid}',
                    b'{"status": "enabled"}').status)

    def test_updated_at_of_an_answer_has_its_microseconds(self):
        changed = self.admin.put_service(UUID, {'status': 'disabled'})
        self.assertNotEqual('000000', changed['updated_at'][-6:])
        (listed,) = self.admin.get_services()
        # MariaDB stores whole seconds.
        for record in (listed, changed):
            record['updated_at'] = record['updated_at'][:-7]
        self.assertEqual(listed, changed)

    def test_an_id_beyond_the_column(self):
        self.admin.microversion = '2.1'
        for unknown in ('2147483647', '2147483648', '9' * 40, '-1'):
            self.assertEqual(404, self.admin.request(
                'DELETE', f'/os-services/{unknown}').status)

    def test_of_many_deletes_at_once_one_wins(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(
                lambda _: self.admin.request(
                    'DELETE', f'/os-services/{UUID}').status, range(8)))
        self.assertEqual([204] + [404] * 7, sorted(statuses))
        self._heard('service.delete', 'host1')
        self.assertTrue(self.heard.empty())


class TestMariaDBWithAllOfUnicode(_NamesTests, _OnDatabase):
    """The connection can send what the table can't store."""

    SERVER = servers.MariaDB

    def database_url(self):
        return f'{super().database_url()}?charset=utf8mb4'


class TestMariaDB(_DatabaseTests, _OnDatabase):
    SERVER = servers.MariaDB

    def test_a_character_of_four_bytes_is_refused(self):
        response = self.admin.request(
            'PUT', f'/os-services/{UUID}', WIDE_REASON)
        self.assertEqual({'badRequest': {
            'code': 400, 'message': 'disabled_reason has a character beyond '
            "U+FFFF, which this database can't store"}}, response.body)
        self.assertEqual('enabled', self.admin.get_services()[0]['status'])
        self.assertTrue(self.heard.empty())


class TestPostgreSQL(_DatabaseTests, _OnDatabase):
    SERVER = servers.PostgreSQL

    def test_a_character_of_four_bytes_is_stored(self):
        self.assertEqual(200, self.admin.request(
            'PUT', f'/os-services/{UUID}', WIDE_REASON).status)
        self.assertEqual('\U0001f600', self._heard(
            'service.update', 'host1')['disabled_reason'])
