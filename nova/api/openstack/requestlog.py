# SPDX-License-Identifier: Apache-2.0
"""One log line a request, under whatever server."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import webob
import webob.dec

from nova.api.openstack import wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LOG = logging.getLogger(__name__)


class RequestLog:
    """Logs method, path, status, length, microversion and seconds taken."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        if not LOG.isEnabledFor(logging.INFO):
            return request.get_response(self._application)
        start = time.perf_counter()
        response = request.get_response(self._application)
        LOG.info('%s "%s %s" status: %s len: %s microversion: %s time: %.6f',
                 request.remote_addr, request.method, request.path_qs,
                 response.status_int, response.content_length,
                 request.environ.get(wsgi.VERSION, '-'),
                 time.perf_counter() - start)
        return response
