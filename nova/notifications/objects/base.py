# SPDX-License-Identifier: Apache-2.0
"""What every versioned notification is made of."""

from __future__ import annotations

from collections.abc import Callable
import functools
import logging
from typing import Any, Self

from oslo_versionedobjects import exception as ovo_exception

from nova import exception
from nova import rpc
from nova.context import RequestContext
from nova.notifications import delivery
from nova.objects import base
from nova.objects import fields

LOG = logging.getLogger(__name__)

_NOT_LOADABLE = (NotImplementedError, exception.ObjectActionError,
                 exception.OrphanedObjectError,
                 ovo_exception.ObjectActionError,
                 ovo_exception.OrphanedObjectError)


@base.NovaObjectRegistry.register_if(False)
class NotificationObject(base.NovaObject):
    """Base of all parts of a notification."""

    VERSION = '1.0'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # There is no stored state that a change could be relative to.
        self.obj_reset_changes(recursive=False)

    def obj_what_changed(self) -> set[str]:
        """Return the fields that changed, looking only where objects are."""
        changes = set(self._changed_fields)
        cls: Any = type(self)
        for name in _object_fields(cls):
            value = self.__dict__.get(base.get_attrname(name))
            if value is not None and value.obj_what_changed():
                changes.add(name)
        return changes

    def obj_to_primitive(
            self, target_version: str | None = None,
            version_manifest: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the primitive; at its own version without detours."""
        if (version_manifest or self.obj_what_changed()
                or target_version not in (None, self.VERSION)):
            return super().obj_to_primitive(target_version, version_manifest)
        attributes = self.__dict__
        cls: Any = type(self)
        return {
            'nova_object.name': self.obj_name(),
            'nova_object.namespace': self.OBJ_PROJECT_NAMESPACE,
            'nova_object.version': self.VERSION,
            'nova_object.data': {
                name: field.to_primitive(self, name, attributes[attribute])
                for name, attribute, field in _attributes(cls)
                if attribute in attributes}}


@functools.cache
def _attributes(cls: Any) -> list[tuple[str, str, Any]]:
    return [(name, base.get_attrname(name), field)
            for name, field in cls.fields.items()]


@functools.cache
def _object_fields(cls: Any) -> list[str]:
    return [name for name, field in cls.fields.items()
            if isinstance(field, fields.ObjectField)]


@base.NovaObjectRegistry.register_notification
class EventType(NotificationObject):
    """``<object>.<action>[.<phase>]``."""

    # 1.0: Initial version
    # 1.1: More actions
    # 1.2: Action DELETE
    # 1.3, 1.4: More actions
    # 1.5: Actions of aggregates
    # 1.6, 1.7: Fixed ip actions became interface_attach, interface_detach
    # 1.8: Action import
    # 1.9: Action add_member
    # 1.10: Action update_metadata
    # 1.11: Action lock
    # 1.12: Action unlock
    # 1.13: Action rebuild_scheduled
    # 1.14: Action update_prop
    # 1.15: Action live_migration_force_complete
    # 1.16: Action connect
    # 1.17: Action usage
    # 1.18: Actions of compute tasks
    # 1.19: Action select_destinations
    # 1.20: Action cache_images
    # 1.21: Phase progress
    # 1.22: Actions share_attach, share_detach
    VERSION = '1.22'

    fields = {
        'object': fields.StringField(nullable=False),
        'action': fields.NotificationActionField(nullable=False),
        'phase': fields.NotificationPhaseField(nullable=True),
    }

    def __init__(self, object: str, action: str,
                 phase: str | None = None) -> None:
        super().__init__(object=object, action=action, phase=phase)

    def to_notification_event_type_field(self) -> str:
        """Return the event type as it stands on the wire."""
        return '.'.join(
            part for part in (self.object, self.action, self.phase) if part)


@base.NovaObjectRegistry.register_notification
class NotificationPublisher(NotificationObject):
    """``<source>:<host>``."""

    # 1.0: Initial version
    # 2.0: binary renamed to source
    # 2.1: source changed from string to enum
    # 2.2: More values of source
    VERSION = '2.2'

    fields = {
        'host': fields.StringField(nullable=False),
        'source': fields.NotificationSourceField(nullable=False),
    }

    def __init__(self, host: str, source: str) -> None:
        super().__init__(host=host, source=source)

    @classmethod
    def from_service_obj(cls, service: Any) -> NotificationPublisher:
        """Return the publisher that stands for a service record.

        :raises ValueError: notifications can't come from such a service
        """
        source = fields.NotificationSource.get_source_by_binary(service.binary)
        return cls(host=service.host, source=source)


@base.NovaObjectRegistry.register_if(False)
class NotificationPayloadBase(NotificationObject):
    """Base of payloads, whose fields are copied from other objects.

    ``SCHEMA`` maps a field of the payload to (name of the source, field of
    the source); the sources are given to :meth:`populate_schema`.
    """

    VERSION = '1.0'

    SCHEMA: dict[str, tuple[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.populated = not self.SCHEMA

    @rpc.if_notifications_enabled
    def populate_schema(self, set_none: bool = True, **sources: Any) -> None:
        """Copy the fields that ``SCHEMA`` names; nothing while disabled.

        :param set_none: a source field that can't be loaded becomes None
        :param sources: objects by the names that ``SCHEMA`` uses
        :raises ValueError: None, or another value that the field can't have
        """
        self._copy(set_none, sources)

    @classmethod
    def of(cls, **sources: Any) -> Self:
        """Return a populated payload, even while notifications are disabled.

        :param sources: objects by the names that ``SCHEMA`` uses
        :raises ValueError: None, or another value that the field can't have
        """
        payload = cls.__new__(cls)
        NotificationPayloadBase.__init__(payload)
        payload._copy(True, sources)
        return payload

    def _copy(self, set_none: bool, sources: dict[str, Any]) -> None:
        classes: Any = tuple(
            (name, type(source)) for name, source in sources.items())
        payload_class: Any = type(self)
        plan = _copy_plan(payload_class, classes)
        attributes = self.__dict__
        for key, attribute, source, name, stored, as_is in plan:
            value = sources[source].__dict__.get(stored) if as_is else None
            if value is not None:
                attributes[attribute] = value
            else:
                setattr(self, key, self._read(
                    sources[source], name, set_none))
        self.populated = True
        self.obj_reset_changes(recursive=True)

    @staticmethod
    def _read(source: Any, name: str, set_none: bool) -> Any:
        try:
            return getattr(source, name)
        except _NOT_LOADABLE:
            if set_none:
                return None
            LOG.exception('%s.%s could not be loaded for a notification',
                          source.obj_name(), name)
            raise
        except Exception:
            LOG.exception('%s.%s could not be read for a notification',
                          source.obj_name(), name)
            raise


@functools.cache
def _copy_plan(payload: Any, sources: tuple[tuple[str, Any], ...]
               ) -> list[tuple[str, str, str, str, str, bool]]:
    """Return how a payload class is filled from objects of some classes.

    A row is (key, its attribute, source, name, its attribute, whether a value
    can be copied as it is). It can if both fields are of one type: coercing
    it a second time takes most of the time of building a payload.
    """
    classes = dict(sources)
    return [
        (key, base.get_attrname(key), source, name, base.get_attrname(name),
         type(payload.fields[key]) is type(
             getattr(classes[source], 'fields', {}).get(name)))
        for key, (source, name) in payload.SCHEMA.items()]


@base.NovaObjectRegistry.register_if(False)
class NotificationBase(NotificationObject):
    """Base of notifications; a subclass adds its ``payload`` field."""

    VERSION = '1.0'

    fields = {
        'priority': fields.NotificationPriorityField(),
        'event_type': fields.ObjectField('EventType'),
        'publisher': fields.ObjectField('NotificationPublisher'),
    }

    @rpc.if_notifications_enabled
    def emit(self, context: RequestContext) -> None:
        """Send the notification once the context's transaction commits.

        :raises AssertionError: the payload was not populated
        """
        if not self.payload.populated:
            raise AssertionError(
                f'{self.payload.obj_name()} was not populated: '
                'populate_schema() must be called before emit()')
        delivery.deliver(context, self.to_delivery())

    def to_delivery(self) -> delivery.Notification:
        """Return what :mod:`nova.notifications.delivery` delivers."""
        self.payload.obj_reset_changes(recursive=True)
        return delivery.Notification(
            publisher_id=f'{self.publisher.source}:{self.publisher.host}',
            event_type=self.event_type.to_notification_event_type_field(),
            priority=self.priority,
            payload=self.payload.obj_to_primitive())


def notification_sample(sample: str) -> Callable[[Any], Any]:
    """Name a file of ``doc/notification_samples`` that shows a notification.

    Can be given several times, for several events of one class.
    """
    def decorate(cls: Any) -> Any:
        cls.samples = [*getattr(cls, 'samples', []), sample]
        return cls
    return decorate
