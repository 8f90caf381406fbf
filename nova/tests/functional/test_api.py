# SPDX-License-Identifier: Apache-2.0
"""What all of the REST API has in common: versions, faults, middleware."""

import fixtures as third_party
from oslo_utils import uuidutils
import webob

from nova.api.openstack import deploy
from nova.api.openstack import wsgi_app
from nova.conf import CONF
from nova.db.main import api as db
from nova.objects import service as service_obj
from nova.tests import fixtures
from nova.tests.fixtures import api as api_fixture
from nova.tests.functional import api_base

HEADERS = ('OpenStack-API-Version', 'X-OpenStack-Nova-API-Version')


class TestDiscovery(api_base.APITestCase):

    def _get(self, path, method='GET', **headers):
        request = webob.Request.blank(path, method=method)
        request.headers.update(headers)
        return request.get_response(self.fixture.app)

    def test_the_list_of_versions(self):
        response = self._get('/')
        self.assertEqual({'versions': [
            {'id': 'v2.0', 'status': 'DEPRECATED', 'version': '',
             'min_version': '', 'updated': '2025-07-04T12:00:00Z',
             'links': [{'rel': 'self', 'href': 'http://localhost/v2/'}]},
            {'id': 'v2.1', 'status': 'CURRENT', 'version': '2.104',
             'min_version': '2.1', 'updated': '2013-07-23T11:33:21Z',
             'links': [{'rel': 'self', 'href': 'http://localhost/v2.1/'}]},
        ]}, response.json)
        for name in (*HEADERS, 'Vary', 'x-openstack-request-id'):
            self.assertNotIn(name, response.headers)

    def test_the_document_of_a_version(self):
        for path in ('/v2.1', '/v2.1/'):
            response = self._get(path)
            self.assertEqual({'version': {
                'id': 'v2.1', 'status': 'CURRENT', 'version': '2.104',
                'min_version': '2.1', 'updated': '2013-07-23T11:33:21Z',
                'links': [
                    {'rel': 'self', 'href': 'http://localhost/v2.1/'},
                    {'rel': 'describedby', 'type': 'text/html',
                     'href': 'http://docs.openstack.org/'}],
                'media-types': [{
                    'base': 'application/json',
                    'type': 'application/vnd.openstack.compute+json;'
                            'version=2.1'}],
            }}, response.json)
            self.assertEqual('compute 2.1', response.headers[HEADERS[0]])
        legacy = self._get('/v2/').json['version']
        self.assertEqual(('v2.0', ''), (legacy['id'], legacy['version']))

    def test_accept_chooses_the_document_of_a_version(self):
        for accept, path in (
                ('application/json;version=2.1', '/v2.1/'),
                ('application/json; version="2.1", */*;q=0.1', '/v2.1/'),
                ('application/vnd.openstack.compute+json;version=2.1',
                 '/v2.1/'),
                ('application/json;version=2', '/v2/')):
            chosen = self._get('/', Accept=accept)
            document = self._get(path)
            self.assertEqual(200, chosen.status_int)
            self.assertEqual(document.json, chosen.json)
            self.assertEqual(document.headers.get(HEADERS[0]),
                             chosen.headers.get(HEADERS[0]))

    def test_accept_without_a_known_version_lists_the_versions(self):
        for accept in ('application/json', 'application/json;version=3',
                       'text/html;version=2.1', '*/*', ';', ''):
            self.assertEqual(['versions'],
                             list(self._get('/', Accept=accept).json))
        self.assertEqual(300, self._get(
            '/os-services', Accept='application/json;version=2.1').status_int)

    def test_versions_below_a_version(self):
        for mount in ('/v2.1', '/v2'):
            for project in ('', f'/{api_fixture.PROJECT_ID}'):
                for version_id, path in (('v2.1', '/v2.1/'),
                                         ('v2.0', '/v2/')):
                    response = self._get(
                        f'{mount}{project}/versions/{version_id}')
                    self.assertEqual(200, response.status_int)
                    self.assertEqual(self._get(path).json, response.json)
        path = f'/v2.1/{api_fixture.PROJECT_ID}/versions'
        self.assertEqual('compute 2.1', self._get(
            f'{path}/v2.1').headers[HEADERS[0]])
        self.assertEqual({'itemNotFound': {
            'code': 404, 'message': 'Version v3 could not be found.'}},
            self._get(f'{path}/v3').json)
        self.assertEqual(404, self._get(f'{path}/v2.1', 'DELETE').status_int)

    def test_an_unknown_path_offers_the_versions(self):
        response = self._get('/v3/os-services')
        self.assertEqual(300, response.status_int)
        self.assertEqual(
            [('v2.0', 'http://localhost/v2/v3/os-services'),
             ('v2.1', 'http://localhost/v2.1/v3/os-services')],
            [(choice['id'], choice['links'][0]['href'])
             for choice in response.json['choices']])

    def test_links_follow_the_proxy_or_the_configuration(self):
        def link(**headers):
            return self._get('/', **headers).json[
                'versions'][1]['links'][0]['href']

        forwarded = {'X-Forwarded-Proto': 'https',
                     'X-Forwarded-Host': 'cloud.example.org'}
        self.assertEqual('http://localhost/v2.1/', link(**forwarded))
        self.flags(group='oslo_middleware', enable_proxy_headers_parsing=True)
        self.assertEqual('https://cloud.example.org/v2.1/',
                         link(**forwarded))
        self.flags(group='api', compute_link_prefix='https://other/compute/')
        self.assertEqual('https://other/compute/v2.1/', link())

    def test_the_scheme_from_a_header_of_the_proxy(self):
        self.flags(group='wsgi',
                   secure_proxy_ssl_header='HTTP_X_FORWARDED_PROTO')
        self.fixture.app = deploy.loadapp(CONF)
        for sent, used in (('https', 'https'), ('gopher', 'http')):
            answer = self._get('/', **{'X-Forwarded-Proto': sent}).json
            href = answer['versions'][0]['links'][0]['href']
            self.assertEqual(used, href.partition(':')[0])

    def test_other_methods_are_not_there(self):
        for path in ('/', '/v2.1/', '/v2/'):
            self.assertEqual(404, self._get(path, 'DELETE').status_int)

    def test_healthcheck(self):
        self.assertEqual(200, self._get('/healthcheck').status_int)


