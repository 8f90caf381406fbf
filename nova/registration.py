# SPDX-License-Identifier: Apache-2.0
"""How a process takes up its record in the registry, or makes it."""

from __future__ import annotations

import logging
from typing import Any

from nova import exception
from nova.conf import CONF
from nova.notifications import delivery
from nova.objects import service as service_obj

LOG = logging.getLogger(__name__)


def register(context: Any, host: str, binary: str, topic: str | None,
             found: service_obj.Service | None) -> service_obj.Service:
    """Return the record of a process of this code's version.

    :param found: the record that is there, or None to make one
    :raises ServiceTooOld: newer services of this binary are there
    :raises ServiceTopicExists: another binary holds host and topic
    :raises ConfigurationError: notifications could not be kept
    """
    delivery.check(context)
    if found is None:
        created = service_obj.Service(
            context, host=host, binary=binary, topic=topic, report_count=0)
        try:
            created.create()
        except (exception.ServiceTopicExists,
                exception.ServiceBinaryExists) as error:
            # Another process of the same service was faster.
            found = service_obj.Service.get_by_host_and_binary(
                context, host, binary)
            if found is None:
                raise _in_the_way(context, host, topic, error) from error
        else:
            return created
    if found.version != service_obj.SERVICE_VERSION:
        LOG.info('Updating service version of %(binary)s on %(host)s from '
                 '%(old)i to %(new)i',
                 {'binary': binary, 'host': host, 'old': found.version,
                  'new': service_obj.SERVICE_VERSION})
        found.version = service_obj.SERVICE_VERSION
        found.save()
    else:
        found.check_minimum_version()
    return found


def check_computes(context: Any) -> None:
    """Refuse to start a process beside a nova-compute that is too old.

    :raises TooOldComputeService: the oldest nova-compute is older than this
        release supports, and [workarounds]
        disable_compute_service_check_for_ffu is not set
    """
    oldest = service_obj.OLDEST_SUPPORTED_SERVICE_VERSION
    needed = service_obj.SERVICE_VERSION_ALIASES[oldest]
    found = service_obj.Service.get_minimum_version(context, 'nova-compute')
    if not 0 < found < needed:
        return
    error = exception.TooOldComputeService(
        oldest_supported_version=oldest, scope='system',
        min_service_level=found, oldest_supported_service=needed)
    if not CONF.workarounds.disable_compute_service_check_for_ffu:
        raise error
    LOG.warning('%s', error)


def _in_the_way(context: Any, host: str, topic: str | None,
                error: Exception) -> Exception:
    for other in service_obj.ServiceList.get_by_host(context, host):
        if other.topic == topic:
            return exception.ServiceTopicExists(
                f'{error} It belongs to {other.binary} (service '
                f'{other.uuid}): stop and delete that one, or use another '
                'host.')
    return error
