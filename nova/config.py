# SPDX-License-Identifier: Apache-2.0
"""Read the configuration and make a process ready to work."""

from __future__ import annotations

from collections.abc import Sequence
import logging

from oslo_config import cfg
from oslo_log import log

from nova import conf as nova_conf
from nova import exception
from nova import version

CONF = nova_conf.CONF

_QUIET = ('oslo.messaging=INFO', 'oslo_messaging=INFO', 'oslo_policy=INFO',
          'oslo_service.backend=WARNING', 'stevedore=INFO',
          'alembic.runtime.plugins=WARNING',
          'alembic.autogenerate=WARNING')


def set_lib_defaults() -> None:
    """Set Nova's defaults of libraries' options; also for the sample."""
    from nova import rpc
    rpc.set_defaults(control_exchange='nova')


def parse_args(argv: Sequence[str],
               default_config_files: list[str] | None = None,
               configure_db: bool = True, init_rpc: bool = True,
               prog: str | None = None) -> None:
    """Read the configuration; logging is set up by the caller.

    :param argv: the command line, with the command's name first
    :param default_config_files: instead of those found in the usual places
    :param configure_db: make the database ready to be connected to
    :param init_rpc: make the message bus ready to be connected to
    :raises oslo_config.cfg.Error: a file can't be read, or an option has a
        value that it can't have
    """
    log.register_options(CONF)
    log.set_defaults(
        default_log_levels=[*log.get_default_log_levels(), *_QUIET])
    if init_rpc:
        set_lib_defaults()
    CONF(list(argv[1:]), project='nova', prog=prog,
         version=version.version_string(),
         default_config_files=default_config_files)
    check_values()
    if init_rpc:
        from nova import rpc
        rpc.init(CONF)
    if configure_db:
        from nova.db.main import api
        api.configure(CONF)


def reconnect() -> None:
    """Close the connections to bus and database; the next use opens others.

    For a process that forks, or that was forked: connections can't be
    shared.
    """
    from nova import rpc
    from nova.db.main import api
    rpc.cleanup()
    rpc.init(CONF)
    api.configure(CONF)


def setup_logging() -> None:
    """Log as configured; to stderr if nowhere else, stdout is the answer."""
    if not (CONF.log_file or CONF.log_dir):
        CONF.set_default('use_stderr', True)
    log.setup(CONF, 'nova')
    if not CONF.debug:
        # It raises what it logs with a traceback: who handles that says it.
        logging.getLogger('oslo_db.sqlalchemy.exc_filters').setLevel(
            logging.CRITICAL)


def check_values() -> None:
    """Read every option once, so that a bad value is met at the start.

    :raises ConfigurationError: names the option and what it should be
    """
    from nova.conf import opts
    for group, options in opts.list_opts():
        values = CONF if group == 'DEFAULT' else CONF[group]
        for option in options:
            try:
                values[option.dest]
            except cfg.ConfigFileValueError as error:
                raise exception.ConfigurationError(detail=str(error)) from None
    if CONF.graceful_shutdown_timeout < 0:
        # oslo.service registers it, without a minimum.
        raise exception.ConfigurationError(detail=(
            'graceful_shutdown_timeout is '
            f'{CONF.graceful_shutdown_timeout}; it should be 0 or more'))
