# SPDX-License-Identifier: Apache-2.0
"""The resources under a version: from the request to its operation."""

from __future__ import annotations

from collections.abc import Iterable
import json
import re
from typing import TYPE_CHECKING, Any
from urllib import parse

import orjson
import webob

from nova.api import validation
from nova.api.openstack import api_version_request as microversion
from nova.api.openstack import faults
from nova.api.openstack.compute import services
from nova.api.openstack.compute import versions
from nova.api.openstack.compute.schemas import services as schemas
from nova.api.openstack.faults import Fault

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

#: where the middleware puts the context, and where the log finds the version
CONTEXT = 'nova.context'
VERSION = 'nova.api_version'

_PATH = re.compile(r'(?:/(?P<project>[0-9a-f-]+))?/(?:'
                   r'os-services(?:/(?P<target>[^/]+))?|'
                   r'versions/(?P<version>[^/]+))')
_JSON_TYPES = ('application/json', 'application/vnd.openstack.compute+json')


class ComputeApplication:
    """Answers os-services, and versions by their id.

    :param legacy: behave as /v2: microversions are not known, and unknown
        keys of a body are dropped
    """

    def __init__(self, legacy: bool = False) -> None:
        self._legacy = legacy
        self._services = services.ServiceController()

    def __call__(self, environ: WSGIEnvironment,
                 start_response: StartResponse) -> Iterable[bytes]:
        request = webob.Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: webob.Request) -> webob.Response:
        route = _route(request)
        if route is None:
            return faults.unrouted(request)
        version = microversion.DEFAULT_VERSION
        try:
            if not self._legacy:
                version = microversion.requested(request.headers)
                microversion.check_supported(version)
            request.environ[VERSION] = version
            body = _body(request)
            _check_project(request, route['project'])
            if route['version'] is None:
                response = self._dispatch(
                    request, version, route['target'], body)
            else:
                response = _json(
                    versions.document_of(request, route['version']))
        except Exception as error:
            response = faults.response_to(error)
        if not self._legacy:
            microversion.announce(response, version)
        return response

    def _dispatch(self, request: webob.Request, version: microversion.Version,
                  target: str | None, body: Any) -> webob.Response:
        context = request.environ[CONTEXT]
        if target is None:
            query = validation.check_query(
                schemas.INDEX_QUERY, version, _query(request))
            answer = self._services.index(context, version, query)
            schemas.INDEX_ANSWER.check_answer(version, answer)
            return _json(answer)
        if request.method == 'DELETE':
            self._services.delete(context, version, target)
            return webob.Response(status=204, headerlist=[
                ('Content-Type', 'application/json')])
        body = validation.check_body(
            schemas.UPDATE, version, body, tolerant=self._legacy)
        answer = self._services.update(context, version, target, body)
        schemas.UPDATE_ANSWER.check_answer(version, answer)
        return _json(answer)


def _route(request: webob.Request) -> dict[str, str | None] | None:
    match = _PATH.fullmatch(request.path_info)
    if match is None:
        return None
    allowed = ('GET',) if match['target'] is None else ('PUT', 'DELETE')
    return match.groupdict() if request.method in allowed else None


def _body(request: webob.Request) -> Any:
    """Return the decoded body of a PUT; None if there is none.

    :raises Fault: the content type is unknown, or the body is no JSON
    """
    content_type = request.content_type
    if content_type and content_type not in ('text/plain', *_JSON_TYPES):
        raise Fault(415, 'Unsupported Content-Type')
    if request.method != 'PUT':
        return None
    try:
        body = request.body
        return json.loads(body) if body else None
    except (ValueError, RecursionError, OSError):
        raise Fault(400, 'Malformed request body') from None


def _check_project(request: webob.Request, project_id: str | None) -> None:
    of_token = request.environ[CONTEXT].project_id
    if project_id and of_token and project_id != of_token:
        raise Fault(400, f'Malformed request URL: URL\'s project_id '
                         f"'{project_id}' doesn't match Context's project_id "
                         f"'{of_token}'")


def _query(request: webob.Request) -> dict[str, list[str]]:
    try:
        text = request.query_string.encode('latin-1').decode()
        return parse.parse_qs(text, keep_blank_values=True, errors='strict')
    except UnicodeDecodeError:
        raise Fault(400, 'Query string is not UTF-8 encoded') from None


def _json(answer: dict[str, Any]) -> webob.Response:
    return webob.Response(body=orjson.dumps(answer), headerlist=[
        ('Content-Type', 'application/json')])
