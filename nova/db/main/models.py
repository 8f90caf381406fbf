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


#: SQLite numbers only an INTEGER key by itself.
_BigId = sa.BigInteger().with_variant(sa.Integer, 'sqlite')


class NotificationOutbox(BASE):
    """A notification that the bus has not confirmed yet.

    ``aggregatetype``, ``aggregateid``, ``type`` and ``payload`` are what
    Debezium's outbox event router looks for.
    """

    __tablename__ = 'notification_outbox'
    __table_args__ = (
        # Both are partial where a database has partial indexes. MariaDB has
        # none: there the first one serves the waiting rows, too, because the
        # key of a row with parked_at = NULL goes on with its id. PostgreSQL
        # would not use that order.
        sa.Index('notification_outbox_parked_idx', 'parked_at', 'id',
                 postgresql_where=sa.text('parked_at IS NOT NULL'),
                 sqlite_where=sa.text('parked_at IS NOT NULL')),
        sa.Index('notification_outbox_waiting_idx', 'id',
                 postgresql_where=sa.text('parked_at IS NULL'),
                 sqlite_where=sa.text('parked_at IS NULL')).ddl_if(
                     # Several are allowed, but not declared.
                     dialect=('postgresql', 'sqlite')),  # type: ignore[arg-type]
        _MYSQL,
    )

    id = sa.Column(_BigId, primary_key=True, autoincrement=True)
    aggregatetype = sa.Column(sa.String(255), nullable=False)
    aggregateid = sa.Column(sa.String(255), nullable=False)
    type = sa.Column(sa.String(255), nullable=False)
    payload = sa.Column(sa.Text, nullable=False)
    message_id = sa.Column(sa.String(36), nullable=False)
    timestamp = sa.Column(sa.String(32), nullable=False)
    publisher_id = sa.Column(sa.String(511), nullable=False)
    priority = sa.Column(sa.String(16), nullable=False)
    topics = sa.Column(sa.Text, nullable=False)
    context = sa.Column(sa.Text, nullable=False)
    created_at = sa.Column(sa.DateTime, nullable=False)
    attempts = sa.Column(sa.Integer, nullable=False)
    parked_at = sa.Column(sa.DateTime)
    error = sa.Column(sa.Text)


class NotificationRelay(BASE):
    """Which relay is active: one row, changed at each of its beats."""

    __tablename__ = 'notification_relay'
    __table_args__ = _MYSQL

    id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    holder = sa.Column(sa.String(255))
    beat = sa.Column(sa.BigInteger, nullable=False)


class ShadowService(_ServiceColumns, BASE):
    """Where soft-deleted services are archived to."""

    __tablename__ = 'shadow_services'
    __table_args__ = _MYSQL
