# SPDX-License-Identifier: Apache-2.0
"""Puts stored notifications on the bus, and knows whether they got there.

oslo.messaging's notifier logs a failure and goes on; here the caller must
know, so the drivers' own way to the transport is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
from typing import Any

import amqp.exceptions
from oslo_config import cfg
import oslo_messaging
from oslo_messaging.notify import messaging
from stevedore import named

from nova.db.main import api
from nova.notifications import delivery

# What is wrong with the bus or its set-up, not with one notification.
_OUTAGES = (OSError, amqp.exceptions.ConnectionError,
            amqp.exceptions.MessageNacked, amqp.exceptions.AccessRefused,
            amqp.exceptions.NotFound)

_MISDECLARED = 'inequivalent arg'


class Outage(Exception):
    """The bus takes nothing; the same will work once it is well again."""


class Refused(Exception):
    """The bus was reached, and did not take this notification."""


class Corrupt(Exception):
    """The stored notification can't be read."""


class Publisher:
    """Sends to the drivers that the configuration names.

    :raises ConfigurationError: it names none that sends anything
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        delivery.check_enabled()
        self._conf = conf
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
        self._kafka: Any = None
        if self._transport._driver._url.transport.startswith('kafka'):
            # Its package is an extra.
            from nova.notifications import kafka
            self._kafka = kafka.Sender(self._transport)

    def publish(self, row: api.Row) -> None:
        """Return when the bus has confirmed a notification.

        :raises Outage: the bus can't be reached, or takes nothing
        :raises Refused: it does not take this one
        :raises Corrupt: the row is none that was written here
        """
        context, message, topics = _read(row)
        try:
            for driver in self._drivers:
                self._send(driver, row, context, message, topics)
        except Exception as error:
            # Without retries the rabbit driver never opens another channel
            # in place of one that the bus has closed.
            self._transport.cleanup()
            self._connect()
            if any(isinstance(cause, _OUTAGES) or _MISDECLARED in str(cause)
                   for cause in _causes(error)):
                raise Outage(_first_line(error)) from error
            raise Refused(_first_line(error)) from error

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
