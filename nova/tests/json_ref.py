# SPDX-License-Identifier: Apache-2.0
"""References between JSON files, under the name that they have in Nova."""

from nova.notifications.samples import resolve_refs

__all__ = ['resolve_refs']
