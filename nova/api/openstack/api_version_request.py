# SPDX-License-Identifier: Apache-2.0
"""Microversions: which one a request asks for, and what the answer says."""

from __future__ import annotations

from collections.abc import MutableMapping
import re

import microversion_parse
import webob

from nova import exception

SERVICE_TYPE = 'compute'
HEADER = 'OpenStack-API-Version'
LEGACY_HEADER = 'X-OpenStack-Nova-API-Version'

Version = microversion_parse.Version

MIN_VERSION = Version(2, 1)
MAX_VERSION = Version(2, 104)
#: of a request that names none
DEFAULT_VERSION = MIN_VERSION

_FORMAT = re.compile(r'([1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})')


def parse(text: str) -> Version:
    """Return the version that a text like ``2.53`` names.

    :raises InvalidAPIVersionString: the text names none
    """
    numbers = _FORMAT.fullmatch(text)
    if numbers is None:
        raise exception.InvalidAPIVersionString(version=text)
    return Version(*(int(number) for number in numbers.groups()))


def requested(headers: MutableMapping[str, str]) -> Version:
    """Return the version that a request asks for, supported or not.

    :raises InvalidAPIVersionString: the header can't be understood
    """
    text = microversion_parse.get_version(
        headers, service_type=SERVICE_TYPE, legacy_headers=[LEGACY_HEADER])
    if text is None:
        return DEFAULT_VERSION
    return MAX_VERSION if text == 'latest' else parse(text)


def check_supported(version: Version) -> None:
    """Refuse a version that this API does not speak.

    :raises InvalidGlobalAPIVersion: it is outside the supported range
    """
    if not MIN_VERSION <= version <= MAX_VERSION:
        raise exception.InvalidGlobalAPIVersion(
            req_ver=version, min_ver=MIN_VERSION, max_ver=MAX_VERSION)


def announce(response: webob.Response, version: Version) -> None:
    """Add the headers that tell which version an answer has."""
    response.headers[HEADER] = f'{SERVICE_TYPE} {version}'
    response.headers[LEGACY_HEADER] = str(version)
    for name in (HEADER, LEGACY_HEADER):
        response.headers.add('Vary', name)
