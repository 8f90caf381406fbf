# SPDX-License-Identifier: Apache-2.0
"""Sends what is in the outbox, in order, until the bus has confirmed it."""

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

_FIRST_BACKOFF = 0.1


class Relay:
    """Drains the outbox while it holds the lease.

    The notifications of one service are sent in the order of its commits:
    rows are sent by id, and while one waits for its next attempt, those of
    the same service wait behind it.

    :param conf: with the group ``[relay]``
    :param publisher: where to send to
    :param lease: who may send
    :param metrics: what counts it
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 publisher: publishing.Publisher, lease: Lease,
                 metrics: Metrics) -> None:
        self._options = conf.relay
        self._publisher = publisher
        self._lease = lease
        self._metrics = metrics
        self._context = nova_context.get_admin_context()
        self._backoff = 0.0
        self._trouble: str | None = None

    def health(self) -> dict[str, Any]:
        """Return whether it is the active one, and what is in its way."""
        return {'active': self._lease.held, 'holder': self._lease.holder,
                'trouble': self._trouble}

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop."""
        self._lease.start()
        try:
            while not stopping.is_set():
                stopping.wait(self._pause())
        finally:
            self._lease.stop()

    def _pause(self) -> float:
        """Do what is to be done; return the seconds until the next look."""
        if not self._lease.held:
            return BEAT / 4
        try:
            return self._drain()
        except publishing.Outage as outage:
            trouble = f'the message bus: {outage}'
        except Exception as error:
            LOG.debug('The outbox could not be drained', exc_info=True)
            trouble = f'the database: {error}'
        # Out here oslo.log does not repeat the error.
        return self._back_off(trouble)

    def _drain(self) -> float:
        rows = outbox.waiting(self._context, self._options.batch_size)
        if not rows:
            self._recovered()
            return self._options.poll_interval
        confirmed: list[int] = []
        held_back: set[str] = set()
        try:
            for row in rows:
                if not self._lease.held:
                    return 0
                if row['aggregateid'] in held_back:
                    continue
                if self._publish(row):
                    confirmed.append(row['id'])
                else:
                    held_back.add(row['aggregateid'])
        finally:
            if confirmed:
                outbox.remove(self._context, confirmed)
        return self._options.poll_interval * 10 if held_back else 0

    def _publish(self, row: api.Row) -> bool:
        """Return whether the row can go; if not, it was counted or parked.
        """
        start = time.perf_counter()
        try:
            self._publisher.publish(row)
        except publishing.Outage:
            self._metrics.retried.inc()
            raise
        except publishing.Refused as refusal:
            self._recovered()
            self._count(row, refusal)
            return False
        except publishing.Corrupt as error:
            self._park(row, error)
            return False
        self._recovered()
        self._metrics.published.observe(time.perf_counter() - start)
        return True

    def _count(self, row: api.Row, refusal: Exception) -> None:
        if row['attempts'] + 1 >= self._options.max_attempts:
            self._park(row, refusal)
        else:
            self._metrics.retried.inc()
            outbox.refused(self._context, row['id'], str(refusal), park=False)

    def _park(self, row: api.Row, error: Exception) -> None:
        LOG.error('Notification %s, %s of %s, was parked after %s attempts: '
                  "%s. See 'nova-manage outbox list --parked'",
                  row['message_id'], row['type'], row['publisher_id'],
                  row['attempts'] + 1, error)
        self._metrics.parked.inc()
        outbox.refused(self._context, row['id'], str(error), park=True)

    def _back_off(self, trouble: str) -> float:
        if self._trouble is None:
            LOG.warning('Notifications wait in the outbox because of %s',
                        trouble.partition('\n')[0])
        self._trouble = trouble
        self._backoff = min(self._options.max_backoff,
                            self._backoff * 2 or _FIRST_BACKOFF)
        return self._backoff * random.uniform(0.5, 1)  # noqa: S311

    def _recovered(self) -> None:
        if self._trouble is not None:
            LOG.info('Notifications are sent again')
        self._trouble = None
        self._backoff = 0.0
