# SPDX-License-Identifier: Apache-2.0
"""Versioned objects; call :func:`register_all` once before use.

The registry publishes each class as ``nova.objects.<name>``.
"""

import importlib

MODULES = ('nova.objects.service',)


def register_all() -> None:
    """Import every object module, which registers its classes."""
    for name in MODULES:
        importlib.import_module(name)
