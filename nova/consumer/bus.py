# SPDX-License-Identifier: Apache-2.0
"""The way to the message bus for a program that only listens."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from amqp import exceptions as amqp_exc
from oslo_config import cfg
import oslo_messaging
from oslo_messaging._drivers import impl_rabbit

from nova.notifications import bus_check
from nova.notifications import rabbit_check

EXCHANGE = 'nova'

#: Messages that RabbitMQ hands out before the first is acknowledged. Without
#: a bound a backlog would be in memory, whole.
_PREFETCH = 200

#: Seconds between heartbeats. After twice as many without one from RabbitMQ
#: a connection counts as lost; the default of 60 would hide that for two
#: minutes. RabbitMQ advises against less than 5.
_HEARTBEAT = 10


class BusError(Exception):
    """The bus can't be used as it is described, or not now."""


class BusRefused(BusError):
    """The bus does not let this user in."""


def connect(url: str | None = None, conf: cfg.ConfigOpts | None = None
            ) -> oslo_messaging.NotificationTransport:
    """Return the transport to listen on; nothing is connected yet.

    :param url: e.g. ``rabbit://USER:PASSWORD@HOST:5672/VHOST``; None takes
        that of the configuration
    :param conf: configuration of oslo.messaging, e.g. of a nova.conf; None
        is all defaults
    :raises BusError: there is no such bus
    """
    if conf is None:
        conf = cfg.ConfigOpts()
        conf([], project='nova', default_config_files=[])
    oslo_messaging.set_transport_defaults(EXCHANGE)
    conf.register_opts(impl_rabbit.rabbit_opts, 'oslo_messaging_rabbit')
    conf.set_default('rabbit_qos_prefetch_count', _PREFETCH,
                     'oslo_messaging_rabbit')
    conf.set_default('heartbeat_timeout_threshold', _HEARTBEAT,
                     'oslo_messaging_rabbit')
    try:
        return oslo_messaging.get_notification_transport(conf, url)
    except oslo_messaging.DriverLoadFailure as error:
        raise BusError(f'transport_url: {error}') from None
    except (oslo_messaging.InvalidTransportURL, ValueError):
        # The text of a ValueError may be a part of the password.
        raise BusError(
            'transport_url is not a URL like '
            'rabbit://USER:PASSWORD@HOST:5672/VHOST with the special '
            'characters of the password percent-encoded') from None


def check(transport: oslo_messaging.NotificationTransport) -> None:
    """Try RabbitMQ once; another bus is taken as it is.

    :raises BusRefused: it does not let this user in; to wait is no use
    :raises BusError: it can't be reached
    """
    with _connection(transport):
        pass


def delete_pool(transport: oslo_messaging.NotificationTransport,
                pool: str) -> None:
    """Delete what RabbitMQ keeps for a consumer that will not come back.

    :raises BusError: it can't be reached
    """
    with _connection(transport) as connection:
        if connection:
            connection.channel.queue_delete(pool)


@contextlib.contextmanager
def _connection(transport: oslo_messaging.NotificationTransport
                ) -> Iterator[impl_rabbit.Connection | None]:
    driver = transport._driver
    if not isinstance(driver, impl_rabbit.RabbitDriver):
        yield None
        return
    where = bus_check.hosts(driver._url, 5672)
    try:
        connection = rabbit_check.connect(driver)
        yield connection
        connection.close()
    except (amqp_exc.AccessRefused, amqp_exc.NotAllowed) as error:
        raise BusRefused(f'{where}: {rabbit_check.reason(error)}') from error
    except (*rabbit_check.TROUBLE, RuntimeError) as error:
        raise BusError(f'{where}: {rabbit_check.reason(error)}') from error
