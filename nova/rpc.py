# SPDX-License-Identifier: Apache-2.0
"""The message bus: transports and notifiers (oslo.messaging).

The names in capitals are set by :func:`init` and are Nova's public ones.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import logging
from typing import Any

from oslo_config import cfg
import oslo_messaging as messaging
from oslo_serialization import jsonutils

from nova import bus
from nova import conf as nova_conf
from nova import context as nova_context
from nova import exception

LOG = logging.getLogger(__name__)
CONF = nova_conf.CONF

TRANSPORT: Any = None
NOTIFICATION_TRANSPORT: Any = None
LEGACY_NOTIFIER: Any = None
NOTIFIER: Any = None

_SENDER_LOG = 'oslo_messaging.notify.messaging'

ALLOWED_EXMODS = [exception.__name__]
EXTRA_EXMODS: list[str] = []


class LossCounter(logging.Handler):
    """Counts the notifications that were given up.

    oslo.messaging reports them only in its log.

    :ivar lost: number since the start of the process
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one; the handler's lock is held."""
        self.lost += 1
        LOG.error('A notification was lost, %s since the start: the message '
                  'bus did not take it within [oslo_messaging_notifications] '
                  'retry attempts, or had no queue for it', self.lost)


LOSSES = LossCounter()


def init(conf: cfg.ConfigOpts) -> None:
    """Make the transports and notifiers that the configuration asks for.

    Nothing is connected before the first message.
    """
    global TRANSPORT, NOTIFICATION_TRANSPORT, LEGACY_NOTIFIER, NOTIFIER
    exmods = get_allowed_exmods()
    TRANSPORT = create_transport(get_transport_url())
    NOTIFICATION_TRANSPORT = messaging.get_notification_transport(
        conf, allowed_remote_exmods=exmods)
    bus.report_unroutable(NOTIFICATION_TRANSPORT)
    wanted = conf.notifications.notification_format
    LEGACY_NOTIFIER = messaging.Notifier(
        NOTIFICATION_TRANSPORT,
        serializer=RequestContextSerializer(JsonPayloadSerializer()),
        driver=None if wanted in ('unversioned', 'both') else 'noop')
    NOTIFIER = messaging.Notifier(
        NOTIFICATION_TRANSPORT,
        serializer=RequestContextSerializer(None),
        topics=conf.notifications.versioned_notifications_topics,
        driver=_versioned_driver(conf, wanted))
    logging.getLogger(_SENDER_LOG).addHandler(LOSSES)


def _versioned_driver(conf: cfg.ConfigOpts, wanted: str) -> str | None:
    if wanted == 'unversioned':
        return 'noop'
    if not NOTIFICATION_TRANSPORT.conf.oslo_messaging_notifications.driver:
        LOG.warning(
            '[notifications] notification_format is %s, but '
            '[oslo_messaging_notifications] driver is not set: nothing is '
            'sent. Set it to messagingv2 to send notifications.', wanted)
        return 'noop'
    return None


def cleanup() -> None:
    """Close the transports; the next use needs :func:`init`."""
    global TRANSPORT, NOTIFICATION_TRANSPORT, LEGACY_NOTIFIER, NOTIFIER
    for transport in (TRANSPORT, NOTIFICATION_TRANSPORT):
        if transport is not None:
            transport.cleanup()
    TRANSPORT = NOTIFICATION_TRANSPORT = LEGACY_NOTIFIER = NOTIFIER = None


def set_defaults(control_exchange: str) -> None:
    """Set the exchange that messages go to unless it is configured."""
    messaging.set_transport_defaults(control_exchange)


def add_extra_exmods(*modules: str) -> None:
    """Allow more modules' exceptions to come back from remote calls."""
    EXTRA_EXMODS.extend(modules)


def clear_extra_exmods() -> None:
    EXTRA_EXMODS.clear()


def get_allowed_exmods() -> list[str]:
    return ALLOWED_EXMODS + EXTRA_EXMODS


def get_transport_url(url_str: str | None = None) -> messaging.TransportURL:
    """Parse a transport URL; None for ``transport_url``."""
    return messaging.TransportURL.parse(CONF, url_str)


def control_exchange() -> str:
    """Return the exchange that messages go to."""
    # Parsing a URL registers the option.
    get_transport_url('fake:/')
    return CONF.control_exchange


def create_transport(url: messaging.TransportURL) -> messaging.Transport:
    """Make an RPC transport."""
    return messaging.get_rpc_transport(
        CONF, url=url, allowed_remote_exmods=get_allowed_exmods())


def get_client(target: messaging.Target, version_cap: str | None = None,
               serializer: Any = None,
               call_monitor_timeout: int | None = None) -> Any:
    """Make an RPC client."""
    return messaging.get_rpc_client(
        TRANSPORT, target, version_cap=version_cap,
        serializer=RequestContextSerializer(serializer),
        call_monitor_timeout=call_monitor_timeout)


def get_server(target: messaging.Target, endpoints: list[Any],
               serializer: Any = None) -> Any:
    """Make an RPC server on threads."""
    return messaging.get_rpc_server(
        TRANSPORT, target, endpoints, executor='threading',
        serializer=RequestContextSerializer(serializer),
        access_policy=messaging.DefaultRPCAccessPolicy)


def get_notifier(service: str, host: str | None = None) -> messaging.Notifier:
    """Return a legacy notifier that publishes as ``service.host``."""
    return LEGACY_NOTIFIER.prepare(
        publisher_id=f'{service}.{host or CONF.host}')


def get_versioned_notifier(publisher_id: str) -> messaging.Notifier:
    """Return a notifier on the versioned topics."""
    return NOTIFIER.prepare(publisher_id=publisher_id)


def notifications_enabled() -> bool:
    """Return whether a versioned notification would reach a driver."""
    return (NOTIFIER.is_enabled()
            and CONF.notifications.notification_format != 'unversioned')


def if_notifications_enabled(function: Callable[..., Any]
                             ) -> Callable[..., Any]:
    """Skip a function, returning None, unless notifications are enabled."""
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if notifications_enabled():
            return function(*args, **kwargs)
        return None
    return wrapper


class JsonPayloadSerializer(messaging.NoOpSerializer):
    """Makes payloads plain JSON values."""

    def serialize_entity(self, context: Any, entity: Any) -> Any:
        return jsonutils.to_primitive(entity, convert_instances=True)


class RequestContextSerializer(messaging.Serializer):
    """Sends the context as a dict, and entities through another serializer.

    :param base: serializer of entities; None leaves them as they are
    """

    def __init__(self, base: messaging.Serializer | None) -> None:
        self._base = base or messaging.NoOpSerializer()

    def serialize_entity(self, context: Any, entity: Any) -> Any:
        return self._base.serialize_entity(context, entity)

    def deserialize_entity(self, context: Any, entity: Any) -> Any:
        return self._base.deserialize_entity(context, entity)

    def serialize_context(self, context: Any) -> dict[str, Any]:
        return context if isinstance(context, dict) else context.to_dict()

    def deserialize_context(self, context: dict[str, Any]) -> Any:
        return nova_context.RequestContext.from_dict(context)
