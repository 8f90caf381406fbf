# SPDX-License-Identifier: Apache-2.0
"""A mirror ends up equal to the registry, whatever happens on the way.

The bus is what a real one promises: messages of a service in the order of its
changes, some of them again, and what was not acknowledged from there on. On
top of that, clocks of hosts differ, and a relay that was paused may send one
old message last.
"""

import collections
import copy
import dataclasses
import datetime
import itertools
import types
import unittest

from hypothesis import settings
from hypothesis import stateful
from hypothesis import strategies

from nova import consumer

SOME = strategies.integers(0, 4)
UUIDS = [f'00000000-0000-4000-8000-{number:012}' for number in range(4)]

#: time of the first change; each later one is ten seconds after the last
START = datetime.datetime(2026, 1, 1, 0, 0, 0, 500_000, datetime.UTC)


class Registry:
    """The services, and a message for each change."""

    def __init__(self):
        self.services = {}
        self.sent = []
        self._ids = (f'm{number}' for number in itertools.count())
        self._seconds = itertools.count(step=10)

    def create(self, uuid, skew=0):
        self._change('create', consumer.Service(
            uuid, f'host-{uuid[-1]}', 'nova-compute', False, None, False,
            topic='compute', report_count=0, version=74), skew)

    def update(self, uuid, disabled, reason, forced_down, skew=0):
        self._change('update', dataclasses.replace(
            self.services[uuid], disabled=disabled, disabled_reason=reason,
            forced_down=forced_down), skew)

    def delete(self, uuid, skew=0):
        self._change('delete', self.services[uuid], skew)
        del self.services[uuid]

    def beat(self, uuid, skew=0):
        """Store a heartbeat, which nobody is told of."""
        self.services[uuid] = dataclasses.replace(
            self.services[uuid], updated_at=self.now(skew))

    def now(self, skew=0):
        """Return the time on a host whose clock differs by some seconds."""
        return START + datetime.timedelta(seconds=next(self._seconds) + skew)

    def _change(self, action, service, skew):
        now = self.now(skew)
        if action == 'update':
            service = dataclasses.replace(service, updated_at=now)
        self.services[service.uuid] = service
        self.sent.append({
            'message_id': next(self._ids), 'publisher_id': 'nova-compute:h',
            'event_type': f'service.{action}', 'priority': 'INFO',
            'timestamp': str(now.replace(tzinfo=None)), 'payload': {
                'nova_object.name': 'ServiceStatusPayload',
                'nova_object.namespace': 'nova',
                'nova_object.version': '1.1',
                'nova_object.data': {
                    'availability_zone': None,
                    **{name: getattr(service, name) for name in (
                        'host', 'binary', 'topic', 'report_count',
                        'disabled', 'disabled_reason', 'last_seen_up',
                        'forced_down', 'version', 'uuid')}}}})

    def listed(self):
        return [dataclasses.replace(
            service, state='up', zone='nova', topic=None, report_count=None,
            version=None) for service in self.services.values()]


def told(services):
    """Return what must agree of services."""
    return {service.uuid: (
        service.host, service.binary, service.disabled,
        service.disabled_reason, service.forced_down)
        for service in services}


