# SPDX-License-Identifier: Apache-2.0
"""Upgrades of the schema, for a test case on any database."""

from __future__ import annotations

from typing import Any

from alembic import autogenerate
from alembic import migration as alembic_migration
from oslo_utils import timeutils
import sqlalchemy as sa

from nova.db import migration
from nova.db.main import api as db
from nova.db.main import models
from nova.db.main import outbox

#: the last revision without indexes on the outbox
UNINDEXED = 'a83b90c4e117'

_OUTBOX: Any = models.NotificationOutbox.__table__

VALUES = {
    'aggregatetype': 'service', 'aggregateid': 'u', 'type': 'service.update',
    'payload': '{}', 'message_id': 'm', 'timestamp': 't', 'priority': 'info',
    'publisher_id': 'nova-compute:h1', 'topics': '[]', 'context': '{}'}


class MigrationTests:
    """For a test case whose database has the newest schema."""

    #: differences between schema and model that are right on this database
    EXPECTED: tuple[tuple[str, str], ...] = ()

    def test_schema_is_that_of_the_models(self):
        with db.get_engine().connect() as connection:
            context = alembic_migration.MigrationContext.configure(
                connection, opts={
                    'compare_type': True, 'include_name': self._is_ours})
            differences = autogenerate.compare_metadata(
                context, models.BASE.metadata)
        self.assertEqual(
            list(self.EXPECTED),
            [(difference[0], difference[1].name)
             if len(difference) == 2 else difference
             for difference in differences])

    @staticmethod
    def _is_ours(name, type_, parents):
        return (type_, name) != ('table', migration.VERSION_TABLE)

    def test_upgrade_keeps_the_rows_of_an_unindexed_outbox(self):
        self._go_back_to_unindexed()
        outbox.add(self.context, VALUES)
        outbox.add(self.context, {**VALUES, 'parked_at': timeutils.utcnow()})
        migration.db_sync()
        self.test_schema_is_that_of_the_models()
        self.assertEqual([1, 1], [
            len(outbox.waiting(self.context, 10)),
            len(outbox.listed(self.context, True, 10))])

    def test_upgrade_goes_on_after_it_was_interrupted(self):
        self._go_back_to_unindexed(keep='notification_outbox_parked_idx')
        migration.db_sync()
        self.test_schema_is_that_of_the_models()

    def test_indexed_outbox_is_adopted(self):
        with db.get_engine().begin() as connection:
            connection.exec_driver_sql(f'DROP TABLE {migration.VERSION_TABLE}')
        migration.db_sync()
        self.test_schema_is_that_of_the_models()

    def _go_back_to_unindexed(self, keep=None):
        engine = db.get_engine()
        existing = sa.inspect(engine).get_indexes(_OUTBOX.name)
        for index in _OUTBOX.indexes:
            if (index.name != keep
                    and index.name in [found['name'] for found in existing]):
                index.drop(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                f'UPDATE {migration.VERSION_TABLE} '
                f"SET version_num = '{UNINDEXED}'")
