# SPDX-License-Identifier: Apache-2.0

from nova import rpc
from nova import test
from nova.tests import fixtures
from nova.tests.functional import lifecycle


class TestBus(lifecycle.LifecycleTestCase):

    def test_a_listener_hears_the_whole_life(self):
        self.check_lifecycle()


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
