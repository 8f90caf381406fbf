# SPDX-License-Identifier: Apache-2.0
"""Lists all options for oslo-config-generator."""

import itertools

from oslo_config import cfg

from nova import conf


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return ``(group, options)`` pairs, a group once."""
    groups: dict[str, list[cfg.Opt]] = {}
    for group, options in itertools.chain.from_iterable(
            module.list_opts().items() for module in conf.MODULES):
        groups.setdefault(group, []).extend(options)
    return list(groups.items())
