# SPDX-License-Identifier: Apache-2.0
"""The version of the installed distribution."""

import importlib.metadata

DISTRIBUTION = 'nova-service-notifications'


def version_string() -> str:
    """Return the distribution's version, e.g. ``1.0.0``."""
    return importlib.metadata.version(DISTRIBUTION)
