# SPDX-License-Identifier: Apache-2.0
"""Who makes a request: from the identity headers to the context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oslo_middleware import request_id
import webob
import webob.dec

from nova import context as nova_context
from nova.api.openstack import wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class NovaKeystoneContext:
    """Makes the context of what keystonemiddleware found out."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        context = nova_context.RequestContext.from_environ(
            request.environ, **_origin(request))
        if context.user_id is None:
            return webob.Response(
                status=401, content_type='text/plain', charset='UTF-8',
                text='401 Unauthorized\n\nThe request has no user.\n')
        request.environ[wsgi.CONTEXT] = context
        return request.get_response(self._application)


class NoAuthContext:
    """Believes everybody.

    The token ``USER:PROJECT`` makes a request that user's; only the user
    ``admin`` has the role admin. With any other token, such as keystoneauth
    sends for ``OS_AUTH_TYPE=none``, or none, it is the administrator's.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        token = request.headers.get('X-Auth-Token', '')
        user_id, _colon, project_id = (
            token if ':' in token else 'admin:').partition(':')
        request.environ[wsgi.CONTEXT] = nova_context.RequestContext(
            user_id=user_id, project_id=project_id or None,
            roles=['admin' if user_id == 'admin' else 'member'],
            **_origin(request))
        return request.get_response(self._application)


def _origin(request: webob.Request) -> dict[str, Any]:
    environ = request.environ
    return {'remote_address': request.remote_addr,
            'request_id': environ.get(request_id.ENV_REQUEST_ID),
            'global_request_id': environ.get(request_id.GLOBAL_REQ_ID)}
