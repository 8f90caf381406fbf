# SPDX-License-Identifier: Apache-2.0
"""How soon a consumer knows, and what a mirror of the services costs.

latency: from the commit of a change to the consumer's callback, at 200
changes a second by four threads, on a private MariaDB that writes each commit
to disk and a private RabbitMQ. Writer, relay and consumer are processes; the
clock is the machine's monotonic one; the first second, in which connections
are made, is not counted. mirror: events that were taken over a
second, beside a dict that is written as often; its memory; and the time from
start to synced with so many services, listed by nova-api (one worker, SQLite
file), beside that list fetched and decoded alone.
"""

from __future__ import annotations

import argparse
from concurrent import futures
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from typing import Any
import uuid

import bench
import bench_api

#: changes a second
RATE = 200
WRITERS = 4

GOALS = {'direct': ('≤ 5', '≤ 25'), 'outbox': ('', '≤ 300')}


def listen(url: str) -> None:
    """Print when each change was heard, once stdin ends."""
    from nova import consumer
    heard = {}

    def hear(event: consumer.ServiceEvent) -> None:
        heard[event.service.disabled_reason] = time.monotonic()

    listener = consumer.Listener(consumer.connect(url), hear, 'bench')
    listener.start()
    print('listening', flush=True)
    for wanted in sys.stdin:
        deadline = time.monotonic() + 60
        while len(heard) < int(wanted) and time.monotonic() < deadline:
            time.sleep(0.1)
        break
    print(json.dumps(heard), flush=True)
    listener.stop()


def write(lifecycle: bench.Lifecycle, number: int) -> dict[str, float]:
    """Make so many changes at the rate; return when each committed."""
    from nova import context
    from nova.db.main import api
    committed: dict[str, float] = {}
    services = [lifecycle.create() for _writer in range(WRITERS)]
    start = time.monotonic() + 0.5

    def change(writer: int) -> None:
        mine, service = context.get_admin_context(), services[writer]
        service._context = mine
        for change in range(writer, number, WRITERS):
            time.sleep(max(0, start + change / RATE - time.monotonic()))
            service.disabled_reason = str(change)
            with api.context_manager.writer.using(mine):
                api.defer(mine, lambda name=str(change): committed.update(
                    {name: time.monotonic()}))
                service.save()

    with futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(change, range(WRITERS)))
    return committed


def latency(delivery: str, database: str, bus: str, number: int
            ) -> list[float]:
    """Return the milliseconds from each commit to the callback."""
    with tempfile.TemporaryDirectory() as folder:
        lifecycle = bench.Lifecycle(folder, database, bus)
        from nova.conf import CONF
        CONF.set_override('delivery', delivery, 'notifications')
        programs = [_start(__file__, '--listen', bus)]
        if delivery == 'outbox':
            programs.append(_start('-m', 'nova.cmd.relay', '--config-file',
                                   f'{folder}/nova.conf'))
        consumer = programs[0]
        try:
            consumer.stdout.readline()
            committed = write(lifecycle, RATE + number)
            # The creation of the services is one key more.
            answer, _nothing = consumer.communicate(f'{len(committed) + 1}\n')
        finally:
            for program in programs:
                program.terminate()
                program.wait()
    heard = json.loads(answer)
    return sorted((heard[name] - committed[name]) * 1e3
                  for name in committed if int(name) >= RATE)


def _start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def message(number: int, count: int) -> dict[str, Any]:
    """Return the notification of a service."""
    return {
        'message_id': str(uuid.uuid4()), 'event_type': 'service.update',
        'publisher_id': f'nova-compute:host-{number}', 'priority': 'INFO',
        'timestamp': '2026-11-23 06:08:27.123456', 'payload': {
            'nova_object.name': 'ServiceStatusPayload',
            'nova_object.namespace': 'nova', 'nova_object.version': '1.1',
            'nova_object.data': {
                'host': f'host-{number}.example.org',
                'binary': 'nova-compute', 'topic': 'compute',
                'report_count': count, 'disabled': False,
                'disabled_reason': None, 'availability_zone': None,
                'last_seen_up': '2026-11-23T06:08:20Z', 'forced_down': False,
                'version': 74, 'uuid': str(uuid.UUID(int=number))}}}


