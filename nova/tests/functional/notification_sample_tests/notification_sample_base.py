# SPDX-License-Identifier: Apache-2.0
"""Compare notifications, whole, with the samples that the docs show."""

from __future__ import annotations

import copy
import datetime
import json
import os
import pathlib
from typing import Any

from oslo_utils import fixture as utils_fixture

from nova import test
from nova.tests import fixtures
from nova.tests import json_ref

SAMPLES = (pathlib.Path(__file__).parents[4] / 'doc'
           / 'notification_samples')

#: replacement that takes a key out of the comparison
ANY = object()


class NotificationSampleTestBase(test.TestCase):
    """Records notifications at a time that stands still.

    :ivar admin_api: client of the REST API
    """

    ANY = ANY

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(utils_fixture.TimeFixture(
            datetime.datetime(2012, 10, 29, 13, 42, 11)))
        self.notifier = self.useFixture(fixtures.NotificationFixture(self))
        self.api_fixture = self.useFixture(fixtures.OSAPIFixture())
        self.admin_api = self.api_fixture.admin_api
        self.notifier.reset()

    def _verify_notification(self, sample_file_name: str,
                             replacements: dict[str, Any] | None = None,
                             actual: dict[str, Any] | None = None) -> None:
        """Compare a notification with a sample.

        :param replacements: values by dotted path through the payload's
            data, put in place of the sample's; ANY leaves the key out
        :param actual: the notification; if None exactly one was recorded
        """
        if actual is None:
            self.assertEqual(
                1, len(self.notifier.versioned_notifications),
                self.notifier.versioned_notifications)
            actual = self.notifier.versioned_notifications[0]
        file = SAMPLES / f'{sample_file_name}.json'
        if os.environ.get('GENERATE_SAMPLES') and not replacements:
            rewrite(file, actual)
        expected = json_ref.resolve_refs(
            json.loads(file.read_text()), file.parent)
        actual = copy.deepcopy(actual)
        for path, value in (replacements or {}).items():
            _replace(expected['payload'], path, value)
            if value is ANY:
                _replace(actual['payload'], path, value)
        self.assertJsonEqual(expected, actual)


def _replace(payload: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split('.')
    for parent in parents:
        payload = payload['nova_object.data'][parent]
    values = payload['nova_object.data']
    if key not in values:
        raise AssertionError(f'{path} is not in the payload')
    if value is ANY:
        del values[key]
    else:
        values[key] = value


def rewrite(file: pathlib.Path, notification: dict[str, Any]) -> None:
    """Write a sample: the common payload by reference, and what differs."""
    name = notification['payload']['nova_object.name']
    common_file = file.parent / 'common_payloads' / f'{name}.json'
    common = json.loads(common_file.read_text())
    payload: dict[str, Any] = {'$ref': f'common_payloads/{name}.json#'}
    payload.update(_difference(common, notification['payload']))
    file.write_text(json.dumps({
        'priority': notification['priority'], 'payload': payload,
        'event_type': notification['event_type'],
        'publisher_id': notification['publisher_id']}, indent=4) + '\n')


def _difference(base: dict[str, Any],
                values: dict[str, Any]) -> dict[str, Any]:
    different = {}
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            inner = _difference(base[key], value)
            if inner:
                different[key] = inner
        elif key not in base or base[key] != value:
            different[key] = value
    return different
