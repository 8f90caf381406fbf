# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ: connections that notice a lost message and a silent broker.

This module uses private names of oslo.messaging, whose public interface
neither reports a message that no queue took nor limits how long a sender
waits for the broker.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import logging
import socket
import time
from typing import Any

from amqp import exceptions as amqp_exc
from amqp import spec
from oslo_config import cfg
import oslo_messaging
from oslo_messaging._drivers import impl_rabbit

LOG = logging.getLogger(__name__)

#: seconds that a broker has to accept a connection, for each step of it
CONNECT_TIMEOUT = 4.0

#: seconds that a broker has to confirm a message
CONFIRM_TIMEOUT = 10.0

#: seconds between two heartbeats; without two of them the broker is dead
_HEARTBEAT = 10

#: seconds between two looks at an idle connection
_TICK = 2.0

#: seconds to wait before a deleted queue is declared again. RabbitMQ 3.10 does
#: not report the deletion of a quorum queue to its consumers if the queue is
#: back within about 10 ms: they would wait on the deleted one for ever.
_REDECLARE_DELAY = 1.0

_MANDATORY = oslo_messaging.TransportOptions(at_least_once=True)


class Connection(impl_rabbit.Connection):
    """A connection on which a message without a queue is an error.

    RabbitMQ confirms and drops a message that matches no queue, for instance
    because the queue was deleted after this connection declared it. Such a
    message is published once more, after the queue was declared again.
    """

    _returned = False

    def on_return(self, exception: Exception, exchange: str,
                  routing_key: str, message: Any) -> None:
        """Note that the broker sent the last message back.

        To raise here would leave the confirmation, which follows, unread,
        and the next message would take it for its own.
        """
        self._returned = True

    def _publish_and_creates_default_queue(
            self, exchange: Any, msg: Any, routing_key: str | None = None,
            timeout: float | None = None, transport_options: Any = None
    ) -> None:
        for delay in (0, _REDECLARE_DELAY):
            time.sleep(delay)
            self._returned = False
            super()._publish_and_creates_default_queue(
                exchange, msg, routing_key=routing_key, timeout=timeout)
            if not self._returned:
                return
            self._declared_queues.discard((exchange.name, routing_key))
        raise oslo_messaging.MessageUndeliverable(
            f'no queue takes routing key {routing_key} of exchange '
            f'{exchange.name}', exchange.name, routing_key, msg)

    def _publish(self, exchange: Any, msg: Any,
                 routing_key: str | None = None,
                 timeout: float | None = None,
                 transport_options: Any = None) -> None:
        super()._publish(exchange, msg, routing_key=routing_key,
                         timeout=timeout, transport_options=_MANDATORY)


def report_unroutable(transport: oslo_messaging.Transport) -> None:
    """Make each message of a transport that no queue takes an error.

    :param transport: one without an open connection
    """
    transport._driver._connection_pool.connection_cls = Connection


