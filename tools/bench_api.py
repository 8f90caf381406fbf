# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of the REST API, over HTTP on the loopback interface.

nova-api runs as a process: one worker, default threads, noauth2, SQLite file,
driver messagingv2, bus in memory. The floor is another process with the same
server: a WebOb application that encodes, with ``json.dumps``, the answer that
nova-api gave. The bare query is the same SELECT, or an UPDATE of one row,
through SQLAlchemy alone; the ratio is (p50 - query) / floor.

One client sends one request after the other on a connection that is kept
alive, and reads the answer whole: p50 and p99 are of these times, requests/s
is one divided by their mean. nova-api, floor and bare query take turns, so
that a machine that slows down slows all. Memory is that of the worker of a
nova-api that was just started; idle is after one small list.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import datetime
import functools
import http.client
import itertools
import json
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import bench

CONF = '''\
[DEFAULT]
osapi_compute_listen_port = 0
osapi_compute_workers = 1
[api]
auth_strategy = noauth2
'''

HEADERS = {'OpenStack-API-Version': 'compute 2.53',
           'Content-Type': 'application/json'}
LIST = '/v2.1/os-services'
RUNS = {10: 300, 1_000: 100, 10_000: 40}
PUT_RUNS = 300

Row = tuple[str, ...]


@contextlib.contextmanager
def served(folder: str, *command: str) -> Iterator[tuple[int, int]]:
    """Run a server; give its process id and port, and stop it in the end."""
    arguments = [f'--config-file={folder}/{name}.conf'
                 for name in ('nova', 'api')]
    with (tempfile.NamedTemporaryFile('w+', dir=folder) as log,
          subprocess.Popen([sys.executable, *command, *arguments],
                           stderr=log) as process):
        try:
            while not (found := re.search(r'Listening at: http://.*:(\d+)',
                                          pathlib.Path(log.name).read_text())):
                if process.poll() is not None:
                    sys.exit(pathlib.Path(log.name).read_text())
                time.sleep(0.1)
            yield process.pid, int(found[1])
        finally:
            process.terminate()


def serve_floor(folder: str, arguments: list[str]) -> int:
    """Answer each path with the JSON of the folder's file of that name."""
    import webob
    import webob.dec

    from nova import config
    from nova.wsgi import server
    config.parse_args(['floor', *arguments])
    config.setup_logging()

    @functools.cache
    def stored(name: str) -> object:
        return json.loads(pathlib.Path(folder, name).read_text())

    @webob.dec.wsgify
    def application(request: webob.Request) -> webob.Response:
        answer = stored(request.path_info.strip('/'))
        return webob.Response(body=json.dumps(answer).encode(),
                              content_type='application/json')

    return server.serve(config.CONF, server.listen(config.CONF),
                        lambda _conf: application)


