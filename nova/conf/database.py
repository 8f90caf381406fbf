# SPDX-License-Identifier: Apache-2.0
"""oslo.db's options, without the one that oslo.db itself deprecates."""

from oslo_config import cfg
from oslo_db import options

OPTS = [opt for opt in options.database_opts if opt.name != 'use_db_reconnect']


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group='database')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'database': OPTS}
