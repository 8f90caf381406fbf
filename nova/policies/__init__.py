# SPDX-License-Identifier: Apache-2.0
"""Default policy rules."""

from collections.abc import Iterable
import itertools

from oslo_policy import policy

from nova.policies import base
from nova.policies import services


def list_rules() -> Iterable[policy.RuleDefault]:
    """Return the default of every rule, for the enforcer and the sample."""
    return itertools.chain(base.list_rules(), services.list_rules())
