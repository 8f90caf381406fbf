# SPDX-License-Identifier: Apache-2.0
"""How a process receives signals."""

import os
import signal
import subprocess
import sys
import threading
import time

from nova import signals
from nova import test

PATIENCE = 60

#: Receives while another thread and a child process send SIGHUPs as fast as
#: they can, until SIGTERM arrives.
_FLOODED = '''
import os, signal, subprocess, sys, threading
from nova import signals

def flood():
    for _number in range(100_000):
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)

with signals.Receiver(signal.SIGTERM, signal.SIGHUP) as receiver:
    threading.Thread(target=flood).start()
    received = 0
    while receiver.wait() == signal.SIGHUP:
        received += 1
print('ended' if received else 'received nothing')
'''


def _send(number, pid=0):
    os.kill(pid or os.getpid(), number)


class TestReceiver(test.NoDBTestCase):

    def receiver(self, *numbers):
        return signals.Receiver(*(numbers or (signal.SIGUSR1,)))

    def test_receiver_keeps_a_signal_that_arrives_before_wait(self):
        with self.receiver() as receiver:
            _send(signal.SIGUSR1)
            self.assertEqual(signal.SIGUSR1, receiver.wait(PATIENCE))
            self.assertIsNone(receiver.wait(0))

    def test_wait_without_limit_ends_when_a_signal_arrives(self):
        with self.receiver() as receiver:
            timer = threading.Timer(0.2, _send, [signal.SIGUSR1])
            timer.start()
            self.addCleanup(timer.join)
            self.assertEqual(signal.SIGUSR1, receiver.wait())

    def test_wait_returns_none_when_its_time_is_over(self):
        with self.receiver() as receiver:
            start = time.monotonic()
            self.assertIsNone(receiver.wait(0.2))
            self.assertGreaterEqual(time.monotonic() - start, 0.2)

    def test_signal_in_a_thread_from_before_ends_the_wait(self):
        thread, ready = threading.get_ident, threading.Event()

        def hold():
            ready.wait()
            signal.pthread_kill(thread(), signal.SIGUSR1)

        sender = threading.Thread(target=hold)
        sender.start()
        self.addCleanup(sender.join)
        with self.receiver() as receiver:
            ready.set()
            self.assertEqual(signal.SIGUSR1, receiver.wait(PATIENCE))

    def test_first_named_signal_is_received_first(self):
        with self.receiver(signal.SIGUSR2, signal.SIGUSR1) as receiver:
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
                _send(number)
            self.assertEqual(
                [signal.SIGUSR2, signal.SIGUSR1, None],
                [receiver.wait(0) for _time in range(3)])

    def test_handlers_are_restored_at_the_end(self):
        before = signal.getsignal(signal.SIGUSR1)
        with self.receiver():
            self.assertNotEqual(before, signal.getsignal(signal.SIGUSR1))
        self.assertEqual(before, signal.getsignal(signal.SIGUSR1))
        self.assertEqual(-1, signal.set_wakeup_fd(-1))

    def test_nested_receiver_leaves_other_signals_to_the_outer_one(self):
        with self.receiver(signal.SIGUSR1, signal.SIGUSR2) as outer:
            with self.receiver(signal.SIGUSR1) as inner:
                _send(signal.SIGUSR2)
                self.assertIsNone(inner.wait(0.1))
                _send(signal.SIGUSR1)
                self.assertEqual(signal.SIGUSR1, inner.wait(PATIENCE))
            self.assertEqual(signal.SIGUSR2, outer.wait(PATIENCE))
            timer = threading.Timer(0.2, _send, [signal.SIGUSR1])
            timer.start()
            self.addCleanup(timer.join)
            self.assertEqual(signal.SIGUSR1, outer.wait(PATIENCE))

    def test_forked_child_handles_signals_as_before(self):
        with self.receiver() as receiver:
            child = os.fork()
            if child == 0:
                time.sleep(PATIENCE)
                os._exit(0)
            _send(signal.SIGUSR1, child)
            self.assertEqual(-signal.SIGUSR1, os.waitstatus_to_exitcode(
                os.waitpid(child, 0)[1]))
            self.assertIsNone(receiver.wait(0))

    def test_flood_of_one_signal_does_not_hide_another(self):
        done = subprocess.run(
            [sys.executable, '-c', _FLOODED], capture_output=True, text=True,
            timeout=PATIENCE, check=False)
        self.assertEqual((0, 'ended\n', ''),
                         (done.returncode, done.stdout, done.stderr))

    def test_signal_that_was_ignored_is_received(self):
        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        with self.receiver() as receiver:
            _send(signal.SIGUSR1)
            self.assertEqual(signal.SIGUSR1, receiver.wait(PATIENCE))
        self.assertEqual(signal.SIG_IGN, signal.getsignal(signal.SIGUSR1))


class TestRunUntilSignal(test.NoDBTestCase):

    def test_work_that_returns_ends_it(self):
        done = []
        start = time.monotonic()
        signals.run_until_signal(done.append, PATIENCE)
        self.assertTrue(done[0].is_set())
        self.assertLess(time.monotonic() - start, PATIENCE)

    def test_signal_stops_the_work(self):
        stopped = []

        def work(stopping):
            _send(signal.SIGTERM)
            stopped.append(stopping.wait(PATIENCE))

        signals.run_until_signal(work, PATIENCE)
        self.assertEqual([True], stopped)

    def test_error_of_the_work_is_raised(self):
        def work(_stopping):
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, signals.run_until_signal, work,
                          PATIENCE)

    def test_work_that_does_not_stop_is_left_alone(self):
        released = threading.Event()
        self.addCleanup(released.set)

        def work(_stopping):
            _send(signal.SIGTERM)
            released.wait(PATIENCE)

        signals.run_until_signal(work, 0.2)
        self.assertIn('did not stop within 0.2 s', self.stdlog.output)
        self.assertFalse(released.is_set())

    def test_hangup_that_nohup_ignores_does_not_stop_the_work(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        stopped = []

        def work(stopping):
            _send(signal.SIGHUP)
            stopped.append(stopping.wait(0.5))

        signals.run_until_signal(work, PATIENCE)
        self.assertEqual([False], stopped)
