# SPDX-License-Identifier: Apache-2.0
"""How soon nova-standalone is there, and how soon the board shows something.

start: from the start of the process until the REST API has answered, beside
a Python that imports the same libraries; its memory once all services are
registered and on the board. page: from the navigation to the paint of the
services in headless Chromium, beside the same page without services; event:
from the consumer's callback to the paint, beside the arrival of the message
in the page. The clock of both is the machine's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import re
import statistics
import time
from typing import Any
import urllib.error
import urllib.request

import bench

from nova import consumer
from nova.board import feed
from nova.board import server
from nova.tests.fixtures import standalone

EVENTS = 100

#: imported by any program of the kind
FLOOR_IMPORT = ('import alembic, openstack, oslo_messaging, sqlalchemy, webob,'
                ' oslo_versionedobjects.base, oslo_service, cheroot.wsgi')

# Notes when each text that is waited for was painted: the second frame after
# the change, as the first one paints it.
WATCH = """
window.painted = {};
window.arrived = {};
const now = () => performance.timeOrigin + performance.now();
const note = (name) => requestAnimationFrame(() => requestAnimationFrame(
  () => { window.painted[name] ??= now(); }));
new MutationObserver(() => {
  const rows = document.querySelectorAll('#services tbody tr').length;
  if (rows > 1) note('services');
  const latest = document.querySelector('#log li');
  const reason = latest && latest.textContent.match(/bench-\\d+/);
  if (reason) note(reason[0]);
}).observe(document, {childList: true, subtree: true});
const Plain = window.EventSource;
window.EventSource = class extends Plain {
  constructor(url) {
    super(url);
    this.addEventListener('notification', (message) => {
      const reason = message.data.match(/bench-\\d+/);
      if (reason) window.arrived[reason[0]] ??= now();
    });
  }
};
"""

SERVICES = 'window.painted.services - performance.timeOrigin'
PAINT = ("performance.getEntriesByName('first-contentful-paint')[0]"
         '.startTime')


def start(number: int) -> tuple[float, float]:
    """Return seconds to the first answer, and MB with so many services."""
    began = time.perf_counter()
    running = standalone.Standalone('--services', number)
    with running:
        urllib.request.urlopen(f'{running.endpoint}/os-services').read()
        first = time.perf_counter() - began
        while len(snapshot(running.board)['services']) < number + 2:
            time.sleep(0.2)
        time.sleep(2)
        status = pathlib.Path(
            f'/proc/{running.process.pid}/status').read_text()
    return first, int(re.search(r'VmRSS:\s*(\d+) kB', status)[1]) / 1024


def snapshot(board: str) -> dict[str, Any]:
    with urllib.request.urlopen(f'{board}services') as answer:
        return json.load(answer)


def service(number: int, reason: str | None = None) -> consumer.Service:
    name = f'cmp-{number:05}'
    return consumer.Service(
        uuid=name, host=name, binary='nova-compute', zone='nova', state='up',
        disabled=reason is not None, disabled_reason=reason,
        forced_down=False)


def page(number: int) -> dict[str, Any]:
    """Return the milliseconds until services, and until events, are seen."""
    import bench_consumer

    from nova.tests.functional_browser import browser
    shown = feed.Feed()
    for each in range(number):
        shown.callbacks.added(service(each))
    served = server.BoardServer(shown, '127.0.0.1', 0)
    served.start()
    empty = server.BoardServer(feed.Feed(), '127.0.0.1', 0)
    empty.start()
    chromium = browser.Chromium()
    try:
        with chromium:
            firsts = [first_paint(chromium, served.url, SERVICES)
                      for _run in range(5)]
            floors = [first_paint(chromium, empty.url, PAINT)
                      for _run in range(5)]
            opened = chromium.open(served.url, scripts=(WATCH,))
            opened.locator('#services tbody tr').nth(5).wait_for()
            sent = {}
            event = consumer.parse(bench_consumer.message(0, 0))
            for each in range(EVENTS):
                reason = f'bench-{each}'
                message = bench_consumer.message(each, each)
                message['payload']['nova_object.data'][
                    'disabled_reason'] = reason
                changed = service(each, reason)
                sent[reason] = time.time() * 1e3
                shown.heard(dataclasses.replace(
                    event, service=changed, message=message))
                shown.callbacks.changed(changed, changed)
                opened.wait_for_timeout(50)
            opened.wait_for_timeout(500)
            painted, arrived = opened.evaluate(
                '[window.painted, window.arrived]')
    finally:
        served.stop()
        empty.stop()
    return {'first': statistics.median(firsts),
            'floor': statistics.median(floors),
            'events': sorted(painted[name] - sent[name] for name in sent),
            'arrivals': sorted(arrived[name] - sent[name] for name in sent)}


def first_paint(chromium: Any, url: str, taken: str) -> float:
    """Return the milliseconds that a script of the page reads."""
    opened = chromium.open(url, scripts=(WATCH,))
    opened.get_by_text('Live').wait_for()
    opened.wait_for_timeout(300)
    milliseconds = opened.evaluate(taken)
    opened.close()
    return milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--services', type=int, default=10_000)
    parser.add_argument('--hosts', type=int, default=1_000)
    arguments = parser.parse_args()
    import rich.console
    import rich.table
    table = rich.table.Table('', 'measured', 'floor', 'ratio', 'goal')
    first, memory = start(arguments.hosts)
    floor, = bench.median(lambda: bench.process(FLOOR_IMPORT), runs=5)
    floor /= 1e6
    table.add_row('start to first answer', f'{first:.2f} s', f'{floor:.2f} s',
                  f'{first / floor:.1f}', '≤ 2 s')
    table.add_row(f'memory, {arguments.hosts:,} services', f'{memory:.0f} MB',
                  '', '', '≤ 120 MB')
    figures = page(arguments.services)
    table.add_row(
        f'first paint, {arguments.services:,} services',
        f'{figures["first"]:.0f} ms', f'{figures["floor"]:.0f} ms',
        f'{figures["first"] / figures["floor"]:.1f}', '≤ 1,500 ms')
    for name, index in (('p50', EVENTS // 2), ('p99', EVENTS * 99 // 100)):
        event, arrival = (figures['events'][index],
                          figures['arrivals'][index])
        table.add_row(f'callback to paint, {name}', f'{event:.0f} ms',
                      f'{arrival:.0f} ms', f'{event / arrival:.1f}',
                      '≤ 100 ms')
    rich.console.Console().print(table)


if __name__ == '__main__':
    main()
