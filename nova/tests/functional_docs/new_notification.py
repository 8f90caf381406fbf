# SPDX-License-Identifier: Apache-2.0
"""Tests of the example that adds a notification.

Not found by themselves: what the example registers would be known to the
other tests of the process.
"""

import sys
import types

from nova import context
from nova import test
from nova.notifications import schema
from nova.tests import fixtures
from nova.tests.functional_docs import pages

UUID = 'fa69c544-906b-4a6a-a9c6-c1f7a8078c73'


class TestExample(test.TestCase):

    def test_it_is_sent_and_described(self):
        sys.path.insert(0, str(pages.ROOT / 'doc' / 'examples'))
        import new_notification
        notifier = self.useFixture(fixtures.NotificationFixture(self))
        new_notification.announce(
            context.get_admin_context(), 'ctl1',
            types.SimpleNamespace(uuid=UUID, name='fast', hosts=['h1'],
                                  metadata={'ssd': 'true'}))
        (message,) = notifier.versioned_notifications
        self.assertEqual(
            ('aggregate.create', 'nova-api:ctl1'),
            (message['event_type'], message['publisher_id']))
        self.assertEqual(
            {'nova_object.name': 'AggregatePayload',
             'nova_object.namespace': 'nova', 'nova_object.version': '1.0',
             'nova_object.data': {'uuid': UUID, 'name': 'fast',
                                  'hosts': ['h1'],
                                  'metadata': {'ssd': 'true'}}},
            message['payload'])
        self.assertIn('aggregate.create',
                      [event.event_type for event in schema.events()])