class TestMicroversion(api_base.APITestCase):

    def _ask(self, **headers):
        response = self.admin.request('GET', '/os-services', headers={
            name.replace('_', '-'): value
            for name, value in headers.items()})
        return response, response.headers

    def _is(self, expected, **headers):
        response, answered = self._ask(**headers)
        self.assertEqual(200, response.status)
        self.assertEqual([f'compute {expected}', expected],
                         [answered[name] for name in HEADERS])
        self.assertEqual(list(HEADERS), answered.getall('Vary'))

    def test_either_header_and_the_new_one_first(self):
        self._is('2.1')
        self._is('2.53', OpenStack_API_Version='compute 2.53')
        self._is('2.11', X_OpenStack_Nova_API_Version='2.11')
        self._is('2.53', OpenStack_API_Version='compute 2.53',
                 X_OpenStack_Nova_API_Version='2.11')
        self._is('2.53', OpenStack_API_Version='volume 3.1, compute 2.53')
        self._is('2.1', OpenStack_API_Version='volume 3.1')
        self._is('2.104', OpenStack_API_Version='compute latest')
        self._is('2.104', X_OpenStack_Nova_API_Version='latest')

    def test_a_version_that_is_not_spoken(self):
        for version in ('2.0', '2.105', '1.9', '3.0'):
            response, answered = self._ask(
                OpenStack_API_Version=f'compute {version}')
            self.assertEqual(406, response.status)
            self.assertEqual({'computeFault': {
                'code': 406,
                'message': f'Version {version} is not supported by the API. '
                           'Minimum is 2.1 and maximum is 2.104.',
            }}, response.body)
            self.assertEqual([f'compute {version}', version],
                             [answered[name] for name in HEADERS])

    def test_a_version_that_is_none(self):
        for text in ('abc', '2', '2.', '2.01', '2.1.1', '-2.1', 'LATEST',
                     f'2.{"9" * 5000}'):
            response, _headers = self._ask(
                OpenStack_API_Version=f'compute {text}')
            self.assertEqual({'badRequest': {
                'code': 400,
                'message': f'API Version String {text} is of invalid format. '
                           'Must be of format MajorNum.MinorNum.',
            }}, response.body)

    def test_the_version_is_checked_before_the_content_type(self):
        self.assertEqual(406, self.refused(
            'PUT', '/os-services/enable', b'{', microversion='2.200',
            **{'Content-Type': 'application/xml'})[0])
        self.assertEqual(415, self.refused(
            'PUT', '/os-services/enable', b'{', microversion='2.1',
            **{'Content-Type': 'application/xml'})[0])

    def test_v2_knows_no_microversion(self):
        self.create()
        legacy = self.useFixture(fixtures.OSAPIFixture('v2')).admin_api
        legacy.microversion = '2.53'
        response = legacy.api_get('/os-services')
        self.assertNotIn('forced_down', response.body['services'][0])
        for name in (*HEADERS, 'Vary'):
            self.assertNotIn(name, response.headers)
        self.assertEqual(
            {'host': 'host1', 'binary': 'nova-compute', 'status': 'disabled'},
            legacy.put_service('disable', {
                'host': 'host1', 'binary': 'nova-compute', 'extra': 1}))
        legacy.microversion = 'garbage'
        legacy.get_services()


