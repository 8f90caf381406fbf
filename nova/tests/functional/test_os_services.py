# SPDX-License-Identifier: Apache-2.0
"""os-services as a client sees it."""

import datetime
import json
import threading

from oslo_utils import timeutils

from nova import exception
from nova.db.main import api as db
from nova.db.main import models
from nova.tests import fixtures
from nova.tests.functional import api_base
from nova.tests.functional.api_base import UUID

OTHER_UUID = '7d6a2dc4-0000-4aba-8a84-171d1cb4d339'
NEEDED = {'host': 'host1', 'binary': 'nova-compute'}


class TestList(api_base.APITestCase):

    def _record(self, service, **changes):
        return {
            'binary': 'nova-compute', 'host': 'host1', 'id': service.id,
            'zone': 'nova', 'status': 'enabled', 'state': 'up',
            'updated_at': None, 'disabled_reason': None, **changes}

    def _keys(self, microversion):
        self.admin.microversion = microversion
        (record,) = self.admin.get_services()
        return list(record)

    def test_a_record_has_the_keys_of_the_microversion_in_order(self):
        self.create()
        oldest = ['binary', 'host', 'id', 'zone', 'status', 'state',
                  'updated_at', 'disabled_reason']
        for microversion in (None, '2.1', '2.10'):
            self.assertEqual(oldest, self._keys(microversion))
        for microversion in ('2.11', '2.52', '2.53', '2.69', 'latest'):
            self.assertEqual([*oldest, 'forced_down'],
                             self._keys(microversion))

    def test_a_record_whole(self):
        service = self.create(uuid=UUID)
        self.assertEqual([self._record(service)], self.admin.get_services())
        self.admin.microversion = '2.52'
        self.assertEqual([self._record(service, forced_down=False)],
                         self.admin.get_services())
        self.admin.microversion = '2.53'
        self.assertEqual(
            [self._record(service, id=UUID, forced_down=False)],
            self.admin.get_services())

    def test_times_have_six_digits_and_no_zone(self):
        service = self.create()
        service.report_count = 1
        service.save()
        self.assertEqual('2012-10-29T13:42:11.000000',
                         self.admin.get_services()[0]['updated_at'])

    def test_the_topic_decides_the_zone(self):
        self.create('h1', 'nova-compute', 'conductor')
        self.create('h2', 'nova-conductor', 'compute')
        self.assertEqual(
            ['internal', 'nova'],
            [record['zone'] for record in self.admin.get_services()])

    def test_a_service_without_heartbeat_goes_down(self):
        self.create()
        self.create('host2', forced_down=True)
        states = []
        for seconds in (0, 60, 61):
            timeutils.set_time_override(
                api_base.NOW + datetime.timedelta(seconds=seconds))
            states.append([record['state']
                           for record in self.admin.get_services()])
        self.assertEqual(
            [['up', 'down'], ['up', 'down'], ['down', 'down']], states)

    def test_the_api_itself_is_not_listed(self):
        self.create('h1', 'nova-metadata', None)
        self.assertEqual([], self.admin.get_services())
        self.assertEqual([], self.admin.get_services(
            binary='nova-osapi_compute'))

    def test_filters_match_exactly(self):
        self.create('host1')
        self.create('host1', 'nova-conductor', 'conductor')
        self.create('host2')

        def found(query):
            response = self.admin.api_get(f'/os-services?{query}')
            return [(record['host'], record['binary'])
                    for record in response.body['services']]

        first, second, third = (
            ('host1', 'nova-compute'), ('host1', 'nova-conductor'),
            ('host2', 'nova-compute'))
        self.assertEqual([first, second], found('host=host1'))
        self.assertEqual([first, third], found('binary=nova-compute'))
        self.assertEqual([first], found('binary=nova-compute&host=host1'))
        self.assertEqual([], found('host=host'))
        self.assertEqual([], found('host=HOST1'))
        self.assertEqual([third], found('host=host1&host=host2'))
        self.assertEqual([first, second, third], found('host=&binary='))

    def test_an_unknown_parameter_is_refused_from_2_75(self):
        self.create()
        for microversion in (None, '2.74'):
            self.admin.microversion = microversion
            response = self.admin.api_get('/os-services?foo=1&host=host1')
            self.assertEqual(1, len(response.body['services']))
        self.assertEqual(
            (400, "Additional properties are not allowed ('foo' was "
                  'unexpected)'),
            self.refused('GET', '/os-services?foo=1', microversion='2.75'))

    def test_a_bad_filter_is_refused_by_name(self):
        status, message = self.refused('GET', f'/os-services?host={"h" * 256}')
        self.assertEqual(400, status)
        self.assertIn('Invalid input for query parameters host', message)
        self.assertIn('is too long', message)
        status, message = self.refused('GET', '/os-services?binary=a%00b')
        self.assertEqual(400, status)
        self.assertIn('Invalid input for query parameters binary', message)
        self.assertEqual(
            (400, 'Query string is not UTF-8 encoded'),
            self.refused('GET', '/os-services?host=%ff'))


