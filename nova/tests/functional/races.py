# SPDX-License-Identifier: Apache-2.0
"""What happens to a service while it is announced."""

from __future__ import annotations

from collections.abc import Callable
import functools
import threading

from nova import context
from nova import exception
from nova.notifications import delivery
from nova.objects import service as service_obj
from nova.tests.fixtures.relay import RelayFixture

#: seconds, more than a change takes that nothing holds up
_WHILE = 1


class AnnounceTests:
    """For a LifecycleTestCase."""

    def _announce(self, way, change: Callable[[service_obj.Service], None]):
        """Announce a service that somebody else changes meanwhile.

        :return: event and reason of what was heard after the creation
        """
        self.flags(group='notifications', delivery=way)
        service = self.create()
        other = service_obj.Service.get_by_id(
            context.get_admin_context(), service.id)
        self.other = threading.Thread(target=change, args=(other,))
        self.announcing = threading.get_ident()
        for owner, name in ((delivery, '_send'), (delivery.outbox, 'add')):
            self.stub_out(f'{owner.__name__}.{name}', functools.partial(
                self._interrupted, getattr(owner, name)))
        service.announce()
        self.other.join()
        if way == 'outbox':
            self.useFixture(RelayFixture())
        heard = [self.heard.get(timeout=10) for _event in range(3)]
        return [(message['event_type'],
                 message['payload']['nova_object.data']['disabled_reason'])
                for message in heard[1:]]

    def _interrupted(self, function, *arguments):
        """Let the other begin when all that is left is to say it."""
        if threading.get_ident() == self.announcing:
            self.other.start()
            self.other.join(_WHILE)
        function(*arguments)

    @staticmethod
    def _disable(service):
        service.disabled_reason = 'new'
        service.save()

    def _check_a_change(self, way):
        self.assertEqual(
            [('service.update', None), ('service.update', 'new')],
            self._announce(way, self._disable))

    def _check_a_deletion(self, way):
        self.assertEqual(
            [('service.update', None), ('service.delete', None)],
            self._announce(way, service_obj.Service.destroy))

    def test_a_change_meanwhile_is_announced_after_it(self):
        self._check_a_change('direct')

    def test_a_change_meanwhile_is_stored_after_it(self):
        self._check_a_change('outbox')

    def test_a_deletion_meanwhile_is_announced_after_it(self):
        self._check_a_deletion('direct')

    def test_a_deletion_meanwhile_is_stored_after_it(self):
        self._check_a_deletion('outbox')

    def test_what_is_said_is_what_is_stored(self):
        service = self.create()
        stale = service_obj.Service.get_by_id(self.context, service.id)
        self._disable(service)
        stale.announce()
        reasons = [self.heard.get(timeout=10)['payload'][
            'nova_object.data']['disabled_reason'] for _event in range(3)]
        self.assertEqual([None, 'new', 'new'], reasons)
        service.destroy()
        self.assertRaises(exception.ServiceNotFound, stale.announce)
