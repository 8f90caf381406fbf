# SPDX-License-Identifier: Apache-2.0
"""Version discovery: which versions there are, and where."""

from __future__ import annotations

from collections.abc import Iterable
import json
import re
from typing import TYPE_CHECKING, Any

import webob

from nova.api.openstack import api_version_request as microversion
from nova.api.openstack import faults
from nova.api.openstack.faults import Fault
from nova.conf import CONF

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

_MEDIA_TYPE = 'application/vnd.openstack.compute+json;version='

#: path → what is told of the version
_VERSIONS: dict[str, dict[str, str]] = {
    'v2': {'id': 'v2.0', 'status': 'DEPRECATED', 'version': '',
           'min_version': '', 'updated': '2025-07-04T12:00:00Z'},
    'v2.1': {'id': 'v2.1', 'status': 'CURRENT',
             'version': str(microversion.MAX_VERSION),
             'min_version': str(microversion.MIN_VERSION),
             'updated': '2013-07-23T11:33:21Z'},
}


_ACCEPTED = re.compile(r'application/(?:vnd\.openstack\.compute\+)?json')


class VersionList:
    """Answers ``/``; any other path with the versions it could be meant for.

    :param documents: path of a version → what answers a request for ``/``
        whose Accept header asks for that version
    """

    def __init__(self, documents: dict[str, WSGIApplication]) -> None:
        self._documents = documents

    def __call__(self, environ: WSGIEnvironment,
                 start_response: StartResponse) -> Iterable[bytes]:
        request = webob.Request(environ)
        path = request.path_info.strip('/')
        name = _accepted_version(request)
        if not path and name in self._documents:
            return self._documents[name](environ, start_response)
        response = _answer(300, {'choices': [
            _choice(request, name, path) for name in _VERSIONS]})
        if not path:
            response = _answer(200, {'versions': [
                {**about, 'links': [_self(request, name)]}
                for name, about in _VERSIONS.items()]})
            if request.method not in ('GET', 'HEAD'):
                response = faults.unrouted(request)
        return response(environ, start_response)


class VersionDocument:
    """Answers ``/v2`` and ``/v2.1``.

    :param name: ``v2`` or ``v2.1``
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, environ: WSGIEnvironment,
                 start_response: StartResponse) -> Iterable[bytes]:
        request = webob.Request(environ)
        return self._response(request)(environ, start_response)

    def _response(self, request: webob.Request) -> webob.Response:
        if request.method not in ('GET', 'HEAD'):
            return faults.unrouted(request)
        response = _answer(200, _document(request, self._name))
        if self._name == 'v2':
            return response
        version = microversion.DEFAULT_VERSION
        try:
            version = microversion.requested(request.headers)
            microversion.check_supported(version)
        except Exception as error:
            response = faults.response_to(error)
        microversion.announce(response, version)
        return response


def document_of(request: webob.Request, version_id: str) -> dict[str, Any]:
    """Return the document of a version.

    :param version_id: ``v2.0`` or ``v2.1``
    :raises Fault: there is no such version
    """
    for name, about in _VERSIONS.items():
        if about['id'] == version_id:
            return _document(request, name)
    raise Fault(404, f'Version {version_id} could not be found.')


def _document(request: webob.Request, name: str) -> dict[str, Any]:
    about = _VERSIONS[name]
    return {'version': {
        **about,
        'links': [_self(request, name), {
            'rel': 'describedby', 'type': 'text/html',
            'href': 'http://docs.openstack.org/'}],
        'media-types': _media_types(about)}}


def _accepted_version(request: webob.Request) -> str:
    """Return the path of the version that the Accept header asks for."""
    for media_type, _quality, parameters, _extensions in (
            request.accept.parsed or ()):
        version = dict(parameters).get('version')
        if version and _ACCEPTED.match(media_type):
            return f'v{version}'
    return ''


def _choice(request: webob.Request, name: str, path: str) -> dict[str, Any]:
    about = _VERSIONS[name]
    return {'id': about['id'], 'status': about['status'],
            'links': [_self(request, name, path)],
            'media-types': _media_types(about)}


def _media_types(about: dict[str, str]) -> list[dict[str, str]]:
    number = about['id'].removeprefix('v').removesuffix('.0')
    return [{'base': 'application/json', 'type': f'{_MEDIA_TYPE}{number}'}]


def _self(request: webob.Request, name: str,
          path: str = '') -> dict[str, str]:
    root = CONF.api.compute_link_prefix or request.host_url
    return {'rel': 'self', 'href': f'{root.rstrip("/")}/{name}/{path}'}


def _answer(code: int, document: dict[str, Any]) -> webob.Response:
    return webob.Response(
        status=code, body=json.dumps(document).encode(),
        headerlist=[('Content-Type', 'application/json')])
