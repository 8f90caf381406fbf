# SPDX-License-Identifier: Apache-2.0
"""Events that went back to the bus, and which of them are out of date."""

from __future__ import annotations

import collections
import dataclasses
import itertools


@dataclasses.dataclass(slots=True)
class _Entry:
    #: order in which the events of a listener were first attempted
    number: int
    handled: bool


class Requeued:
    """Keeps requeued events from being handled after newer ones.

    A consumer holds later messages already when it requeues one, so that the
    requeued one comes back behind them. If an event of the same service was
    handled in between, the requeued one is overtaken.

    The later event is requeued, too, and acknowledged when it comes back, so
    that the bus drops the earlier of the two first. If the process ends in
    between, both are on the bus in order, and the next process ends with the
    later one.

    :param limit: services that are remembered
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._numbers = itertools.count()
        #: for each service its events on the bus, in order of the requeues
        self._services: collections.OrderedDict[
            str, dict[str, _Entry]] = collections.OrderedDict()

    def failed(self, uuid: str, message_id: str) -> None:
        """Note that an event goes back because its handler failed."""
        entries = self._services.setdefault(uuid, {})
        entry = entries.pop(message_id, None)
        entries[message_id] = entry or _Entry(next(self._numbers), False)
        if len(self._services) > self._limit:
            self._services.popitem(last=False)

    def handled(self, uuid: str, message_id: str) -> bool:
        """Note that an event was handled.

        :returns: whether it must go back, behind earlier events
        """
        entries = self._services.get(uuid)
        if not entries:
            return False
        entry = entries.pop(message_id, None) or _Entry(
            next(self._numbers), True)
        behind = any(other.number < entry.number
                     for other in entries.values())
        if behind:
            entry.handled = True
            entries[message_id] = entry
        self._forget_if_empty(uuid)
        return behind

    def forget(self, uuid: str, message_id: str) -> None:
        """Note that an event is given up."""
        if self._services.get(uuid, {}).pop(message_id, None):
            self._forget_if_empty(uuid)

    def was_handled(self, uuid: str, message_id: str) -> bool:
        """Return whether an event comes back that was handled before."""
        entries = self._services.get(uuid, {})
        entry = entries.get(message_id)
        if entry is None or not entry.handled:
            return False
        # The bus keeps the order of requeues: it gave those before this one
        # to another process.
        for other in list(entries):
            del entries[other]
            if other == message_id:
                break
        self._forget_if_empty(uuid)
        return True

    def is_overtaken(self, uuid: str, message_id: str) -> bool:
        """Return whether a later event of the same service was handled."""
        entries = self._services.get(uuid, {})
        entry = entries.get(message_id)
        if entry is None or not any(
                other.handled and other.number > entry.number
                for other in entries.values()):
            return False
        del entries[message_id]
        return True

    def _forget_if_empty(self, uuid: str) -> None:
        if not self._services[uuid]:
            del self._services[uuid]
