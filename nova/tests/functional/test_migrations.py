# SPDX-License-Identifier: Apache-2.0
"""Upgrades of the schema on SQLite."""

from nova import context
from nova import test
from nova.tests.functional import migrations


class TestSQLite(migrations.MigrationTests, test.TestCase):

    def setUp(self):
        super().setUp()
        self.context = context.get_admin_context()
