# SPDX-License-Identifier: Apache-2.0
"""Ask whether a service is up, and say that one is."""

from collections.abc import Iterable
import datetime
import logging
from typing import Any

from nova.conf import CONF
from nova.servicegroup.drivers import db

LOG = logging.getLogger(__name__)

#: seconds between the start of a service and its first heartbeat
INITIAL_REPORTING_DELAY = 5

_DRIVERS = {'db': db.DbDriver}


class API:
    """The group of all services, as ``servicegroup_driver`` knows it."""

    def __init__(self) -> None:
        interval, limit = CONF.report_interval, CONF.service_down_time
        if limit <= interval:
            raised = int(interval * 2.5)
            LOG.warning(
                'service_down_time (%(limit)s) must be above report_interval '
                '(%(interval)s), or every service reads as down: %(raised)s '
                'is used', {'limit': limit, 'interval': interval,
                            'raised': raised})
            CONF.set_override('service_down_time', raised)
        self._driver = _DRIVERS[CONF.servicegroup_driver]()

    def join(self, member: str, group: str, service: Any = None) -> None:
        """Start the heartbeat of a service.

        :param member: host
        :param group: topic
        :param service: the nova.service.Service
        :raises RuntimeError: the service is missing
        """
        self._driver.join(member, group, service,
                          initial_delay=INITIAL_REPORTING_DELAY)

    def service_is_up(self, member: Any) -> bool:
        """Return whether a service is up; one forced down is not."""
        return self.services_are_up([member])[0]

    def services_are_up(self, members: Iterable[Any]) -> list[bool]:
        """Return of each service whether it is up, all at one moment."""
        is_up = self._driver.judge()
        return [not member.get('forced_down') and is_up(member)
                for member in members]

    def get_updated_time(self, member: Any) -> datetime.datetime | None:
        """Return when the service's record was last changed."""
        return self._driver.updated_time(member)
