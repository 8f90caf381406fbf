# SPDX-License-Identifier: Apache-2.0
"""Speed and memory, each beside its floor measured in the same run.

SQLite file, driver messagingv2, bus in memory. The measured call and its
floor take turns, so that a machine that slows down slows both. Times are
medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import datetime
import itertools
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

CONF = '''\
[DEFAULT]
transport_url = {bus}
[database]
connection = {database}
[notifications]
notification_format = versioned
[oslo_messaging_notifications]
driver = messagingv2
'''

FLOOR_IMPORT = ('import oslo_versionedobjects.base, oslo_messaging, '
                'oslo_db.sqlalchemy.enginefacade')


def median(*calls: Callable[[], object], runs: int) -> list[float]:
    """Return the median time of each call in microseconds; they take turns."""
    times: list[list[float]] = [[] for _call in calls]
    for _run in range(runs):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) * 1e6 for taken in times]


class Lifecycle:
    """A database and a bus to measure on.

    :param database: URL; None for an SQLite file
    :param bus: transport URL
    """

    def __init__(self, folder: str, database: str | None = None,
                 bus: str = 'fake:/') -> None:
        conf = pathlib.Path(folder, 'nova.conf')
        conf.write_text(CONF.format(
            bus=bus, database=database or f'sqlite:///{folder}/nova.sqlite'))
        from nova import config
        config.parse_args(['bench', '--config-file', str(conf)])
        from nova import context
        from nova import objects
        from nova.db.main import api
        from nova.db.main import models
        from nova.objects import service
        objects.register_all()
        # As an operator does it, in a process of its own.
        subprocess.run([sys.executable, '-m', 'nova.cmd.manage',
                        '--config-file', str(conf), 'db', 'sync'],
                       check=True, capture_output=True)
        service.Service.enable_min_version_cache()
        self.context = context.get_admin_context()
        self.engine = api.get_engine()
        self.table = models.Service.__table__
        self.module = service
        self.names = (f'host-{number}' for number in itertools.count())

    def create(self):
        service = self.module.Service(
            self.context, host=next(self.names), binary='nova-compute',
            topic='compute', report_count=0)
        service.create()
        return service

    def insert(self) -> int:
        with self.engine.begin() as connection:
            return connection.execute(self.table.insert(), {
                'host': next(self.names), 'binary': 'nova-compute',
                'topic': 'compute', 'uuid': next(self.names),
                'version': 74}).inserted_primary_key[0]

    def update(self, service_id: int, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.table.update().where(
                self.table.c.id == service_id).values(**values))

    def notify(self) -> None:
        from nova import rpc
        rpc.NOTIFIER.prepare(publisher_id='nova-compute:h').info(
            self.context, 'service.update', self.primitive)

    def run(self, runs: int) -> list[tuple[str, float, float, str]]:
        """Return rows of (what, time, floor, goal); µs."""
        from nova.notifications.objects import service as notification
        rows = []
        rows.append(('create', *median(self.create, self.insert, runs=runs),
                     '≤ 2.0'))
        service, other = self.create(), self.insert()

        def build():
            return notification.ServiceStatusPayload(
                service).obj_to_primitive()

        self.primitive = build()
        counts = itertools.count(1)

        def beat():
            service.report_count += 1
            service.save()

        def change():
            service.disabled = not service.disabled
            service.save()

        rows.append(('heartbeat save', *median(
            beat, lambda: self.update(other, report_count=next(counts)),
            runs=runs), '≤ 1.8'))
        rows.append(('update', *median(
            change, lambda: self.update(other, report_count=next(counts)),
            runs=runs), ''))
        doomed = [self.create() for _run in range(runs)]
        rows.append(('destroy', *median(
            lambda: doomed.pop().destroy(),
            lambda: self.update(other, report_count=next(counts)),
            runs=runs), '≤ 1.8'))
        rows.append(('payload', *median(
            build, lambda: json.dumps(self.primitive), runs=runs * 20),
            '≤ 6'))
        rows.append(('bare notify', *median(
            self.notify, lambda: json.dumps(self.primitive), runs=runs), ''))
        return rows

    def listing(self, number: int) -> tuple[str, float, float, str]:
        """Return the row of a list, in µs a service."""
        now = datetime.datetime(2026, 1, 1)
        with self.engine.begin() as connection:
            connection.execute(self.table.delete())
            connection.execute(self.table.insert(), [
                {'host': f'h{index}', 'binary': 'nova-compute',
                 'topic': 'compute', 'uuid': f'{index:036}', 'version': 74,
                 'created_at': now, 'updated_at': now, 'last_seen_up': now}
                for index in range(number)])

        def bare():
            with self.engine.connect() as connection:
                return connection.execute(self.table.select()).fetchall()

        objects, rows = median(
            lambda: self.module.ServiceList.get_all(self.context), bare,
            runs=7)
        return (f'list of {number:,}, each', objects / number, rows / number,
                '≤ 15 µs')


def apart(program: str, *arguments: object) -> Any:
    """Return what a bench measures in a process of its own."""
    return json.loads(subprocess.run(
        [sys.executable, program, *map(str, arguments)], check=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def process(code: str) -> float:
    """Return the seconds that a Python needs for this."""
    start = time.perf_counter()
    subprocess.run([sys.executable, '-c', code], check=True,
                   capture_output=True)
    return time.perf_counter() - start


def _imports(runs: int) -> tuple[str, float, float, str]:
    ours, floor = median(lambda: process('import nova.objects.service'),
                         lambda: process(FLOOR_IMPORT), runs=runs)
    return 'import nova.objects.service', ours, floor, '≤ 1.3'


def _memory() -> str:
    done = subprocess.run([sys.executable, __file__, '--memory'], check=True,
                          capture_output=True, text=True)
    return done.stdout.strip()


def _measure_memory() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lifecycle = Lifecycle(folder)
        for _run in range(200):
            service = lifecycle.create()
            service.disabled = True
            service.save()
            service.destroy()
    # Not getrusage: its peak begins with that of the parent.
    status = pathlib.Path('/proc/self/status').read_text()
    peak = re.search(r'VmHWM:\s*(\d+) kB', status)
    print(f'{int(peak[1]) / 1024:.0f}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=300)
    parser.add_argument('--memory', action='store_true',
                        help='print the peak memory of a lifecycle in MB')
    arguments = parser.parse_args()
    if arguments.memory:
        _measure_memory()
        return
    import rich.console
    import rich.table
    with tempfile.TemporaryDirectory() as folder:
        lifecycle = Lifecycle(folder)
        rows = lifecycle.run(arguments.runs)
        rows.append(lifecycle.listing(10_000))
    rows.append(_imports(7))
    table = rich.table.Table('', 'time µs', 'floor µs', 'ratio', 'goal')
    for what, ours, floor, goal in rows:
        table.add_row(what, f'{ours:,.1f}', f'{floor:,.1f}',
                      f'{ours / floor:.2f}', goal)
    helped, = median(lambda: process(
        "import sys; sys.argv = ['nova-manage', '--help']; "
        'from nova.cmd import manage; manage.main()'), runs=5)
    table.add_row('nova-manage --help', f'{helped:,.0f}', '', '', '≤ 0.4 s')
    table.add_row('peak memory of a lifecycle', f'{_memory()} MB', '', '',
                  '≤ 85 MB')
    rich.console.Console().print(table)


if __name__ == '__main__':
    main()
