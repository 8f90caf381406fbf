# SPDX-License-Identifier: Apache-2.0
"""The users that the documentation makes in databases."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import uuid

import fixtures
from oslotest import base
import sqlalchemy as sa

from nova.tests.fixtures import processes
from nova.tests.fixtures import servers
from nova.tests.functional_docs import pages

EXAMPLES = pages.ROOT / 'doc' / 'examples' / 'database'


class DatabaseTests:

    def setUp(self):
        super().setUp()
        # Others may use the same server.
        self.name = f'nova{uuid.uuid4().hex[:8]}'
        self.server = sa.make_url(self.useFixture(self.FIXTURE()).url)
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        script = (EXAMPLES / self.SCRIPT).read_text().replace(
            'nova', self.name).replace(f'{self.name}-manage', 'nova-manage')
        first, _connect, second = script.partition(f'\\connect {self.name}\n')
        self.addCleanup(self.drop)
        self.execute(self.server, first)
        self.execute(self.server.set(database=self.name), second)

    def execute(self, url, script):
        engine = sa.create_engine(url, isolation_level='AUTOCOMMIT',
                                  poolclass=sa.NullPool)
        with engine.connect() as connection:
            for statement in filter(str.strip, script.split(';\n')):
                connection.execute(sa.text(statement))

    def conf(self, user):
        """Return a nova.conf of a user."""
        url = self.server.set(username=user, password='PASSWORD',
                              database=self.name)
        conf = self.folder / f'{user}.conf'
        processes.write_conf(conf, {
            'DEFAULT': {'transport_url': 'fake:/'},
            'database': {'connection': url.render_as_string(
                hide_password=False)},
            'notifications': {'notification_format': 'versioned'},
            'oslo_messaging_notifications': {'driver': 'messagingv2'}})
        return conf

    def test_each_has_what_it_needs(self):
        processes.run('manage', '--config-file',
                      self.conf(f'{self.name}-sync'), 'db', 'sync')
        conf = self.conf(self.name)
        heard = processes.run('demo', '--config-file', conf, '--json')
        self.assertEqual(4, len(heard.splitlines()), heard)
        state = json.loads(processes.run(
            'manage', '--config-file', conf, 'outbox', 'status', '--format',
            'json'))
        self.assertEqual(0, state['depth'])

    def test_what_runs_can_not_make_tables(self):
        refused = subprocess.run(
            [sys.executable, '-m', 'nova.cmd.manage', '--config-file',
             str(self.conf(self.name)), 'db', 'sync'], text=True,
            capture_output=True, check=False)
        self.assertEqual(1, refused.returncode)
        self.assertNotIn('Traceback', refused.stderr)
        self.assertRegex(refused.stderr, r'(?m)^nova-manage: .* denied')


class TestMariaDB(DatabaseTests, base.BaseTestCase):

    FIXTURE = servers.MariaDB
    SCRIPT = 'mariadb.sql'

    def drop(self):
        self.execute(self.server, (
            f'DROP DATABASE IF EXISTS {self.name};\n'
            f"DROP USER IF EXISTS '{self.name}'@'%';\n"
            f"DROP USER IF EXISTS '{self.name}-sync'@'%'"))


class TestPostgreSQL(DatabaseTests, base.BaseTestCase):

    FIXTURE = servers.PostgreSQL
    SCRIPT = 'postgresql.sql'

    def drop(self):
        self.execute(self.server, (
            f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE);\n'
            f'DROP ROLE IF EXISTS "{self.name}";\n'
            f'DROP ROLE IF EXISTS "{self.name}-sync"'))
