# SPDX-License-Identifier: Apache-2.0
"""Can the message bus be reached, and is somebody there?"""

from __future__ import annotations

import socket
from typing import Any

from oslo_config import cfg
import oslo_messaging

from nova.notifications import findings

#: seconds that one answer of the bus may take
PATIENCE = 5.0

_NAME = 'Message bus'
_IN_MEMORY = ('fake', 'kombu+memory')


def open_driver(
        conf: cfg.ConfigOpts) -> tuple[Any, findings.Finding | None]:
    """Return the driver of the bus, or None and why there is none.

    Nothing is connected.
    """
    try:
        driver = oslo_messaging.get_notification_transport(conf)._driver
    except (oslo_messaging.DriverLoadFailure, ImportError) as error:
        return None, findings.failure(_NAME, (
            f'transport_url: {error}. Set it to a URL like '
            'rabbit://USER:PASSWORD@HOST:5672/VHOST; kafka: needs the Python '
            'package confluent_kafka.'))
    except (oslo_messaging.InvalidTransportURL, ValueError):
        # The text of a ValueError may be a part of the password.
        return None, misread()
    text = (conf.oslo_messaging_notifications.transport_url
            or conf.transport_url)
    if '@' in text and not any(host.username for host in driver._url.hosts):
        return None, misread()
    return driver, None


def misread() -> findings.Finding:
    """Say that a URL can't be read, without a part of it."""
    return findings.failure(_NAME, (
        'transport_url is not a URL like '
        'rabbit://USER:PASSWORD@HOST:5672/VHOST with the special characters '
        'of the password percent-encoded. Correct it.'))


def blocks(driver: Any) -> bool:
    """Return whether a sender waits for this bus while it is down."""
    return driver is None or driver._url.transport not in (
        *_IN_MEMORY, 'kafka')


def look(driver: Any, topics: list[str]) -> list[findings.Finding]:
    """Look at the bus and at each topic's queue."""
    scheme = driver._url.transport
    if scheme in _IN_MEMORY:
        return [findings.warning(_NAME, (
            f'transport_url is {scheme}:, a bus inside each process: nothing '
            'leaves it. Set it to rabbit://USER:PASSWORD@HOST:5672/VHOST.'))]
    if scheme == 'kafka':
        return _kafka(driver, topics)
    from nova.notifications import rabbit_check
    return list(rabbit_check.look(driver, topics))


def hosts(url: oslo_messaging.TransportURL, port: int) -> str:
    """Return where the bus should be, without user and password."""
    return ', '.join(f'{host.hostname}:{host.port or port}'
                     for host in url.hosts) or f'localhost:{port}'


def _kafka(driver: Any, topics: list[str]) -> list[findings.Finding]:
    import confluent_kafka
    where = hosts(driver._url, 9092)
    advice = ('Check transport_url, [oslo_messaging_kafka] and that the '
              'brokers run.')
    try:
        _reach(driver._url)
        driver.pconn._ensure_producer()
        # Of all: to ask for one by its name may create it.
        known = driver.pconn.producer.list_topics(timeout=PATIENCE).topics
    except OSError as error:
        return [findings.failure(_NAME, f'{where}: {error}. {advice}')]
    except confluent_kafka.KafkaException as error:
        return [findings.failure(
            _NAME, f'{where}: {error.args[0].str()}. {advice}')]
    vhost = driver.virtual_host
    names = [f'{topic}.info.{vhost}' if vhost else f'{topic}.info'
             for topic in topics]
    return [findings.success(_NAME, f'{where} answers; nothing was sent'),
            *(_kafka_topic(name, known) for name in names)]


def _reach(url: oslo_messaging.TransportURL) -> None:
    """Try whether a broker listens; librdkafka would log each attempt.

    :raises OSError: none does
    """
    trouble: OSError | None = None
    for host in url.hosts:
        try:
            socket.create_connection((host.hostname, host.port or 9092),
                                     PATIENCE).close()
        except OSError as error:
            trouble = error
        else:
            return
    if trouble:
        raise trouble


def _kafka_topic(name: str, known: dict[str, Any]) -> findings.Finding:
    check = f'Topic {name}'
    if name not in known:
        return findings.warning(check, (
            'It does not exist: nobody has sent or listened yet. Create it, '
            'unless the brokers create topics themselves.'))
    if known[name].error is not None:
        return findings.failure(check, f'{known[name].error.str()}.')
    return findings.success(check, (
        f'{len(known[name].partitions)} partitions. Look at its consumers '
        "with 'kafka-consumer-groups --describe --all-groups'."))
