# SPDX-License-Identifier: Apache-2.0
"""Base classes of tests."""

from __future__ import annotations

from typing import Any

import fixtures
from oslo_config import cfg
from oslo_serialization import jsonutils
from oslotest import base

from nova import objects
from nova import service
from nova.objects import service as service_obj
from nova.tests import fixtures as nova_fixtures

CONF = cfg.CONF


class TestCase(base.BaseTestCase):
    """A test with configuration, database and a bus in memory."""

    USES_DB = True
    STUB_RPC = True

    def setUp(self) -> None:
        super().setUp()
        self.stdlog = self.useFixture(nova_fixtures.StandardLogging())
        self.conf_fixture = self.useFixture(nova_fixtures.ConfFixture(CONF))
        objects.register_all()
        self.addCleanup(service_obj.Service.clear_min_version_cache)
        if self.STUB_RPC:
            self.useFixture(nova_fixtures.RPCFixture('nova.test'))
        if self.USES_DB:
            self.useFixture(nova_fixtures.Database(
                connection=self.database_url()))
        else:
            self.useFixture(nova_fixtures.DatabasePoisonFixture())

    def database_url(self) -> str | None:
        """Return the URL of an empty database; None for SQLite."""
        return None

    def flags(self, group: str | None = None, **kwargs: Any) -> None:
        """Override options until the end of the test."""
        self.conf_fixture.config(group=group, **kwargs)

    def reset_flags(self, *names: str, group: str | None = None) -> None:
        """Take overrides back."""
        for name in names:
            CONF.clear_override(name, group=group)

    def stub_out(self, old: str, new: Any) -> None:
        """Replace an attribute, named by its dotted path."""
        self.useFixture(fixtures.MonkeyPatch(old, new))

    def start_service(self, name: str, host: str | None = None,
                      cell_name: str | None = None,
                      **kwargs: Any) -> service.Service:
        """Run a service until the end of the test; there is one cell."""
        return self.useFixture(nova_fixtures.ServiceFixture(
            name, host, **kwargs)).service

    def assertJsonEqual(self, expected: Any, observed: Any,
                        message: str = '') -> None:
        """Compare JSON values whole; the order of lists does not matter."""
        self.assertEqual(*(
            _ordered(jsonutils.loads(value) if isinstance(value, str)
                     else value) for value in (expected, observed)), message)


class NoDBTestCase(TestCase):
    """A test that must not use the database."""

    USES_DB = False


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_ordered(item) for item in value), key=repr)
    return value
