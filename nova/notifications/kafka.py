# SPDX-License-Identifier: Apache-2.0
"""Puts a notification on Kafka and waits until the brokers have it.

oslo.messaging's driver hands a record to librdkafka and forgets it. This one
sends the same bytes to the same topic with the same settings, and reads the
delivery report.
"""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Any

import confluent_kafka
import oslo_messaging
from oslo_messaging._drivers import impl_kafka
from oslo_serialization import jsonutils

LOG = logging.getLogger(__name__)

#: seconds that the brokers have to take a record
PATIENCE = 5.0

_REFUSALS = frozenset({
    confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE,
    confluent_kafka.KafkaError.INVALID_MSG,
    confluent_kafka.KafkaError.INVALID_MSG_SIZE,
    confluent_kafka.KafkaError.RECORD_LIST_TOO_LARGE,
    confluent_kafka.KafkaError.INVALID_RECORD})


class RecordRefused(Exception):
    """The brokers will never take this record."""


class Sender:
    """Sends one record at a time, so that their order is kept.

    :param transport: whose driver is ``kafka``
    :param guard: called directly before a record is handed to librdkafka;
        when it raises, the record is not sent
    """

    def __init__(self, transport: oslo_messaging.Transport,
                 guard: Callable[[], None]) -> None:
        self._guard = guard
        driver = transport._driver
        self._virtual_host = driver.virtual_host
        settings = driver.pconn
        librdkafka_log = logging.getLogger(f'{__name__}.librdkafka')
        if not LOG.isEnabledFor(logging.DEBUG):
            # Each attempt to connect would be an error.
            librdkafka_log.setLevel(logging.CRITICAL)
        self._producer = confluent_kafka.Producer({
            'bootstrap.servers': ','.join(settings.hostaddrs),
            'compression.codec': settings.compression_codec,
            'security.protocol': settings.security_protocol,
            'sasl.mechanism': settings.sasl_mechanism,
            'sasl.username': settings.username,
            'sasl.password': settings.password,
            'ssl.ca.location': settings.ssl_cafile,
            'ssl.certificate.location': settings.ssl_client_cert_file,
            'ssl.key.location': settings.ssl_client_key_file,
            'ssl.key.password': settings.ssl_client_key_password,
            'linger.ms': 0,
            'message.timeout.ms': int(PATIENCE * 1000),
        }, logger=librdkafka_log)

    def send(self, key: str, target: oslo_messaging.Target,
             context: dict[str, Any], message: dict[str, Any]) -> None:
        """Return when the brokers have confirmed a notification.

        :param key: records of one key stay in order: they share a partition
        :raises RecordRefused: they will never take it
        :raises ConnectionError: they did not take it this time
        """
        reports: list[confluent_kafka.KafkaError | None] = []
        body = jsonutils.dumps(impl_kafka.pack_message(context, message))
        self._guard()
        try:
            self._producer.produce(
                impl_kafka.target_to_topic(target, vhost=self._virtual_host),
                body.encode(), key=key,
                on_delivery=lambda error, _record: reports.append(error))
            while not reports:
                self._producer.poll(1)
        except confluent_kafka.KafkaException as error:
            reports.append(error.args[0])
        (failure,) = reports
        if failure is None:
            return
        if failure.code() in _REFUSALS:
            raise RecordRefused(failure.str())
        raise ConnectionError(failure.str())