class Client:
    """One connection to a server."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(
            '127.0.0.1', port, timeout=60)

    def __call__(self, method: str, path: str, **body: str) -> bytes:
        self._connection.request(
            method, path, json.dumps(body) if body else None, HEADERS)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f'{method} {path}: {answer.decode()}')
        return answer


def times(*calls: Callable[[], object], runs: int) -> list[list[float]]:
    """Return all times of each call in ms; they take turns."""
    taken: list[list[float]] = [[] for _call in calls]
    for run in range(-1, runs):
        for call, of_call in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            if run >= 0:
                of_call.append((time.perf_counter() - start) * 1e3)
    return taken


class RestApi:
    """nova-api, its database and its floor.

    :param lifecycle: has the database
    :param folder: where the floor finds its answers
    """

    def __init__(self, lifecycle: bench.Lifecycle, folder: str) -> None:
        self._lifecycle = lifecycle
        self._folder = folder

    def fill(self, number: int) -> None:
        """Make so many services all that there are."""
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        table = self._lifecycle.table
        with self._lifecycle.engine.begin() as connection:
            connection.execute(table.delete())
            connection.execute(table.insert(), [
                {'host': f'compute-{index}', 'binary': 'nova-compute',
                 'topic': 'compute', 'uuid': str(uuid.UUID(int=index)),
                 'version': 74, 'report_count': 1, 'created_at': now,
                 'updated_at': now, 'last_seen_up': now}
                for index in range(number)])

    def _select(self) -> object:
        with self._lifecycle.engine.connect() as connection:
            return connection.execute(
                self._lifecycle.table.select()).fetchall()

    def lists(self, api: Client, floor: Client, number: int) -> Row:
        """Return the row of a list."""
        self.fill(number)
        pathlib.Path(self._folder, str(number)).write_bytes(api('GET', LIST))
        ours, bare, query = times(
            lambda: api('GET', LIST), lambda: floor('GET', f'/{number}'),
            self._select, runs=RUNS[number])
        ratio = _ratio(ours, bare, query)
        goal = _judged('', ratio, 3) if number == 10_000 else ''
        return _row(f'GET of {number:,}', ours, bare, query, goal)

    def puts(self, api: Client, floor: Client) -> list[Row]:
        """Return the rows of PUT disable and enable; 10,000 are there."""
        path = f'{LIST}/{uuid.UUID(int=17)}'
        changes = {'disable': {'status': 'disabled',
                               'disabled_reason': 'maintenance'},
                   'enable': {'status': 'enabled'}}
        pathlib.Path(self._folder, 'put').write_bytes(
            api('PUT', path, **changes['disable']))
        counts = itertools.count(1)
        *ours, bare, query = times(
            *(functools.partial(api, 'PUT', path, **changes[name])
              for name in ('enable', 'disable')),
            lambda: floor('PUT', '/put', **changes['disable']),
            lambda: self._lifecycle.update(2, report_count=next(counts)),
            runs=PUT_RUNS)
        return [_row(f'PUT {name}', taken, bare, query,
                     _judged('p99 ', _p99(taken), 10))
                for name, taken in zip(('enable', 'disable'), ours,
                                       strict=True)]

    def memory(self, pid: int, port: int) -> list[Row]:
        """Return the rows of peak memory, from a server just started."""
        self.fill(10)
        Client(port)('GET', LIST)
        children = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
        (worker,) = children.read_text().split()
        idle = _megabytes(worker, 'VmRSS')
        self.fill(10_000)

        def read_lists(_number: int) -> None:
            client = Client(port)
            for _run in range(5):
                client('GET', LIST)

        rows = []
        for clients in (1, 4):
            # Forget the peak so far.
            pathlib.Path(f'/proc/{worker}/clear_refs').write_text('5')
            with futures.ThreadPoolExecutor(clients) as pool:
                list(pool.map(read_lists, range(clients)))
            over = _megabytes(worker, 'VmHWM') - idle
            rows.append((
                f'memory, {clients} client(s)', f'{idle:.0f} + {over:.0f} MB',
                *[''] * 6, _judged('', over, 60) if clients == 1 else ''))
        return rows


def _megabytes(worker: str, name: str) -> float:
    status = pathlib.Path(f'/proc/{worker}/status').read_text()
    return int(re.search(rf'{name}:\s*(\d+) kB', status)[1]) / 1024


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100, method='inclusive')[98]


def _ratio(ours: list[float], floor: list[float],
           query: list[float]) -> float:
    return ((statistics.median(ours) - statistics.median(query))
            / statistics.median(floor))


def _judged(what: str, value: float, limit: float) -> str:
    return f'{what}≤ {limit}: {"met" if value <= limit else "MISSED"}'


def _row(what: str, ours: list[float], floor: list[float],
         query: list[float], goal: str) -> Row:
    return (what, f'{1e3 / statistics.mean(ours):,.1f}',
            f'{statistics.median(ours):.2f}', f'{_p99(ours):.2f}',
            f'{statistics.median(floor):.2f}',
            f'{statistics.median(query):.2f}', f'{_p99(query):.2f}',
            f'{_ratio(ours, floor, query):.2f}', goal)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--floor', metavar='FOLDER',
                        help='serve the floor, as the options after it say')
    arguments, rest = parser.parse_known_args()
    if arguments.floor:
        return serve_floor(arguments.floor, rest)
    import rich.console
    import rich.table
    # The servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, 'api.conf').write_text(CONF)
        rest_api = RestApi(bench.Lifecycle(folder), folder)
        nova_api = ('-m', 'nova.cmd.api')
        with served(folder, *nova_api) as (pid, port):
            memory = rest_api.memory(pid, port)
        with (served(folder, *nova_api) as (_pid, api_port),
              served(folder, __file__, '--floor', folder) as (_pid, port)):
            clients = Client(api_port), Client(port)
            rows = [rest_api.lists(*clients, number) for number in RUNS]
            rows += rest_api.puts(*clients)
    table = rich.table.Table('', 'requests/s', 'p50 ms', 'p99 ms', 'floor p50',
                             'query p50', 'query p99', 'ratio', 'goal')
    for row in rows + memory:
        table.add_row(*row)
    rich.console.Console(width=120).print(table)
    return 0


if __name__ == '__main__':
    sys.exit(main())