class TestUpdateByAction(api_base.APITestCase):

    def _announced_once(self, service, disabled, reason, forced_down=False):
        self.assertEqual(['service.update'], self.announced())
        notification = self.notifier.versioned_notifications[0]
        self.assertEqual('nova-compute:host1', notification['publisher_id'])
        for values in (self.stored(service),
                       notification['payload']['nova_object.data']):
            self.assertEqual((disabled, reason, forced_down), (
                values['disabled'], values['disabled_reason'],
                values['forced_down']))

    def test_disable_drops_a_reason(self):
        service = self.create()
        self.assertEqual(
            {**NEEDED, 'status': 'disabled'},
            self.admin.put_service('disable', {
                **NEEDED, 'disabled_reason': 'dropped'}))
        self._announced_once(service, True, None)

    def test_disable_with_a_reason(self):
        service = self.create()
        self.assertEqual(
            {**NEEDED, 'status': 'disabled', 'disabled_reason': ' why '},
            self.admin.put_service('disable-log-reason', {
                **NEEDED, 'disabled_reason': ' why '}))
        self._announced_once(service, True, ' why ')

    def test_enable_forgets_the_reason(self):
        service = self.create(disabled=True, disabled_reason='why')
        self.assertEqual({**NEEDED, 'status': 'enabled'},
                         self.admin.put_service('enable', NEEDED))
        self._announced_once(service, False, None)

    def test_enabling_an_enabled_service_is_announced(self):
        service = self.create()
        self.admin.put_service('enable', NEEDED)
        self._announced_once(service, False, None)

    def test_force_down_takes_booleans_and_their_names(self):
        service = self.create()
        self.admin.microversion = '2.11'
        for given, meant in ((True, True), (False, False), ('YES', True),
                             ('off', False), ('1', True), ('0', False)):
            self.notifier.reset()
            self.assertEqual(
                {**NEEDED, 'forced_down': meant},
                self.admin.put_service('force-down', {
                    **NEEDED, 'forced_down': given}))
            self._announced_once(service, False, None, meant)

    def _refused(self, action, microversion='2.52', **body):
        return self.refused('PUT', f'/os-services/{action}',
                            json.dumps({**NEEDED, **body}).encode(),
                            microversion=microversion)

    def test_what_an_action_lacks_is_named(self):
        self.create()
        self.assertEqual((400, 'Missing disabled reason field'),
                         self._refused('disable-log-reason'))
        self.assertEqual((400, 'Missing forced_down field'),
                         self._refused('force-down'))
        self.assertEqual((404, 'Unknown action'), self._refused('explode'))

    def test_force_down_comes_with_2_11(self):
        self.create()
        self.assertEqual((404, 'Unknown action'),
                         self._refused('force-down', '2.10'))
        self.assertEqual(
            (400, "Additional properties are not allowed ('forced_down' was "
                  'unexpected)'),
            self._refused('force-down', '2.10', forced_down=True))

    def test_only_compute_services_can_be_updated(self):
        self.create(binary='nova-conductor', topic='conductor')
        self.assertEqual(
            (400, 'Updating a nova-conductor service is not supported. Only '
                  'nova-compute services can be updated.'),
            self._refused('disable', binary='nova-conductor'))

    def test_an_unknown_host(self):
        self.assertEqual(
            (404, 'Could not find binary nova-compute on host nowhere.'),
            self._refused('disable', host='nowhere'))

    def test_a_service_that_is_deleted_meanwhile(self):
        self.create()
        self.delete_before_save()
        self.assertEqual(
            (404, 'Could not find binary nova-compute on host host1.'),
            self._refused('disable'))

    def test_a_bad_body_is_refused_by_field(self):
        self.create()
        field = 'Invalid input for field/attribute '
        for body, words in (
                ({'host': 1}, field + 'host. Value: 1. 1 is not of type'),
                ({'host': ''}, field + 'host. Value: .'),
                ({'host': 'h' * 256}, field + 'host'),
                ({'host': 'h h'}, field + 'host. Value: h h.'),
                ({'binary': None}, field + 'binary. Value: None.'),
                ({'binary': 'b' * 256}, field + 'binary'),
                ({'binary': '\ud800'}, field + 'binary'),
                ({'disabled_reason': ''}, field + 'disabled_reason'),
                ({'disabled_reason': 'r' * 256}, field + 'disabled_reason'),
                ({'disabled_reason': 'a\0b'}, field + 'disabled_reason'),
                ({'disabled_reason': '\x1b[2J'}, field + 'disabled_reason'),
                ({'disabled_reason': '\udfff'}, field + 'disabled_reason'),
                ({'forced_down': 1}, field + 'forced_down. Value: 1.'),
                ({'forced_down': 'maybe'}, field + 'forced_down'),
                ({'extra': 1}, "('extra' was unexpected)")):
            status, message = self._refused('disable', **body)
            self.assertEqual(400, status)
            self.assertIn(words, message)
        for missing in NEEDED:
            body = {**NEEDED}
            del body[missing]
            self.assertEqual(
                (400, f"'{missing}' is a required property"), self.refused(
                    'PUT', '/os-services/enable', json.dumps(body).encode()))

    def test_a_body_that_is_no_object(self):
        for body, words in ((b'[]', '[] is not of type'),
                            (b'null', 'None is not of type'),
                            (None, 'None is not of type'),
                            (b'{', 'Malformed request body'),
                            (b'\xff', 'Malformed request body'),
                            (b'[' * 100_000, 'Malformed request body'),
                            (b'1' * 5_000, 'Malformed request body')):
            status, message = self.refused('PUT', '/os-services/enable', body)
            self.assertEqual(400, status)
            self.assertIn(words, message)

    def test_a_body_that_is_too_large(self):
        status, message = self.refused(
            'PUT', '/os-services/enable', b'{"host": "%s"}' % (b'h' * 2 ** 21))
        self.assertEqual(413, status)
        self.assertIn('114688 bytes', message)

    def test_content_types(self):
        self.create()
        body = json.dumps(NEEDED).encode()
        for accepted in ('application/json', 'application/json; charset=utf-8',
                         'application/vnd.openstack.compute+json',
                         'text/plain', ''):
            response = self.admin.request(
                'PUT', '/os-services/enable', body,
                {'Content-Type': accepted})
            self.assertEqual(200, response.status, accepted)
        self.notifier.reset()
        self.assertEqual(
            (415, 'Unsupported Content-Type'),
            self.refused('PUT', '/os-services/enable', body,
                         **{'Content-Type': 'application/xml'}))

    def test_a_reason_of_two_lines_and_any_script(self):
        service = self.create()
        reason = 'erste Zeile: größer\nsecond\tline 第二'
        self.admin.put_service('disable-log-reason', {
            **NEEDED, 'disabled_reason': reason})
        self._announced_once(service, True, reason)


