# SPDX-License-Identifier: Apache-2.0
"""Default policy rules."""

from oslo_policy import policy

from nova.policies import base
from nova.policies import services


def list_rules() -> list[policy.RuleDefault]:
    """Return the default of every rule, for the enforcer and the sample."""
    return base.list_rules() + services.list_rules()
