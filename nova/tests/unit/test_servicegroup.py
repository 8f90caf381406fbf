# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import fixture as utils_fixture
import testscenarios

from nova import servicegroup
from nova import test

NOW = datetime.datetime(2026, 1, 1, 12, 0, 0)


class TestIsUp(testscenarios.WithScenarios, test.NoDBTestCase):

    scenarios = [
        ('at the limit', {'age': 60, 'up': True}),
        ('past the limit', {'age': 60.5, 'up': False}),
        ('ahead by the limit', {'age': -60, 'up': True}),
        ('ahead by more', {'age': -61, 'up': False}),
    ]

    def setUp(self):
        super().setUp()
        self.useFixture(utils_fixture.TimeFixture(NOW))
        self.seen = NOW - datetime.timedelta(seconds=self.age)
        self.api = servicegroup.API()

    def _is_up(self, **member):
        return self.api.service_is_up(
            {'last_seen_up': None, 'created_at': None, 'forced_down': False,
             **member})

    def test_by_heartbeat(self):
        self.assertIs(self.up, self._is_up(last_seen_up=self.seen))

    def test_by_creation_before_the_first_heartbeat(self):
        self.assertIs(self.up, self._is_up(created_at=self.seen))

    def test_by_text(self):
        self.assertIs(self.up, self._is_up(last_seen_up=self.seen.strftime(
            '%Y-%m-%dT%H:%M:%S.%f')))

    def test_forced_down_is_down(self):
        self.assertFalse(self._is_up(last_seen_up=NOW, forced_down=True))

    def test_never_heard_of_is_down(self):
        self.assertFalse(self._is_up())


class TestServiceDownTime(testscenarios.WithScenarios, test.NoDBTestCase):

    scenarios = [
        ('equal', {'interval': 60, 'limit': 60, 'used': 150}),
        ('below', {'interval': 70, 'limit': 60, 'used': 175}),
        ('rounded down', {'interval': 3, 'limit': 3, 'used': 7}),
        ('above', {'interval': 10, 'limit': 60, 'used': 60}),
    ]

    def test_it_is_raised_above_the_interval(self):
        self.flags(report_interval=self.interval, service_down_time=self.limit)
        servicegroup.API()
        self.assertEqual(self.used, test.CONF.service_down_time)
