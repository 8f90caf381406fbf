# SPDX-License-Identifier: Apache-2.0
"""What an API user reads when a request fails."""

from __future__ import annotations

import json
import logging

import webob
import webob.exc

from nova import exception

LOG = logging.getLogger(__name__)

_INTERNAL = 500

_NAMES = {
    400: 'badRequest', 401: 'unauthorized', 403: 'forbidden',
    404: 'itemNotFound', 405: 'badMethod', 409: 'conflictingRequest',
    413: 'overLimit', 415: 'badMediaType', 429: 'overLimit',
    501: 'notImplemented', 503: 'serviceUnavailable',
}


class Fault(Exception):
    """Ends a request.

    :param code: HTTP status
    :param message: text for the user
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def response(code: int, message: str) -> webob.Response:
    """Return the JSON document of a failure."""
    fault = webob.Response(status=code)
    fault.headers['Content-Type'] = 'application/json; charset=UTF-8'
    fault.body = json.dumps({_NAMES.get(code, 'computeFault'): {
        'code': code, 'message': message}}).encode()
    return fault


def response_to(error: Exception) -> webob.Response:
    """Return the answer to a request that ended with an exception.

    One that is not meant for users is logged; they read only its class.
    """
    if isinstance(error, Fault):
        return response(error.code, error.message)
    if isinstance(error, webob.exc.HTTPException):
        return response(error.code, error.explanation)
    if isinstance(error, exception.NovaException) and error.code < _INTERNAL:
        return response(error.code, error.format_message())
    LOG.exception('Unexpected exception in API method', exc_info=error)
    return response(_INTERNAL, 'Unexpected API Error. Please contact the '
                               f'administrator\n{type(error)!r}')


def unrouted(request: webob.Request) -> webob.Response:
    """Return the answer to a path or method that does not exist.

    Nova's is plain text; who accepts nothing but JSON gets a fault.
    """
    message = f'The resource could not be found: {request.method} ' \
              f'{request.path}'
    if request.accept.acceptable_offers(
            ['text/plain', 'application/json'])[:1] == [
                ('application/json', 1.0)]:
        return response(404, message)
    return webob.Response(status=404, text=f'404 Not Found\n\n{message}\n',
                          content_type='text/plain', charset='UTF-8')
