# SPDX-License-Identifier: Apache-2.0
"""A look at RabbitMQ: is it reached, published to and listened to?

What is there is declared once more as a sender would, which RabbitMQ takes
if all is equal and refuses, naming the difference, if not. What is not there
stays so, unless it is deleted in between: then it is made as the next
notification would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
import uuid

from amqp import exceptions as amqp_exc
import kombu
from oslo_messaging._drivers import common
from oslo_messaging._drivers import impl_rabbit

from nova.notifications import bus_check
from nova.notifications import findings

#: number of messages in a queue from which on its consumers are too slow
DEEP = 1000

_NAME = 'Message bus'
TROUBLE = (kombu.exceptions.KombuError, amqp_exc.AMQPError, OSError)


def look(driver: Any, topics: list[str]) -> Iterator[findings.Finding]:
    """Look at the exchange, and at the queue of each topic.

    :param driver: oslo.messaging's driver of RabbitMQ
    """
    where = bus_check.hosts(driver._url, 5672)
    try:
        connection = connect(driver)
    except ValueError:
        yield bus_check.misread()
        return
    except (*TROUBLE, RuntimeError) as error:
        yield findings.failure(_NAME, (
            f'{where}: {reason(error)}. Check that RabbitMQ runs, user, '
            'password and virtual host in transport_url, and '
            '[oslo_messaging_rabbit].'))
        return
    try:
        broker = _Broker(connection, driver.conf.control_exchange)
        yield broker.exchange(topics)
        for topic in topics:
            yield broker.queue(f'{topic}.info')
        connection.close()
    except TROUBLE as error:
        # Without a farewell, which would not be answered either.
        connection.connection.collect()
        yield findings.failure(_NAME, (
            f'{where} was reached, but: {reason(error)}. Read the log of '
            'RabbitMQ; an alarm of its memory or disk stops senders.'))


def connect(driver: Any) -> impl_rabbit.Connection:
    """Return a connection; each host was tried once at most."""
    # A connection to send would read in a second thread.
    connection = impl_rabbit.Connection(
        driver.conf, driver._url, common.PURPOSE_LISTEN,
        retry=max(len(driver._url.hosts) - 1, 0))
    connection.set_transport_socket_timeout(bus_check.PATIENCE)
    return connection


def reason(error: Exception) -> str:
    """Return what went wrong; the broker's own words if there are any."""
    return (getattr(error, 'reply_text', None) or str(error)).strip('. ')


class _Broker:
    """A connection, and what a sender would declare on it."""

    def __init__(self, connection: impl_rabbit.Connection,
                 exchange: str) -> None:
        self._connection = connection
        self._durable: bool = connection.durable
        self._auto_delete: bool = connection.amqp_auto_delete
        self._exchange = kombu.Exchange(
            exchange, 'topic', durable=self._durable,
            auto_delete=self._auto_delete)
        self._arguments = impl_rabbit._get_queue_arguments(
            connection.rabbit_ha_queues, 0, connection.rabbit_quorum_queue,
            connection.rabbit_quorum_queue_config, False)

    def exchange(self, topics: list[str]) -> findings.Finding:
        """Publish what no topic's queue gets, and wait for the answer."""
        name = self._exchange.name
        nobodys = '.'.join([*topics[:1], 'nova-status', str(uuid.uuid4())])
        info = self._connection.connection.info()
        where = f'{info["hostname"]}:{info["port"]}'
        try:
            self._call(lambda channel: self._exchange(channel).declare(
                passive=True))
        except amqp_exc.NotFound:
            return findings.success(_NAME, (
                f'{where} answers; exchange {name} is made with the first '
                'notification'))
        return self._refusal(
            _NAME, f'configure exchange {name}',
            lambda channel: self._exchange(channel).declare()
        ) or self._refusal(
            _NAME, f'write to exchange {name}',
            # Gone at once from a queue that gets whatever is sent.
            lambda channel: kombu.Producer(channel).publish(
                '', exchange=name, routing_key=nobodys, expiration=0)
        ) or findings.success(_NAME, f'{where} has confirmed a message')

    def queue(self, name: str) -> findings.Finding:
        """Look who listens, how many wait, and whether it is durable."""
        check = f'Queue {name}'
        queue = kombu.Queue(
            name, durable=self._durable, auto_delete=self._auto_delete,
            queue_arguments=self._arguments)
        try:
            _name, depth, consumers = self._call(
                lambda channel: queue(channel).queue_declare(passive=True))
        except amqp_exc.NotFound:
            return findings.warning(check, (
                'It does not exist: nobody has sent or listened yet. Start a '
                'consumer.'))
        refusal = self._refusal(
            check, f'configure queue {name}',
            lambda channel: queue(channel).queue_declare())
        return findings.merged([*_traffic(check, depth, consumers),
                                refusal or self._durability(check)])

    def _durability(self, check: str) -> findings.Finding:
        # RabbitMQ has just taken it for equal.
        if self._durable:
            return findings.success(check, 'It is durable.')
        return findings.warning(check, (
            'It is not durable: what waits in it is lost when RabbitMQ '
            'restarts. Set [oslo_messaging_rabbit] rabbit_quorum_queue = true '
            '(or amqp_durable_queues = true) for senders and consumers, stop '
            'them, and delete queue and exchange.'))

    def _refusal(self, check: str, what: str,
                 call: Callable[[Any], Any]) -> findings.Finding | None:
        """Do what needs a permission; return what is in the way."""
        connection = self._connection.connection
        try:
            self._call(call)
        except amqp_exc.AccessRefused as error:
            return findings.failure(check, (
                f'User {connection.userid} may not {what} in virtual host '
                f'{connection.virtual_host}: {reason(error)}. Senders need '
                'configure, write and read on the exchange and its queues: '
                "see 'rabbitmqctl set_permissions'."))
        except amqp_exc.PreconditionFailed as error:
            return findings.failure(check, (
                f'Nothing can be sent: {reason(error)}. Set '
                '[oslo_messaging_rabbit] rabbit_quorum_queue, '
                'amqp_durable_queues and amqp_auto_delete as where it was '
                'made, or stop its users and delete it.'))
        return None

    def _call(self, call: Callable[[Any], Any]) -> Any:
        channel = self._connection.connection.channel()
        answer = call(channel)
        # RabbitMQ itself has closed it if it has refused.
        channel.close()
        return answer


def _traffic(check: str, depth: int,
             consumers: int) -> Iterator[findings.Finding]:
    if not consumers:
        yield findings.warning(check, (
            f'Nobody consumes it, {depth:,} messages wait in it. Start a '
            'consumer, or remove the topic from [notifications] '
            'versioned_notifications_topics.'))
    elif depth >= DEEP:
        yield findings.warning(check, (
            f'Consumers: {consumers}, messages: {depth:,}. They are too slow, '
            'or stuck. See to them, or start more.'))
    else:
        yield findings.success(
            check, f'Consumers: {consumers}, messages: {depth:,}.')
