# SPDX-License-Identifier: Apache-2.0
"""Create the outbox of notifications, and the lease of its relay."""

from alembic import op
import sqlalchemy as sa

from nova.db import adoption

revision = 'a83b90c4e117'
down_revision = '5d1c6f0a92be'
branch_labels = None
depends_on = None

_MYSQL = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8'}


def _tables() -> list[sa.Table]:
    key = sa.BigInteger().with_variant(sa.Integer, 'sqlite')
    return [
        sa.Table(
            'notification_outbox', sa.MetaData(),
            sa.Column('id', key, primary_key=True, autoincrement=True),
            sa.Column('aggregatetype', sa.String(255), nullable=False),
            sa.Column('aggregateid', sa.String(255), nullable=False),
            sa.Column('type', sa.String(255), nullable=False),
            sa.Column('payload', sa.Text, nullable=False),
            sa.Column('message_id', sa.String(36), nullable=False),
            sa.Column('timestamp', sa.String(32), nullable=False),
            sa.Column('publisher_id', sa.String(511), nullable=False),
            sa.Column('priority', sa.String(16), nullable=False),
            sa.Column('topics', sa.Text, nullable=False),
            sa.Column('context', sa.Text, nullable=False),
            sa.Column('created_at', sa.DateTime, nullable=False),
            sa.Column('attempts', sa.Integer, nullable=False),
            sa.Column('parked_at', sa.DateTime),
            sa.Column('error', sa.Text),
            # A number must not come twice: the relay deletes by it.
            sqlite_autoincrement=True, **_MYSQL),
        sa.Table(
            'notification_relay', sa.MetaData(),
            sa.Column('id', sa.Integer, primary_key=True,
                      autoincrement=False),
            sa.Column('holder', sa.String(255)),
            sa.Column('beat', sa.BigInteger, nullable=False), **_MYSQL)]


def upgrade() -> None:
    adoption.create_or_adopt(op.get_bind(), _tables(), later_indexes={
        'notification_outbox_parked_idx', 'notification_outbox_waiting_idx'})
