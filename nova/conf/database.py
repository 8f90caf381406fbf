# SPDX-License-Identifier: Apache-2.0
"""oslo.db's options, without the one that it deprecates, and limits."""

from oslo_config import cfg
from oslo_db import options

OSLO_OPTS = [opt for opt in options.database_opts
             if opt.name != 'use_db_reconnect']

OPTS = [
    *OSLO_OPTS,
    cfg.IntOpt(
        'connect_timeout', default=10, min=1,
        help='Seconds that a new connection to MySQL, MariaDB or PostgreSQL '
             'may take. The attempt is repeated as max_retries says. A '
             'connect_timeout in the URL comes first.'),
    cfg.IntOpt(
        'read_timeout', default=20, min=0,
        help='Seconds to wait for any answer of MySQL, MariaDB or PostgreSQL '
             'on an open connection. After that the connection counts as '
             'lost: it is closed, the statement fails, and the next one uses '
             'a new connection. PostgreSQL and MariaDB are asked to end a '
             'transaction whose client has been silent for this time, at '
             'most 10 seconds. '
             'This is what gets a process going again after a failover that '
             'did not end its connections, so it should be below '
             "service_down_time. Raise it if your database is so slow that "
             'statements are cut off. Migrations have no limit. 0 waits '
             'without limit. A read_timeout or write_timeout in the URL of '
             'MySQL or MariaDB comes first.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group='database')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'database': OPTS}
