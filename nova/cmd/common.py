# SPDX-License-Identifier: Apache-2.0
"""How a command ends: 0 done, 1 failed, 2 wrong usage; one line on stderr."""

import argparse
from collections.abc import Callable, Sequence
import io
import os
import sys
import threading
import time

from oslo_config import cfg

from nova import exception

#: seconds for threads of libraries to end when a command has done its work
_PATIENCE = 2


def run(prog: str, argv: Sequence[str], work: Callable[[], int | None]) -> int:
    """Run a command's work and return its exit code.

    :param argv: the command line; with ``--debug`` in it a failure shows its
        traceback
    """
    code = 1
    try:
        code = _work(prog, argv, work)
        return code
    finally:
        threading.Thread(target=_end, args=[code], daemon=True).start()


def _end(code: int) -> None:
    """End the process although another thread hangs, e.g. in a database.

    Python waits without limit for the threads of libraries, after the main
    thread has ended.
    """
    threading.main_thread().join()
    time.sleep(_PATIENCE)
    os._exit(code)


def _work(prog: str, argv: Sequence[str], work: Callable[[], int | None]
          ) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal can't show is no reason to fail.
            stream.reconfigure(errors='backslashreplace')
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who has read enough is no failure; nor is it at the last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except cfg.RequiredOptError as error:
        option = error.opt_name.replace('_', '-')
        print(f'{prog}: --{option} is required', file=sys.stderr)
        return 2
    except (cfg.Error, exception.NovaException) as error:
        reason = str(error)
        failure: Exception = error
    except Exception as error:
        reason = _explain(error)
        failure = error
    if '--debug' in argv:
        raise failure
    print(f'{prog}: {" ".join(reason.split())}', file=sys.stderr)
    return 1


def positive(text: str) -> int:
    """Return the number that an argument is, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} should be a whole number above 0')
    return int(text)


def _explain(error: Exception) -> str:
    from oslo_db import exception as db_exc
    import sqlalchemy as sa
    if isinstance(error, db_exc.CantStartEngineError):
        return ('[database] connection is not set; it should be a URL like '
                'mysql+pymysql://nova:PASSWORD@HOST/nova')
    if isinstance(error, db_exc.DBNonExistentTable):
        return (f'the database at {_database()} has no table '
                f"{error.table}: run 'nova-manage db sync' first")
    if isinstance(error, (db_exc.DBError, sa.exc.DBAPIError)):
        return _database_failure(error)
    return f'{type(error).__name__}: {_first_line(error)}'


def _first_line(error: Exception) -> str:
    return str(error).partition('\n')[0]


def _database_failure(error: Exception) -> str:
    if '@' in _database().rpartition('://')[2].partition('@')[2]:
        # What follows an @ in a password is taken for the host, and shown.
        return ('[database] connection can not be read: the special '
                'characters of its password must be percent-encoded')
    return f'the database at {_database()} failed: {_first_line(error)}'


def _database() -> str:
    import sqlalchemy as sa
    try:
        return sa.make_url(cfg.CONF.database.connection).render_as_string(
            hide_password=True)
    except sa.exc.ArgumentError:
        return '[database] connection'
