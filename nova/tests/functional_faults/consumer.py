# SPDX-License-Identifier: Apache-2.0
"""A consumer that records what it receives, and when."""

from __future__ import annotations

import collections
from collections.abc import Mapping
import dataclasses
import datetime
import time
from typing import Any

from oslo_config import cfg
import oslo_messaging

from nova import config

TOPIC = 'versioned_notifications'
QUEUE = f'{TOPIC}.info'

#: options of ``[oslo_messaging_rabbit]``
QUORUM = {'rabbit_quorum_queue': True}

#: Event type and ``disabled_reason``, which is unique but for deletions.
Change = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Arrival:
    """One received message.

    :ivar uuid: of the service
    :ivar sent: the notification's timestamp, UTC
    :ivar received: seconds since the epoch
    """

    message_id: str
    uuid: str
    change: Change
    sent: datetime.datetime
    received: float


class Consumer:
    """Records every message in the order of arrival.

    :param url: transport URL
    :param options: of ``[oslo_messaging_rabbit]``
    """

    def __init__(self, url: str, options: Mapping[str, object]) -> None:
        self.arrivals: list[Arrival] = []
        conf = cfg.ConfigOpts()
        conf([])
        config.set_lib_defaults()
        self._transport = oslo_messaging.get_notification_transport(conf, url)
        for name, value in options.items():
            conf.set_override(name, value, 'oslo_messaging_rabbit')
        self._listener = oslo_messaging.get_notification_listener(
            self._transport, [oslo_messaging.Target(topic=TOPIC)], [self],
            executor='threading')
        # Several threads would change the order.
        conf.set_override('executor_thread_pool_size', 1)
        self._listener.start()

    def info(self, _context: Any, _publisher_id: str, event_type: str,
             payload: dict[str, Any], metadata: dict[str, Any]) -> None:
        data = payload['nova_object.data']
        reason = ('' if event_type == 'service.delete'
                  else data['disabled_reason'])
        self.arrivals.append(Arrival(
            metadata['message_id'], data['uuid'], (event_type, reason),
            datetime.datetime.fromisoformat(metadata['timestamp']),
            time.time()))

    def stop(self) -> None:
        self._listener.stop()
        self._listener.wait()
        self._transport.cleanup()

    def first_arrivals(self) -> dict[str, list[Arrival]]:
        """Return uuid → arrivals, without repeats of the same message."""
        known: set[str] = set()
        services: dict[str, list[Arrival]] = collections.defaultdict(list)
        for arrival in list(self.arrivals):
            if arrival.message_id not in known:
                known.add(arrival.message_id)
                services[arrival.uuid].append(arrival)
        return services

    def number(self) -> int:
        """Return how many different messages have arrived."""
        return len({arrival.message_id for arrival in list(self.arrivals)})

    def seconds_until_change_after(self, moment: float,
                                   limit: float) -> float | None:
        """Wait for a change that was committed after a moment.

        :param moment: seconds since the epoch
        :param limit: seconds to wait at most, counted from now
        :returns: seconds from the moment to the arrival; None: none arrived
        """
        sent = datetime.datetime.fromtimestamp(
            moment, datetime.UTC).replace(tzinfo=None)
        deadline = time.time() + limit
        position = 0
        while True:
            last = time.time() > deadline
            for arrival in self.arrivals[position:]:
                position += 1
                # The timestamp is taken inside the change's transaction.
                if arrival.sent >= sent:
                    return arrival.received - moment
            if last:
                return None
            time.sleep(0.05)


def out_of_order(arrivals: list[Arrival]) -> list[Arrival]:
    """Return those older than one of the same service that came before."""
    late = []
    newest: dict[str, datetime.datetime] = {}
    for arrival in arrivals:
        if arrival.sent < newest.get(arrival.uuid, datetime.datetime.min):
            late.append(arrival)
        else:
            newest[arrival.uuid] = arrival.sent
    return late
