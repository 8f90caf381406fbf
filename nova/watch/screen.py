# SPDX-License-Identifier: Apache-2.0
"""A table of services that repaints in place."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
import contextlib
import datetime
import heapq
import logging
import sys
import threading

from oslo_utils import timeutils
import rich.box
import rich.console
import rich.live
import rich.table
import rich.text

from nova import consumer
from nova.watch import text

#: seconds between two paints: while there is news, and while there is none
_PAINT = (0.1, 1.0)

#: latest events shown below the services
_LINES = 8

#: lines of the log that are kept until the end
_HELD = 100

#: lines of the screen that show no service: summary, titles, gaps
_FRAME = 5

_COLUMNS = ('host', 'binary', 'zone', 'state', 'status', 'reason',
            'last event', 'age')

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def possible() -> bool:
    """Return whether stdout is a terminal that can be painted on."""
    console = rich.console.Console()
    return console.is_terminal and not console.is_dumb_terminal


def age(seconds: float) -> str:
    """Return a time span in its largest unit."""
    for unit, length in (('d', _DAY), ('h', _HOUR), ('m', _MINUTE)):
        if seconds >= length:
            return f'{seconds // length:.0f}{unit}'
    return f'{max(seconds, 0):.0f}s'


class Screen:
    """The services of a mirror and the latest events, painted over and over.

    Those that are down come first, then those that are disabled: they are
    seen when not all fit.

    :param wanted: returns whether a service is shown
    """

    def __init__(self, wanted: Callable[[consumer.Service], bool]) -> None:
        self._wanted = wanted
        self._last: dict[str, tuple[str, datetime.datetime]] = {}
        self._lines: collections.deque[str] = collections.deque(
            maxlen=_LINES)
        self._news = threading.Event()

    def heard(self, event: consumer.ServiceEvent) -> None:
        """Note an event; the mirror calls it."""
        if self._wanted(event.service):
            self._last[event.service.uuid] = (event.event_type,
                                              event.timestamp)
            self.tell(text.line(event))

    def forget(self, service: consumer.Service) -> None:
        """Note that a service is no more; the mirror calls it."""
        self._last.pop(service.uuid, None)
        self._news.set()

    def drifted(self, drift: consumer.Drift) -> None:
        """Note what no event has told; the mirror calls it."""
        if drift.service and self._wanted(drift.service):
            self.tell(f'{timeutils.utcnow():%Y-%m-%d %H:%M:%S} no event has '
                      f'told that {text.printable(str(drift))}')

    def tell(self, line: str) -> None:
        """Show a line among the events."""
        self._lines.append(line)
        self._news.set()

    def run(self, mirror: consumer.ServiceMirror,
            stopping: threading.Event) -> None:
        """Paint until the event is set."""
        pause, longest = _PAINT
        with rich.live.Live(screen=True, auto_refresh=False) as live:
            while not stopping.wait(pause):
                live.update(self.render(mirror, live.console.size),
                            refresh=True)
                self._news.wait(longest - pause)
                self._news.clear()

    def render(self, mirror: consumer.ServiceMirror,
               size: rich.console.ConsoleDimensions
               ) -> rich.console.RenderableType:
        """Return what is to be seen now."""
        services = list(filter(self._wanted, mirror.services()))
        # Without a snapshot a deque can't be read while it grows.
        lines = list(self._lines)
        room = max(size.height - _FRAME - len(lines), 1)
        parts: list[rich.console.RenderableType] = [
            _summary(mirror, services), self._table(services, room)]
        if len(services) > room:
            parts.append(rich.text.Text(
                f'{len(services) - room} more; --host and --binary choose',
                'dim'))
        parts += [rich.text.Text(line, 'dim', no_wrap=True,
                                 overflow='ellipsis')
                  for line in ('', *lines)]
        return rich.console.Group(*parts)

    def _table(self, services: list[consumer.Service], room: int
               ) -> rich.table.Table:
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD, expand=True,
                                 pad_edge=False, show_edge=False)
        for title in _COLUMNS:
            table.add_column(title, no_wrap=True, overflow='ellipsis',
                             ratio=2 if title in ('host', 'reason') else None)
        now = timeutils.utcnow().replace(tzinfo=datetime.UTC)
        for service in heapq.nsmallest(room, services, _urgency):
            kind, at = self._last.get(service.uuid, ('-', None))
            table.add_row(
                *(rich.text.Text(text.printable(cell)) for cell in (
                    service.host, service.binary, service.zone,
                    _sign(service) + text.state(service),
                    text.status(service), service.disabled_reason, kind,
                    age((now - at).total_seconds()) if at else '-')),
                style=_style(service))
        return table


def _urgency(service: consumer.Service) -> tuple[bool, bool, str, str]:
    return (service.state != 'down', not service.disabled,
            service.host or '', service.binary or '')


def _sign(service: consumer.Service) -> str:
    return {'up': '● ', 'down': '✖ '}.get(service.state or '', '  ')


def _style(service: consumer.Service) -> str:
    if service.state == 'down':
        return 'red'
    return 'yellow' if service.disabled else ''


def _summary(mirror: consumer.ServiceMirror,
             services: list[consumer.Service]) -> rich.text.Text:
    down = sum(service.state == 'down' for service in services)
    disabled = sum(service.disabled for service in services)
    plural = '' if len(services) == 1 else 's'
    counts = (f'{len(services)} service{plural}, {down} down, '
              f'{disabled} disabled')
    if not mirror.wait_until_synced(0):
        counts = 'waiting for the list of services'
    summary = rich.text.Text(counts, 'bold', no_wrap=True,
                             overflow='ellipsis')
    if mirror.trouble:
        return summary.append(
            f'   not current: {text.printable(mirror.trouble)}', 'red')
    return summary.append('   current; Ctrl-C ends', 'green')


@contextlib.contextmanager
def held_log(tell: Callable[[str], object]) -> Iterator[None]:
    """Show among the events what would be logged to stderr, and log it later.

    On the screen it would be painted over, and what it was on with it.
    """
    root = logging.getLogger()
    held = _Held(tell)
    handlers, root.handlers = root.handlers, [held, *(
        handler for handler in root.handlers if not _on_screen(handler))]
    try:
        yield
    finally:
        root.handlers = handlers
        for record in held.records:
            for handler in filter(_on_screen, handlers):
                handler.handle(record)


def _on_screen(handler: logging.Handler) -> bool:
    return getattr(handler, 'stream', None) is sys.stderr


class _Held(logging.Handler):
    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__()
        self._tell = tell
        self.records: collections.deque[logging.LogRecord] = (
            collections.deque(maxlen=_HELD))

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self._tell(text.printable(record.getMessage()))
