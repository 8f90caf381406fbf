# SPDX-License-Identifier: Apache-2.0
"""A directory for one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
import pathlib

from nova import exception


@contextlib.contextmanager
def held(folder: str) -> Iterator[None]:
    """Hold the directory of the state, which is made if it is not there.

    :raises ConfigurationError: it can't be used
    """
    with contextlib.ExitStack() as stack:
        try:
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(
                pathlib.Path(folder, 'lock').open('w'))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise exception.ConfigurationError(detail=(
                f'--state-dir {folder} is used by another nova-standalone'
            )) from error
        except OSError as error:
            raise exception.ConfigurationError(detail=(
                f'--state-dir {folder} should be a directory that can be '
                f'written to: {error.strerror}')) from error
        yield
