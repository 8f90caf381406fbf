# SPDX-License-Identifier: Apache-2.0
"""The policy engine: who may do what (oslo.policy)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from oslo_config import cfg
from oslo_policy import policy

from nova import exception
from nova import policies

if TYPE_CHECKING:
    from nova.context import RequestContext


@functools.lru_cache(maxsize=1)
def _enforcer() -> policy.Enforcer:
    enforcer = policy.Enforcer(cfg.CONF)
    # Every process and request would repeat the hint on deprecated rules.
    enforcer.suppress_deprecation_warnings = True
    enforcer.register_defaults(policies.list_rules())
    return enforcer


def load() -> None:
    """Read the policy files, which else the first request would do.

    :raises ConfigurationError: a file is not what it should be
    """
    enforcer = _enforcer()
    try:
        enforcer.load_rules(force_reload=True)
        enforcer.check_rules(raise_on_violation=True)
    except (ValueError, AttributeError, TypeError, OSError,
            policy.InvalidDefinitionError) as error:
        raise exception.ConfigurationError(detail=(
            f'[oslo_policy] policy_file {enforcer.policy_path} must be YAML '
            f'of names and rules: {error}')) from error


def reset() -> None:
    """Forget the rules; they are read again when they are needed."""
    _enforcer.cache_clear()


def get_enforcer() -> policy.Enforcer:
    """Return an enforcer for oslo.policy's command line tools."""
    cfg.CONF([], project='nova')
    return _enforcer()


def authorize(context: RequestContext, action: str,
              target: dict[str, Any] | None = None,
              fatal: bool = True) -> bool:
    """Check whether the context may do the action.

    :param action: name of a registered rule
    :param target: attributes of what is acted on; the context's own project
        and user if None
    :param fatal: raise instead of returning False
    :raises PolicyNotAuthorized: it may not, and fatal is set
    """
    if target is None:
        target = _own_target(context)
    try:
        return _enforcer().authorize(
            action, target, context, do_raise=fatal,
            exc=exception.PolicyNotAuthorized, action=action)
    except policy.InvalidScope as error:
        if fatal:
            raise exception.PolicyNotAuthorized(action=action) from error
        return False


def check_is_admin(context: RequestContext) -> bool:
    """Return whether the context's roles make it an administrator's."""
    return _enforcer().authorize(
        'context_is_admin', _own_target(context), context)


def _own_target(context: RequestContext) -> dict[str, Any]:
    return {'project_id': context.project_id, 'user_id': context.user_id}
