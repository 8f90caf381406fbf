# SPDX-License-Identifier: Apache-2.0
"""Rules of the os-services API."""

from oslo_policy import policy

from nova.policies import base

BASE_POLICY_NAME = 'os_compute_api:os-services'

_DEPRECATED = policy.DeprecatedRule(
    BASE_POLICY_NAME, base.RULE_DEPRECATED_ADMIN,
    deprecated_reason='One rule covered every action on services.',
    deprecated_since='21.0.0')


def _rule(action: str, description: str,
          *operations: tuple[str, str]) -> policy.DocumentedRuleDefault:
    return policy.DocumentedRuleDefault(
        name=f'{BASE_POLICY_NAME}:{action}',
        check_str=base.RULE_ADMIN,
        description=description,
        operations=[{'method': method, 'path': path}
                    for method, path in operations],
        scope_types=['project'],
        deprecated_rule=_DEPRECATED)


def list_rules() -> list[policy.RuleDefault]:
    return [
        _rule('list', 'List the services of the deployment.',
              ('GET', '/os-services')),
        _rule('update', 'Enable, disable or force down a compute service.',
              ('PUT', '/os-services/enable'),
              ('PUT', '/os-services/disable'),
              ('PUT', '/os-services/disable-log-reason'),
              ('PUT', '/os-services/force-down'),
              ('PUT', '/os-services/{service_id}')),
        _rule('delete', 'Delete the record of a service.',
              ('DELETE', '/os-services/{service_id}')),
    ]
