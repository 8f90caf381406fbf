# SPDX-License-Identifier: Apache-2.0
"""The clients that people use, unchanged, against nova-api."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from urllib import error
from urllib import request

from keystoneauth1 import loading
from keystoneauth1 import session
from novaclient import client as novaclient
from novaclient import exceptions as nova_exceptions
import openstack
from oslotest import base

from nova.tests.fixtures import processes
from nova.tests.fixtures import standalone
from nova.tests.functional_clients import keystone

UNKNOWN = 'b7a1e3c2-0000-4000-8000-000000000000'


class ClientTestCase(base.BaseTestCase):

    OPTIONS: processes.Options = {}

    def start(self, options):
        self.api = self.useFixture(processes.NovaAPI(options))
        self.api.add_services(('host1', 'nova-compute'),
                              ('host1', 'nova-scheduler'),
                              ('host2', 'nova-compute'))
        self.endpoint = f'{self.api.url}/v2.1'

    def auth(self, user):
        """Return type and options of a user's authentication."""
        raise NotImplementedError

    def state(self, host='host1', binary='nova-compute'):
        """Return what the registry holds of a service, past the API."""
        listed = self.openstack('compute', 'service', 'list', '--long',
                                '--host', host, '--service', binary,
                                microversion='2.11')
        return listed and tuple(listed[0][name] for name in (
            'Status', 'State', 'Disabled Reason', 'Forced Down'))

    def run_openstack(self, *arguments, user='admin', microversion=None):
        kind, options = self.auth(user)
        return subprocess.run(
            [pathlib.Path(sys.executable).with_name('openstack'), *arguments],
            env={**{name: value for name, value in os.environ.items()
                    if not name.startswith('OS_')},
                 'OS_AUTH_TYPE': kind,
                 **({'OS_COMPUTE_API_VERSION': microversion}
                    if microversion else {}),
                 **{f'OS_{name.upper()}': value
                    for name, value in options.items()}},
            capture_output=True, text=True, check=False,
            timeout=processes.PATIENCE)

    def openstack(self, *arguments, **kwargs):
        """Return what the command prints as JSON, if anything."""
        listing = ('-f', 'json') if 'list' in arguments else ()
        done = self.run_openstack(*arguments, *listing, **kwargs)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout) if done.stdout else None

    def session(self, user):
        kind, options = self.auth(user)
        return session.Session(
            loading.get_plugin_loader(kind).load_from_options(**options))

    def nova(self, microversion, user='admin'):
        return novaclient.Client(
            microversion, session=self.session(user)).services

    def sdk(self, user='admin', microversion=None):
        kind, options = self.auth(user)
        return openstack.connect(
            load_envvars=False, load_yaml_config=False, auth_type=kind,
            auth=options, compute_default_microversion=microversion).compute


