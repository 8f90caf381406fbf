# SPDX-License-Identifier: Apache-2.0
"""Take tables that are there already for those that are needed."""

from collections.abc import Collection
from typing import Any

from alembic import autogenerate
from alembic import migration
import sqlalchemy as sa

from nova import exception


def create_or_adopt(connection: sa.Connection,
                    tables: list[sa.Table],
                    later_indexes: Collection[str] = ()) -> None:
    """Create the tables that are missing.

    :param later_indexes: names of indexes that a table may have because a
        later migration creates them
    :raises SchemaMismatch: one is there with another shape; nothing was
        created
    """
    existing = set(sa.inspect(connection).get_table_names())
    for table in tables:
        if table.name in existing:
            check(connection, table, later_indexes)
    for table in tables:
        if table.name not in existing:
            table.create(connection)


def check(connection: sa.Connection, table: sa.Table,
          later_indexes: Collection[str] = ()) -> None:
    """Compare a table of the database with its definition.

    :param later_indexes: names of indexes that are not compared
    :raises SchemaMismatch: names every difference
    """
    def only_this(name: str | None, type_: str, parents: Any) -> bool:
        if type_ == 'index':
            return name not in later_indexes
        return type_ != 'table' or name == table.name

    context = migration.MigrationContext.configure(
        connection, opts={'compare_type': True, 'include_name': only_this})
    differences = [_describe(difference) for difference in _flat(
        autogenerate.compare_metadata(context, table.metadata))]
    if differences:
        raise exception.SchemaMismatch(
            table=table.name, differences='; '.join(differences))


def _flat(differences: list[Any]) -> list[tuple[Any, ...]]:
    # Changes of one column come as a list of their own.
    return [change for difference in differences
            for change in (difference if isinstance(difference, list)
                           else [difference])]


def _describe(difference: tuple[Any, ...]) -> str:
    action = difference[0]
    if action in ('add_column', 'remove_column'):
        state = 'is missing' if action == 'add_column' else 'is not expected'
        return f'column {difference[3].name} {state}'
    if action in ('modify_type', 'modify_nullable'):
        _, _, _, column, _, found, expected = difference
        what = 'type' if action == 'modify_type' else 'nullable'
        return f'column {column}: {what} is {found!r}, expected {expected!r}'
    state = 'is missing' if action.startswith('add_') else 'is not expected'
    kind = action.split('_', 1)[1].replace('_', ' ')
    return f'{kind} {getattr(difference[1], "name", difference[1])} {state}'
