# SPDX-License-Identifier: Apache-2.0
"""Breaks one part after another, and mends it again.

Each fault is a method. It returns the moment from which recovery counts, in
seconds since the epoch: the end of the fault, or its beginning if new
connections work all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
from typing import Protocol

import kombu
import sqlalchemy as sa

from nova.db.main import models
from nova.tests.fixtures import proxy
from nova.tests.fixtures import servers
from nova.tests.functional_faults import consumer as recording

#: seconds within which the active relay of a frozen one is replaced, and the
#: outbox drained so far that a new change arrives
TAKEOVER = 15 + 10

#: seconds to recover from connections that fell silent
SILENCE = 45

#: seconds after which recovery is given up
PATIENCE = 90

_SLOW_BUS = 0.05
_SLOW_DATABASE = 0.01


class Process:
    """A command that can be killed, frozen and started again.

    :param log: file for its output
    """

    def __init__(self, log: pathlib.Path, *command: object) -> None:
        self._log = log
        self._command = [sys.executable, '-m', *map(str, command)]
        self.start()

    def start(self) -> None:
        with self._log.open('ab') as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log)
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self, limit: float) -> float | None:
        """Return how many seconds it took to end; None: it did not."""
        start = time.monotonic()
        self._process.terminate()
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - start


class Database(Protocol):
    """A private database server."""

    url: str

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Injector:
    """Knows the parts, and how each can fail.

    :param chance: decides which part, and for how long
    :param vhost: of the bus
    :param bus: the network between the senders and the nodes
    :param readers: the network between the consumer and the nodes
    :param network: the network between all processes and the database
    :ivar removed: number of messages that a deleted queue took with it
    :ivar killed_writers: how often a writer was killed
    """

    def __init__(self, *, chance: random.Random,
                 nodes: Sequence[servers.RabbitNode], vhost: str,
                 bus: Sequence[proxy.Proxy], readers: Sequence[proxy.Proxy],
                 database: Database, network: proxy.Proxy, engine: sa.Engine,
                 writers: Sequence[Process], relays: Sequence[Process],
                 consumer: recording.Consumer) -> None:
        self.removed = 0
        self.killed_writers = 0
        self._chance = chance
        self._nodes = nodes
        self._vhost = vhost
        self._bus = bus
        self._readers = readers
        self._database = database
        self._network = network
        self._engine = engine
        self._writers = writers
        self._relays = relays
        self._consumer = consumer

    def pause(self) -> None:
        time.sleep(self._chance.uniform(0.2, 3))

    # Processes

    def writer_is_killed(self) -> float:
        self.killed_writers += 1
        return self._restart(self._chance.choice(self._writers))

    def writer_is_frozen(self) -> float:
        process = self._chance.choice(self._writers)
        process.freeze()
        self.pause()
        process.thaw()
        return time.time()

    def relay_is_killed(self) -> float:
        return self._restart(self._active_relay())

    def relay_is_frozen(self) -> float:
        """Freeze it until the other one has taken over and drained."""
        start = time.time()
        process = self._active_relay()
        process.freeze()
        self._consumer.seconds_until_change_after(start, PATIENCE)
        self.pause()
        process.thaw()
        return start

    def _restart(self, process: Process) -> float:
        process.kill()
        self.pause()
        process.start()
        return time.time()

    def _active_relay(self) -> Process:
        with contextlib.suppress(sa.exc.DBAPIError):
            holder = active_relay(self._engine)
            for process in self._relays:
                if process.pid == holder:
                    return process
        return self._chance.choice(self._relays)

    # The database

    def database_is_killed(self) -> float:
        self._database.kill()
        self.pause()
        self._database.start()
        return time.time()

    def database_network_is_cut(self) -> float:
        return self._disturb([self._network], proxy.Proxy.cut)

    def database_network_stalls(self) -> float:
        return self._disturb([self._network], proxy.Proxy.stall)

    def database_is_slow(self) -> float:
        return self._disturb([self._network],
                             lambda way: way.slow(_SLOW_DATABASE))

    def database_fails_over_silently(self) -> float:
        """Another server answers; the sessions of the old one have ended."""
        self._network.silence(failover=True)
        return time.time()

    def database_connections_fall_silent(self) -> float:
        """The server still has the sessions, and what they have locked."""
        self._network.silence()
        return time.time()

    # The bus

    def bus_network_is_cut(self) -> float:
        return self._disturb([*self._bus, *self._readers], proxy.Proxy.cut)

    def bus_network_stalls(self) -> float:
        return self._disturb([*self._bus, *self._readers], proxy.Proxy.stall)

    def bus_is_slow(self) -> float:
        return self._disturb(self._bus, lambda way: way.slow(_SLOW_BUS))

    def bus_connections_fall_silent(self) -> float:
        for way in self._bus:
            way.silence()
        return time.time()

    def _disturb(self, ways: Sequence[proxy.Proxy],
                 disturb: Callable[[proxy.Proxy], None]) -> float:
        for way in ways:
            disturb(way)
        self.pause()
        for way in ways:
            way.mend()
        return time.time()

    def node_stops(self) -> float:
        node = self._chance.choice(self._nodes)
        node.control('stop_app')
        self.pause()
        node.control('start_app')
        return time.time()

    def node_freezes(self) -> float:
        """Its connections stay open, new ones are not answered."""
        node = self._chance.choice(self._nodes)
        node.freeze()
        time.sleep(self._chance.uniform(3, 10))
        node.thaw()
        return time.time()

    def bus_restarts(self) -> float:
        for node in self._nodes:
            node.control('stop_app')
        self.pause()
        starting = [threading.Thread(target=node.control, args=('start_app',))
                    for node in self._nodes]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        return time.time()

    def disk_is_full(self) -> float:
        for node in self._nodes:
            node.control('set_disk_free_limit', '900000GB')
        self.pause()
        for node in self._nodes:
            node.control('set_disk_free_limit', '1MB')
        return time.time()

    # The queue. Messages that it holds when it is deleted are lost, whatever
    # the senders do. So that nothing else may be lost, it is deleted while it
    # is empty: the senders' data is held back, on connections that stay as
    # they are, until the consumer has received everything.

    def queue_is_deleted(self) -> float:
        """It is gone until a sender declares it: the consumer is away.

        RabbitMQ 3.10 does not always cancel the consumers of a quorum queue
        that is deleted: they would wait for ever.
        """
        with self._empty_queue() as channel:
            self._each(self._readers, proxy.Proxy.cut)
            self.removed += channel.queue_delete(recording.QUEUE) or 0
        self.pause()
        self._each(self._readers, proxy.Proxy.mend)
        return time.time()

    def queue_expires(self) -> float:
        """The broker deletes it, because the consumer is away."""
        node = self._nodes[0]
        with self._empty_queue():
            node.control(
                'set_policy', '-p', self._vhost, '--apply-to', 'queues',
                'expiring', f'^{recording.QUEUE}$', '{"expires": 1000}')
            self._each(self._readers, proxy.Proxy.cut)
            self._wait_until_gone()
            node.control('clear_policy', '-p', self._vhost, 'expiring')
        self.pause()
        self._each(self._readers, proxy.Proxy.mend)
        return time.time()

    def queue_is_auto_deleted(self) -> float:
        """The broker deletes queue and exchange with the last consumer.

        Both must have been declared so.
        """
        with self._empty_queue():
            self._each(self._readers, proxy.Proxy.cut)
            self._wait_until_gone()
        self.pause()
        self._each(self._readers, proxy.Proxy.mend)
        return time.time()

    @contextlib.contextmanager
    def _empty_queue(self):
        """Hold the senders' data back, and wait until the queue is empty."""
        self._each(self._bus, proxy.Proxy.stall)
        try:
            with kombu.Connection(
                    f'amqp://guest:guest@127.0.0.1:{self._nodes[0].port}/'
                    f'{self._vhost}') as connection:
                channel = connection.default_channel
                self._wait_until_drained(channel)
                yield channel
        finally:
            self._each(self._bus, proxy.Proxy.mend)

    def _wait_until_gone(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while recording.QUEUE in self._nodes[0].control(
                'list_queues', '-p', self._vhost, 'name'):
            if time.monotonic() > deadline:
                raise RuntimeError('the queue was not deleted')

    def _wait_until_drained(self, channel) -> None:
        deadline = time.monotonic() + PATIENCE
        received = -1
        while time.monotonic() < deadline:
            ready = channel.queue_declare(
                recording.QUEUE, passive=True).message_count
            if not ready and received == len(self._consumer.arrivals):
                return
            received = len(self._consumer.arrivals)
            time.sleep(0.5)
        raise RuntimeError('the consumer did not drain the queue')

    def _each(self, ways: Sequence[proxy.Proxy],
              act: Callable[[proxy.Proxy], None]) -> None:
        for way in ways:
            act(way)


Fault = Callable[[Injector], float]

#: part → what can happen to it; two at once are of different parts
FAULTS: dict[str, tuple[Fault, ...]] = {
    'writers': (Injector.writer_is_killed, Injector.writer_is_frozen),
    'relays': (Injector.relay_is_killed, Injector.relay_is_frozen),
    'database': (
        Injector.database_is_killed, Injector.database_network_is_cut,
        Injector.database_network_stalls, Injector.database_is_slow,
        Injector.database_fails_over_silently,
        Injector.database_connections_fall_silent),
    'bus': (
        Injector.bus_network_is_cut, Injector.bus_network_stalls,
        Injector.bus_is_slow, Injector.bus_connections_fall_silent,
        Injector.node_stops, Injector.node_freezes, Injector.bus_restarts,
        Injector.disk_is_full, Injector.queue_is_deleted,
        Injector.queue_expires)}

#: name of a fault → seconds within which it must be over
LIMITS = {
    'relay_is_frozen': TAKEOVER,
    'database_fails_over_silently': SILENCE,
    'database_connections_fall_silent': SILENCE,
    'bus_connections_fall_silent': SILENCE}


def active_relay(engine: sa.Engine) -> int | None:
    """Return the process id of the relay that holds the lease, if one does.
    """
    table = models.NotificationRelay.__table__
    with engine.connect() as connection:
        holder = connection.scalar(sa.select(table.c.holder))
    return int(holder.split(':')[1]) if holder else None
