"""A notification of its own: aggregate.create."""

from nova.notifications.objects import base
from nova.objects import base as nova_base
from nova.objects import fields


@nova_base.NovaObjectRegistry.register_notification
class AggregatePayload(base.NotificationPayloadBase):
    """A group of hosts."""

    # 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'uuid': fields.UUIDField(),
        'name': fields.StringField(),
        'hosts': fields.ListOfStringsField(nullable=True),
        'metadata': fields.DictOfStringsField(nullable=True),
    }

    SCHEMA = {name: ('aggregate', name)
              for name in ('uuid', 'name', 'hosts', 'metadata')}

    def __init__(self, aggregate):
        super().__init__()
        self.populate_schema(aggregate=aggregate)


@base.notification_sample('aggregate-create.json')
@nova_base.NovaObjectRegistry.register_notification
class AggregateNotification(base.NotificationBase):
    """Says that an aggregate was created."""

    # 1.0: Initial version
    VERSION = '1.0'

    fields = {'payload': fields.ObjectField('AggregatePayload')}


def announce(context, host, aggregate):
    """Announce it; inside the transaction that creates it."""
    AggregateNotification(
        priority=fields.NotificationPriority.INFO,
        event_type=base.EventType(
            object='aggregate', action=fields.NotificationAction.CREATE),
        publisher=base.NotificationPublisher(
            host=host, source=fields.NotificationSource.API),
        payload=AggregatePayload(aggregate)).emit(context)