class _RelayConnection(Connection):
    """A connection that is given up rather than waited for.

    It neither reconnects nor retries: its owner does. The owner also keeps
    it alive while nothing is published, by :meth:`tick`.

    :param guard: called directly before the bytes of a message are written;
        when it raises, they are not written
    :ivar blocked: why the broker takes no messages, None if it takes them
    """

    connection: Any

    def __init__(self, conf: cfg.ConfigOpts, url: Any, purpose: str,
                 retry: int | None, guard: Callable[[], None]) -> None:
        self.blocked: str | None = None
        self._guard = guard
        self._publishing = False
        self._last_tick = time.monotonic()
        self._socket: socket.socket | None = None
        self._hosts = max(len(url.hosts), 1)
        super().__init__(conf, url, purpose, retry=retry)

    def ensure_connection(self) -> None:
        """Connect; try each host once."""
        self.connection = self.connection.clone(
            connect_timeout=CONNECT_TIMEOUT, heartbeat=_HEARTBEAT)
        self.connection.ensure_connection(
            max_retries=self._hosts - 1, interval_start=0, interval_step=0)
        transport = self.connection.connection.transport
        self._socket = transport.sock
        # Opening the channel has to be answered in time, too.
        self._socket.settimeout(CONFIRM_TIMEOUT)
        write = transport._write

        def guarded_write(data: bytes) -> None:
            if self._publishing:
                self._guard()
            write(data)

        transport._write = guarded_write
        self._set_current_channel(self.connection.channel())
        self.set_transport_socket_timeout()

    def set_transport_socket_timeout(self, timeout: float | None = None
                                     ) -> None:
        """Limit each wait for the broker to ``CONFIRM_TIMEOUT``."""
        super().set_transport_socket_timeout(CONFIRM_TIMEOUT)

    @contextlib.contextmanager
    def _transport_socket_timeout(self, timeout: float | None) -> Any:
        # The one that was set when it connected holds.
        yield

    def _ensure_publishing(
            self, method: Callable[..., None], exchange: Any, msg: Any,
            routing_key: str | None = None, timeout: float | None = None,
            retry: int | None = None, transport_options: Any = None) -> None:
        method(exchange, msg, routing_key)

    def _publish(self, exchange: Any, msg: Any,
                 routing_key: str | None = None,
                 timeout: float | None = None,
                 transport_options: Any = None) -> None:
        self._publishing = True
        try:
            super()._publish(exchange, msg, routing_key=routing_key)
        except TimeoutError:
            if not self.blocked:
                raise
            self._wait_while_blocked()
        finally:
            self._publishing = False

    def _wait_while_blocked(self) -> None:
        """Wait for the confirmation as long as the broker is alive.

        A broker that is short of disk or memory stops reading. On another
        connection the message would wait a second time.
        """
        self._publishing = False
        confirmation: list[Any] = []
        while not confirmation:
            self.connection.heartbeat_check()
            timeout = _TICK if self.blocked else CONFIRM_TIMEOUT
            try:
                self.channel.wait([spec.Basic.Ack, spec.Basic.Nack],
                                  callback=lambda method, *_arguments:
                                  confirmation.append(method),
                                  timeout=timeout)
            except TimeoutError:
                if timeout == CONFIRM_TIMEOUT:
                    raise
        if confirmation == [spec.Basic.Nack]:
            raise amqp_exc.MessageNacked

    def _on_connection_blocked(self, reason: str) -> None:
        LOG.warning('The message bus takes no messages: %s', reason)
        self.blocked = reason

    def _on_connection_unblocked(self) -> None:
        LOG.info('The message bus takes messages again')
        self.blocked = None

    def _heartbeat_start(self) -> None:
        # A second thread on the socket would be in the way of abort().
        self._heartbeat_thread = None

    def reset(self) -> None:
        """Do nothing: the connection has no consumers to reset."""

    def tick(self) -> None:
        """Exchange heartbeats, if it is time to.

        :raises OSError: the broker gave no sign of life
        """
        now = time.monotonic()
        if now - self._last_tick < _TICK:
            return
        self._last_tick = now
        self.connection.heartbeat_check()
        with contextlib.suppress(TimeoutError):
            while True:
                self.connection.drain_events(timeout=0.001)

    def abort(self) -> None:
        """End the connection at once, whatever another thread waits for."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # TLS's own shutdown() would pull its state away from the
                # thread that waits.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection without a farewell."""
        self.abort()
        if self.connection:
            self.connection.collect()
            self.connection = None


class Sender:
    """Makes and watches the one connection that a relay publishes on.

    :param transport: one without an open connection; its driver is RabbitMQ's
    :param guard: called directly before the bytes of a message are written;
        when it raises, they are not written
    """

    def __init__(self, transport: oslo_messaging.Transport,
                 guard: Callable[[], None]) -> None:
        self._guard = guard
        self._connection: _RelayConnection | None = None
        transport._driver._connection_pool.connection_cls = self._connect

    def _connect(self, conf: cfg.ConfigOpts, url: Any, purpose: str,
                 retry: int | None = None) -> _RelayConnection:
        self._connection = _RelayConnection(conf, url, purpose, retry,
                                            self._guard)
        return self._connection

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages, None if it takes them."""
        connection = self._connection
        return connection.blocked if connection else None

    def tick(self) -> None:
        """Keep the connection alive while nothing is published.

        :raises OSError: the broker gave no sign of life
        """
        if self._connection:
            self._connection.tick()

    def abort(self) -> None:
        """End what another thread waits for."""
        if self._connection:
            self._connection.abort()