class TestUpdateByUUID(api_base.APITestCase):

    def setUp(self):
        super().setUp()
        self.admin.microversion = '2.53'

    def _answer(self, **changes):
        return {
            'binary': 'nova-compute', 'host': 'host1', 'id': UUID,
            'zone': 'nova', 'status': 'enabled', 'state': 'up',
            'updated_at': '2012-10-29T13:42:11.000000',
            'disabled_reason': None, 'forced_down': False, **changes}

    def _refused(self, uuid=UUID, client=None, **body):
        return self.refused('PUT', f'/os-services/{uuid}',
                            json.dumps(body).encode(), client,
                            microversion='2.53')

    def test_disable_and_enable(self):
        self.create(uuid=UUID)
        for body, changes in (
                ({'status': 'disabled', 'disabled_reason': 'why'},
                 {'status': 'disabled', 'disabled_reason': 'why'}),
                ({'status': 'disabled'}, {'status': 'disabled'}),
                ({'status': 'enabled'}, {})):
            self.notifier.reset()
            self.assertEqual(self._answer(**changes),
                             self.admin.put_service(UUID, body))
            self.assertEqual(['service.update'], self.announced())
            self.assertEqual([self._answer(**changes)],
                             self.admin.get_services())

    def test_a_service_that_is_deleted_meanwhile(self):
        self.create(uuid=UUID)
        self.delete_before_save()
        self.assertEqual((404, f'Service {UUID} could not be found.'),
                         self._refused(status='enabled'))

    def test_status_and_forced_down_are_one_change(self):
        self.create(uuid=UUID)
        self.assertEqual(
            self._answer(status='disabled', state='down', forced_down=True),
            self.admin.put_service(
                UUID, {'status': 'disabled', 'forced_down': True}))
        self.assertEqual(['service.update'], self.announced())

    def test_a_reason_beside_forced_down_only_is_ignored(self):
        service = self.create(uuid=UUID)
        self.admin.put_service(
            UUID, {'forced_down': True, 'disabled_reason': 'ignored'})
        self.assertIsNone(self.stored(service).disabled_reason)
        self.assertEqual(self._answer(), self.admin.put_service_force_down(
            UUID, False))

    def test_nothing_to_do(self):
        self.create(uuid=UUID)
        nothing = (400, "No updates were requested. Fields 'status' or "
                        "'forced_down' should be specified.")
        self.assertEqual(nothing, self._refused())
        self.assertEqual(nothing, self._refused(disabled_reason='why'))

    def test_enabling_takes_no_reason(self):
        service = self.create(uuid=UUID, disabled=True)
        self.assertEqual(
            (400, "Specifying 'disabled_reason' with status 'enabled' is "
                  'invalid.'),
            self._refused(status='enabled', disabled_reason='why',
                          forced_down=True))
        stored = self.stored(service)
        self.assertEqual((True, False), (stored.disabled, stored.forced_down))

    def test_an_id_that_is_not_the_uuid_of_a_service(self):
        self.create(uuid=UUID)
        self.assertEqual((400, 'Invalid uuid 1'),
                         self._refused('1', status='enabled'))
        for unknown in (OTHER_UUID, UUID.upper(), UUID.replace('-', '')):
            self.assertEqual(
                (404, f'Service {unknown} could not be found.'),
                self._refused(unknown, status='enabled'))

    def test_the_uuid_is_checked_before_policy(self):
        self.assertEqual(
            (400, 'Invalid uuid 1'),
            self._refused('1', self.fixture.api, status='enabled'))
        self.assertEqual(403, self._refused(
            OTHER_UUID, self.fixture.api, status='enabled')[0])

    def test_only_compute_services_can_be_updated(self):
        self.create(uuid=UUID, binary='nova-conductor', topic='conductor')
        self.assertEqual(
            (400, 'Updating a nova-conductor service is not supported. Only '
                  'nova-compute services can be updated.'),
            self._refused(status='enabled'))

    def test_a_bad_body_is_refused_by_field(self):
        self.create(uuid=UUID)
        field = 'Invalid input for field/attribute '
        for body, words in (
                ({'status': 'broken'}, field + 'status. Value: broken.'),
                ({'disabled_reason': None, 'status': 'disabled'},
                 field + 'disabled_reason. Value: None.'),
                ({'forced_down': 0}, field + 'forced_down. Value: 0.'),
                ({'host': 'host1', 'status': 'enabled'},
                 "('host' was unexpected)")):
            status, message = self._refused(**body)
            self.assertEqual(400, status)
            self.assertIn(words, message)

    def test_an_old_record_can_be_managed(self):
        old = self.create(uuid=UUID, forced_down=True)
        self._set_version(old, 60)
        self.create('host2')
        self.admin.put_service(
            UUID, {'forced_down': False, 'status': 'disabled'})
        self.assertEqual(['service.update'], self.announced())
        stored = self.stored(old)
        self.assertEqual((60, True, False), (
            stored.version, stored.disabled, stored.forced_down))

    def _set_version(self, service, version):
        table = models.Service.__table__
        with db.get_engine().begin() as connection:
            connection.execute(table.update().where(
                table.c.id == service.id).values(version=version))