class World(stateful.RuleBasedStateMachine):
    """A registry, a bus and a consumer that any of this happens to."""

    #: whether the bus may lose messages
    LOSSY = False
    #: seconds that the clocks of hosts may differ by
    SKEWS = 0,
    #: whether a paused relay may send one old message last
    STALE = False

    def __init__(self):
        super().__init__()
        self.registry = Registry()
        self.queue = collections.deque()
        self.unacknowledged = []
        self.done = self.deleted = 0
        self.begin_consumer()

    def begin_consumer(self):
        """Start a consumer that remembers nothing, on the same queue."""
        self.seen = {}
        self.drifts = []
        self.interleaved = iter(())
        self.mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), self.list, 'pool',
            consumer.Callbacks(self.added, self.changed, self.removed),
            drifted=self.drifts.append, grace=0)
        self.mirror.reconcile()

    def added(self, service):
        assert service.uuid not in self.seen
        self.seen[service.uuid] = service

    def changed(self, old, new):
        assert self.seen[old.uuid] == old and old.uuid == new.uuid
        self.seen[old.uuid] = new

    def removed(self, service):
        assert self.seen.pop(service.uuid) == service

    def list(self):
        """Answer as the API would, while the bus goes on."""
        self.consume(next(self.interleaved, 0))
        listed = self.registry.listed()
        self.consume(next(self.interleaved, 0))
        return listed

    def consume(self, number):
        for _message in range(min(number, len(self.queue))):
            message = self.queue.popleft()
            self.unacknowledged.append(message)
            self.mirror.listener._dispatch(types.SimpleNamespace(
                message=copy.deepcopy(message)))

    def publish(self):
        self.queue.extend(self.registry.sent[self.done:])
        self.done = len(self.registry.sent)

    def skew(self, index):
        """Return how wrong the clock of one of three hosts is."""
        return self.SKEWS[index % len(self.SKEWS)]

    @stateful.rule(uuid=strategies.sampled_from(UUIDS), host=SOME)
    def create_or_delete(self, uuid, host):
        if uuid in self.registry.services:
            self.registry.delete(uuid, self.skew(host))
        else:
            self.registry.create(uuid, self.skew(host))

    @stateful.rule(uuid=strategies.sampled_from(UUIDS), host=SOME)
    def beat(self, uuid, host):
        if uuid in self.registry.services:
            self.registry.beat(uuid, self.skew(host))

    @stateful.rule(uuid=strategies.sampled_from(UUIDS), host=SOME,
                   disabled=strategies.booleans(),
                   reason=strategies.sampled_from((None, 'a', 'b')),
                   forced_down=strategies.booleans())
    def update(self, uuid, host, **values):
        if uuid in self.registry.services:
            self.registry.update(uuid, skew=self.skew(host), **values)

    @stateful.rule()
    def relay_sends(self):
        self.publish()

    @stateful.rule(number=SOME)
    def relay_deletes(self, number):
        """Forget the oldest of what was sent."""
        self.deleted = min(self.deleted + number, self.done)

    @stateful.rule()
    def relay_is_killed(self):
        """Send again what was not deleted, as the next relay does."""
        self.queue.extend(self.registry.sent[self.deleted:self.done])

    @stateful.precondition(lambda self: self.STALE and self.done)
    @stateful.rule(number=strategies.integers(0, 100))
    def paused_relay_sends_an_old_message(self, number):
        self.queue.append(self.registry.sent[number % self.done])

    @stateful.rule(number=SOME)
    def bus_delivers(self, number):
        self.consume(number)

    @stateful.rule(number=SOME)
    def consumer_acknowledges(self, number):
        del self.unacknowledged[:number]

    @stateful.rule()
    def connection_is_lost(self):
        """Deliver again what was not acknowledged."""
        self.queue.extendleft(reversed(self.unacknowledged))
        self.unacknowledged.clear()

    # A new consumer can't know which services were deleted before.
    @stateful.precondition(lambda self: self.LOSSY or not self.STALE)
    @stateful.rule()
    def consumer_restarts(self):
        self.connection_is_lost()
        self.begin_consumer()

    @stateful.precondition(lambda self: self.LOSSY or not self.STALE)
    @stateful.rule()
    def another_consumer_joins_late(self):
        self.queue.clear()
        self.unacknowledged.clear()
        self.done = len(self.registry.sent)
        self.begin_consumer()

    @stateful.rule(interleaved=strategies.lists(SOME, max_size=4))
    def consumer_lists(self, interleaved):
        self.interleaved = iter(interleaved)
        self.mirror.reconcile()

    @stateful.precondition(lambda self: self.mirror._store.doubts())
    @stateful.rule(interleaved=strategies.lists(SOME, max_size=2))
    def consumer_lists_for_doubts(self, interleaved):
        self.interleaved = iter(interleaved)
        self.mirror._recheck()

    @stateful.precondition(lambda self: self.LOSSY)
    @stateful.rule(number=SOME)
    def bus_loses(self, number):
        for _message in range(min(number, len(self.queue))):
            self.queue.popleft()

    @stateful.invariant()
    def callbacks_have_told_all(self):
        assert self.seen == {
            service.uuid: service for service in self.mirror.services()}

    def teardown(self):
        self.publish()
        self.consume(len(self.queue))
        self.drifts.clear()
        self.interleaved = iter(())
        if self.mirror._store.doubts():
            self.mirror._recheck()
        assert not self.mirror._store.doubts() and not self.drifts
        before = told(self.mirror.services())
        truth = told(self.registry.services.values())
        if not self.LOSSY:
            assert before == truth
        self.mirror.reconcile()
        assert told(self.mirror.services()) == truth
        assert {drift.uuid for drift in self.drifts} == {
            uuid for uuid in before.keys() | truth.keys()
            if before.get(uuid) != truth.get(uuid)}


