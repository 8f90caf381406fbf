"""Print service notifications: listen.py rabbit://user:password@host:5672/"""

import json
import sys

from oslo_config import cfg
import oslo_messaging


class Printer:
    filter_rule = oslo_messaging.NotificationFilter(event_type='^service\\.')

    def info(self, context, publisher_id, event_type, payload, metadata):
        print(event_type, publisher_id, json.dumps(payload), flush=True)


oslo_messaging.set_transport_defaults('nova')
listener = oslo_messaging.get_notification_listener(
    oslo_messaging.get_notification_transport(cfg.ConfigOpts(), sys.argv[1]),
    [oslo_messaging.Target(topic='versioned_notifications')], [Printer()],
    executor='threading')
listener.start(override_pool_size=1)  # more threads would change the order
listener.wait()
