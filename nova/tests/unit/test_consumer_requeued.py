# SPDX-License-Identifier: Apache-2.0
"""A consumer ends with the newest event of each service, handlers failing."""

import collections
import types
import unittest

import fixtures
from hypothesis import settings
from hypothesis import stateful
from hypothesis import strategies
import oslo_messaging

from nova import consumer
from nova.consumer import listener
from nova.tests.unit import test_consumer_converges

REQUEUE = oslo_messaging.NotificationResult.REQUEUE
FEW = strategies.integers(1, 4)
UUIDS = test_consumer_converges.UUIDS[:2]


class World(stateful.RuleBasedStateMachine):
    """One consumer of a pool, which prefetches, fails and is killed."""

    #: whether a requeued message goes behind those that nobody has got yet
    TO_THE_TAIL = False

    def __init__(self):
        super().__init__()
        self.registry = test_consumer_converges.Registry()
        for uuid in UUIDS:
            self.registry.create(uuid)
        self.registry.sent.clear()
        self.queue = []
        #: what consumers keep between them, as in one index
        self.last = {}
        self.failing = set()
        self.start()

    def start(self):
        self.prefetched = collections.deque()
        self.listener = consumer.Listener(
            consumer.connect('fake:/'), self.handle, 'pool')

    def handle(self, event):
        if event.service.uuid in self.failing:
            raise ValueError('not now')
        self.last[event.service.uuid] = event.message_id

    # Where messages of a killed consumer go then depends on the bus.
    @stateful.precondition(lambda self: not self.TO_THE_TAIL)
    @stateful.rule()
    def consumer_is_killed_and_starts_again(self):
        self.start()

    @stateful.rule(uuid=strategies.sampled_from(UUIDS))
    def change(self, uuid):
        self.registry.update(uuid, True, 'reason', False)
        self.queue.append(self.registry.sent[-1])

    @stateful.rule(uuid=strategies.sampled_from(UUIDS))
    def handler_breaks_or_recovers(self, uuid):
        self.failing ^= {uuid}

    @stateful.rule(number=FEW)
    def bus_delivers(self, number):
        held = [message['message_id'] for message in self.prefetched]
        for message in [message for message in self.queue
                        if message['message_id'] not in held][:number]:
            self.prefetched.append(message)

    @stateful.rule(number=FEW)
    def consumer_works(self, number):
        for _message in range(min(number, len(self.prefetched))):
            message = self.prefetched.popleft()
            answer = self.listener._dispatch(
                types.SimpleNamespace(message=message))
            self.queue.remove(message)
            if answer == REQUEUE:
                self.requeue(message)

    def requeue(self, message):
        self.queue.append(message)
        if not self.TO_THE_TAIL:
            self.queue.sort(key=self.registry.sent.index)

    def teardown(self):
        self.failing.clear()
        while self.queue:
            self.bus_delivers(3)
            self.consumer_works(2)
        newest = {}
        for message in self.registry.sent:
            uuid = message['payload']['nova_object.data']['uuid']
            newest[uuid] = message['message_id']
        if not self.listener.counts['given up']:
            assert self.last == newest


class TailWorld(World):
    TO_THE_TAIL = True


class TestRequeued(fixtures.TestWithFixtures):

    SETTINGS = settings(max_examples=300, stateful_step_count=40,
                        deadline=None, database=None)

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch(
            'nova.consumer.listener._PAUSES', (0,)))
        self.useFixture(fixtures.FakeLogger())

    def test_the_newest_event_wins_although_handlers_fail(self):
        stateful.run_state_machine_as_test(World, settings=self.SETTINGS)

    def test_the_newest_event_wins_if_requeued_ones_come_last(self):
        stateful.run_state_machine_as_test(TailWorld, settings=self.SETTINGS)


class TestMemory(unittest.TestCase):

    def test_requeued_events_of_other_processes_are_forgotten(self):
        requeued = listener.requeued.Requeued(10)
        requeued.failed('u', 'one')
        self.assertTrue(requeued.handled('u', 'two'))
        # Another process of the pool got 'one': 'two' comes back alone.
        self.assertTrue(requeued.was_handled('u', 'two'))
        self.assertFalse(requeued.handled('u', 'three'))

    def test_the_oldest_services_are_forgotten(self):
        requeued = listener.requeued.Requeued(10)
        for number in range(11):
            requeued.failed(f'u{number}', f'm{number}')
        self.assertFalse(requeued.handled('u0', 'new'))
        self.assertTrue(requeued.handled('u1', 'new'))