class TestDelete(api_base.APITestCase):

    def _delete(self, target, microversion=None, client=None):
        client = client or self.admin
        client.microversion = microversion
        return client.request('DELETE', f'/os-services/{target}')

    def _is_gone(self, service):
        self.assertRaises(exception.ServiceNotFound, self.stored, service)

    def test_by_id_and_by_uuid(self):
        for microversion, name in ((None, 'id'), ('2.52', 'id'),
                                   ('2.53', 'uuid'), ('latest', 'uuid')):
            service = self.create(binary='nova-conductor')
            response = self._delete(service[name], microversion)
            self.assertEqual(
                (204, b'', 'application/json'),
                (response.status, response.body,
                 response.headers['Content-Type']))
            self.assertEqual(['service.delete'], self.announced())
            self._is_gone(service)

    def test_an_id_that_is_none(self):
        self.assertEqual(
            (400, 'Invalid input received: id must be an integer'),
            self.refused('DELETE', f'/os-services/{UUID}'))
        for bad in ('1_0', '1.0', '%EF%BC%91'):
            self.assertEqual(400, self.refused(
                'DELETE', f'/os-services/{bad}')[0])
        self.assertEqual((400, 'Invalid uuid 1'), self.refused(
            'DELETE', '/os-services/1', microversion='2.53'))

    def test_an_unknown_id(self):
        for unknown in ('0', '-1', '99', '2147483648', '9' * 30, '9' * 5000):
            self.assertEqual(
                (404, f'Service {unknown} not found.'),
                self.refused('DELETE', f'/os-services/{unknown}'))
        self.assertEqual(
            (404, f'Service {UUID} not found.'), self.refused(
                'DELETE', f'/os-services/{UUID}', microversion='2.53'))

    def test_policy_is_checked_first(self):
        self.assertEqual(403, self.refused(
            'DELETE', '/os-services/x', client=self.fixture.api)[0])

    def test_of_many_at_once_one_deletes_and_announces(self):
        service = self.create()
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(
            self._delete(service.id).status)) for _number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([204, 404, 404, 404, 404, 404], sorted(statuses))
        self.assertEqual(['service.delete'], self.announced())

    def test_a_row_that_cannot_be_announced_can_be_deleted(self):
        for host, binary, uuid in (('h', 'nova-strange', UUID),
                                   (None, 'nova-compute', OTHER_UUID)):
            row = db.service_create(self.context, {
                'host': host, 'binary': binary, 'topic': 't', 'uuid': uuid})
            self.assertEqual(204, self._delete(row['id']).status)
            self.assertEqual([], self.announced())
            self.assertRaises(exception.ServiceNotFound, db.service_get,
                              self.context, row['id'])


