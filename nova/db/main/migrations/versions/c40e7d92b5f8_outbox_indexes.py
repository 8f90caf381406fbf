# SPDX-License-Identifier: Apache-2.0
"""Index the waiting and the parked notifications of the outbox."""

from alembic import op
import sqlalchemy as sa

revision = 'c40e7d92b5f8'
down_revision = 'a83b90c4e117'
branch_labels = None
depends_on = None

_TABLE = 'notification_outbox'
_PARKED = sa.text('parked_at IS NOT NULL')
_WAITING = sa.text('parked_at IS NULL')


def upgrade() -> None:
    bind = op.get_bind()
    # The table may have been adopted with its indexes. MariaDB also keeps an
    # index that an interrupted upgrade has created.
    existing = {index['name'] for index in sa.inspect(bind).get_indexes(
        _TABLE)}
    if 'notification_outbox_parked_idx' not in existing:
        op.create_index(
            'notification_outbox_parked_idx', _TABLE, ['parked_at', 'id'],
            postgresql_where=_PARKED, sqlite_where=_PARKED)
    if (bind.dialect.name in ('postgresql', 'sqlite')
            and 'notification_outbox_waiting_idx' not in existing):
        op.create_index(
            'notification_outbox_waiting_idx', _TABLE, ['id'],
            postgresql_where=_WAITING, sqlite_where=_WAITING)
