# SPDX-License-Identifier: Apache-2.0
"""The services as the os-services API lists them."""

from __future__ import annotations

import datetime
from typing import Any
from urllib import parse

from keystoneauth1 import exceptions as auth_exc
import openstack
from openstack import exceptions as sdk_exc

from nova.consumer import events

#: The first that identifies services by uuid.
_MICROVERSION = '2.53'

_REFUSED = (401, 403)


class APIError(Exception):
    """The services could not be listed; it may work later."""


class APIRefused(APIError):
    """The services are not listed for these credentials."""


class ServiceLister:
    """Lists services; called with nothing, it lists all.

    :param connection: of openstacksdk, for an administrator or another user
        that policy allows to list services
    """

    def __init__(self, connection: openstack.connection.Connection) -> None:
        self._connection = connection

    def __call__(self, host: str | None = None,
                 binary: str | None = None) -> list[events.Service]:
        """Return the services that match the filters.

        :raises APIRefused: not with these credentials
        :raises APIError: the API did not answer as it should
        """
        query = parse.urlencode({
            name: value for name, value in (('host', host),
                                            ('binary', binary)) if value})
        try:
            # Resources of the SDK would take ten times as long.
            answer = self._connection.compute.get(
                f'/os-services?{query}', microversion=_MICROVERSION)
            sdk_exc.raise_from_response(answer)
            return [_service(record) for record in answer.json()['services']]
        except (auth_exc.MissingRequiredOptions, auth_exc.NoMatchingPlugin,
                sdk_exc.ConfigException) as error:
            raise APIRefused(_text(error)) from error
        except (auth_exc.ClientException, sdk_exc.SDKException) as error:
            status = getattr(error, 'http_status', None) or getattr(
                error, 'status_code', None)
            refused = status in _REFUSED
            raise (APIRefused if refused else APIError)(
                _text(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise APIError(
                f'the answer is no list of services: {_text(error)}'
            ) from error


def _text(error: Exception) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())}'


def _service(record: dict[str, Any]) -> events.Service:
    updated_at = record['updated_at']
    return events.Service(
        uuid=record['id'], host=record['host'],
        binary=events.shared(record['binary']),
        disabled=record['status'] == 'disabled',
        disabled_reason=record['disabled_reason'],
        forced_down=record['forced_down'],
        state=events.shared(record['state']),
        zone=events.shared(record['zone']),
        updated_at=updated_at and datetime.datetime.fromisoformat(
            updated_at).replace(tzinfo=datetime.UTC))
