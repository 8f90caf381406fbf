# SPDX-License-Identifier: Apache-2.0
"""Rules that other rules refer to."""

from oslo_policy import policy

RULE_ADMIN = 'rule:context_is_admin'
RULE_DEPRECATED_ADMIN = 'rule:admin_api'


def list_rules() -> list[policy.RuleDefault]:
    return [
        policy.RuleDefault(
            'context_is_admin', 'role:admin',
            'Decides whether a request is made by an administrator.'),
        policy.RuleDefault(
            'admin_api', 'is_admin:True',
            'Default of the administrative APIs before scopes existed.'),
    ]