class LossyWorld(World):
    LOSSY = True


class SkewedWorld(World):
    SKEWS = 0, -25, 40


class StaleWorld(World):
    STALE = True


class WorstWorld(SkewedWorld, StaleWorld, LossyWorld):
    pass


class TestConvergence(unittest.TestCase):

    SETTINGS = settings(max_examples=200, stateful_step_count=30,
                        deadline=None, derandomize=False, database=None)

    def test_events_alone_lead_to_the_registry(self):
        stateful.run_state_machine_as_test(World, settings=self.SETTINGS)

    def test_a_listing_repairs_and_tells_what_the_bus_has_lost(self):
        stateful.run_state_machine_as_test(
            LossyWorld, settings=self.SETTINGS)

    def test_mirror_survives_clocks_that_differ(self):
        stateful.run_state_machine_as_test(
            SkewedWorld, settings=self.SETTINGS)

    def test_mirror_is_immune_to_old_events(self):
        stateful.run_state_machine_as_test(
            StaleWorld, settings=self.SETTINGS)

    def test_mirror_is_right_after_the_next_listing_whatever_happens(self):
        stateful.run_state_machine_as_test(
            WorstWorld, settings=self.SETTINGS)


class TestListing(unittest.TestCase):

    def test_what_was_heard_meanwhile_is_not_listed_again(self):
        registry = Registry()
        registry.create(UUIDS[0])
        listings = []

        def listed():
            listings.append(registry.listed())
            if len(listings) == 2:
                registry.update(UUIDS[0], True, 'later', False)
                registry.create(UUIDS[1])
                for message in registry.sent[-2:]:
                    mirror.apply(consumer.parse(message))
            return listings[-1]

        mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), listed, 'pool', grace=0)
        for number in (1, 2):
            mirror.reconcile()
            self.assertEqual(number, len(listings))
        self.assertEqual([None, 'later'], sorted(
            (service.disabled_reason for service in mirror.services()),
            key=str))

    def test_what_is_heard_while_drift_is_reported_counts(self):
        registry = Registry()
        for uuid in UUIDS[:2]:
            registry.create(uuid)
        drifts = []

        def drifted(drift):
            drifts.append(drift.uuid)
            (other,) = {*UUIDS[:2]} - {drift.uuid}
            registry.update(other, True, 'newest', False)
            mirror.apply(consumer.parse(registry.sent[-1]))

        mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), registry.listed, 'pool',
            drifted=drifted, grace=0)
        mirror.reconcile()
        for uuid in UUIDS[:2]:
            registry.update(uuid, True, 'unheard', False)
        mirror.reconcile()
        self.assertEqual(1, len(drifts))
        self.assertEqual(told(registry.services.values()),
                         told(mirror.services()))


    def test_each_field_that_is_announced_can_drift(self):
        for values in ((True, None, False), (False, 'a', False),
                       (False, None, True)):
            registry, drifts = Registry(), []
            registry.create(UUIDS[0])
            mirror = consumer.ServiceMirror(
                consumer.connect('fake:/'), registry.listed, 'pool',
                drifted=drifts.append, grace=0)
            mirror.reconcile()
            registry.update(UUIDS[0], *values)
            mirror.reconcile()
            self.assertEqual([UUIDS[0]], [drift.uuid for drift in drifts])

    def test_a_listing_leaves_what_only_events_tell(self):
        registry = Registry()
        mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), registry.listed, 'pool', grace=0)
        mirror.reconcile()
        registry.create(UUIDS[0])
        registry.services[UUIDS[0]] = dataclasses.replace(
            registry.services[UUIDS[0]], report_count=7,
            last_seen_up='2025-12-31T23:59:59Z')
        registry.update(UUIDS[0], True, 'a', False)
        mirror.apply(consumer.parse(registry.sent[-1]))
        mirror.reconcile()
        service = mirror.get(UUIDS[0])
        self.assertEqual(('compute', 7, 74, 59, 'nova'), (
            service.topic, service.report_count, service.version,
            service.last_seen_up.second, service.zone))


    def test_drift_is_said_in_words(self):
        registry, drifts = Registry(), []
        mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), registry.listed, 'pool',
            drifted=lambda drift: drifts.append(str(drift)), grace=0)
        mirror.reconcile()
        registry.create(UUIDS[0])
        mirror.reconcile()
        registry.update(UUIDS[0], True, None, False)
        mirror.reconcile()
        registry.delete(UUIDS[0])
        mirror.reconcile()
        self.assertEqual(
            ['nova-compute on host-0 is there',
             'nova-compute on host-0 has disabled True',
             'nova-compute on host-0 is gone'], drifts)


