# SPDX-License-Identifier: Apache-2.0
"""Heartbeats of simulated hosts."""

import queue
import threading

from oslo_utils import uuidutils

from nova import test
from nova.objects import service as service_obj
from nova.standalone import hosts

PATIENCE = 60


class TestPacer(test.NoDBTestCase):

    def member(self, uuid):
        return hosts._Member('h1', 'nova-compute', service_obj.Service(
            uuid=uuid), report_interval=0.01, tg=self.pacer)

    def setUp(self):
        super().setUp()
        self.pacer = hosts._Pacer()
        stopping = threading.Event()
        thread = threading.Thread(target=self.pacer.run, args=(stopping,))
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(stopping.set)

    def test_heartbeats_go_on_after_the_last_timer_forgot_itself(self):
        called = queue.Queue()

        def beat(member):
            self.pacer.forget(member.service_ref.uuid)
            called.put(member.service_ref.uuid)

        for uuid in (uuidutils.generate_uuid() for _time in range(2)):
            self.pacer.add_timer_args(0.01, beat, [self.member(uuid)], 0)
            self.assertEqual(uuid, called.get(timeout=PATIENCE))
