# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of os-services by microversion."""

from __future__ import annotations

from typing import Any

from nova.api.validation import Schema

# Control characters but tab and line ends: no operator types them, and
# PostgreSQL can't store a NUL.
_PRINTABLE = r'^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$'

_HOST = {'type': 'string', 'minLength': 1, 'maxLength': 255,
         'pattern': '^[a-zA-Z0-9-._]*$',
         'examples': ['host1'], 'description': 'Name of the host.'}
_BINARY = {'type': 'string', 'minLength': 1, 'maxLength': 255,
           'format': 'unicode',
           'description': 'Name of the service; only nova-compute services '
                          'can be updated.'}
_REASON = {'type': 'string', 'minLength': 1, 'maxLength': 255,
           'pattern': _PRINTABLE, 'format': 'unicode',
           'description': 'Why the service is disabled.'}
_FORCED_DOWN = {
    'type': ['boolean', 'string'],
    'enum': [True, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES',
             'Yes', 'yes', False, 'False', 'FALSE', 'false', '0', 'OFF',
             'Off', 'off', 'NO', 'No', 'no'],
    'description': 'Whether the service counts as down whatever it says.'}


def _object(properties: dict[str, Any], required: list[str] | None = None,
            ) -> dict[str, Any]:
    schema: dict[str, Any] = {
        'type': 'object', 'properties': properties,
        'additionalProperties': False}
    if required:
        schema['required'] = required
    return schema


_BY_NAME = {'host': _HOST, 'binary': _BINARY, 'disabled_reason': _REASON}

#: body of PUT /os-services/…
UPDATE = Schema(
    ((2, 1), _object(_BY_NAME, ['host', 'binary'])),
    ((2, 11), _object({**_BY_NAME, 'forced_down': _FORCED_DOWN},
                      ['host', 'binary'])),
    ((2, 53), _object({
        'status': {'type': 'string', 'enum': ['enabled', 'disabled']},
        'disabled_reason': _REASON, 'forced_down': _FORCED_DOWN})))

#: what the handler refuses beside that, in texts that Nova's clients know;
#: for the documentation
UPDATE_RULES = {
    'anyOf': [{'required': ['status']}, {'required': ['forced_down']}],
    'not': {'properties': {'status': {'const': 'enabled'}},
            'required': ['status', 'disabled_reason']}}


def _filter(description: str) -> dict[str, Any]:
    return {'type': 'array', 'description': description, 'items': {
        'type': 'string', 'maxLength': 255, 'pattern': _PRINTABLE}}


_FILTERS = {'host': _filter('Only services of this host.'),
            'binary': _filter('Only services of this name.')}

#: query of GET /os-services, as name → list of values
INDEX_QUERY = Schema(
    ((2, 1), {**_object(_FILTERS), 'additionalProperties': True}),
    ((2, 75), _object(_FILTERS)))

_STATUS = {'type': 'string', 'enum': ['enabled', 'disabled']}
_TEXT_OR_NULL = {'type': ['string', 'null']}

_RECORD = {
    'binary': _TEXT_OR_NULL,
    'host': _TEXT_OR_NULL,
    'id': {'type': 'integer'},
    'zone': {'type': 'string',
             'description': 'Availability zone.'},
    'status': _STATUS,
    'state': {'type': 'string', 'enum': ['up', 'down']},
    'updated_at': {
        'type': ['string', 'null'],
        'pattern': r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$',
        'description': 'UTC; null before the first change.'},
    'disabled_reason': _TEXT_OR_NULL}
_RECORD_2_11 = {**_RECORD, 'forced_down': {'type': 'boolean'}}
_RECORD_2_53 = {**_RECORD_2_11, 'id': {'type': 'string', 'format': 'uuid'}}

_RECORDS = [((2, 1), _RECORD), ((2, 11), _RECORD_2_11),
            ((2, 53), _RECORD_2_53)]


def _whole(properties: dict[str, Any]) -> dict[str, Any]:
    return _object(properties, list(properties))


#: answer to GET /os-services
INDEX_ANSWER = Schema(*(
    (since, _whole({'services': {'type': 'array', 'items': _whole(record)}}))
    for since, record in _RECORDS))

_NAMED = {'host': {'type': 'string'}, 'binary': {'type': 'string'}}

#: answer to PUT /os-services/{action} by action
ACTION_ANSWERS = {
    action: _whole({'service': _whole({**_NAMED, **changed})})
    for action, changed in (
        ('enable', {'status': {'const': 'enabled'}}),
        ('disable', {'status': {'const': 'disabled'}}),
        ('disable-log-reason', {'status': {'const': 'disabled'},
                                'disabled_reason': {'type': 'string'}}),
        ('force-down', {'forced_down': {'type': 'boolean'}}))}

#: what PUT /os-services/{action} needs beside host and binary
ACTION_NEEDS = {'disable-log-reason': ['disabled_reason'],
                'force-down': ['forced_down']}

#: answer to PUT /os-services/…
UPDATE_ANSWER = Schema(
    ((2, 1), {'anyOf': list(ACTION_ANSWERS.values())}),
    ((2, 53), _whole({'service': _whole(_RECORD_2_53)})))
