# SPDX-License-Identifier: Apache-2.0
"""Heartbeats in the services table."""

from __future__ import annotations

from collections.abc import Callable
import datetime
import logging
from typing import Any

import oslo_messaging as messaging
from oslo_utils import timeutils

from nova import exception
from nova.conf import CONF

LOG = logging.getLogger(__name__)


class DbDriver:
    """A service is up if its last heartbeat is at most a limit away."""

    def __init__(self) -> None:
        self.service_down_time = CONF.service_down_time

    def join(self, member: str, group: str, service: Any,
             initial_delay: float) -> None:
        """Beat every ``service.report_interval`` seconds.

        :raises RuntimeError: the service is missing
        """
        if service is None:
            raise RuntimeError('service is missing: there is no heartbeat '
                               'without one')
        if service.report_interval:
            service.tg.add_timer_args(
                service.report_interval, self._report_state, [service],
                initial_delay=initial_delay)

    def is_up(self, service_ref: Any) -> bool:
        """Return whether the last sign of life is recent.

        A clock that is ahead by up to the limit is recent too. A record that
        was never heard of is down.
        """
        return self.judge()(service_ref)

    def judge(self) -> Callable[[Any], bool]:
        """Return what tells of a service whether it is up just now."""
        now = timeutils.utcnow()
        limit = datetime.timedelta(seconds=self.service_down_time)

        def is_up(service_ref: Any) -> bool:
            seen = service_ref['last_seen_up'] or service_ref['created_at']
            if seen is None:
                return False
            if isinstance(seen, str):
                seen = timeutils.parse_strtime(seen)
            if seen.tzinfo is not None:
                seen = timeutils.normalize_time(seen)
            return -limit <= now - seen <= limit

        return is_up

    def updated_time(self, service_ref: Any) -> datetime.datetime | None:
        """Return when the record was last changed."""
        return service_ref['updated_at']

    def _report_state(self, service: Any) -> None:
        """Beat once; trouble is logged when it starts and when it ends."""
        try:
            service.service_ref.report_count += 1
            service.service_ref.save()
        except exception.ServiceNotFound:
            LOG.error('The record of %s on %s is gone: stop the service, or '
                      'restart it to register it again', service.binary,
                      service.host)
        except messaging.MessagingTimeout:
            self._lost(service, 'the message bus does not answer')
            return
        except Exception as error:
            LOG.debug('Heartbeat failed', exc_info=True)
            self._lost(service, str(error).partition('\n')[0])
            return
        else:
            if service.model_disconnected:
                LOG.info('Heartbeats of %s on %s arrive again',
                         service.binary, service.host)
            service.model_disconnected = False
            return
        service.model_disconnected = True

    def _lost(self, service: Any, reason: str) -> None:
        if not service.model_disconnected:
            LOG.warning('Heartbeats of %s on %s do not arrive, and are '
                        'repeated: %s', service.binary, service.host, reason)
        service.model_disconnected = True
