# SPDX-License-Identifier: Apache-2.0
"""Services of hosts that are simulated, and their heartbeats."""

from __future__ import annotations

import collections
from collections.abc import Callable
import dataclasses
import threading
import time

from nova import context as nova_context
from nova import registration
from nova import servicegroup
from nova.consumer import Service
from nova.objects import service as service_obj

#: seconds to wait for a heartbeat that is being stored
_PATIENCE = 5


def compute_name(number: int) -> str:
    """Return the name of a compute host; the first is number 1."""
    return f'cmp-{number:05}'


@dataclasses.dataclass
class _Member:
    """What the group of services needs of one that beats."""

    host: str
    binary: str
    service_ref: service_obj.Service
    report_interval: int
    tg: _Pacer
    model_disconnected: bool = False


class _Pacer:
    """Stands in for a thread group: it calls one after the other, evenly.

    A timer for each of thousands of services would be a thread each.
    """

    def __init__(self) -> None:
        self._timers: collections.deque[tuple[
            float, Callable[[_Member], object], _Member]] = (
                collections.deque())
        # Timers come and go in other threads. It is not held during a call.
        self._lock = threading.Lock()

    def add_timer_args(self, delay: float,
                       callback: Callable[[_Member], object],
                       args: list[_Member], initial_delay: float) -> None:
        (member,) = args
        with self._lock:
            self._timers.append((delay, callback, member))

    def forget(self, uuid: str) -> None:
        """Call no more for a service."""
        with self._lock:
            kept = [timer for timer in self._timers
                    if timer[2].service_ref.uuid != uuid]
            self._timers.clear()
            self._timers.extend(kept)

    def run(self, stopping: threading.Event) -> None:
        due = time.monotonic()
        while not stopping.wait(max(due - time.monotonic(), 0)):
            due = max(due, time.monotonic() - 1) + self._call_next()

    def _call_next(self) -> float:
        """Call for one service; return the seconds until the next call."""
        with self._lock:
            if not self._timers:
                return 1
            delay, callback, member = self._timers[0]
            self._timers.rotate(-1)
            pause = delay / len(self._timers)
        callback(member)
        return pause


class Hosts:
    """A controller and compute hosts, registered and beating.

    :param controller: name of the host of the others
    :param computes: number of compute hosts
    :param interval: seconds between two heartbeats of a service
    """

    def __init__(self, controller: str, computes: int, interval: int) -> None:
        self._controller = controller
        self._computes = computes
        self._interval = interval
        self._group = servicegroup.API()
        self._pacer = _Pacer()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work, name=name, daemon=True)
                         for name, work in (
                             ('hosts', self._register_all),
                             ('heartbeats', self._beat))]

    def start(self) -> None:
        """Register a few services, and the others while this returns."""
        self.register(self._controller, 'nova-conductor')
        self.register(self._controller, 'nova-scheduler')
        self.register(compute_name(1), 'nova-compute')
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when none beats any more, or after a few seconds."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def register(self, host: str, binary: str) -> None:
        """Make or take up the record of a service, which then beats."""
        context = nova_context.get_admin_context()
        topic = binary.removeprefix('nova-')
        record = registration.register(
            context, host, binary, topic,
            service_obj.Service.get_by_host_and_binary(context, host, binary))
        self._group.join(host, topic, _Member(
            host, binary, record, self._interval, self._pacer))

    def forget(self, service: Service) -> None:
        """Let a service that was deleted beat no more."""
        self._pacer.forget(service.uuid)

    def _register_all(self) -> None:
        for number in range(2, self._computes + 1):
            if self._stopping.is_set():
                return
            self.register(compute_name(number), 'nova-compute')

    def _beat(self) -> None:
        self._pacer.run(self._stopping)
