# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document of the API at one microversion.

Made of the schemas that requests and answers are checked against.
"""

from __future__ import annotations

from typing import Any

from nova.api.openstack import api_version_request as microversion
from nova.api.openstack.compute.schemas import services as schemas
from nova.api.openstack.compute.schemas import versions as version_schemas

#: first microversions of which os-services differs from the one before
MILESTONES = tuple(microversion.Version(2, minor)
                   for minor in (1, 11, 53, 75))

_JSON = 'application/json'

_FAULT = {
    'type': 'object', 'minProperties': 1, 'maxProperties': 1,
    'description': 'One key, which names the kind of the fault.',
    'additionalProperties': {
        'type': 'object', 'required': ['code', 'message'],
        'additionalProperties': False,
        'properties': {'code': {'type': 'integer'},
                       'message': {'type': 'string'}}}}

_FAULT_REF = {'schema': {'$ref': '#/components/schemas/Fault'}}

#: what faults mean; 401 is keystonemiddleware's
_FAULTS = {
    400: 'Something about the request is wrong; the message names it.',
    403: 'Policy does not allow it.',
    404: 'There is no such service; as plain text, no such resource.',
    406: 'The microversion is not supported.',
    413: 'The body is too large.',
    415: 'The body has an unknown content type.',
}
_RESPONSES: dict[str, Any] = {
    str(code): {'description': description, 'content': {_JSON: _FAULT_REF}}
    for code, description in _FAULTS.items()}
_RESPONSES['401'] = {'description': 'Nobody is known to make the request.'}
_RESPONSES['404']['content']['text/plain'] = {'schema': {'type': 'string'}}


def document(version: microversion.Version) -> dict[str, Any]:
    """Return the document of a microversion."""
    return {
        'openapi': '3.1.0',
        'info': {
            'title': 'os-services of the Compute API',
            'version': str(version),
            'summary': 'The registry of the services of OpenStack Nova.',
            'description': f'As microversion {version} behaves.',
            'license': {'name': 'Apache-2.0',
                        'identifier': 'Apache-2.0'}},
        'servers': [{'url': '/'}],
        'security': [{'token': []}],
        'paths': {
            '/': {'get': _discovery(
                'listVersions', 'List the versions of the API',
                version_schemas.LIST)},
            '/v2.1/': {'get': _discovery(
                'showVersion', 'Show this version of the API',
                version_schemas.DOCUMENT)},
            '/v2.1/os-services': {'get': _list(version)},
            **_changes(version)},
        'components': {
            'schemas': {'Fault': _FAULT},
            'responses': _RESPONSES,
            'parameters': {'version': _version_header(version)},
            'securitySchemes': {'token': {
                'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token',
                'description': 'A token of the Identity service.'}}},
    }


def _discovery(name: str, summary: str,
               schema: dict[str, Any]) -> dict[str, Any]:
    return {'operationId': name, 'summary': summary, 'security': [],
            'responses': {'200': _answer('The versions.', schema)}}


def _list(version: microversion.Version) -> dict[str, Any]:
    filters = schemas.INDEX_QUERY.at(version)['properties']
    listed = _answer('The services, in the order of their registration.',
                     schemas.INDEX_ANSWER.at(version))
    listed['links'] = {
        name: {'operationId': name,
               'parameters': {'service_id': '$response.body#/services/0/id'}}
        for name in (('updateService', 'deleteService')
                     if version >= (2, 53) else ('deleteService',))}
    return _operation(
        'listServices', 'List services', [
            {'name': name, 'in': 'query', 'schema': schema,
             'description': f'{schema["description"]} Of several the last '
                            'counts; an empty one does not.'}
            for name, schema in filters.items()],
        {'200': listed}, 400, 401, 403, 406, 415)


def _changes(version: microversion.Version) -> dict[str, Any]:
    delete = _operation(
        'deleteService', 'Delete the record of a service', [],
        {'204': {'description': 'It is deleted.'}},
        400, 401, 403, 404, 406, 415)
    if version < (2, 53):
        path = '/v2.1/os-services/{service_id}'
        return {**_actions(version),
                path: {'parameters': [_target({'type': 'integer'})],
                       'delete': delete}}
    body = {**schemas.UPDATE.at(version), **schemas.UPDATE_RULES}
    return {'/v2.1/os-services/{service_id}': {
        'parameters': [_target({'type': 'string', 'format': 'uuid'})],
        'put': _update('updateService', 'Change a nova-compute service',
                       body, schemas.UPDATE_ANSWER.at(version)),
        'delete': delete}}


def _actions(version: microversion.Version) -> dict[str, Any]:
    body = schemas.UPDATE.at(version)
    properties = {**body['properties'], 'binary': {
        **body['properties']['binary'], 'const': 'nova-compute'}}
    paths = {}
    for action, answer in schemas.ACTION_ANSWERS.items():
        needs = schemas.ACTION_NEEDS.get(action, [])
        if not properties.keys() >= {*needs}:
            continue
        paths[f'/v2.1/os-services/{action}'] = {'put': _update(
            action, f'Change a nova-compute service: {action}',
            {**body, 'properties': properties,
             'required': [*body['required'], *needs]}, answer)}
    return paths


def _update(name: str, summary: str, body: dict[str, Any],
            answer: dict[str, Any]) -> dict[str, Any]:
    return {
        **_operation(name, summary, [],
                     {'200': _answer('The service as it is now.', answer)},
                     400, 401, 403, 404, 406, 413, 415),
        'requestBody': {'required': True,
                        'content': {_JSON: {'schema': body}}}}


def _operation(name: str, summary: str, parameters: list[dict[str, Any]],
               answers: dict[str, Any], *faults: int) -> dict[str, Any]:
    return {
        'operationId': name, 'summary': summary, 'tags': ['os-services'],
        'parameters': [{'$ref': '#/components/parameters/version'},
                       *parameters],
        'responses': {**answers, **{
            str(code): {'$ref': f'#/components/responses/{code}'}
            for code in faults}}}


def _target(schema: dict[str, Any]) -> dict[str, Any]:
    return {'name': 'service_id', 'in': 'path', 'required': True,
            'schema': schema}


def _version_header(version: microversion.Version) -> dict[str, Any]:
    return {
        'name': microversion.HEADER, 'in': 'header',
        'required': version > microversion.DEFAULT_VERSION,
        'description': 'The microversion that this document is about.',
        'schema': {'const': f'{microversion.SERVICE_TYPE} {version}'}}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {'description': description, 'content': {_JSON: {'schema': schema}}}
