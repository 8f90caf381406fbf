# SPDX-License-Identifier: Apache-2.0
"""os-services: list the registry's services, change and delete them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import datetime
import functools
import re
from typing import Any

from oslo_utils import strutils
from oslo_utils import uuidutils

from nova import availability_zones
from nova import exception
from nova import servicegroup
from nova.api.openstack.api_version_request import Version
from nova.api.openstack.faults import Fault
from nova.context import RequestContext
from nova.objects import service as service_obj
from nova.policies import services as policies

#: Records of processes without heartbeat: their state would say nothing.
_UNLISTED = ('nova-osapi_compute', 'nova-metadata')

_MAX_ID = 2 ** 31 - 1


class ServiceController:
    """The operations on services; queries and bodies come validated."""

    def __init__(self) -> None:
        self._servicegroup = servicegroup.API()
        self._actions: dict[str, Callable[..., dict[str, Any]]] = {
            'enable': self._enable, 'disable': self._disable,
            'disable-log-reason': self._disable_log_reason}
        self._actions_2_11 = {
            **self._actions, 'force-down': self._force_down}

    def index(self, context: RequestContext, version: Version,
              query: dict[str, str]) -> dict[str, Any]:
        """Return the services that match the filters ``host`` and ``binary``.

        :raises PolicyNotAuthorized: the context may not list services
        """
        _authorize(context, 'list')
        rows = service_obj.ServiceList.get_rows(
            context, host=query.get('host') or None,
            binary=query.get('binary') or None)
        return {'services': self._records(
            [row for row in rows if row['binary'] not in _UNLISTED],
            version)}

    def update(self, context: RequestContext, version: Version, target: str,
               body: dict[str, Any]) -> dict[str, Any]:
        """Change a nova-compute service.

        :param target: an action and, from 2.53, the service's uuid
        :raises Fault: the change is impossible, or the service unknown
        :raises PolicyNotAuthorized: the context may not update services
        """
        if version >= (2, 53):
            return self._update_by_uuid(context, version, target, body)
        _authorize(context, 'update')
        actions = self._actions_2_11 if version >= (2, 11) else self._actions
        if target not in actions:
            raise Fault(404, 'Unknown action')
        return {'service': actions[target](context, body)}

    def delete(self, context: RequestContext, version: Version,
               target: str) -> None:
        """Delete a service of any binary.

        :param target: the service's id and, from 2.53, its uuid
        :raises InvalidInput: the target is no id
        :raises Fault: the target is no uuid, or the service unknown
        :raises PolicyNotAuthorized: the context may not delete services
        """
        _authorize(context, 'delete')
        try:
            self._find(context, version, target).destroy()
        except exception.ServiceNotFound:
            raise Fault(404, f'Service {target} not found.') from None

    def _find(self, context: RequestContext, version: Version,
              target: str) -> service_obj.Service:
        if version >= (2, 53):
            _check_uuid(target)
            return service_obj.Service.get_by_uuid(context, target)
        if not re.fullmatch('[+-]?[0-9]+', target):
            raise exception.InvalidInput(reason='id must be an integer')
        if len(target) > len(str(_MAX_ID)) or int(target) > _MAX_ID:
            raise exception.ServiceNotFound(service_id=target)
        return service_obj.Service.get_by_id(context, int(target))

    def _enable(self, context: RequestContext,
                body: dict[str, Any]) -> dict[str, Any]:
        self._change(context, body, disabled=False, disabled_reason=None)
        return {'host': body['host'], 'binary': body['binary'],
                'status': 'enabled'}

    def _disable(self, context: RequestContext,
                 body: dict[str, Any]) -> dict[str, Any]:
        self._change(context, body, disabled=True, disabled_reason=None)
        return {'host': body['host'], 'binary': body['binary'],
                'status': 'disabled'}

    def _disable_log_reason(self, context: RequestContext,
                            body: dict[str, Any]) -> dict[str, Any]:
        if 'disabled_reason' not in body:
            raise Fault(400, 'Missing disabled reason field')
        reason = body['disabled_reason']
        self._change(context, body, disabled=True, disabled_reason=reason)
        return {'host': body['host'], 'binary': body['binary'],
                'status': 'disabled', 'disabled_reason': reason}

    def _force_down(self, context: RequestContext,
                    body: dict[str, Any]) -> dict[str, Any]:
        if 'forced_down' not in body:
            raise Fault(400, 'Missing forced_down field')
        forced_down = _boolean(body['forced_down'])
        self._change(context, body, forced_down=forced_down)
        return {'host': body['host'], 'binary': body['binary'],
                'forced_down': forced_down}

    def _change(self, context: RequestContext, body: dict[str, Any],
                **changes: object) -> None:
        host, binary = body['host'], body['binary']
        _check_updatable(binary)
        service = service_obj.Service.get_by_host_and_binary(
            context, host, binary)
        try:
            if service is None:
                raise exception.ServiceNotFound(service_id=host)
            service.update(changes)
            service.save()
        except exception.ServiceNotFound:
            # Never there, or deleted meanwhile.
            raise Fault(404, exception.HostBinaryNotFound.msg_fmt % {
                'host': host, 'binary': binary}) from None

    def _update_by_uuid(self, context: RequestContext, version: Version,
                        uuid: str, body: dict[str, Any]) -> dict[str, Any]:
        _check_uuid(uuid)
        _authorize(context, 'update')
        try:
            service = service_obj.Service.get_by_uuid(context, uuid)
            _check_updatable(service.binary)
            changes = _changes(body)
            service.update(changes)
            service.save()
        except exception.ServiceNotFound:
            raise exception.ServiceNotFound(service_id=uuid) from None
        return {'service': self._records([service], version)[0]}

    def _records(self, services: Sequence[Mapping[str, Any]],
                 version: Version) -> list[dict[str, Any]]:
        """Return what the API tells of services, given as objects or rows."""
        identity = 'uuid' if version >= (2, 53) else 'id'
        zone_of = functools.cache(availability_zones.zone_of)
        records = [{
            'binary': service['binary'],
            'host': service['host'],
            'id': service[identity],
            'zone': zone_of(service['topic']),
            'status': 'disabled' if service['disabled'] else 'enabled',
            'state': 'up' if up else 'down',
            'updated_at': _text(service['updated_at']),
            'disabled_reason': service['disabled_reason'],
        } for service, up in zip(
            services, self._servicegroup.services_are_up(services),
            strict=True)]
        if version >= (2, 11):
            for record, service in zip(records, services, strict=True):
                record['forced_down'] = bool(service['forced_down'])
        return records


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if 'status' in body:
        disabled = body['status'] == 'disabled'
        reason = body.get('disabled_reason')
        if reason and not disabled:
            raise Fault(400, "Specifying 'disabled_reason' with status "
                             "'enabled' is invalid.")
        changes.update(disabled=disabled, disabled_reason=reason)
    if 'forced_down' in body:
        changes['forced_down'] = _boolean(body['forced_down'])
    if not changes:
        raise Fault(400, "No updates were requested. Fields 'status' or "
                         "'forced_down' should be specified.")
    return changes


def _authorize(context: RequestContext, action: str) -> None:
    context.can(f'{policies.BASE_POLICY_NAME}:{action}', target={})


def _check_uuid(text: str) -> None:
    if not uuidutils.is_uuid_like(text):
        raise Fault(400, f'Invalid uuid {text}')


def _check_updatable(binary: str) -> None:
    if binary != 'nova-compute':
        raise Fault(400, f'Updating a {binary} service is not supported. '
                         'Only nova-compute services can be updated.')


def _boolean(value: bool | str) -> bool:
    return strutils.bool_from_string(value, strict=True)


def _text(time: datetime.datetime | None) -> str | None:
    if time is None:
        return None
    if time.tzinfo is not None:
        time = time.replace(tzinfo=None)
    return time.isoformat(timespec='microseconds')