def mirror(number: int) -> dict[str, float]:
    """Return events a second and bytes a service of a mirror."""
    from nova import consumer

    def made() -> consumer.ServiceMirror:
        return consumer.ServiceMirror(
            consumer.connect('fake:/'), list, 'bench')

    texts = [json.dumps(message(service, count))
             for count in range(5) for service in range(number)]
    parsed = [consumer.parse(json.loads(text)) for text in texts]
    mirrored, plain = made(), {}
    start = time.perf_counter()
    for event in parsed:
        mirrored.apply(event)
    applied = time.perf_counter()
    for event in parsed:
        plain[event.service.uuid] = event.service
    written = time.perf_counter()
    del parsed, mirrored, plain
    mirrored = made()
    tracemalloc.start()
    for text in texts:
        mirrored.apply(consumer.parse(json.loads(text)))
    size, _peak = tracemalloc.get_traced_memory()
    return {'rate': len(texts) / (applied - start),
            'floor': len(texts) / (written - applied), 'size': size / number}


def bootstrap(number: int) -> tuple[float, float]:
    """Return the seconds to be synced, and to fetch the same list."""
    import openstack

    from nova import consumer
    with tempfile.TemporaryDirectory() as folder:
        api = bench_api.RestApi(bench.Lifecycle(folder), folder)
        api.fill(number)
        pathlib.Path(folder, 'api.conf').write_text(bench_api.CONF)
        with bench_api.served(folder, '-m', 'nova.cmd.api') as (_pid, port):
            mirrored = consumer.ServiceMirror(
                consumer.connect('fake:/'),
                consumer.ServiceLister(openstack.connect(
                    load_envvars=False, load_yaml_config=False,
                    auth_type='none',
                    auth={'endpoint': f'http://127.0.0.1:{port}/v2.1'})),
                'bench')
            start = time.perf_counter()
            mirrored.start()
            mirrored.wait_until_synced()
            synced = time.perf_counter()
            json.loads(bench_api.Client(port)('GET', bench_api.LIST))
            fetched = time.perf_counter()
            if len(mirrored) != number:
                sys.exit(f'{len(mirrored)} of {number} services')
            mirrored.stop()
    return synced - start, fetched - synced


def report(changes: int, services: int) -> None:
    """Measure all and print it."""
    import rich.console
    import rich.table

    from nova.tests.fixtures import servers
    table = rich.table.Table('', 'measured', 'floor', 'ratio', 'goal')
    with servers.RabbitMQ() as rabbit:
        for delivery, goals in GOALS.items():
            with servers.MariaDB(durable=True) as mariadb:
                taken = bench.apart(
                    __file__, '--latency', delivery, '--database',
                    mariadb.url, '--bus', rabbit.url, '--changes', changes)
            p99 = taken[len(taken) * 99 // 100]
            for name, value, goal in zip(
                    ('p50', 'p99'), (statistics.median(taken), p99), goals,
                    strict=True):
                table.add_row(f'commit to callback, {delivery}, {name}',
                              f'{value:.1f} ms', '', '', goal and f'{goal} ms')
    figures = bench.apart(__file__, '--mirror', services)
    table.add_row('mirror, events', f'{figures["rate"]:,.0f} /s',
                  f'{figures["floor"]:,.0f} /s',
                  f'{figures["rate"] / figures["floor"]:.2f}', '≥ 50,000 /s')
    table.add_row('mirror, a service', f'{figures["size"]:,.0f} B', '', '',
                  '≤ 1,500 B')
    synced, fetched = bench.apart(__file__, '--bootstrap', services)
    table.add_row(f'bootstrap of {services:,}', f'{synced:.2f} s',
                  f'{fetched:.2f} s', f'{synced / fetched:.1f}', '≤ 2 s')
    rich.console.Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--changes', type=int, default=2_000)
    parser.add_argument('--services', type=int, default=10_000)
    parser.add_argument('--listen', metavar='URL',
                        help='print only when changes were heard')
    parser.add_argument('--latency', choices=GOALS,
                        help='print only the latencies')
    parser.add_argument('--database', metavar='URL', help='of --latency')
    parser.add_argument('--bus', metavar='URL', help='of --latency')
    parser.add_argument('--mirror', type=int, metavar='SERVICES',
                        help='print only the figures of a mirror')
    parser.add_argument('--bootstrap', type=int, metavar='SERVICES',
                        help='print only the times of a bootstrap')
    arguments = parser.parse_args()
    if arguments.listen:
        listen(arguments.listen)
    elif arguments.latency:
        print(json.dumps(latency(arguments.latency, arguments.database,
                                 arguments.bus, arguments.changes)))
    elif arguments.mirror:
        print(json.dumps(mirror(arguments.mirror)))
    elif arguments.bootstrap:
        print(json.dumps(bootstrap(arguments.bootstrap)))
    else:
        report(arguments.changes, arguments.services)


if __name__ == '__main__':
    main()