class TestPolicy(api_base.APITestCase):

    def test_what_is_denied_changes_and_announces_nothing(self):
        service = self.create(uuid=UUID)
        enable = json.dumps(NEEDED).encode()
        disable = json.dumps({'status': 'disabled'}).encode()
        for client in (self.fixture.api, self.fixture.reader_api,
                       self.fixture.other_api):
            for method, path, body, microversion, action in (
                    ('GET', '/os-services', None, '2.1', 'list'),
                    ('PUT', '/os-services/disable', enable, '2.1', 'update'),
                    ('PUT', f'/os-services/{UUID}', disable, '2.53',
                     'update'),
                    ('DELETE', f'/os-services/{service.id}', None, '2.1',
                     'delete'),
                    ('DELETE', f'/os-services/{UUID}', None, '2.53',
                     'delete')):
                self.assertEqual(
                    (403, f"Policy doesn't allow os_compute_api:os-services:"
                          f'{action} to be performed.'),
                    self.refused(method, path, body, client, microversion))
        self.assertFalse(self.stored(service).disabled)

    def test_a_body_is_checked_before_policy(self):
        self.assertEqual(400, self.refused(
            'PUT', '/os-services/disable', b'{}', self.fixture.api)[0])

    def test_each_action_has_a_rule_of_its_own(self):
        service = self.create(uuid=UUID)
        rule = 'os_compute_api:os-services:{}'
        policy = self.useFixture(fixtures.PolicyFixture())
        policy.set_rules({rule.format('list'): 'role:member'})
        self.assertEqual(1, len(self.fixture.api.get_services()))
        self.assertEqual(403, self.refused(
            'DELETE', f'/os-services/{service.id}',
            client=self.fixture.api)[0])
        policy.set_rules({rule.format('delete'): 'role:member'})
        self.assertEqual(403, self.refused(
            'GET', '/os-services', client=self.fixture.api)[0])
        self.fixture.api.api_delete(f'/os-services/{service.id}')
