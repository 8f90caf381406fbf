# SPDX-License-Identifier: Apache-2.0
"""The whole REST application: what a request passes through, in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_middleware import cors
from oslo_middleware import healthcheck
from oslo_middleware import http_proxy_to_wsgi
from oslo_middleware import request_id
from oslo_middleware import sizelimit
import webob
import webob.dec
import webob.exc

from nova import exception
from nova import policy
from nova.api import auth
from nova.api.openstack import api_version_request as microversion
from nova.api.openstack import faults
from nova.api.openstack import requestlog
from nova.api.openstack import wsgi
from nova.api.openstack.compute import versions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment


def loadapp(conf: cfg.ConfigOpts) -> WSGIApplication:
    """Return the application that a configuration describes.

    :raises ConfigurationError: the configuration can't be used
    """
    policy.load()
    cors.set_defaults(
        allow_headers=['X-Auth-Token', 'X-Openstack-Request-Id',
                       microversion.HEADER, microversion.LEGACY_HEADER],
        expose_headers=['X-Auth-Token', 'X-Openstack-Request-Id',
                        microversion.HEADER, microversion.LEGACY_HEADER],
        allow_methods=['GET', 'PUT', 'DELETE'])

    def public(application: WSGIApplication) -> WSGIApplication:
        return http_proxy_to_wsgi.HTTPProxyToWSGI(
            _FaultWrapper(application), conf)

    def identified(application: WSGIApplication) -> WSGIApplication:
        return cors.CORS(http_proxy_to_wsgi.HTTPProxyToWSGI(
            _RequestId(_FaultWrapper(application)), conf), conf)

    def checked(application: WSGIApplication) -> WSGIApplication:
        return identified(requestlog.RequestLog(_SizeLimiter(
            _authenticated(application, conf), conf)))

    documents = {'v2.1': identified(versions.VersionDocument('v2.1')),
                 'v2': public(versions.VersionDocument('v2'))}
    unversioned = public(versions.VersionList(documents))
    application: WSGIApplication = _ByFirstPart({
        'v2.1': (documents['v2.1'], checked(wsgi.ComputeApplication())),
        'v2': (documents['v2'],
               checked(wsgi.ComputeApplication(legacy=True))),
        'healthcheck': (healthcheck.Healthcheck(None, conf), unversioned),
    }, unversioned)
    if conf.wsgi.secure_proxy_ssl_header:
        application = _SchemeFromHeader(
            application, conf.wsgi.secure_proxy_ssl_header)
    return application


def _authenticated(application: WSGIApplication,
                   conf: cfg.ConfigOpts) -> WSGIApplication:
    if conf.api.auth_strategy == 'noauth2':
        return auth.NoAuthContext(application)
    # It takes as long to import as the rest.
    from keystonemiddleware import auth_token
    protocol = auth_token.AuthProtocol(
        auth.NovaKeystoneContext(application), {'oslo_config_config': conf})
    options = conf.keystone_authtoken
    if not (options.auth_type or options.auth_section):
        raise exception.ConfigurationError(detail=(
            '[keystone_authtoken] auth_type is not set: set it, usually to '
            'password, and what it needs; or set [api] auth_strategy to '
            'noauth2 for a trial on one machine'))
    return protocol


class _ByFirstPart:
    """Sends a request to an application by the first part of its path.

    :param mounts: part → (what answers the path itself, what answers all
        below it)
    :param other: what answers any other path
    """

    def __init__(
            self, mounts: dict[str, tuple[WSGIApplication, WSGIApplication]],
            other: WSGIApplication) -> None:
        self._mounts = mounts
        self._other = other

    def __call__(self, environ: WSGIEnvironment,
                 start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get('PATH_INFO', '')
        try:
            path.encode('latin-1').decode()
        except UnicodeDecodeError:
            return faults.response(400, 'URL path is not UTF-8 encoded')(
                environ, start_response)
        name, slash, rest = path.removeprefix('/').partition('/')
        if name not in self._mounts:
            return self._other(environ, start_response)
        itself, below = self._mounts[name]
        if not rest:
            return itself(environ, start_response)
        environ['SCRIPT_NAME'] = f'{environ.get("SCRIPT_NAME", "")}/{name}'
        environ['PATH_INFO'] = slash + rest
        return below(environ, start_response)


class _RequestId(request_id.RequestId):
    compat_headers = ['x-compute-request-id']


class _SizeLimiter(sizelimit.RequestBodySizeLimiter):
    """Answers a body that is too large with a fault."""

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        try:
            return super().__call__(request)
        except webob.exc.HTTPRequestEntityTooLarge:
            limit = self._conf_get('max_request_body_size')
            raise faults.Fault(413, f'The request is too large: its body may '
                                    f'have {limit} bytes') from None


class _FaultWrapper:
    """Answers what the application below raises."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        try:
            return request.get_response(self._application)
        except Exception as error:
            return faults.response_to(error)


class _SchemeFromHeader:
    """Takes the scheme of a request from a header that a proxy sets."""

    def __init__(self, application: WSGIApplication, header: str) -> None:
        self._application = application
        self._header = header

    def __call__(self, environ: WSGIEnvironment,
                 start_response: StartResponse) -> Iterable[bytes]:
        if environ.get(self._header) in ('http', 'https'):
            environ['wsgi.url_scheme'] = environ[self._header]
        return self._application(environ, start_response)
