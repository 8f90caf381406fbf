# SPDX-License-Identifier: Apache-2.0

import json

import sqlalchemy as sa

from nova import rpc
from nova import test
from nova.db.main import api as db
from nova.db.main import models
from nova.tests import fixtures
from nova.tests.functional import lifecycle


class TestBus(lifecycle.LifecycleTestCase):

    def test_a_listener_hears_the_whole_life(self):
        self.check_lifecycle()


class TestCaller(lifecycle.LifecycleTestCase):
    """The address of a caller is not told to consumers."""

    def setUp(self):
        super().setUp()
        self.context.remote_address = '192.0.2.1'

    def test_direct_sends_no_address(self):
        self.create()
        sent = self.heard.get(timeout=60)['context']
        self.assertIsNone(sent['remote_address'])
        self.assertEqual('u1', sent['user_id'])

    def test_outbox_stores_no_address(self):
        self.flags(group='notifications', delivery='outbox')
        self.create()
        with db.get_engine().connect() as connection:
            ((stored,),) = connection.execute(sa.select(
                models.NotificationOutbox.__table__.c.context))
        stored = json.loads(stored)
        self.assertIsNone(stored['remote_address'])
        self.assertEqual('u1', stored['user_id'])


class TestEnabled(test.NoDBTestCase):

    STUB_RPC = False

    def _enabled(self, wanted, *drivers):
        self.flags(notification_format=wanted, group='notifications')
        self.useFixture(fixtures.RPCFixture(drivers=drivers))
        return rpc.notifications_enabled()

    def test_versioned_and_both_with_a_driver(self):
        self.assertTrue(self._enabled('versioned', 'messagingv2'))
        self.assertTrue(self._enabled('both', 'messagingv2'))

    def test_not_unversioned(self):
        self.assertFalse(self._enabled('unversioned', 'messagingv2'))

    def test_not_noop(self):
        self.assertFalse(self._enabled('versioned', 'noop'))

    def test_without_a_driver_a_warning_says_what_to_set(self):
        self.assertFalse(self._enabled('versioned'))
        self.assertIn('[oslo_messaging_notifications] driver is not set',
                      self.stdlog.output)
