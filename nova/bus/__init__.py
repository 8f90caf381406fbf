# SPDX-License-Identifier: Apache-2.0
"""The message buses, as far as oslo.messaging's public interface ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import oslo_messaging


def is_rabbit(transport: oslo_messaging.Transport) -> bool:
    """Return whether a transport leads to a RabbitMQ server."""
    return transport._driver._url.transport in ('rabbit', 'kombu')


def report_unroutable(transport: oslo_messaging.Transport) -> None:
    """Make each message of a transport that no queue takes an error.

    :param transport: one without an open connection; a bus other than
        RabbitMQ is left as it is
    """
    if is_rabbit(transport):
        # Only programs that use RabbitMQ load its driver.
        from nova.bus import rabbit
        rabbit.report_unroutable(transport)
