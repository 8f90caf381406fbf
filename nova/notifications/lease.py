# SPDX-License-Identifier: Apache-2.0
"""One active relay per database, without trusting the clock of another host.

The holder changes the row of the lease at each beat. A relay that saw the row
unchanged for ``TAKEOVER`` seconds of its own monotonic clock takes the lease,
if the row is still unchanged then.
"""

from __future__ import annotations

from collections.abc import Callable
import logging
import os
import threading
import time
import uuid

from nova import context as nova_context
from nova.db.main import outbox

LOG = logging.getLogger(__name__)

#: seconds between two beats of the holder, and two reads of the others
BEAT = 1.0

#: seconds without a beat after which the holder counts as dead
TAKEOVER = 10.0

#: seconds that a relay which gave the lease up leaves it to the others
HANDICAP = 3.0


def is_alive(context: nova_context.RequestContext) -> bool:
    """Return whether a relay is active; takes up to three beats."""
    seen = outbox.lease(context)
    if seen is None or seen[0] is None:
        return False
    for _look in range(6):
        time.sleep(BEAT / 2)
        if outbox.lease(context) != seen:
            return True
    return False


class Lease:
    """The right of one relay at a time to publish.

    A thread renews the lease while its holder makes progress. It gives the
    lease up when the holder makes none, so that a relay which is better off
    can take it; it waits a little before it takes the lease back.

    :param host: name of this host, for operators
    """

    def __init__(self, host: str) -> None:
        self.holder = f'{host}:{os.getpid()}:{uuid.uuid4().hex[:8]}'
        self._seen: tuple[str | None, int] | None = None
        self._unchanged_since = time.monotonic()
        self._confirmed = float('-inf')
        self._terms = 0
        self._failing = False
        self._not_before = float('-inf')
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """Whether this relay is the active one."""
        # The others take over at TAKEOVER: this one must have stopped by
        # then. A process that was paused in between has stopped, too.
        return time.monotonic() - self._confirmed < TAKEOVER - 2 * BEAT

    @property
    def term(self) -> int | None:
        """Number of the time that this relay is the active one, or None.

        What was read from the outbox in an earlier term may be published by
        another relay in the meantime.
        """
        return self._terms if self.held else None

    @property
    def last_holder(self) -> str | None:
        """Name of the relay that was active at the last beat, or None."""
        if self.held:
            return self.holder
        return self._seen and self._seen[0]

    def start(self, watch: Callable[[], bool]) -> None:
        """Compete for the lease until :meth:`stop`.

        :param watch: called at each beat, before the lease is renewed or
            taken; returns whether this relay, if active, makes progress
        """
        self._thread = threading.Thread(
            target=self._run, args=(watch,), name='lease', daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Let another relay be active at once.

        :param timeout: seconds to wait for a database that does not answer;
            the others take over without its help after ``TAKEOVER``
        """
        self._stopping.set()
        if self._thread:
            self._thread.join(timeout)

    def _run(self, watch: Callable[[], bool]) -> None:
        while True:
            try:
                if not watch() and self.held:
                    self._give_up()
                    self._not_before = time.monotonic() + HANDICAP
                self._compete()
            except Exception as error:
                if not self._failing:
                    LOG.warning('The lease of the relay can not be renewed, '
                                'which is tried again: %s',
                                str(error).partition('\n')[0])
                self._failing = True
            else:
                if self._failing:
                    LOG.info('The lease of the relay can be renewed again')
                self._failing = False
            if self._stopping.wait(BEAT):
                break
        if self.held:
            self._give_up()

    def _give_up(self) -> None:
        self._confirmed = float('-inf')
        outbox.give_up_lease(nova_context.get_admin_context(), self.holder)

    def _compete(self) -> None:
        context = nova_context.get_admin_context()
        now = time.monotonic()
        if self.held:
            if outbox.renew_lease(context, self.holder):
                self._confirmed = now
                return
            self._confirmed = float('-inf')
            LOG.warning('Another relay has taken over')
        seen = outbox.lease(context)
        if seen != self._seen:
            self._seen, self._unchanged_since = seen, now
        free = seen is None or seen[0] is None
        if not free and now - self._unchanged_since < TAKEOVER:
            return
        if now < self._not_before:
            return
        if outbox.take_lease(context, self.holder, seen):
            self._terms += 1
            self._confirmed = now
            LOG.info('This relay is active now')
