# SPDX-License-Identifier: Apache-2.0
"""Names of availability zones, without aggregates."""

from nova.conf import CONF


def zone_of(topic: str | None) -> str:
    """Return the zone of a service; its topic decides, not its binary."""
    if topic == 'compute':
        return CONF.default_availability_zone
    return CONF.internal_service_availability_zone
