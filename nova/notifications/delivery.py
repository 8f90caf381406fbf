# SPDX-License-Identifier: Apache-2.0
"""How a finished notification leaves: the seam between change and bus.

A way of delivery is called inside the change's transaction, so it may write
to the database and is undone with the change, or wait for the commit.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import logging
from typing import Any

from nova import conf as nova_conf
from nova import rpc
from nova.context import RequestContext
from nova.db.main import api as db

LOG = logging.getLogger(__name__)
CONF = nova_conf.CONF


@dataclasses.dataclass(frozen=True, slots=True)
class Notification:
    """What is said, ready for the bus.

    :ivar publisher_id: ``<source>:<host>``
    :ivar event_type: ``<object>.<action>``
    :ivar priority: lower case, e.g. ``info``
    :ivar payload: primitive of a payload object
    """

    publisher_id: str
    event_type: str
    priority: str
    payload: dict[str, Any]


def deliver(context: RequestContext, notification: Notification) -> None:
    """Deliver as ``[notifications] delivery`` says."""
    _DELIVERIES[CONF.notifications.delivery](context, notification)


def _direct(context: RequestContext, notification: Notification) -> None:
    """Send right after the commit, at most once."""
    db.defer(context, functools.partial(_send, context, notification))


def _send(context: RequestContext, notification: Notification) -> None:
    notifier = rpc.get_versioned_notifier(notification.publisher_id)
    try:
        getattr(notifier, notification.priority)(
            context, event_type=notification.event_type,
            payload=notification.payload)
    except Exception:
        # The change is committed: it must not look failed to the caller.
        LOG.exception('%s of %s could not be sent', notification.event_type,
                      notification.publisher_id)


_DELIVERIES: dict[str, Callable[[RequestContext, Notification], None]] = {
    'direct': _direct,
}
