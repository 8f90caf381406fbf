# SPDX-License-Identifier: Apache-2.0
"""A real Keystone."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from urllib import error
from urllib import request

import fixtures
from keystoneauth1 import loading
from keystoneauth1 import session

from nova.tests.fixtures import servers

PATIENCE = 60
PASSWORD = 'secret'

_CONF = '''\
[database]
connection = sqlite:///{folder}/keystone.sqlite
[fernet_tokens]
key_repository = {folder}/tokens
[fernet_receipts]
key_repository = {folder}/tokens
[credential]
key_repository = {folder}/credentials
[identity]
password_hash_rounds = 4
'''

# Keystone reads the command line when it is loaded.
_SERVER = '''\
import socketserver, sys
from wsgiref import simple_server
port = int(sys.argv.pop())
from keystone.wsgi.api import application
class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
simple_server.make_server(
    '127.0.0.1', port, application, Server).serve_forever()
'''


class Keystone(fixtures.Fixture):
    """An identity service with the users ``admin`` and ``reader``.

    Both are in the project ``admin``; ``reader`` has only that role.

    :ivar url: its address
    """

    def setUp(self) -> None:
        super().setUp()
        self._folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self._conf = self._folder / 'keystone.conf'
        self._conf.write_text(_CONF.format(folder=self._folder))
        port = servers.free_port()
        self.url = f'http://127.0.0.1:{port}/v3'
        owner = '--keystone-user', str(os.getuid()), \
            '--keystone-group', str(os.getgid())
        self._manage('db_sync')
        self._manage('fernet_setup', *owner)
        self._manage('credential_setup', *owner)
        self._manage('bootstrap', '--bootstrap-password', PASSWORD,
                     '--bootstrap-public-url', self.url,
                     '--bootstrap-internal-url', self.url)
        self._serve(port)
        self._add_reader()

    def add_compute(self, url: str) -> None:
        """Put the compute service into the catalog."""
        service = self._post('services', 'service', {
            'type': 'compute', 'name': 'nova'})
        self._post('endpoints', 'endpoint', {
            'service_id': service, 'interface': 'public', 'url': url})

    def options(self, user: str) -> dict[str, str]:
        """Return the options of a user's password authentication."""
        return {'auth_url': self.url, 'username': user, 'password': PASSWORD,
                'project_name': 'admin', 'user_domain_id': 'default',
                'project_domain_id': 'default'}

    def _manage(self, *arguments: str) -> None:
        program = pathlib.Path(sys.executable).with_name('keystone-manage')
        subprocess.run(
            [program, '--config-file', self._conf, *arguments], check=True,
            timeout=PATIENCE, capture_output=True)

    def _serve(self, port: int) -> None:
        with (self._folder / 'log').open('w') as log:
            process = subprocess.Popen(
                [sys.executable, '-c', _SERVER, str(port)], stdout=log,
                stderr=log,
                env={**os.environ, 'OS_KEYSTONE_CONFIG_FILES':
                     str(self._conf)})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                request.urlopen(self.url, timeout=5).close()
            except error.URLError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        (self._folder / 'log').read_text()) from None
                time.sleep(0.1)
            else:
                return

    def _add_reader(self) -> None:
        user = self._post('users', 'user', {
            'name': 'reader', 'password': PASSWORD})
        admin = self._session()
        (role,) = admin.get(f'{self.url}/roles?name=reader').json()['roles']
        (project,) = admin.get(
            f'{self.url}/projects?name=admin').json()['projects']
        admin.put(f'{self.url}/projects/{project["id"]}/users/{user}/roles/'
                  f'{role["id"]}')

    def _post(self, collection: str, name: str,
              values: dict[str, str]) -> str:
        return self._session().post(
            f'{self.url}/{collection}', json={name: values}).json()[name]['id']

    def _session(self) -> session.Session:
        return session.Session(loading.get_plugin_loader(
            'password').load_from_options(**self.options('admin')))
