# SPDX-License-Identifier: Apache-2.0
"""Announce every service as it is, for consumers that start from nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import logging
import time
from typing import TypeVar

from oslo_db import exception as db_exc

from nova import exception
from nova import rpc
from nova.context import RequestContext
from nova.objects import service as service_obj

LOG = logging.getLogger(__name__)

T = TypeVar('T')


def announce(context: RequestContext, host: str | None, binary: str | None,
             rate: int) -> tuple[int, int]:
    """Send service.update of each service that is there, in id order.

    :param context: of no transaction
    :param host: of the services; None means any
    :param binary: of the services; None means any
    :param rate: so many services a second, at most
    :return: how many were announced, and how many can't be
    :raises NotificationLost: the bus did not take one; the rest was left
    """
    # Their states are read when their turn comes.
    services = [(row['id'], row['binary'], row['host']) for row in
                service_obj.ServiceList.get_rows(context, host, binary)]
    sent = passed_over = 0
    for service_id, *name in _paced(services, rate):
        lost = rpc.LOSSES.lost
        try:
            service_obj.Service(context, id=service_id).announce()
        except exception.ServiceNotFound:
            # Its deletion has been announced.
            continue
        except ValueError as error:
            LOG.warning('%s of host %s was passed over: %s', *name, error)
            passed_over += 1
            continue
        except db_exc.DBError:
            # A database ends the transaction that holds the service's row if
            # the bus was waited for too long: the bus is what to report.
            if rpc.LOSSES.lost == lost:
                raise
        if rpc.LOSSES.lost > lost:
            raise exception.NotificationLost(sent=sent, number=len(services))
        sent += 1
    return sent, passed_over


def _paced(items: Iterable[T], rate: int) -> Iterator[T]:
    """Yield at even intervals; what was slow is not made up for."""
    due = time.monotonic()
    for item in items:
        time.sleep(max(0, due - time.monotonic()))
        due = max(due, time.monotonic()) + 1 / rate
        yield item
