# SPDX-License-Identifier: Apache-2.0
"""The tables, as Nova has them; the source of every shape and length."""

from oslo_db.sqlalchemy import models
import sqlalchemy as sa
from sqlalchemy import orm

_MYSQL = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8'}


class BASE(orm.DeclarativeBase):
    """Base of all tables."""


class _ServiceColumns(models.TimestampMixin, models.ModelBase,
                      models.SoftDeleteMixin):
    """The columns that ``services`` and ``shadow_services`` share."""

    id = sa.Column(sa.Integer, primary_key=True, nullable=False,
                   autoincrement=True)
    host = sa.Column(sa.String(255))
    binary = sa.Column(sa.String(255))
    topic = sa.Column(sa.String(255))
    report_count = sa.Column(sa.Integer, nullable=False, default=0)
    disabled = sa.Column(sa.Boolean, default=False)
    deleted = sa.Column(sa.Integer, default=0)
    disabled_reason = sa.Column(sa.String(255))
    last_seen_up = sa.Column(sa.DateTime)
    forced_down = sa.Column(sa.Boolean, default=False)
    version = sa.Column(sa.Integer, default=0)
    uuid = sa.Column(sa.String(36))


class Service(_ServiceColumns, BASE):
    """A process of Nova on a host, as it was last heard of."""

    __tablename__ = 'services'
    __table_args__ = (
        sa.UniqueConstraint('host', 'topic', 'deleted',
                            name='uniq_services0host0topic0deleted'),
        sa.UniqueConstraint('host', 'binary', 'deleted',
                            name='uniq_services0host0binary0deleted'),
        sa.Index('services_uuid_idx', 'uuid', unique=True),
        _MYSQL,
    )


class ShadowService(_ServiceColumns, BASE):
    """Where soft-deleted services are archived to."""

    __tablename__ = 'shadow_services'
    __table_args__ = _MYSQL
