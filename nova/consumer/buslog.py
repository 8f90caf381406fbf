# SPDX-License-Identifier: Apache-2.0
"""What oslo.messaging's driver of RabbitMQ tells only in its log."""

from __future__ import annotations

from collections.abc import Callable
import logging
import re

LOG = logging.getLogger(__name__)

_DRIVER = logging.getLogger('oslo.messaging._drivers.impl_rabbit')

_UNREADABLE = 'Failed to process message'
_LOST = re.compile(r'(?:AMQP server .* (?:closed|is unreachable)'
                   r'|Connection failed).*')
#: what an exception tells, too
_RAISED = ('Failed to declare consumer', 'Unable to connect to AMQP server')
_FOUND = 'Reconnected to AMQP server'


class BusLog(logging.Filter):
    """Makes of many tracebacks and repetitions what a consumer can act on.

    :param unreadable: called with kind and reason of a message that could
        not be read
    :param reconnected: called when the bus is back after it was lost
    :ivar trouble: why the bus is not reached, None while it is
    """

    def __init__(self, unreadable: Callable[[str, str], object],
                 reconnected: Callable[[], object]) -> None:
        super().__init__()
        self.trouble: str | None = None
        self._unreadable = unreadable
        self._reconnected = reconnected
        self._hidden = logging.NOTSET

    def attach(self) -> None:
        """Read the log from now on."""
        if not _DRIVER.isEnabledFor(logging.INFO):
            # What is asked for only here is not shown.
            self._hidden = logging.INFO
            _DRIVER.setLevel(logging.INFO)
        _DRIVER.addFilter(self)

    def detach(self) -> None:
        """Read the log no more."""
        _DRIVER.removeFilter(self)

    def lose(self, trouble: str) -> None:
        """Note why the bus is not reached; log it if it was reached before.
        """
        if not self.trouble:
            LOG.warning('%s', trouble)
        self.trouble = trouble

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line stays in the log."""
        text = record.getMessage()
        if _UNREADABLE in text:
            error = record.exc_info and record.exc_info[1]
            self._unreadable('unreadable', f'unreadable: {error}')
            return False
        if text.startswith(_RAISED):
            return False
        lost = _LOST.search(text)
        if lost:
            self.lose(lost[0])
            return False
        if _FOUND in text and self.trouble:
            self.trouble = None
            LOG.info('The message bus is reached again')
            self._reconnected()
        return record.levelno > self._hidden
