# SPDX-License-Identifier: Apache-2.0
"""What ``nova-status`` has found: how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses

from oslo_upgradecheck.upgradecheck import Code


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    :ivar check: what was looked at
    :ivar code: success, warning or failure
    :ivar details: what was seen; of trouble also what to do
    """

    check: str
    code: Code
    details: str


def success(check: str, details: str) -> Finding:
    return Finding(check, Code.SUCCESS, details)


def warning(check: str, details: str) -> Finding:
    return Finding(check, Code.WARNING, details)


def failure(check: str, details: str) -> Finding:
    return Finding(check, Code.FAILURE, details)


def merged(findings: Iterable[Finding]) -> Finding:
    """Make one of several of the same check: as bad as the worst."""
    several = list(findings)
    return Finding(several[0].check, max(one.code for one in several),
                   ' '.join(one.details for one in several))
