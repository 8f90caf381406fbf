# SPDX-License-Identifier: Apache-2.0
"""Retries of parked notifications on SQLite and a bus in memory."""

from nova.tests.functional import lifecycle
from nova.tests.functional import retries


class TestSQLite(retries.RetryTests, lifecycle.LifecycleTestCase):
    pass
