# SPDX-License-Identifier: Apache-2.0
"""Upgrades of the schema on real databases."""

from nova import context
from nova import test
from nova.tests.fixtures import servers
from nova.tests.functional import migrations


class _OnDatabase(test.TestCase):

    SERVER = None

    def database_url(self):
        return self.useFixture(self.SERVER()).url

    def setUp(self):
        super().setUp()
        self.context = context.get_admin_context()


class TestMariaDB(migrations.MigrationTests, _OnDatabase):
    SERVER = servers.MariaDB

    # Alembic does not read ddl_if: MariaDB has no partial indexes.
    EXPECTED = (('add_index', 'notification_outbox_waiting_idx'),)


class TestPostgreSQL(migrations.MigrationTests, _OnDatabase):
    SERVER = servers.PostgreSQL
