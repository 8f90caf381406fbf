# SPDX-License-Identifier: Apache-2.0
"""Receive Unix signals in the main thread, without running code in a handler.

Python runs a signal handler between any two steps of the main thread. One
that takes a lock, sets an event or logs deadlocks as soon as the step that it
interrupted holds the same lock. The handlers here only note the number.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import logging
import os
import select
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

LOG = logging.getLogger(__name__)


class Receiver:
    """A context in which the main thread receives signals by waiting.

    A signal that arrives before :meth:`wait` is kept until then. Several of
    one kind may be received as one. A signal is also received if the process
    was started with it ignored, as a shell's ``&`` does with SIGINT. Signals
    that nobody has waited for at the end of the context are dropped.

    Contexts can be nested: the inner one receives the signals that both name.
    A process that is forked inside a context handles signals as they were
    handled outside of it.

    :param numbers: the signals; of several that have arrived, the one that
        is named first is received first
    :raises ValueError: when entered in another thread than the main one
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        # Handlers write here as well: only single steps that can't be
        # interrupted, and no lock.
        self._arrived: set[int] = set()
        self._woken = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Receiver:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # A signal may arrive in any thread, and between the check and the
        # poll in wait(): a byte in the socket ends that poll in every case.
        # If the socket is full, the poll ends as well.
        self._previous_fd = signal.set_wakeup_fd(
            self._writer.fileno(), warn_on_full_buffer=False)
        for number in self._numbers:
            self._previous[number] = signal.signal(number, self._note)
        _entered.append(self)
        return self

    def __exit__(self, *_error: object) -> None:
        if self in _entered:
            self._leave()

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the number of a signal that has arrived.

        :param timeout: seconds to wait for one; None waits without limit
        :return: None if no signal arrived in time, or before :meth:`wake`
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        arrival = select.poll()
        arrival.register(self._reader, select.POLLIN)
        while not self._arrived:
            left = None if deadline is None else deadline - time.monotonic()
            if self._woken or (left is not None and left < 0):
                self._woken = False
                return None
            arrival.poll(None if left is None else left * 1000)
            with contextlib.suppress(BlockingIOError):
                while self._reader.recv(4096):
                    pass
        number = next(number for number in self._numbers
                      if number in self._arrived)
        self._arrived.remove(number)
        return number

    def wake(self) -> None:
        """End a :meth:`wait`; to be called in any thread, at any time."""
        self._woken = True
        # Full: the wait ends anyway. Closed: the context has ended.
        with contextlib.suppress(OSError):
            self._writer.send(b'\0')

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.add(number)

    def _leave(self) -> None:
        _entered.remove(self)
        for number, handler in self._previous.items():
            # None is a handler that was not installed from Python.
            signal.signal(number, handler or signal.SIG_DFL)
        signal.set_wakeup_fd(self._previous_fd, warn_on_full_buffer=False)
        self._reader.close()
        self._writer.close()


def run_until_signal(work: Callable[[threading.Event], object],
                     limit: float) -> None:
    """Run work in a thread until it returns or a signal ends it.

    SIGTERM and SIGINT end it, and SIGHUP unless ``nohup`` has the process
    ignore it. What the work raises is raised here.

    :param work: called with an event that is set when the work shall end
    :param limit: seconds that the work may take to end after a signal; later
        it is left alone, in a thread that does not keep the process alive
    """
    stopping = threading.Event()
    # Not Thread.join(): until Python 3.13 it misses the end of a thread whose
    # thread-local objects ask for the current thread when they are deleted.
    ended = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work(stopping)
        except BaseException as error:
            failures.append(error)
        finally:
            ended.set()
            receiver.wake()

    hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    with Receiver(signal.SIGTERM, signal.SIGINT,
                  *[signal.SIGHUP] * hangup) as receiver:
        threading.Thread(target=run, daemon=True).start()
        receiver.wait()
        stopping.set()
        in_time = ended.wait(limit)
    if failures:
        raise failures[0]
    if not in_time:
        LOG.warning('The process ends although its work did not stop within '
                    '%s s', limit)


_entered: list[Receiver] = []
_forking = threading.local()


def _before_fork() -> None:
    # A signal to the child waits until the child handles it as it should.
    numbers = {number for receiver in _entered
               for number in receiver._numbers}
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    while _entered:
        _entered[-1]._leave()
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork,
                    after_in_child=_after_fork_in_child)
