# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of the outbox and its relay, beside their floors.

create: with delivery outbox, beside notifications switched off; they take
turns, on an SQLite file and on a private MariaDB that writes each commit to
disk. bus down: the same create, beside one with RabbitMQ up. relay: a drain
of an SQLite outbox to a private RabbitMQ, beside a loop of bare
oslo.messaging notifies on the same one, and its peak memory. The last tenth
of a drain beside the first tells whether it slows down. A private RabbitMQ
and MariaDB are started, or ``NOVA_TEST_RABBIT_URL`` and
``NOVA_TEST_MARIADB_URL`` are used.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import functools
import itertools
import json
import pathlib
import re
import tempfile
import threading
import time
from typing import Any

import bench


def create(database: str | None, bus: str, runs: int) -> tuple[float, float]:
    """Return the median of a create with outbox, and with nothing, in µs."""
    with tempfile.TemporaryDirectory() as folder:
        lifecycle = bench.Lifecycle(folder, database, bus)
        from nova.conf import CONF
        CONF.set_override('delivery', 'outbox', 'notifications')

        def silent() -> None:
            CONF.set_override('notification_format', 'unversioned',
                              'notifications')
            lifecycle.create()
            CONF.clear_override('notification_format', 'notifications')

        stored, bare = bench.median(lifecycle.create, silent, runs=runs)
        return stored, bare


def drain(bus: str, rows: int) -> dict[str, float]:
    """Fill an outbox, empty it, and notify as often without one."""
    with tempfile.TemporaryDirectory() as folder:
        lifecycle = bench.Lifecycle(folder, bus=bus)
        from nova.conf import CONF
        CONF.set_override('delivery', 'outbox', 'notifications')
        fill(lifecycle, rows)
        tenths = empty(rows)
        bare = notify(lifecycle, min(rows, 10_000))
    status = pathlib.Path('/proc/self/status').read_text()
    return {'relay': rows / sum(tenths), 'bare': bare,
            'slower': tenths[-1] / tenths[0],
            'peak': int(re.search(r'VmHWM:\s*(\d+) kB', status)[1]) / 1024}


def fill(lifecycle: bench.Lifecycle, rows: int) -> None:
    """Make so many waiting notifications, of 1,000 services."""
    from nova.db.main import models
    from nova.db.main import outbox
    table: Any = models.NotificationOutbox.__table__
    lifecycle.create()
    row = dict(outbox.waiting(lifecycle.context, 1)[0])
    with lifecycle.engine.begin() as connection:
        connection.execute(table.delete())
        for start in range(0, rows, 1_000):
            connection.execute(table.insert(), [
                {**row, 'id': start + number + 1, 'aggregateid': str(number)}
                for number in range(1_000)])


def empty(rows: int) -> list[float]:
    """Send all that waits; return the seconds that each tenth took."""
    from nova.conf import CONF
    from nova.notifications import lease
    from nova.notifications import metrics
    from nova.notifications import publisher
    from nova.notifications import relay
    stopping = threading.Event()
    times = [time.perf_counter()]
    left = rows

    class Counting(publisher.Publisher):
        def publish(self, row: Any, may_publish: Callable[[], bool]) -> None:
            nonlocal left
            super().publish(row, may_publish)
            left -= 1
            if left % (rows // 10) == 0:
                times.append(time.perf_counter())
            if not left:
                stopping.set()

    relay.Relay(CONF, Counting(CONF), lease.Lease('bench'),
                metrics.Metrics()).run(stopping)
    return [after - before for before, after in itertools.pairwise(times)]


def notify(lifecycle: bench.Lifecycle, number: int) -> float:
    """Return bare notifies a second."""
    from nova import rpc
    from nova.notifications.objects import service as notification
    payload = notification.ServiceStatusPayload(
        lifecycle.create()).obj_to_primitive()
    notifier = rpc.NOTIFIER.prepare(publisher_id='nova-compute:h')
    send = functools.partial(
        notifier.info, lifecycle.context, 'service.update', payload)
    send()
    start = time.perf_counter()
    for _run in range(number):
        send()
    return number / (time.perf_counter() - start)


def report(runs: int, rows: int) -> None:
    """Measure all and print it."""
    import rich.console
    import rich.table

    from nova.tests.fixtures import servers
    table = rich.table.Table('', 'measured', 'floor', 'ratio', 'goal')
    with servers.MariaDB(durable=True) as mariadb:
        for name, database in (('SQLite', ''), ('MariaDB', mariadb.url)):
            stored, bare = bench.apart(
                __file__, '--create', database, '--runs', runs)
            table.add_row(f'create, {name}', f'{stored:,.0f} µs',
                          f'{bare:,.0f} µs', f'{stored / bare:.2f}',
                          '≤ 1.25')
    with servers.RabbitMQ() as rabbit:
        drained = bench.apart(__file__, '--drain', rabbit.url, '--rows', rows)
        common = '--create', '', '--runs', runs, '--bus', rabbit.url
        up, _bare = bench.apart(__file__, *common)
        rabbit.stop()
        down, _bare = bench.apart(__file__, *common)
    table.add_row('create, bus down / up', f'{down:,.0f} µs', f'{up:,.0f} µs',
                  f'{down / up:.2f}', '1')
    table.add_row(
        'relay to RabbitMQ', f'{drained["relay"]:,.0f} /s',
        f'{drained["bare"]:,.0f} /s',
        f'{drained["relay"] / drained["bare"]:.2f}', '≥ 0.9')
    table.add_row(f'last tenth of {rows:,} rows / first', '', '',
                  f'{drained["slower"]:.2f}', '1')
    table.add_row('peak memory of the drain', f'{drained["peak"]:.0f} MB', '',
                  '', '≤ 100 MB')
    rich.console.Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=300)
    parser.add_argument('--rows', type=int, default=100_000)
    parser.add_argument('--create', metavar='URL',
                        help='print only the times of a create')
    parser.add_argument('--bus', metavar='URL', default='fake:/',
                        help='of --create')
    parser.add_argument('--drain', metavar='URL',
                        help='print only the figures of a drain')
    arguments = parser.parse_args()
    if arguments.create is not None:
        print(json.dumps(create(
            arguments.create or None, arguments.bus, arguments.runs)))
    elif arguments.drain is not None:
        print(json.dumps(drain(arguments.drain, arguments.rows)))
    else:
        report(arguments.runs, arguments.rows)


if __name__ == '__main__':
    main()