class TestFaults(api_base.APITestCase):

    def test_what_is_not_routed(self):
        for method, path in (
                ('POST', '/os-services'), ('PATCH', '/os-services'),
                ('GET', '/os-services/1'), ('GET', '/nothing'),
                ('GET', '/os-services/'),
                ('PUT', '/os-services/a/b'), ('PUT', '/os-services/a%2Fb'),
                ('BREW', '/os-services'), ('DELETE', '/os-services')):
            response = self.admin.request(method, path)
            self.assertEqual((404, 'text/plain; charset=UTF-8'), (
                response.status, response.headers['Content-Type']))
            self.assertIn(f'not be found: {method} /v2.1/', response.body)
            for name in HEADERS:
                self.assertNotIn(name, response.headers)

    def test_a_path_that_is_no_text(self):
        for path in ('/%ff', '/os-services/%ff'):
            self.assertEqual((400, 'URL path is not UTF-8 encoded'),
                             self.refused('GET', path))

    def test_who_accepts_only_json_gets_a_fault(self):
        response = self.admin.request(
            'POST', '/os-services', headers={'Accept': 'application/json'})
        self.assertEqual({'itemNotFound': {
            'code': 404, 'message': 'The resource could not be found: POST '
                                    '/v2.1/os-services'}}, response.body)

    def test_a_failure_shows_its_class_only(self):
        with db.get_engine().begin() as connection:
            connection.exec_driver_sql('DROP TABLE services')
        response = self.admin.request('GET', '/os-services')
        self.assertEqual(500, response.status)
        self.assertEqual(
            'Unexpected API Error. Please contact the administrator\n'
            "<class 'oslo_db.exception.DBNonExistentTable'>",
            response.body['computeFault']['message'])
        self.assertEqual('compute 2.1', response.headers[HEADERS[0]])
        self.assertIn('no such table', self.stdlog.output)

    def test_an_answer_that_breaks_its_schema(self):
        with db.get_engine().begin() as connection:
            connection.exec_driver_sql(
                "UPDATE services SET binary = 'nova-compute', uuid = NULL")
        self.admin.microversion = '2.53'
        self.assertEqual(500, self.admin.request(
            'GET', '/os-services').status)
        self.flags(group='api', response_validation='warn')
        self.assertIsNone(self.admin.get_services()[0]['id'])
        self.assertIn('An answer does not match its schema: null is not of '
                      'type "string"', self.stdlog.output)
        self.flags(group='api', response_validation='ignore')
        self.assertEqual(1, len(self.admin.get_services()))

    def test_requests_have_ids(self):
        response = self.admin.api_get('/os-services')
        given = response.headers['x-openstack-request-id']
        self.assertRegex(given, '^req-')
        self.assertEqual(given, response.headers['x-compute-request-id'])
        self.create(uuid=uuidutils.generate_uuid())
        self.assertIn('"GET /v2.1/os-services" status: 200',
                      self.stdlog.output)