class TestState(unittest.TestCase):
    """Up or down, as an event of half a second past midnight tells it."""

    def state(self, last_seen_up, forced_down=False):
        service = consumer.Service(
            UUIDS[0], 'h1', 'nova-compute', False, None, False,
            report_count=0, version=74, last_seen_up=last_seen_up)
        registry = Registry()
        registry.services[UUIDS[0]] = service
        registry.update(UUIDS[0], False, None, forced_down)
        self.mirror.apply(consumer.parse(registry.sent[-1]))
        return self.mirror.get(UUIDS[0]).state

    def setUp(self):
        self.mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), list, 'pool', down_time=60)

    def test_a_heartbeat_that_is_too_old(self):
        self.assertEqual('up', self.state('2025-12-31T23:59:01Z'))
        self.assertEqual('down', self.state('2025-12-31T23:59:00Z'))

    def test_forced_down(self):
        self.assertEqual('down', self.state('2026-01-01T00:00:00Z', True))

    def test_a_heartbeat_that_never_came_tells_nothing(self):
        self.assertEqual('up', self.state(None))
        self.assertEqual('down', self.state(None, True))
        self.assertEqual('down', self.state(None))


class TestCallbacks(unittest.TestCase):

    def test_a_removal_that_fails_is_told_again(self):
        registry = Registry()
        registry.create(UUIDS[0])
        removed = []

        def fail_once(service):
            removed.append(service.uuid)
            if len(removed) == 1:
                raise ValueError('not yet')

        mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), registry.listed, 'pool',
            consumer.Callbacks(removed=fail_once))
        mirror.reconcile()
        registry.delete(UUIDS[0])
        event = consumer.parse(registry.sent[-1])
        self.assertRaises(ValueError, mirror.apply, event)
        self.assertEqual(1, len(mirror))
        mirror.apply(event)
        self.assertEqual((0, 2), (len(mirror), len(removed)))
