# SPDX-License-Identifier: Apache-2.0
"""nova-manage: the operator's tool."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from oslo_config import cfg

from nova import config
from nova.cmd import common
from nova.cmd import notifications
from nova.cmd import outbox

CONF = config.CONF


def _db_sync() -> None:
    from nova.db import migration
    migration.db_sync(CONF.category.version)


def _db_version() -> None:
    from nova.db import migration
    print(migration.db_version())


def _api_openapi() -> None:
    import json

    from nova.api.openstack import api_version_request as microversion
    from nova.api.openstack import openapi
    version = CONF.category.microversion
    wanted = (microversion.MAX_VERSION if version == 'latest'
              else microversion.parse(version))
    microversion.check_supported(wanted)
    print(json.dumps(openapi.document(wanted), indent=2))


def _version() -> None:
    from nova import version
    print(version.version_string())


def _add_categories(categories: argparse._SubParsersAction) -> None:
    database = categories.add_parser('db', help='the database schema')
    actions = database.add_subparsers(dest='action', required=True)
    sync = actions.add_parser('sync', help='upgrade the schema')
    sync.add_argument('--local_cell', action='store_true',
                      help='accepted for compatibility: there is one cell')
    sync.add_argument('version', metavar='VERSION', nargs='?',
                      help='revision to stop at; the newest if not given')
    sync.set_defaults(work=_db_sync)
    actions.add_parser(
        'version', help="print the schema's revision").set_defaults(
            work=_db_version)
    api = categories.add_parser('api', help='the REST API')
    openapi = api.add_subparsers(dest='action', required=True).add_parser(
        'openapi', help='print the OpenAPI 3.1 document of os-services')
    openapi.add_argument('--microversion', default='latest', metavar='X.Y',
                         help='microversion to describe; the newest if not '
                              'given')
    openapi.set_defaults(work=_api_openapi)
    notifications.add_parsers(categories)
    outbox.add_parsers(categories)
    categories.add_parser(
        'version', help='print the version of this program').set_defaults(
            work=_version)


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-manage."""
    argv = sys.argv if argv is None else argv

    def work() -> None:
        CONF.register_cli_opt(cfg.SubCommandOpt(
            'category', title='categories', handler=_add_categories))
        config.parse_args(argv, init_rpc=False, prog='nova-manage')
        config.setup_logging()
        CONF.category.work()

    return common.run('nova-manage', argv, work)


if __name__ == '__main__':
    sys.exit(main())
