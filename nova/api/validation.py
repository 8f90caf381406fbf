# SPDX-License-Identifier: Apache-2.0
"""Check what comes in and what goes out against JSON Schemas (2020-12).

What comes in is checked by jsonschema, whose texts are part of Nova's
interface. What goes out can be a list of 10,000: jsonschema-rs takes 3 ms for
that, jsonschema 700.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import jsonschema
import jsonschema_rs

from nova import exception
from nova.api.openstack.api_version_request import Version
from nova.conf import CONF

LOG = logging.getLogger(__name__)

_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks('unicode', raises=UnicodeEncodeError)
def _is_unicode(value: object) -> bool:
    """Refuse halves of surrogate pairs, which no database can store."""
    if isinstance(value, str):
        value.encode()
    return True


class Schema:
    """A JSON Schema that changes with the microversion.

    :param changes: (first version, schema) in ascending order
    """

    def __init__(self, *changes: tuple[tuple[int, int], dict[str, Any]]
                 ) -> None:
        self._changes = changes

    def at(self, version: Version) -> dict[str, Any]:
        """Return the schema of a version.

        :raises LookupError: there was none yet
        """
        for since, schema in reversed(self._changes):
            if version >= since:
                return schema
        raise LookupError(version)

    @functools.cached_property
    def _validators(self) -> dict[int, jsonschema.Draft202012Validator]:
        return {id(schema): jsonschema.Draft202012Validator(
                    schema, format_checker=_FORMATS)
                for _since, schema in self._changes}

    @functools.cached_property
    def _fast_validators(self) -> dict[int, Any]:
        return {id(schema): jsonschema_rs.Draft202012Validator(schema)
                for _since, schema in self._changes}

    def error(self, version: Version,
              instance: object) -> jsonschema.ValidationError | None:
        """Return what is most wrong about a value, or None."""
        return jsonschema.exceptions.best_match(
            self._validators[id(self.at(version))].iter_errors(instance))

    def check_answer(self, version: Version, answer: object) -> None:
        """Deal with an answer that does not match as configured.

        :raises ValidationError: response_validation is ``error``
        """
        if CONF.api.response_validation == 'ignore':
            return
        validator = self._fast_validators[id(self.at(version))]
        if validator.is_valid(answer):
            return
        wrong = str(next(validator.iter_errors(answer)))
        if CONF.api.response_validation == 'error':
            raise AnswerError(wrong)
        LOG.warning('An answer does not match its schema: %s', wrong)


class AnswerError(Exception):
    """An answer does not match its schema."""


def check_body(schema: Schema, version: Version, body: object,
               tolerant: bool) -> Any:
    """Return a request's body once it is valid.

    :param tolerant: drop unknown keys instead of refusing them
    :raises ValidationError: names the field and what is wrong with it
    """
    known = schema.at(version)['properties']
    if tolerant and isinstance(body, dict):
        body = {key: value for key, value in body.items() if key in known}
    error = schema.error(version, body)
    if error is None:
        return body
    if not error.path:
        raise exception.ValidationError(detail=error.message)
    path = '/'.join(str(part) for part in error.path)
    raise exception.ValidationError(detail=(
        f'Invalid input for field/attribute {path}. '
        f'Value: {error.instance}. {error.message}'))


def check_query(schema: Schema, version: Version,
                query: dict[str, list[str]]) -> dict[str, str]:
    """Return the last value of each known parameter of a query.

    :param query: all values of each parameter
    :raises ValidationError: names the parameter and what is wrong with it
    """
    error = schema.error(version, query)
    if error is None:
        return {name: query[name][-1]
                for name in schema.at(version)['properties'] if name in query}
    if not error.path:
        raise exception.ValidationError(detail=error.message)
    raise exception.ValidationError(detail=(
        f'Invalid input for query parameters {error.path[0]}. '
        f'Value: {error.instance}. {error.message}'))
