# SPDX-License-Identifier: Apache-2.0
"""One active relay per database, without trusting any clock but one's own.

The holder changes the row at each beat. Who has watched it unchanged for
``TAKEOVER`` seconds of its own monotonic clock takes it, if it is unchanged
still.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid

from nova import context as nova_context
from nova.db.main import outbox

LOG = logging.getLogger(__name__)

#: seconds between two beats of the holder, and two looks of the others
BEAT = 1.0

#: seconds without a beat after which the holder counts as dead
TAKEOVER = 10.0


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
    """A relay's part in the contest.

    :param host: name of this host, for operators
    """

    def __init__(self, host: str) -> None:
        self.holder = f'{host}:{os.getpid()}:{uuid.uuid4().hex[:8]}'
        self._seen: tuple[str | None, int] | None = None
        self._unchanged_since = time.monotonic()
        self._confirmed = float('-inf')
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def held(self) -> bool:
        """Whether this relay is the active one."""
        # The others take over at TAKEOVER: be sure to have stopped by then.
        return time.monotonic() - self._confirmed < TAKEOVER - 2 * BEAT

    def start(self) -> None:
        """Take part until :meth:`stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Let another relay be active at once."""
        self._stopping.set()
        self._thread.join()
        if self.held:
            self._confirmed = float('-inf')
            outbox.give_up_lease(nova_context.get_admin_context(),
                                 self.holder)

    def _run(self) -> None:
        while True:
            try:
                self._look()
            except Exception as error:
                LOG.debug('The lease could not be looked at: %s', error)
            if self._stopping.wait(BEAT):
                return

    def _look(self) -> None:
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
        if outbox.take_lease(context, self.holder, seen):
            self._confirmed = now
            LOG.info('This relay is active now')
