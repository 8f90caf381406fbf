# SPDX-License-Identifier: Apache-2.0

import itertools
import time

from nova import test
from nova.notifications import resync


class TestPace(test.NoDBTestCase):

    def test_what_was_late_is_not_made_up_for(self):
        times = []
        for number in resync._paced(range(5), rate=20):
            times.append(time.monotonic())
            if number == 1:
                time.sleep(0.3)
        for earlier, later in itertools.pairwise(times):
            self.assertGreater(later - earlier, 0.04)