class TestProject(api_base.APITestCase):

    def test_the_project_may_stand_in_the_path(self):
        self.create()
        client = self.useFixture(fixtures.OSAPIFixture(
            use_project_id_in_urls=True)).admin_api
        self.assertEqual(1, len(client.get_services()))
        client.put_service('enable', {
            'host': 'host1', 'binary': 'nova-compute'})

    def test_another_project_than_the_token_s(self):
        status, message = self.refused('GET', '/ab12/os-services')
        self.assertEqual(400, status)
        self.assertIn("'ab12'", message)

    def test_json_is_checked_before_the_project(self):
        self.assertEqual(
            (400, 'Malformed request body'),
            self.refused('PUT', '/ab12/os-services/enable', b'{'))


class TestIdentity(api_base.APITestCase):

    def test_without_token_noauth2_makes_an_administrator(self):
        self.create()
        for headers in ({}, {'X-Auth-Token': ''},
                        {'X-Auth-Token': 'notused'}):
            response = webob.Request.blank(
                '/v2.1/abc/os-services', headers=headers).get_response(
                    self.fixture.app)
            self.assertEqual(1, len(response.json['services']))

    def test_noauth2_believes_no_identity_headers(self):
        response = self.fixture.api.request('GET', '/os-services', headers={
            'X-Roles': 'admin', 'X-User-Id': 'admin'})
        self.assertEqual(403, response.status)

    def test_keystone_must_be_configured(self):
        self.flags(group='api', auth_strategy='keystone')
        self.assertRaisesRegex(
            Exception, r'\[keystone_authtoken\] auth_type is not set',
            deploy.loadapp, CONF)


class TestLoading(api_base.APITestCase):

    def _records(self):
        return [(service.host, service.binary, service.topic,
                 service.report_count) for service in
                service_obj.ServiceList.get_by_binary(
                    self.context, 'nova-osapi_compute')]

    def test_the_api_has_a_record_which_it_takes_up_again(self):
        expected = [('fake-mini', 'nova-osapi_compute', None, 0)]
        self.assertEqual(expected, self._records())
        wsgi_app.register('osapi_compute')
        self.assertEqual(expected, self._records())
        self.assertEqual([], self.announced())

    def test_a_new_record_is_announced_as_nova_api_s(self):
        self.flags(host='other')
        wsgi_app.register('osapi_compute')
        self.assertEqual(['service.create'], self.announced())
        self.assertEqual(
            'nova-api:other',
            self.notifier.versioned_notifications[0]['publisher_id'])

    def test_an_api_that_is_too_old_answers_500(self):
        with db.get_engine().begin() as connection:
            connection.exec_driver_sql('UPDATE services SET version = 999')
        self.useFixture(third_party.MonkeyPatch(
            'nova.config.parse_args', lambda *args, **kwargs: None))
        self.useFixture(third_party.MonkeyPatch(
            'nova.config.setup_logging', lambda: None))
        self.flags(host='other')
        application = wsgi_app.init_application('osapi_compute')
        response = webob.Request.blank('/v2.1/os-services').get_response(
            application)
        self.assertEqual((500, 'text/plain'),
                         (response.status_int, response.content_type))
        self.assertIn('older (v74) than the minimum (v999)', response.text)
        self.assertEqual([], self.announced())
