# SPDX-License-Identifier: Apache-2.0
"""Run the migrations on the connection that nova.db.migration hands over."""

from alembic import context
import sqlalchemy as sa

from nova.db import migration
from nova.db.main import models


def _run(connection: sa.Connection) -> None:
    context.configure(connection=connection,
                      target_metadata=models.BASE.metadata,
                      version_table=migration.VERSION_TABLE,
                      render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


_connection = context.config.attributes.get('connection')
if _connection is not None:
    _run(_connection)
else:
    _engine = sa.create_engine(
        context.config.get_main_option('sqlalchemy.url'))
    with _engine.connect() as _connection:
        _run(_connection)
