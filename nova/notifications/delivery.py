# SPDX-License-Identifier: Apache-2.0
"""How a finished notification leaves: the seam between change and bus.

A way of delivery is called inside the change's transaction, so it may write
to the database and is undone with the change, or wait for the commit.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import functools
import logging
from typing import Any

import orjson
from oslo_serialization import jsonutils
from oslo_utils import timeutils
from oslo_utils import uuidutils

from nova import conf as nova_conf
from nova import context as nova_context
from nova import exception
from nova import rpc
from nova.context import RequestContext
from nova.db.main import api as db
from nova.db.main import outbox

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


def store(context: RequestContext, notification: Notification,
          topics: list[str] | None = None) -> None:
    """Store what oslo.messaging would have sent, for the relay to send.

    :param topics: to send it to; None means those of ``nova.conf``
    """
    aggregate = notification.payload['nova_object.data']
    sent_context = rpc.RequestContextSerializer(None).serialize_context(
        context.redacted_copy())
    outbox.add(context, {
        'aggregatetype': notification.event_type.partition('.')[0],
        'aggregateid': aggregate['uuid'],
        'type': notification.event_type,
        'payload': _json(notification.payload),
        'message_id': uuidutils.generate_uuid(),
        'timestamp': str(timeutils.utcnow()),
        'publisher_id': notification.publisher_id,
        'priority': notification.priority,
        'topics': _json(CONF.notifications.versioned_notifications_topics
                        if topics is None else topics),
        'context': _json(sent_context)})


def _json(value: Any) -> str:
    """Return compact JSON in ASCII.

    Texts of MySQL's charset utf8 can't store characters of four bytes. The
    relay decodes this JSON, so the escapes do not show in what it sends.
    """
    # orjson refuses lone surrogates, which direct sends.
    with contextlib.suppress(orjson.JSONEncodeError):
        # Values that JSON does not know are converted as oslo.messaging does.
        text = orjson.dumps(value, default=jsonutils.to_primitive,
                            option=orjson.OPT_PASSTHROUGH_DATETIME)
        if text.isascii():
            return text.decode()
    return jsonutils.dumps(value, separators=(',', ':'))


def lock_holder(context: RequestContext) -> RequestContext:
    """Return whose transaction is to hold a row that is only announced.

    So that no newer state can be announced before it: ``outbox`` stores the
    message in that transaction; ``direct`` would wait for the end of its own,
    and sends at once while another context's holds the row.

    :param context: that the message is sent with; of no transaction
    """
    if CONF.notifications.delivery == 'outbox':
        return context
    holder = nova_context.get_admin_context()
    holder.db_connection = context.db_connection
    return holder


def check_enabled() -> None:
    """Refuse to do what makes no sense without notifications.

    :raises ConfigurationError: nothing would be sent
    """
    if not rpc.notifications_enabled():
        raise exception.ConfigurationError(detail=(
            'there is nothing to send to: set [notifications] '
            'notification_format to versioned and '
            '[oslo_messaging_notifications] driver to messagingv2'))


def check(context: RequestContext) -> None:
    """Refuse to start a process whose notifications could not be kept.

    :raises ConfigurationError: there is no outbox to keep them in
    """
    if CONF.notifications.delivery == 'outbox':
        check_outbox(context)


def check_outbox(context: RequestContext) -> None:
    """Refuse to work with a database that has no outbox.

    :raises ConfigurationError: it has none
    """
    if not outbox.exists(context):
        raise exception.ConfigurationError(detail=(
            'the database has no table notification_outbox, which '
            "[notifications] delivery = outbox needs: run 'nova-manage db "
            "sync' first"))


_DELIVERIES: dict[str, Callable[[RequestContext, Notification], None]] = {
    'direct': _direct,
    'outbox': store,
}
