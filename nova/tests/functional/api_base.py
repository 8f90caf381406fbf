# SPDX-License-Identifier: Apache-2.0
"""Base of tests that call the REST API."""

from __future__ import annotations

import datetime
from typing import Any

from oslo_utils import fixture as utils_fixture

from nova import context
from nova import test
from nova.db.main import api as db
from nova.objects import service as service_obj
from nova.tests import fixtures

NOW = datetime.datetime(2012, 10, 29, 13, 42, 11)
UUID = 'e81d66a4-ddd3-4aba-8a84-171d1cb4d339'


class APITestCase(test.TestCase):
    """The application, a database, and a record of what was announced."""

    def setUp(self) -> None:
        super().setUp()
        self.time = self.useFixture(utils_fixture.TimeFixture(NOW))
        self.notifier = self.useFixture(fixtures.NotificationFixture(self))
        self.fixture = self.useFixture(fixtures.OSAPIFixture())
        self.admin = self.fixture.admin_api
        self.context = context.get_admin_context()
        self.notifier.reset()

    def create(self, host: str = 'host1', binary: str = 'nova-compute',
               topic: str | None = 'compute', **values: Any) -> Any:
        """Store a service and forget that it was announced."""
        service = service_obj.Service(
            self.context, host=host, binary=binary, topic=topic, **values)
        service.create()
        self.notifier.reset()
        return service

    def delete_before_save(self) -> None:
        """Let another be faster, and delete what is saved next."""
        save = service_obj.Service.save

        def save_too_late(service: Any) -> None:
            db.service_destroy(self.context, service.id)
            save(service)

        self.stub_out('nova.objects.service.Service.save', save_too_late)

    def stored(self, service: Any) -> Any:
        return service_obj.Service.get_by_id(self.context, service.id)

    def announced(self) -> list[str]:
        return [notification['event_type'] for notification
                in self.notifier.versioned_notifications]

    def refused(self, method: str, path: str, body: bytes | None = None,
                client: Any = None, microversion: str | None = None,
                **headers: str) -> tuple[int, str]:
        """Return status and message of a fault; nothing was announced."""
        client = client or self.admin
        if microversion is not None:
            client.microversion = microversion
        response = client.request(method, path, body, headers)
        self.assertEqual('application/json; charset=UTF-8',
                         response.headers['Content-Type'])
        (fault,) = response.body.values()
        self.assertEqual({'code', 'message'}, set(fault))
        self.assertEqual(response.status, fault['code'])
        self.assertEqual([], self.announced())
        return response.status, fault['message']
