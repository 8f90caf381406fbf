# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of version discovery."""

from __future__ import annotations

from typing import Any


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {'type': 'object', 'properties': properties,
            'required': list(properties), 'additionalProperties': False}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {'type': 'array', 'items': item}


_STRING = {'type': 'string'}
_SELF = _object({'rel': {'const': 'self'}, 'href': _STRING})
_DESCRIBEDBY = _object({'rel': {'const': 'describedby'}, 'type': _STRING,
                        'href': _STRING})

_VERSION = {'id': _STRING,
            'status': {'enum': ['CURRENT', 'SUPPORTED', 'DEPRECATED']},
            'version': _STRING, 'min_version': _STRING,
            'updated': {'type': 'string', 'format': 'date-time'}}

#: answer to ``GET /``
LIST = _object({'versions': _list(
    _object({**_VERSION, 'links': _list(_SELF)}))})

#: answer to ``GET /v2.1/``
DOCUMENT = _object({'version': _object({
    **_VERSION, 'links': _list({'anyOf': [_SELF, _DESCRIBEDBY]}),
    'media-types': _list(_object({'base': _STRING, 'type': _STRING}))})})
