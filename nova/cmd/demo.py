# SPDX-License-Identifier: Apache-2.0
"""nova-demo: create, change and delete a service, and hear of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import json
import pathlib
import queue
import sys
import tempfile
from typing import Any
import uuid

from oslo_config import cfg

from nova import config
from nova.cmd import common

CONF = config.CONF

#: seconds that a notification may take
_PATIENCE = 10

_OPTS = [
    cfg.BoolOpt('json', default=False,
                help='Print one JSON object a line.'),
]

_EMBEDDED = '''\
[DEFAULT]
transport_url = fake:/
[database]
connection = sqlite:///{directory}/nova.sqlite
[notifications]
notification_format = versioned
[oslo_messaging_notifications]
driver = messagingv2
'''


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-demo."""
    argv = sys.argv if argv is None else argv

    def work() -> int:
        CONF.register_cli_opts(_OPTS)
        with tempfile.TemporaryDirectory() as directory:
            embedded = pathlib.Path(directory, 'nova.conf')
            embedded.write_text(_EMBEDDED.format(directory=directory))
            config.parse_args(argv, default_config_files=[str(embedded)],
                              prog='nova-demo')
            if directory in (CONF.database.connection or ''):
                from nova.db import migration
                migration.db_sync()
            config.setup_logging()
            return _demonstrate()

    return common.run('nova-demo', argv, work)


def _demonstrate() -> int:
    from nova import objects
    objects.register_all()
    show = _show_json if CONF.json else _show_text
    steps = 0
    with _listening() as heard:
        for title, host in _lifecycle():
            show(title, _next(heard, host))
            steps += 1
    if not CONF.json:
        print(f'{steps} changes made, {steps} notifications received.')
    return 0


def _lifecycle() -> Iterator[tuple[str, str]]:
    """Change a service; yield what was done, and its host."""
    from nova import context
    from nova.objects import service as service_obj
    host = f'demo-{uuid.uuid4().hex[:8]}'
    service = service_obj.Service(
        context.get_admin_context(), host=host, binary='nova-compute',
        topic='compute', report_count=0)
    service.create()
    try:
        yield 'nova-compute is created', host
        service.disabled = True
        service.disabled_reason = 'maintenance'
        service.save()
        yield 'it is disabled, with a reason', host
        service.forced_down = True
        service.save()
        yield 'it is forced down', host
    finally:
        service.destroy()
    yield 'it is deleted', host


@contextlib.contextmanager
def _listening() -> Iterator[queue.Queue[dict[str, Any]]]:
    import oslo_messaging

    from nova import rpc
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    class Endpoint:
        def info(self, context: dict[str, Any], publisher_id: str,
                 event_type: str, payload: dict[str, Any],
                 metadata: dict[str, Any]) -> None:
            heard.put({'event_type': event_type,
                       'publisher_id': publisher_id, 'priority': 'INFO',
                       'payload': payload, **metadata})

    # A pool of its own takes nothing from other consumers of the topic.
    listener = oslo_messaging.get_notification_listener(
        rpc.NOTIFICATION_TRANSPORT,
        [oslo_messaging.Target(topic=topic) for topic in
         CONF.notifications.versioned_notifications_topics],
        [Endpoint()], executor='threading', pool='nova-demo')
    listener.start()
    try:
        yield heard
    finally:
        # Waiting for it as well could hang, and the process ends anyway.
        listener.stop()


def _next(heard: queue.Queue[dict[str, Any]], host: str) -> dict[str, Any]:
    """Return the next notification of a host; others' are passed over."""
    from nova import exception
    while True:
        try:
            notification = heard.get(timeout=_PATIENCE)
        except queue.Empty:
            raise exception.NovaException(
                f'no notification came within {_PATIENCE} s: '
                '[notifications] notification_format should be versioned, '
                '[oslo_messaging_notifications] driver messagingv2, and '
                'transport_url a message bus that runs') from None
        if notification['publisher_id'].endswith(f':{host}'):
            return notification


def _show_json(_title: str, notification: dict[str, Any]) -> None:
    print(json.dumps(notification), flush=True)


def _show_text(title: str, notification: dict[str, Any]) -> None:
    import rich.console
    import rich.table
    console = rich.console.Console(highlight=False)
    console.print(f'\n[bold]{title}[/bold]')
    console.print(f'  [green]{notification["event_type"]}[/green] from '
                  f'[cyan]{notification["publisher_id"]}[/cyan] '
                  f'at {notification["timestamp"]}')
    table = rich.table.Table(box=None, show_header=False, padding=(0, 1, 0, 4))
    for key, value in notification['payload']['nova_object.data'].items():
        table.add_row(key, 'null' if value is None else str(value))
    console.print(table)


if __name__ == '__main__':
    sys.exit(main())