class _Clients:
    """What every client must do, however it is authenticated."""

    def test_openstackclient_lists_with_filters(self):
        listed = self.openstack('compute', 'service', 'list')
        self.assertEqual(
            [('nova-compute', 'host1', 'nova', 'enabled', 'up', None),
             ('nova-scheduler', 'host1', 'internal', 'enabled', 'up', None),
             ('nova-compute', 'host2', 'nova', 'enabled', 'up', None)],
            [tuple(row[name] for name in (
                'Binary', 'Host', 'Zone', 'Status', 'State', 'Updated At'))
             for row in listed])
        for filters, found in ((('--host', 'host1'), [0, 1]),
                               (('--service', 'nova-compute'), [0, 2]),
                               (('--host', 'nowhere'), [])):
            self.assertEqual(
                [listed[number] for number in found],
                self.openstack('compute', 'service', 'list', *filters))

    def test_openstackclient_changes_a_service(self):
        command = ('compute', 'service', 'set')
        target = ('host1', 'nova-compute')
        self.openstack(*command, '--disable', '--disable-reason', 'disk lost',
                       *target)
        self.assertEqual(('disabled', 'up', 'disk lost', False), self.state())
        self.openstack(*command, '--enable', *target)
        self.assertEqual(('enabled', 'up', None, False), self.state())
        for microversion in ('2.11', '2.53'):
            self.openstack(*command, '--down', *target,
                           microversion=microversion)
            self.assertEqual(('enabled', 'down', None, True), self.state())
            self.openstack(*command, '--up', *target,
                           microversion=microversion)
            self.assertEqual(('enabled', 'up', None, False), self.state())

    def test_openstackclient_deletes_a_service(self):
        for microversion, host in (('2.1', 'host1'), ('2.53', 'host2')):
            (row,) = self.openstack(
                'compute', 'service', 'list', '--host', host, '--service',
                'nova-compute', microversion=microversion)
            self.openstack('compute', 'service', 'delete', str(row['ID']),
                           microversion=microversion)
            self.assertEqual([], self.state(host))

    def test_openstackclient_says_what_is_wrong(self):
        for arguments, words in (
                (('delete', UNKNOWN), f'Service {UNKNOWN} not found.'),
                (('delete', '77'), 'Invalid uuid 77'),
                (('set', '--disable', 'host1', 'nova-scheduler'),
                 'Failed to set service status to disabled')):
            done = self.run_openstack('compute', 'service', *arguments)
            self.assertEqual(1, done.returncode)
            self.assertIn(words, done.stderr)

    def test_openstackclient_of_a_user_without_the_role_changes_nothing(self):
        for arguments in (('list',), ('delete', UNKNOWN),
                          ('set', '--disable', 'host1', 'nova-compute')):
            done = self.run_openstack(
                'compute', 'service', *arguments, user='reader')
            self.assertEqual(1, done.returncode)
            self.assertIn("Policy doesn't allow os_compute_api:os-services:",
                          done.stderr)
        self.assertEqual(('enabled', 'up', None, False), self.state())

    def test_novaclient_with_names(self):
        services = self.nova('2.11')
        self.assertEqual(['host1', 'host2'], [
            service.host for service in services.list(binary='nova-compute')])
        services.disable_log_reason('host1', 'nova-compute', 'disk lost')
        self.assertEqual(('disabled', 'up', 'disk lost', False), self.state())
        services.enable('host1', 'nova-compute')
        services.disable('host1', 'nova-compute')
        self.assertEqual(('disabled', 'up', None, False), self.state())
        services.enable('host1', 'nova-compute')
        services.force_down('host1', 'nova-compute', True)
        self.assertEqual(('enabled', 'down', None, True), self.state())
        (service,) = services.list(host='host2')
        services.delete(service.id)
        self.assertEqual([], services.list(host='host2'))

    def test_novaclient_with_uuids(self):
        for microversion in ('2.53', '2.69'):
            services = self.nova(microversion)
            (service,) = services.list(host='host1', binary='nova-compute')
            services.disable_log_reason(service.id, 'disk lost')
            self.assertEqual(('disabled', 'up', 'disk lost', False),
                             self.state())
            services.enable(service.id)
            services.force_down(service.id, True)
            self.assertEqual(('enabled', 'down', None, True), self.state())
            services.force_down(service.id, False)
            self.assertRaises(nova_exceptions.NotFound, services.enable,
                              UNKNOWN)
            self.assertRaises(
                nova_exceptions.Forbidden,
                self.nova(microversion, 'reader').disable, service.id)
        services.delete(service.id)
        self.assertEqual([], self.state())

    def test_openstacksdk(self):
        compute = self.sdk()
        (service,) = compute.services(host='host1', binary='nova-compute')
        self.assertEqual(
            ('nova-compute', 'host1', 'nova', 'enabled', 'up', False),
            (service.binary, service.host, service.availability_zone,
             service.status, service.state, service.is_forced_down))
        compute.disable_service(service, disabled_reason='disk lost')
        self.assertEqual(('disabled', 'up', 'disk lost', False), self.state())
        compute.enable_service(service)
        compute.update_service_forced_down(service, forced=True)
        self.assertEqual(('enabled', 'down', None, True), self.state())
        self.assertRaises(
            openstack.exceptions.ForbiddenException,
            self.sdk('reader').disable_service, service)
        self.assertRaises(
            openstack.exceptions.NotFoundException,
            compute.delete_service, UNKNOWN, ignore_missing=False)
        compute.delete_service(service)
        self.assertEqual([], self.state())


class TestNoAuth(_Clients, ClientTestCase):

    def setUp(self):
        super().setUp()
        self.start({})

    def auth(self, user):
        if user == 'admin':
            return 'none', {'endpoint': self.endpoint}
        return 'admin_token', {'endpoint': self.endpoint,
                               'token': f'{user}:demo'}


class TestKeystone(_Clients, ClientTestCase):

    def setUp(self):
        super().setUp()
        self.keystone = self.useFixture(keystone.Keystone())
        self.start({
            'api': {'auth_strategy': 'keystone'},
            'keystone_authtoken': {
                'auth_type': 'password',
                'www_authenticate_uri': self.keystone.url,
                **self.keystone.options('admin')}})
        self.keystone.add_compute(self.endpoint)

    def auth(self, user):
        return 'password', self.keystone.options(user)

    def test_who_has_no_token_is_nobody(self):
        for headers in ({}, {'X-Auth-Token': 'nope'},
                        {'X-User-Id': 'admin', 'X-Roles': 'admin',
                         'X-Identity-Status': 'Confirmed'}):
            refusal = self.assertRaises(
                error.HTTPError, request.urlopen, request.Request(
                    f'{self.endpoint}/os-services', headers=headers))
            self.assertEqual(401, refusal.code)


class TestStandalone(base.BaseTestCase):

    def test_the_commands_that_it_prints_do_what_they_say(self):
        running = self.useFixture(standalone.Standalone())
        running.wait_for('Ctrl-C ends it')
        commands = re.findall('(?m)^  (.*)', running.output)
        self.assertEqual(4, len(commands), running.output)
        programs = pathlib.Path(sys.executable).parent
        shown = subprocess.run(
            ['bash', '-e', '-c', '\n'.join(commands)], check=True,
            text=True, capture_output=True, env={
                **{name: value for name, value in os.environ.items()
                   if not name.startswith('OS_')},
                'PATH': f'{programs}:{os.environ["PATH"]}'})
        self.assertRegex(shown.stdout, r'nova-compute +\| cmp-00001 .* up ')
        running.wait_for('service.update nova-compute on cmp-00001: disabled, '
                         'reason: broken\n.* on cmp-00001: enabled')
