# SPDX-License-Identifier: Apache-2.0
"""A service of Nova, and what is said when it changes."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from oslo_utils import timeutils
from oslo_utils import uuidutils
from oslo_utils import versionutils

from nova import availability_zones
from nova import exception
from nova import rpc
from nova.db.main import api as db
from nova.notifications import delivery
from nova.notifications.objects import base as notification
from nova.notifications.objects import service as service_notification
from nova.objects import base
from nova.objects import fields

LOG = logging.getLogger(__name__)

#: What a process of this code registers; grows when processes of different
#: versions must tell each other apart.
SERVICE_VERSION = 74

SERVICE_VERSION_ALIASES = {
    'Victoria': 52, 'Wallaby': 54, 'Xena': 57, 'Yoga': 61, 'Zed': 64,
    'Antelope': 66, 'Bobcat': 66, 'Caracal': 66, 'Dalmatian': 67,
    'Epoxy': 68, 'Flamingo': 70, 'Gazpacho': 72, 'Hibiscus': 74,
}

OLDEST_SUPPORTED_SERVICE_VERSION = 'Gazpacho'

#: A save of one of these is announced; a heartbeat is not.
ANNOUNCED = frozenset(('disabled', 'disabled_reason', 'forced_down'))

_NOT_STORED = frozenset(('id', 'availability_zone', 'compute_node'))


@base.NovaObjectRegistry.register
class Service(base.NovaPersistentObject, base.NovaObject,
              base.NovaObjectDictCompat):
    """The record of a process on a host.

    Remotable methods carry no type annotations: those would change the
    object's fingerprint.
    """

    # 1.0: Initial version
    # 1.1: compute_node
    # 1.2: Text fields are unicode
    # 1.3: ComputeNode 1.5
    # 1.4: use_slave in get_by_compute_host
    # 1.5 - 1.9: ComputeNode 1.6 - 1.10
    # 1.10: compute_node is loaded lazily
    # 1.11: get_by_host_and_binary
    # 1.12: ComputeNode 1.11
    # 1.13: last_seen_up
    # 1.14: forced_down
    # 1.15: ComputeNode 1.12
    # 1.16: version
    # 1.17, 1.18: ComputeNode 1.13, 1.14
    # 1.19: get_minimum_version
    # 1.20: get_minimum_version_multi
    # 1.21: uuid
    # 1.22: get_by_uuid
    VERSION = '1.22'

    fields = {  # type: ignore[assignment]
        'id': fields.IntegerField(read_only=True),
        'uuid': fields.UUIDField(),
        'host': fields.StringField(nullable=True),
        'binary': fields.StringField(nullable=True),
        'topic': fields.StringField(nullable=True),
        'report_count': fields.IntegerField(),
        'disabled': fields.BooleanField(),
        'disabled_reason': fields.StringField(nullable=True),
        'availability_zone': fields.StringField(nullable=True),
        'compute_node': fields.ObjectField('ComputeNode'),
        'last_seen_up': fields.DateTimeField(nullable=True),
        'forced_down': fields.BooleanField(),
        'version': fields.IntegerField(),
    }

    _MIN_VERSION_CACHE: dict[str, int] = {}
    _SERVICE_VERSION_CACHING = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if 'version' in kwargs:
            raise exception.ObjectActionError(
                action='init', reason='Version field is immutable')
        super().__init__(*args, **kwargs)
        self.version = SERVICE_VERSION

    def obj_make_compatible_from_manifest(
            self, primitive: dict[str, Any], target_version: str,
            version_manifest: dict[str, str] | None) -> None:
        super().obj_make_compatible_from_manifest(
            primitive, target_version, version_manifest)
        target = versionutils.convert_version_to_tuple(target_version)
        for name, since in (('uuid', (1, 21)), ('version', (1, 16)),
                            ('forced_down', (1, 14)),
                            ('last_seen_up', (1, 13))):
            if target < since:
                primitive.pop(name, None)

    @staticmethod
    def _from_db_object(context: Any, service: Service,
                        row: db.Row) -> Service:
        """Take over a row; afterwards nothing counts as changed.

        Values are stored past the setters: they have the fields' types, and
        coercing them again takes most of the time of a large listing.
        """
        attributes = service.__dict__
        for name, attribute, nullable in _LOADED:
            value = row[name]
            if value is None and not nullable:
                setattr(service, name, value)
            attributes[attribute] = value
        for name, attribute in _LOADED_TIMES:
            value = row[name]
            attributes[attribute] = value and value.replace(
                tzinfo=datetime.UTC)
        attributes['_obj_deleted'] = bool(row['deleted'])
        service._context = context
        service._changed_fields = set()
        return service

    @classmethod
    def _from_row(cls, context: Any, row: db.Row) -> Service:
        return cls._from_db_object(context, cls.__new__(cls), row)

    def obj_load_attr(self, attrname: str) -> None:
        """Refuse to load: compute nodes are kept elsewhere.

        :raises OrphanedObjectError: the object has no context
        :raises ObjectActionError: the field can't be loaded later
        :raises ServiceNotFound: only nova-compute has a compute node
        """
        if not self._context:
            raise exception.OrphanedObjectError(
                method='obj_load_attr', objtype=self.obj_name())
        if attrname == 'compute_node' and 'binary' in self and 'id' in self:
            if self.binary != 'nova-compute':
                raise exception.ServiceNotFound(service_id=self.id)
            raise exception.ObjectActionError(
                action='obj_load_attr',
                reason='compute nodes are not kept in the service registry')
        raise exception.ObjectActionError(
            action='obj_load_attr',
            reason=f'attribute {attrname} not lazy-loadable')

    @classmethod
    @base.remotable
    def get_by_id(cls, context, service_id):
        """Return the service with this id.

        :raises ServiceNotFound: there is none
        """
        return cls._from_row(context, db.service_get(context, service_id))

    @classmethod
    @base.remotable
    def get_by_uuid(cls, context, service_uuid):
        """Return the service with this uuid.

        :raises ServiceNotFound: there is none
        """
        return cls._from_row(
            context, db.service_get_by_uuid(context, service_uuid))

    @classmethod
    @base.remotable
    def get_by_host_and_topic(cls, context, host, topic):
        """Return the enabled service of a host and topic.

        :raises ServiceNotFound: there is none
        """
        row = db.service_get_by_host_and_topic(context, host, topic)
        if row is None:
            raise exception.ServiceNotFound(
                service_id=f'with topic {topic} on host {host}')
        return cls._from_row(context, row)

    @classmethod
    @base.remotable
    def get_by_host_and_binary(cls, context, host, binary):
        """Return the service of a host and binary, or None."""
        try:
            row = db.service_get_by_host_and_binary(context, host, binary)
        except exception.HostBinaryNotFound:
            return None
        return cls._from_row(context, row)

    @classmethod
    @base.remotable
    def get_by_compute_host(cls, context, host, use_slave=False):
        """Return the nova-compute service of a host.

        :raises ComputeHostNotFound: there is none
        """
        return cls._from_row(context, cls._db_get_by_compute_host(
            context, host, use_slave=use_slave))

    @classmethod
    @db.select_db_reader_mode
    def _db_get_by_compute_host(cls, context: Any, host: str) -> db.Row:
        return db.service_get_by_compute_host(context, host)

    @classmethod
    @base.remotable
    def get_by_args(cls, context, host, binary):
        """Return the service of a host and binary (deprecated).

        :raises HostBinaryNotFound: there is none
        """
        return cls._from_row(
            context, db.service_get_by_host_and_binary(context, host, binary))

    @base.remotable
    def create(self):
        """Store the service and announce service.create.

        :raises ObjectActionError: it is stored already
        :raises ServiceTooOld: newer services of its binary are there
        :raises ServiceBinaryExists: host and binary are taken
        :raises ServiceTopicExists: host and topic are taken
        :raises ServiceUUIDExists: the uuid is taken
        :raises ServiceFieldTooLong: a text is longer than its column
        :raises ServiceFieldNotStorable: a text is none in its charset
        :raises ValueError: a service of this host or binary can't be
            announced
        """
        if 'id' in self:
            raise exception.ObjectActionError(
                action='create', reason='already created')
        values = self._stored_changes()
        values.setdefault('uuid', uuidutils.generate_uuid())
        _check_publisher(values.get('host'), values.get('binary'))
        self.check_minimum_version()
        row = _create(self._context, values, self)
        self._from_db_object(self._context, self, row)

    @base.remotable
    def save(self):
        """Store the changed fields; announce service.update if they matter.

        :raises ServiceNotFound: the service was deleted
        :raises ServiceTooOld: the version was set to one that is older than
            the other services of the binary
        :raises ServiceFieldTooLong: a text is longer than its column
        :raises ServiceFieldNotStorable: a text is none in its charset
        :raises ValueError: a service of this host or binary can't be
            announced
        """
        changes = self._stored_changes()
        if 'version' in changes:
            # Only a process sets it. What an operator does to an old record
            # must be possible whatever is newer.
            self.check_minimum_version()
        row = _save(self._context, changes, self)
        self._from_db_object(self._context, self, row)

    @base.remotable
    def destroy(self):
        """Delete the service and announce service.delete.

        :raises ServiceNotFound: it was deleted already
        """
        _destroy(self._context, self)

    def announce(self):
        """Announce service.update though nothing has changed.

        It tells the stored state, and no newer one is told before it. Not
        inside a transaction.

        :raises ServiceNotFound: the service was deleted
        :raises ValueError: a service of this host or binary can't be
            announced
        """
        _announce_stored(delivery.lock_holder(self._context), self)

    def _stored_changes(self) -> dict[str, Any]:
        return {name: (timeutils.normalize_time(value)
                       if isinstance(value, datetime.datetime) else value)
                for name in self._changed_fields
                if name in self.fields and name not in _NOT_STORED
                for value in [getattr(self, name)]}

    def check_minimum_version(self) -> None:
        """Check the version against the other services of the binary.

        Not in the transaction of a change: that would begin with a read, and
        SQLite lets only one of two such transactions go on to write.

        :raises ServiceTooOld: one that counts is newer than this
        """
        if 'version' not in self or 'binary' not in self:
            return
        minimum = self.get_minimum_version(self._context, self.binary)
        if minimum > self.version:
            raise exception.ServiceTooOld(
                thisver=self.version, minver=minimum)

    @classmethod
    def enable_min_version_cache(cls) -> None:
        """Remember minimum versions; for processes, which live long."""
        cls.clear_min_version_cache()
        cls._SERVICE_VERSION_CACHING = True

    @classmethod
    def clear_min_version_cache(cls) -> None:
        """Ask the database again; caching stays as it was."""
        cls._MIN_VERSION_CACHE = {}

    @classmethod
    @base.remotable
    def get_minimum_version_multi(cls, context, binaries, use_slave=False):
        """Return the smallest version of the binaries' services, or 0.

        :raises ObjectActionError: a binary does not start with ``nova-``
        """
        for binary in binaries:
            if not binary.startswith('nova-'):
                LOG.warning("Minimum version asked of '%s', which is not a "
                            "binary that starts with nova-", binary)
                raise exception.ObjectActionError(
                    action='get_minimum_version',
                    reason='Invalid binary prefix')
        cached = cls._MIN_VERSION_CACHE
        if not cls._SERVICE_VERSION_CACHING or any(
                binary not in cached for binary in binaries):
            found = cls._db_minimum_version(
                context, binaries, use_slave=use_slave)
            if cls._SERVICE_VERSION_CACHING:
                cached.update(found)
        else:
            found = {binary: cached[binary] for binary in binaries}
        return min(found.values(), default=0)

    @classmethod
    @db.select_db_reader_mode
    def _db_minimum_version(cls, context: Any,
                            binaries: list[str]) -> dict[str, int | None]:
        return db.service_get_minimum_version(context, binaries)

    @classmethod
    @base.remotable
    def get_minimum_version(cls, context, binary, use_slave=False):
        """Return the smallest version of a binary's services, or 0.

        :raises ObjectActionError: the binary does not start with ``nova-``
        """
        return cls.get_minimum_version_multi(
            context, [binary], use_slave=use_slave)


_TIMES = ('created_at', 'updated_at', 'deleted_at', 'last_seen_up')
_LOADED_TIMES = tuple((name, base.get_attrname(name)) for name in _TIMES)
_LOADED = tuple(
    (name, base.get_attrname(name), field.nullable)  # type: ignore[attr-defined]
    for name, field in Service.fields.items()
    if name not in {*_TIMES, 'deleted', 'availability_zone', 'compute_node'})


def get_minimum_version_all_cells(context: Any, binaries: list[str],
                                  require_all: bool = False) -> int:
    """Return the smallest version of the binaries' services, or 0.

    There is one cell here, so ``require_all`` makes no difference.
    """
    return Service.get_minimum_version_multi(context, binaries)


@db.transactional
def _create(context: Any, values: dict[str, Any], service: Service) -> db.Row:
    row = db.service_create(context, values)
    _announce(service, row, fields.NotificationAction.CREATE)
    return row


@db.transactional
def _save(context: Any, changes: dict[str, Any], service: Service) -> db.Row:
    if not changes:
        return db.service_get(context, service.id)
    row = db.service_update(context, service.id, changes)
    announced = not ANNOUNCED.isdisjoint(changes)
    if announced or 'host' in changes or 'binary' in changes:
        _check_publisher(row['host'], row['binary'])
    if announced:
        _announce(service, row, fields.NotificationAction.UPDATE)
    return row


@db.transactional
def _destroy(context: Any, service: Service) -> None:
    row = db.service_destroy(context, service.id)
    try:
        _check_publisher(row['host'], row['binary'])
    except ValueError as error:
        # Such a row can only have come in another way; it must be removable.
        LOG.warning('Service %s was deleted without a notification: %s',
                    row['uuid'], error)
        return
    _announce(service, row, fields.NotificationAction.DELETE)


@db.transactional
def _announce_stored(holder: Any, service: Service) -> None:
    row = db.service_lock(holder, service.id)
    _check_publisher(row['host'], row['binary'])
    _announce(service, row, fields.NotificationAction.UPDATE)


def _check_publisher(host: str | None, binary: str | None) -> None:
    fields.NotificationSource.check_binary(binary)
    if host is None:
        raise exception.ServiceWithoutHost(binary=binary)


@rpc.if_notifications_enabled
def _announce(service: Service, row: db.Row, action: str) -> None:
    """Say what happened to a service, with its row as it is stored now."""
    stored = Service._from_row(service._context, row)
    if 'availability_zone' in service:
        stored.availability_zone = service.availability_zone
    _notification(
        stored, service_notification.ServiceStatusPayload(stored), action,
    ).emit(service._context)


def current_notification(context: Any, row: db.Row,
                         action: str) -> delivery.Notification:
    """Return the notification of a service as its row is now.

    It works even while notifications are disabled in this process, for
    ``nova-manage``, whose ``nova.conf`` need not name a bus.

    :param action: value of NotificationAction
    :raises ValueError: a service of this host or binary can't be announced
    """
    _check_publisher(row['host'], row['binary'])
    stored = Service._from_row(context, row)
    return _notification(
        stored, service_notification.ServiceStatusPayload.of(service=stored),
        action).to_delivery()


def _notification(
        stored: Service, payload: service_notification.ServiceStatusPayload,
        action: str) -> service_notification.ServiceStatusNotification:
    return service_notification.ServiceStatusNotification(
        priority=fields.NotificationPriority.INFO,
        event_type=notification.EventType(object='service', action=action),
        publisher=notification.NotificationPublisher.from_service_obj(stored),
        payload=payload)


@base.NovaObjectRegistry.register
class ServiceList(base.ObjectListBase, base.NovaObject):
    """Services in id order."""

    # 1.0 - 1.19: follow Service; in between
    # 1.9: get_by_binary
    # 1.18: include_disabled in get_by_binary
    # 1.19: get_all_computes_by_hv_type
    VERSION = '1.19'

    fields = {
        'objects': fields.ListOfObjectsField('Service'),
    }

    @classmethod
    def _from_rows(cls, context: Any, rows: list[db.Row]) -> ServiceList:
        services = cls(context)
        # Past the setter, which would coerce every element.
        services.__dict__['_obj_objects'] = [
            Service._from_row(context, row) for row in rows]
        return services

    @classmethod
    @base.remotable
    def get_by_topic(cls, context, topic):
        """Return the enabled services of a topic."""
        return cls._from_rows(
            context, db.service_get_all_by_topic(context, topic))

    @classmethod
    @base.remotable
    def get_by_binary(cls, context, binary, include_disabled=False):
        """Return the services of a binary."""
        return cls._from_rows(context, db.service_get_all_by_binary(
            context, binary, include_disabled=include_disabled))

    @classmethod
    @base.remotable
    def get_by_host(cls, context, host):
        """Return the enabled and disabled services of a host."""
        return cls._from_rows(
            context, db.service_get_all_by_host(context, host))

    @classmethod
    @base.remotable
    def get_all(cls, context, disabled=None, set_zones=False):
        """Return all services.

        disabled=None gives enabled and disabled ones; set_zones fills
        availability_zone.
        """
        services = cls._from_rows(
            context, db.service_get_all(context, disabled=disabled))
        if set_zones:
            for service in services:
                service.availability_zone = availability_zones.zone_of(
                    service.topic)
                service.obj_reset_changes(['availability_zone'])
        return services

    @classmethod
    def get_rows(cls, context: Any, host: str | None = None,
                 binary: str | None = None) -> list[db.Row]:
        """Return services as plain dicts of their columns, times naive UTC.

        For listings: making an object takes most of the time of a large one.
        """
        return db.service_get_all(context, host=host, binary=binary)

    @classmethod
    @base.remotable
    def get_all_computes_by_hv_type(cls, context, hv_type):
        """Refuse: hypervisor types are not kept in the service registry.

        :raises ObjectActionError: always
        """
        raise exception.ObjectActionError(
            action='get_all_computes_by_hv_type',
            reason='compute nodes are not kept in the service registry')
