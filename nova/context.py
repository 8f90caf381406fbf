# SPDX-License-Identifier: Apache-2.0
"""Who makes a request, and its open database transaction."""

from __future__ import annotations

import copy
import datetime
from typing import Any

from oslo_context import context
from oslo_db.sqlalchemy import enginefacade
from oslo_utils import timeutils


@enginefacade.transaction_context_provider
class RequestContext(context.RequestContext):
    """Security context of a request; carries the transaction that it opened.

    :param is_admin: None lets policy decide from the roles
    :param read_deleted: whether soft-deleted rows are read: no, yes, only
    :param timestamp: when the request came, as datetime or ISO 8601 text
    """

    FROM_DICT_EXTRA_KEYS = [
        'read_deleted', 'remote_address', 'timestamp', 'quota_class',
        'service_catalog']

    def __init__(self, user_id: str | None = None,
                 project_id: str | None = None,
                 is_admin: bool | None = None,
                 read_deleted: str = 'no',
                 remote_address: str | None = None,
                 timestamp: datetime.datetime | str | None = None,
                 quota_class: str | None = None,
                 service_catalog: list[dict[str, Any]] | None = None,
                 **kwargs: Any) -> None:
        super().__init__(user_id=user_id, project_id=project_id,
                         is_admin=is_admin, **kwargs)
        self.read_deleted = read_deleted
        self.remote_address = remote_address
        if isinstance(timestamp, str):
            timestamp = timeutils.parse_strtime(timestamp)
        self.timestamp = timestamp or timeutils.utcnow()
        self.quota_class = quota_class
        self.service_catalog = service_catalog or []
        # A manager of another cell's database; None means the configured one.
        self.db_connection: Any = None
        if is_admin is None:
            # Policy is needed only where nobody has decided yet.
            from nova import policy
            self.is_admin = policy.check_is_admin(self)

    @property
    def read_deleted(self) -> str:
        return self._read_deleted

    @read_deleted.setter
    def read_deleted(self, value: str) -> None:
        if value not in ('no', 'yes', 'only'):
            raise ValueError(
                f"read_deleted can only be 'no', 'yes' or 'only', "
                f'not {value!r}')
        self._read_deleted = value

    def to_dict(self) -> dict[str, Any]:
        """Return the keys that travel with a message."""
        values = super().to_dict()
        values.update(
            user_id=self.user_id,
            user_name=self.user_name,
            project_name=self.project_name,
            read_deleted=self.read_deleted,
            remote_address=self.remote_address,
            timestamp=self.timestamp.strftime('%Y-%m-%dT%H:%M:%S.%f'),
            quota_class=self.quota_class,
            service_catalog=self.service_catalog)
        return values

    def redacted_copy(self, **kwargs: Any) -> RequestContext:
        """Return a copy that is fit for a notification.

        It has no tokens and no catalog, and does not tell every consumer
        the address of the caller.
        """
        redacted = copy.copy(self)
        redacted.auth_token = None
        redacted.service_token = None
        redacted.service_catalog = []
        redacted.remote_address = None
        return redacted

    def elevated(self, read_deleted: str | None = None) -> RequestContext:
        """Return a copy of this context with administrator's rights."""
        elevated = copy.copy(self)
        elevated.roles = [*self.roles]
        if 'admin' not in elevated.roles:
            elevated.roles.append('admin')
        elevated.is_admin = True
        if read_deleted is not None:
            elevated.read_deleted = read_deleted
        return elevated

    def can(self, action: str, target: dict[str, Any] | None = None,
            fatal: bool = True) -> bool:
        """Check a policy rule for this context.

        :param target: attributes of what is acted on; the context's own
            project and user if None
        :raises PolicyNotAuthorized: the rule denies it, and fatal is set
        """
        from nova import policy
        return policy.authorize(self, action, target, fatal)


def get_context() -> RequestContext:
    """Return a context without user and without rights.

    Like :func:`get_admin_context` it leaves the thread's current context,
    which logging reads, as it is.
    """
    return RequestContext(is_admin=False, overwrite=False)


def get_admin_context(read_deleted: str = 'no') -> RequestContext:
    """Return the context of work that a process does for itself."""
    return RequestContext(is_admin=True, read_deleted=read_deleted,
                          overwrite=False)
