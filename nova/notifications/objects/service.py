# SPDX-License-Identifier: Apache-2.0
"""service.create, service.update and service.delete."""

from typing import Any

from nova.notifications.objects import base
from nova.objects import base as nova_base
from nova.objects import fields


@base.notification_sample('service-create.json')
@base.notification_sample('service-update.json')
@base.notification_sample('service-delete.json')
@nova_base.NovaObjectRegistry.register_notification
class ServiceStatusNotification(base.NotificationBase):
    """Says that a service was created, changed or deleted."""

    # 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'payload': fields.ObjectField('ServiceStatusPayload'),
    }


@nova_base.NovaObjectRegistry.register_notification
class ServiceStatusPayload(base.NotificationPayloadBase):
    """The state of a service.

    :param service: the record; its fields are copied
    """

    # 1.0: Initial version
    # 1.1: uuid
    VERSION = '1.1'

    fields = {
        'host': fields.StringField(nullable=True),
        'binary': fields.StringField(nullable=True),
        'topic': fields.StringField(nullable=True),
        'report_count': fields.IntegerField(),
        'disabled': fields.BooleanField(),
        'disabled_reason': fields.StringField(nullable=True),
        'availability_zone': fields.StringField(nullable=True),
        'last_seen_up': fields.DateTimeField(nullable=True),
        'forced_down': fields.BooleanField(),
        'version': fields.IntegerField(),
        'uuid': fields.UUIDField(),
    }

    SCHEMA = {name: ('service', name) for name in fields}

    def __init__(self, service: Any) -> None:
        super().__init__()
        self.populate_schema(service=service)
