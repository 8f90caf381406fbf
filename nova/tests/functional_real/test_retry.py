# SPDX-License-Identifier: Apache-2.0
"""Retries of parked notifications on real databases."""

from nova.tests.fixtures import servers
from nova.tests.functional import lifecycle
from nova.tests.functional import retries


class _OnDatabase(lifecycle.LifecycleTestCase):

    SERVER = None

    def database_url(self):
        return self.useFixture(self.SERVER()).url


class TestMariaDB(retries.ConcurrentRetryTests, retries.RetryTests,
                  _OnDatabase):
    SERVER = servers.MariaDB


class TestPostgreSQL(retries.ConcurrentRetryTests, retries.RetryTests,
                     _OnDatabase):
    SERVER = servers.PostgreSQL
