# SPDX-License-Identifier: Apache-2.0
"""Publishes stored notifications, and reports whether the bus took them.

oslo.messaging's notifier logs a failure and goes on. The relay has to know
of it, so it uses the transport below the notifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
from typing import TYPE_CHECKING, Any

import amqp.exceptions
from oslo_config import cfg
import oslo_messaging
from oslo_messaging.notify import messaging
from stevedore import named

from nova import bus
from nova.db.main import api
from nova.notifications import delivery

if TYPE_CHECKING:
    from nova.bus import rabbit

# The bus or its set-up is at fault, not this one notification.
_OUTAGES = (OSError, amqp.exceptions.ConnectionError,
            amqp.exceptions.MessageNacked, amqp.exceptions.AccessRefused,
            amqp.exceptions.NotFound, oslo_messaging.MessageUndeliverable)

_MISDECLARED = 'inequivalent arg'


class Outage(Exception):
    """The bus takes nothing; the same will work once it is well again."""


class Refused(Exception):
    """The bus was reached, and did not take this notification."""


class Corrupt(Exception):
    """The stored notification can't be read."""


class LeaseLost(Exception):
    """Another relay may be active: nothing was written to the bus."""


class Publisher:
    """Publishes with the drivers that the configuration names.

    :param conf: with the groups ``[notifications]`` and
        ``[oslo_messaging_notifications]``
    :raises ConfigurationError: no driver is named that publishes anything
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        delivery.check_enabled()
        self._conf = conf
        self._may_publish: Callable[[], bool] = lambda: True
        self._connect()

    def _connect(self) -> None:
        self._transport = oslo_messaging.get_notification_transport(
            self._conf)
        manager: Any = named.NamedExtensionManager(
            'oslo.messaging.notify.drivers',
            names=self._conf.oslo_messaging_notifications.driver,
            invoke_on_load=True, invoke_args=(self._conf,),
            invoke_kwds={'topics': [], 'transport': self._transport})
        self._drivers = [extension.obj for extension in manager]
        self._rabbit: rabbit.Sender | None = None
        self._kafka: Any = None
        if bus.is_rabbit(self._transport):
            from nova.bus import rabbit
            self._rabbit = rabbit.Sender(self._transport, self._check_lease)
        elif self._transport._driver._url.transport.startswith('kafka'):
            # Its package is an extra.
            from nova.notifications import kafka
            self._kafka = kafka.Sender(self._transport,
                                       self._check_lease)

    def _check_lease(self) -> None:
        if not self._may_publish():
            raise LeaseLost

    @property
    def blocked(self) -> str | None:
        """Why the bus takes no messages for now, None if it takes them."""
        return self._rabbit.blocked if self._rabbit else None

    def publish(self, row: api.Row, may_publish: Callable[[], bool]) -> None:
        """Return when the bus has routed, stored and confirmed a message.

        :param may_publish: called directly before the message is written to
            the bus; when it returns False, nothing is written
        :raises Outage: the bus can't be reached, or takes nothing
        :raises Refused: the bus does not take this notification
        :raises Corrupt: the row holds no notification
        :raises LeaseLost: this relay must not publish any more
        """
        context, message, topics = _read(row)
        self._may_publish = may_publish
        self._check_lease()
        try:
            for driver in self._drivers:
                self._send(driver, row, context, message, topics)
        except LeaseLost:
            self._reconnect()
            raise
        except Exception as error:
            self._reconnect()
            if any(isinstance(cause, _OUTAGES) or _MISDECLARED in str(cause)
                   for cause in _causes(error)):
                raise Outage(_first_line(error)) from error
            raise Refused(_first_line(error)) from error

    def keep_alive(self) -> None:
        """Exchange heartbeats with the bus while there is nothing to publish.

        :raises Outage: the connection is dead
        """
        if not self._rabbit:
            return
        try:
            self._rabbit.tick()
        except Exception as error:
            self._reconnect()
            raise Outage(_first_line(error)) from error

    def abort(self) -> None:
        """End what another thread waits for in this publisher."""
        if self._rabbit:
            self._rabbit.abort()

    def _reconnect(self) -> None:
        # The driver's pool never replaces a connection that is broken.
        self._transport.cleanup()
        self._connect()

    def _send(self, driver: Any, row: api.Row, context: dict[str, Any],
              message: dict[str, Any], topics: list[str]) -> None:
        if not isinstance(driver, messaging.MessagingDriver):
            driver.topics = topics
            driver.notify(context, message, message['priority'], 0)
            return
        for topic in topics:
            target = oslo_messaging.Target(topic=f'{topic}.{row["priority"]}')
            if self._kafka:
                self._kafka.send(row['aggregateid'], target, context, message)
            else:
                self._transport._send_notification(
                    target, context, message, version=driver.version, retry=0)


def _read(row: api.Row) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return context, message and topics as the notifier would have them."""
    try:
        context, payload, topics = (
            json.loads(row[name]) for name in ('context', 'payload', 'topics'))
    except ValueError as error:
        raise Corrupt(f'not JSON: {error}') from error
    for name, value, kind in (('context', context, dict),
                              ('payload', payload, dict),
                              ('topics', topics, list)):
        if not isinstance(value, kind):
            raise Corrupt(f'{name} is {value!r}, not a {kind.__name__}')
    return context, {
        'message_id': row['message_id'], 'publisher_id': row['publisher_id'],
        'event_type': row['type'], 'priority': row['priority'].upper(),
        'payload': payload, 'timestamp': row['timestamp']}, topics


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: Exception) -> str:
    return f'{type(error).__name__}: {str(error).partition(chr(10))[0]}'
