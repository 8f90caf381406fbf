"""Keep the newest state of each service: newest.py URL POOL FILE"""

import sqlite3
import sys
import threading

from nova import consumer

database = sqlite3.connect(sys.argv[3], check_same_thread=False)
database.execute(
    'CREATE TABLE IF NOT EXISTS services (uuid TEXT PRIMARY KEY, host TEXT, '
    'reason TEXT, deleted BOOLEAN, changed TEXT)')


def handle(event):
    """Write the event unless a newer one is stored; also of a deleted one."""
    service = event.service
    with database:
        database.execute(
            'INSERT INTO services VALUES (?, ?, ?, ?, ?) '
            'ON CONFLICT (uuid) DO UPDATE SET host = excluded.host, '
            'reason = excluded.reason, deleted = excluded.deleted, '
            'changed = excluded.changed '
            'WHERE excluded.changed >= services.changed',
            (service.uuid, service.host, service.disabled_reason,
             event.event_type == 'service.delete',
             event.timestamp.isoformat(timespec='microseconds')))


if __name__ == '__main__':
    listener = consumer.Listener(
        consumer.connect(sys.argv[1]), handle, pool=sys.argv[2])
    listener.start()
    threading.Event().wait()
