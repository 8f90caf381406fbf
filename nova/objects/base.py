# SPDX-License-Identifier: Apache-2.0
"""Nova's flavour of versioned objects."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import TYPE_CHECKING, Any

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base

from nova import objects
from nova.objects import fields

remotable = ovo_base.remotable
obj_make_list = ovo_base.obj_make_list
NovaObjectDictCompat = ovo_base.VersionedObjectDictCompat
NovaTimestampObject = ovo_base.TimestampedObject

_notification_classes: list[type[NovaObject]] = []


def get_attrname(name: str) -> str:
    """Return the attribute in which a field's value is kept."""
    return f'_obj_{name}'


class NovaObjectRegistry(ovo_base.VersionedObjectRegistry):
    """Registers objects and publishes them on ``nova.objects``."""

    notification_classes = _notification_classes

    def registration_hook(self, cls: type[ovo_base.VersionedObject],
                          index: int) -> None:
        """Publish the newest version of a class."""
        published = getattr(objects, cls.obj_name(), None)
        if published is None or _version(cls) >= _version(published):
            setattr(objects, cls.obj_name(), cls)

    @classmethod
    def register_notification(cls, notification_cls: type[NovaObject]
                              ) -> type[NovaObject]:
        """Give a notification class its fields; it never travels by RPC."""
        cls.register_if(False)(notification_cls)
        cls.notification_classes.append(notification_cls)
        return notification_cls

    @classmethod
    def register_notification_objects(cls) -> None:
        """Register all notification classes, for tests and documentation."""
        for notification_cls in cls.notification_classes:
            cls.register(notification_cls)


def _version(cls: type[ovo_base.VersionedObject]) -> tuple[int, ...]:
    return versionutils.convert_version_to_tuple(cls.VERSION)


class NovaObject(ovo_base.VersionedObject):
    """Base of all objects."""

    OBJ_SERIAL_NAMESPACE = 'nova_object'
    OBJ_PROJECT_NAMESPACE = 'nova'

    if TYPE_CHECKING:
        # The properties that registration makes of the fields.
        def __getattr__(self, name: str) -> Any: ...

    @contextlib.contextmanager
    def obj_alternate_context(self, context: Any) -> Iterator[None]:
        """Use another context inside a ``with`` block."""
        original = self._context
        self._context = context
        try:
            yield
        finally:
            self._context = original


class NovaPersistentObject(ovo_base.VersionedObjectMixin):
    """The fields of an object that is a row with soft delete."""

    fields = {
        'created_at': fields.DateTimeField(nullable=True),
        'updated_at': fields.DateTimeField(nullable=True),
        'deleted_at': fields.DateTimeField(nullable=True),
        'deleted': fields.BooleanField(default=False),
    }


class ObjectListBase(ovo_base.ObjectListBase):
    """A list of objects, with keys in Nova's namespace."""

    @classmethod
    def _obj_primitive_key(cls, field: str) -> str:
        return f'nova_object.{field}'

    @classmethod
    def _obj_primitive_field(
            cls, primitive: dict[str, Any], field: str,
            default: Any = ovo_base.obj_fields.UnspecifiedDefault) -> Any:
        key = cls._obj_primitive_key(field)
        if default is ovo_base.obj_fields.UnspecifiedDefault:
            return primitive[key]
        return primitive.get(key, default)


class NovaObjectSerializer(ovo_base.VersionedObjectSerializer):
    """Sends objects by RPC."""

    OBJ_BASE_CLASS = NovaObject
