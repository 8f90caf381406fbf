# SPDX-License-Identifier: Apache-2.0
"""nova-status: is it set up well? Says what is not, and what to do.

Exits with 0 if all is well, 1 if the worst is a warning, 2 if it is a
failure, and 255 if that could not be found out. Wrong usage is 2, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import logging
import sys
import traceback
from typing import Any

from oslo_config import cfg

from nova import config
from nova.cmd import common

CONF = config.CONF

_UNEXPECTED = 255


def _add_categories(categories: argparse._SubParsersAction) -> None:
    notifications = categories.add_parser(
        'notifications', help='the way of a notification to its consumers')
    check = notifications.add_subparsers(
        dest='action', required=True).add_parser(
            'check', help='look at configuration, message bus, consumers and '
                          'outbox, changing nothing')
    check.add_argument('--json', action='store_true',
                       help='print JSON instead of a table')
    check.set_defaults(work=_check_notifications)


def _check_notifications() -> int:
    from oslo_upgradecheck import upgradecheck

    from nova.notifications import check
    commands = upgradecheck.UpgradeCommands()
    commands.display_title = 'Notification Check Results'
    commands._upgrade_checks = tuple(
        (finding.check, (_result, {'result': upgradecheck.Result(
            finding.code, finding.details)}))
        for finding in check.look(CONF))
    # There it looks for --json.
    upgradecheck.CONF = CONF
    return commands.check()


def _result(_commands: Any, result: Any) -> Any:
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-status."""
    argv = sys.argv if argv is None else argv
    codes: list[int] = []

    def work() -> None:
        CONF.register_cli_opt(cfg.SubCommandOpt(
            'command', title='categories', handler=_add_categories))
        config.parse_args(argv, configure_db=False, init_rpc=False,
                          prog='nova-status')
        config.set_lib_defaults()
        config.setup_logging()
        if not CONF.debug:
            # What it says of the bus is a finding.
            logging.getLogger(
                'oslo.messaging._drivers.impl_rabbit').setLevel(
                    logging.CRITICAL)
        from nova.db.main import api
        # By default it would try for minutes.
        CONF.set_override('max_retries', 0, 'database')
        api.configure(CONF)
        codes.append(CONF.command.work())

    try:
        failed = common.run('nova-status', argv, work)
    except Exception:
        # Only with --debug; 1 would be a warning.
        traceback.print_exc()
        return _UNEXPECTED
    if failed == 1:
        return _UNEXPECTED
    return failed or codes[0]


if __name__ == '__main__':
    sys.exit(main())
