# SPDX-License-Identifier: Apache-2.0
"""Receive Unix signals in the main thread, without running code in a handler.

Python runs a signal handler between any two steps of the main thread. One
that takes a lock, sets an event or logs deadlocks as soon as the step that it
interrupted holds the same lock. The handlers here only note the number.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any


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
        :return: None if no signal arrived in time
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        arrival = select.poll()
        arrival.register(self._reader, select.POLLIN)
        while not self._arrived:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left < 0:
                return None
            arrival.poll(None if left is None else left * 1000)
            with contextlib.suppress(BlockingIOError):
                while self._reader.recv(4096):
                    pass
        number = next(number for number in self._numbers
                      if number in self._arrived)
        self._arrived.remove(number)
        return number

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
