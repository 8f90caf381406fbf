# SPDX-License-Identifier: Apache-2.0
"""Publishes the outbox in order, until the bus has confirmed each row."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Any

from oslo_config import cfg

from nova import context as nova_context
from nova.db.main import api
from nova.db.main import outbox
from nova.notifications import publisher as publishing
from nova.notifications.lease import BEAT
from nova.notifications.lease import Lease
from nova.notifications.metrics import Metrics

LOG = logging.getLogger(__name__)

#: seconds without progress, beside the pauses between two polls, after which
#: a relay leaves the lease to another and is not healthy
STALL = 15.0

#: seconds without an answer after which the database counts as silent
SILENCE = 5.0

#: seconds after which what is confirmed is deleted, although more rows wait
_FLUSH = 2.0

#: seconds to finish, at the end, what was begun; then the connection to the
#: bus is cut
_FINISH = 4.0

_FIRST_BACKOFF = 0.1


class Relay:
    """Drains the outbox while it holds the lease.

    The notifications of one service are published in the order of its
    commits: rows are published by id, and while one waits for its next
    attempt, those of the same service wait behind it.

    :param conf: with the group ``[relay]``
    :param publisher: publishes a row
    :param lease: says whether this relay is the active one
    :param metrics: counts what this relay does
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 publisher: publishing.Publisher, lease: Lease,
                 metrics: Metrics) -> None:
        self._options = conf.relay
        self._publisher = publisher
        self._lease = lease
        self._metrics = metrics
        self._context = nova_context.get_admin_context()
        self._term: int | None = None
        self._backoff = 0.0
        self._trouble: str | None = None
        self._progressed = time.monotonic()
        self._patience = STALL + self._held_back_pause
        self._backlog = _Backlog(self._patience)

    def health(self) -> dict[str, Any]:
        """Return what this relay does, without asking the database.

        ``active`` tells whether it holds the lease, ``holder`` its name,
        ``relay`` the name of the active relay or None, ``oldest_age`` the age
        in seconds of the oldest notification that waits or None, and
        ``trouble`` why notifications are not published or None.
        """
        return {'active': self._lease.held, 'holder': self._lease.holder,
                'relay': self._lease.last_holder,
                'oldest_age': self._backlog.age,
                'trouble': self._find_trouble()}

    def _find_trouble(self) -> str | None:
        blocked = self._publisher.blocked
        if blocked:
            return f'the message bus takes no messages: {blocked}'
        return self._trouble or self._backlog.find_trouble()

    def run(self, stopping: threading.Event) -> None:
        """Work until the event is set, then finish what was begun.

        It ends within a few seconds, unless the database does not answer.
        """
        drained = threading.Event()
        threading.Thread(target=self._limit_the_end, daemon=True,
                         args=(stopping, drained)).start()
        self._lease.start(self._watch)
        try:
            while not stopping.is_set():
                stopping.wait(self._work())
        finally:
            drained.set()
            self._lease.stop()

    def _limit_the_end(self, stopping: threading.Event,
                       drained: threading.Event) -> None:
        stopping.wait()
        if not drained.wait(_FINISH):
            self._publisher.abort()

    def _work(self) -> float:
        """Drain one batch. Return the seconds to sleep before the next one."""
        self._term = self._lease.term
        if self._term is None:
            if self._lease.last_holder not in (None, self._lease.holder):
                # Whether the bus takes messages is for that relay to say.
                self._trouble = None
            return BEAT / 4
        try:
            return self._drain()
        except publishing.LeaseLost:
            return 0
        except publishing.Outage as outage:
            trouble = f'the message bus: {outage}'
        except Exception as error:
            LOG.debug('The outbox could not be drained', exc_info=True)
            trouble = f'the database: {str(error).partition(chr(10))[0]}'
        # Out here oslo.log does not repeat the error.
        return self._back_off(trouble)

    def _drain(self) -> float:
        rows = outbox.waiting(self._context, self._options.batch_size)
        if not rows:
            self._publisher.keep_alive()
            self._recovered()
            return self._options.poll_interval
        confirmed: list[int] = []
        held_back: set[str] = set()
        flush_at = time.monotonic() + _FLUSH
        try:
            for row in rows:
                if row['aggregateid'] in held_back:
                    continue
                if self._publish(row):
                    confirmed.append(row['id'])
                else:
                    held_back.add(row['aggregateid'])
                if time.monotonic() > flush_at:
                    break
        finally:
            if confirmed:
                outbox.remove(self._context, confirmed)
        return self._held_back_pause if held_back else 0

    @property
    def _held_back_pause(self) -> float:
        """Seconds until a notification that the bus refused is tried again."""
        return self._options.poll_interval * 10

    def _publish(self, row: api.Row) -> bool:
        """Publish a row; if the bus refuses it, count that or park the row.

        :returns: whether the bus has confirmed it, so that it can be deleted
        """
        start = time.perf_counter()
        try:
            self._publisher.publish(row, self._may_publish)
        except publishing.Outage:
            self._metrics.retried.inc()
            raise
        except (publishing.Refused, publishing.Corrupt) as refusal:
            if not self._may_publish():
                raise publishing.LeaseLost from refusal
            self._recovered()
            if (isinstance(refusal, publishing.Corrupt)
                    or row['attempts'] + 1 >= self._options.max_attempts):
                self._park(row, refusal)
            else:
                self._metrics.retried.inc()
                outbox.refused(self._context, row['id'], str(refusal),
                               park=False)
            return False
        self._recovered()
        self._metrics.published.observe(time.perf_counter() - start)
        return True

    def _park(self, row: api.Row, error: Exception) -> None:
        LOG.error('Notification %s, %s of %s, was parked after %s attempts: '
                  "%s. See 'nova-manage outbox list --parked'",
                  row['message_id'], row['type'], row['publisher_id'],
                  row['attempts'] + 1, error)
        self._metrics.parked.inc()
        outbox.refused(self._context, row['id'], str(error), park=True)

    def _may_publish(self) -> bool:
        """Return whether no other relay can have published since the read."""
        return self._term is not None and self._lease.term == self._term

    def _watch(self) -> bool:
        """Observe the outbox; return whether this relay makes progress.

        The thread of the lease calls it, at each beat.
        """
        self._backlog.observe(outbox.oldest_waiting(
            nova_context.get_admin_context()))
        now = time.monotonic()
        if not self._lease.held:
            self._progressed = now
        # A blocked bus would take nothing from another relay either.
        if (now - self._progressed < self._patience
                or self._publisher.blocked):
            return True
        LOG.log(logging.DEBUG if self._trouble else logging.WARNING,
                'This relay has published nothing for %s s; another one may '
                'take over', self._patience)
        self._publisher.abort()
        self._progressed = now
        return False

    def _back_off(self, trouble: str) -> float:
        if self._trouble is None:
            LOG.warning('Notifications wait in the outbox because of %s',
                        trouble)
        self._trouble = trouble
        self._backoff = min(self._options.max_backoff,
                            self._backoff * 2 or _FIRST_BACKOFF)
        return self._backoff * random.uniform(0.5, 1)  # noqa: S311

    def _recovered(self) -> None:
        self._progressed = time.monotonic()
        if self._trouble is not None:
            LOG.info('Notifications are published again')
        self._trouble = None
        self._backoff = 0.0


class _Backlog:
    """Notices that the database is silent, or that nobody drains the outbox.

    :param patience: seconds that the oldest notification may stay the oldest
    :ivar age: age in seconds of the oldest notification that waits, or None
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.age: float | None = None
        self._oldest: int | None = None
        self._started = self._answered = time.monotonic()
        self._oldest_since = self._started

    def observe(self, oldest: tuple[int, float] | None) -> None:
        """Take over what the database has just answered.

        :param oldest: id and age of the oldest notification that waits
        """
        self._answered = time.monotonic()
        oldest_id, self.age = oldest or (None, None)
        if oldest_id != self._oldest:
            self._oldest, self._oldest_since = oldest_id, self._answered

    def find_trouble(self) -> str | None:
        """Return why nothing is published, or None."""
        now = time.monotonic()
        silence = now - self._answered
        if silence > SILENCE:
            return f'the database: it has not answered for {silence:.0f} s'
        stuck = now - self._oldest_since
        if self._oldest is not None and stuck > self._patience:
            return (f'notification {self._oldest} is the oldest since '
                    f'{stuck:.0f} s, and no relay publishes it')
        return None
