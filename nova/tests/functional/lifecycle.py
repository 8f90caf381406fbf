# SPDX-License-Identifier: Apache-2.0
"""The life of a service, heard by a consumer of the bus."""

from __future__ import annotations

import pathlib
import queue
import time
from typing import Any

import fixtures as third_party
from oslo_config import cfg
import oslo_messaging

from nova import context
from nova import rpc
from nova import test
from nova.db.main import outbox
from nova.objects import service as service_obj
from nova.tests import fixtures
from nova.tests.fixtures import processes

HOST = 'host2'


class _Endpoint:
    def __init__(self, heard: queue.Queue[dict[str, Any]],
                 schema: fixtures.SchemaFixture) -> None:
        self.heard = heard
        self.schema = schema

    def info(self, ctxt: Any, publisher_id: str, event_type: str,
             payload: dict[str, Any], metadata: dict[str, Any]) -> None:
        message = {'publisher_id': publisher_id, 'event_type': event_type,
                   'payload': payload, **metadata}
        self.schema.check({**message, 'priority': 'INFO'})
        self.heard.put({'context': ctxt, **message})


class LifecycleTestCase(test.TestCase):
    """Sends with messagingv2 and listens as consumers do."""

    STUB_RPC = False

    def transport_url(self) -> str:
        """Return the URL of the bus."""
        return 'fake:/'

    def listening_url(self) -> str | None:
        """Return the URL that consumers use, None for the same."""
        return None

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.RPCFixture(
            drivers=('messagingv2',), url=self.transport_url()))
        self.schema = self.useFixture(fixtures.SchemaFixture())
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.listen()
        self.context = context.RequestContext(
            user_id='u1', project_id='p1', is_admin=True,
            auth_token='secret-token')

    def listen(self, topic: str = 'versioned_notifications') -> None:
        """Hear what is sent to a topic until :meth:`stop_listening`."""
        url = self.listening_url()
        transport = rpc.NOTIFICATION_TRANSPORT
        if url:
            transport = oslo_messaging.get_notification_transport(
                cfg.CONF, url)
            self.addCleanup(transport.cleanup)
        self._listener = oslo_messaging.get_notification_listener(
            transport,
            [oslo_messaging.Target(topic=topic)],
            [_Endpoint(self.heard, self.schema)], executor='threading')
        # With more than one thread, events would be recorded in any order.
        self._listener.start(override_pool_size=1)
        self.addCleanup(self.stop_listening)

    def stop_listening(self) -> None:
        """Hear no more; what is sent stays in the queue."""
        self._listener.stop()
        self._listener.wait()

    def create(self, host: str = 'h1', **values: Any) -> service_obj.Service:
        """Return a new nova-compute service."""
        service = service_obj.Service(
            self.context, host=host, binary='nova-compute', topic='compute',
            **values)
        service.create()
        return service

    def wait_until_empty(self) -> None:
        """Return when nothing waits in the outbox."""
        deadline = time.monotonic() + 60
        while outbox.status(self.context)['depth']:
            self.assertLess(time.monotonic(), deadline, self.stdlog.output)
            time.sleep(0.05)

    def conf_file(self) -> pathlib.Path:
        """Return a nova.conf with which a process uses the same servers."""
        conf = pathlib.Path(
            self.useFixture(third_party.TempDir()).path, 'nova.conf')
        processes.write_conf(conf, {
            'DEFAULT': {'transport_url': cfg.CONF.transport_url},
            'database': {'connection': cfg.CONF.database.connection},
            'notifications': {'notification_format': 'versioned'},
            'oslo_messaging_notifications': {'driver': 'messagingv2'}})
        return conf

    def resync(self) -> str:
        """Return what a process says that has announced all services."""
        return processes.run('manage', '--config-file', self.conf_file(),
                             'notifications', 'resync')

    def check_lifecycle(self) -> None:
        """Create, disable, beat, force down and delete a service."""
        service = self.create(HOST)
        service.disabled = True
        service.disabled_reason = 'maintenance'
        service.save()
        service.report_count += 1
        service.save()
        service.forced_down = True
        service.save()
        service.destroy()
        expected = {
            'host': HOST, 'binary': 'nova-compute', 'topic': 'compute',
            'report_count': 0, 'disabled': False, 'disabled_reason': None,
            'availability_zone': None, 'last_seen_up': None,
            'forced_down': False, 'version': 74, 'uuid': service.uuid}
        self._check('service.create', expected)
        expected.update(disabled=True, disabled_reason='maintenance')
        self._check('service.update', expected)
        expected.update(
            forced_down=True, report_count=1,
            last_seen_up=service.last_seen_up.strftime('%Y-%m-%dT%H:%M:%SZ'))
        self._check('service.update', expected)
        self._check('service.delete', expected)
        self.assertRaises(queue.Empty, self.heard.get, timeout=0.2)

    def _check(self, event_type: str, expected: dict[str, Any]) -> None:
        message = self.heard.get(timeout=10)
        sent = message.pop('context')
        self.assertIsNone(sent['auth_token'])
        self.assertEqual('u1', sent['user_id'])
        self.assertRegex(message.pop('message_id'), r'^[0-9a-f-]{36}$')
        self.assertRegex(message.pop('timestamp'),
                         r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$')
        self.assertEqual({
            'event_type': event_type,
            'publisher_id': f'nova-compute:{HOST}',
            'payload': {
                'nova_object.name': 'ServiceStatusPayload',
                'nova_object.namespace': 'nova',
                'nova_object.version': '1.1',
                'nova_object.data': expected}}, message)
        self.assertEqual(list(expected),
                         list(message['payload']['nova_object.data']))
