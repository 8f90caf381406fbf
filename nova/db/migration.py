# SPDX-License-Identifier: Apache-2.0
"""Bring the schema up to date (alembic).

The revision is kept in a version table of our own, so that an existing cell
database keeps Nova's ``alembic_version`` as it is.
"""

from __future__ import annotations

import pathlib

from alembic import command
from alembic import config as alembic_config
from alembic import migration
from alembic import script

from nova import exception
from nova.context import RequestContext
from nova.db.main import api

VERSION_TABLE = 'service_notifications_alembic_version'

_MAIN = pathlib.Path(__file__).parent / 'main'


def db_sync(version: str | None = None, database: str = 'main',
            context: RequestContext | None = None) -> None:
    """Upgrade the schema.

    :param version: revision to stop at; None for the newest
    :raises ConfigurationError: there is no such revision, or the schema is
        newer than all that are known
    :raises SchemaMismatch: a table is there with another shape
    """
    config = _config(database)
    _check_revision(config, version)
    _check_current(config, db_version(database, context))
    with (api.patient_engine(context) as engine,
          engine.begin() as connection):
        config.attributes['connection'] = connection
        command.upgrade(config, version or 'head')


def db_version(database: str = 'main',
               context: RequestContext | None = None) -> str | None:
    """Return the schema's revision; None for an empty database."""
    _config(database)
    with api.get_engine(context=context).connect() as connection:
        return migration.MigrationContext.configure(
            connection,
            opts={'version_table': VERSION_TABLE}).get_current_revision()


def _config(database: str) -> alembic_config.Config:
    if database != 'main':
        raise exception.ConfigurationError(
            detail=f"database is {database!r}; only 'main' exists here")
    config = alembic_config.Config()
    config.set_main_option('script_location',
                           str(_MAIN / 'migrations').replace('%', '%%'))
    return config


def _known(config: alembic_config.Config) -> list[str]:
    return [revision.revision for revision in
            script.ScriptDirectory.from_config(config).walk_revisions()]


def _check_current(config: alembic_config.Config,
                   current: str | None) -> None:
    if current is not None and current not in _known(config):
        raise exception.ConfigurationError(
            detail=f'the schema of the database has revision {current}, which '
                   'this version does not know: use the newer version that '
                   'made it')


def _check_revision(config: alembic_config.Config,
                    version: str | None) -> None:
    known = _known(config)
    if version is not None and version not in (*known, 'head'):
        raise exception.ConfigurationError(
            detail=f'VERSION is {version!r}; known revisions are: '
                   + ', '.join(reversed(known)))
