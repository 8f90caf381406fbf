# SPDX-License-Identifier: Apache-2.0
"""Create the tables of the service registry, or adopt Nova's."""

from alembic import op
import sqlalchemy as sa

from nova.db import adoption

revision = '5d1c6f0a92be'
down_revision = None
branch_labels = None
depends_on = None

_MYSQL = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8'}


def _columns() -> list[sa.Column]:
    return [
        sa.Column('created_at', sa.DateTime),
        sa.Column('updated_at', sa.DateTime),
        sa.Column('deleted_at', sa.DateTime),
        sa.Column('id', sa.Integer, primary_key=True, nullable=False,
                  autoincrement=True),
        sa.Column('host', sa.String(255)),
        sa.Column('binary', sa.String(255)),
        sa.Column('topic', sa.String(255)),
        sa.Column('report_count', sa.Integer, nullable=False),
        sa.Column('disabled', sa.Boolean),
        sa.Column('deleted', sa.Integer),
        sa.Column('disabled_reason', sa.String(255)),
        sa.Column('last_seen_up', sa.DateTime),
        sa.Column('forced_down', sa.Boolean),
        sa.Column('version', sa.Integer),
        sa.Column('uuid', sa.String(36)),
    ]


def _services() -> sa.Table:
    return sa.Table(
        'services', sa.MetaData(), *_columns(),
        sa.UniqueConstraint('host', 'topic', 'deleted',
                            name='uniq_services0host0topic0deleted'),
        sa.UniqueConstraint('host', 'binary', 'deleted',
                            name='uniq_services0host0binary0deleted'),
        sa.Index('services_uuid_idx', 'uuid', unique=True),
        **_MYSQL)


def upgrade() -> None:
    adoption.create_or_adopt(op.get_bind(), [
        _services(),
        sa.Table('shadow_services', sa.MetaData(), *_columns(), **_MYSQL)])
