# SPDX-License-Identifier: Apache-2.0
"""The services as the os-services API lists them."""

from __future__ import annotations

import datetime
from typing import Any
from urllib import parse

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as auth_exc
import openstack
from openstack import exceptions as sdk_exc

from nova.consumer import deadline
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

    Each call ends in time, authentication included, although the servers
    accept connections and never answer. The connection's own timeouts are
    not used.

    :param connection: of openstacksdk, for an administrator or another user
        that policy allows to list services
    :param timeout: seconds that a server may send nothing
    :param limit: seconds that a call may take
    """

    def __init__(self, connection: openstack.connection.Connection,
                 timeout: float = 30, limit: float = 60) -> None:
        self._connection = connection
        self._timeout = timeout
        self._limit = limit
        self._deadlines: set[deadline.Deadline] = set()

    def __call__(self, host: str | None = None, binary: str | None = None,
                 limit: float | None = None) -> list[events.Service]:
        """Return the services that match the filters.

        :param limit: seconds, if they are not those of the lister
        :raises APIRefused: not with these credentials
        :raises APIError: the API did not answer as it should, or not in time
        """
        query = parse.urlencode({
            name: value for name, value in (('host', host),
                                            ('binary', binary)) if value})
        limit = self._limit if limit is None else limit
        with deadline.Deadline(limit) as end:
            self._deadlines.add(end)
            try:
                return self._list(f'/os-services?{query}', end)
            except APIError as error:
                if not end.passed:
                    raise
                raise APIError('the listing was cancelled' if end.cancelled
                               else 'no complete answer of the REST API or '
                               f'of Keystone within {limit:g} seconds'
                               ) from error
            finally:
                self._deadlines.discard(end)

    def cancel(self) -> None:
        """Make the calls that run now in other threads raise APIError."""
        for end in list(self._deadlines):
            end.cancel()

    def _list(self, path: str, end: deadline.Deadline
              ) -> list[events.Service]:
        try:
            # connection.compute would ask for versions without a limit.
            compute = self._connection.config.get_session_client('compute')
            with deadline.limited(
                    compute.session, end, self._timeout) as session:
                compute.session = session
                # Resources of the SDK would take ten times as long.
                answer = adapter.Adapter.request(
                    compute, path, 'GET', microversion=_MICROVERSION,
                    raise_exc=False)
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
