# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

from nova import test
from nova.notifications import check


class TestLook(test.NoDBTestCase):

    def test_what_nobody_expected_is_not_taken_for_silence(self):
        def fail(*_arguments):
            raise ZeroDivisionError

        self.stub_out('nova.notifications.outbox_check.look', fail)
        self.assertRaises(ZeroDivisionError, list, check.look(cfg.CONF))
