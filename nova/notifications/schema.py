# SPDX-License-Identifier: Apache-2.0
"""What is sent, as JSON Schema 2020-12, made of the versioned objects.

The schemas are for consumers, which must bear what a later minor version
adds: a message that has more keys than are described is valid.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from nova import objects
from nova.notifications.objects import base as notification
from nova.objects import base
from nova.objects import fields

ID = 'urn:nova:versioned-notifications'

TITLE = "Versioned notifications of Nova's services"

_DATE_TIME = r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$'


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """What can be heard.

    :ivar event_type: ``<object>.<action>``
    :ivar notification: class of the notification
    :ivar payload: class of its payload
    :ivar sample: name of the file that shows it
    """

    event_type: str
    notification: Any
    payload: Any
    sample: str


def events() -> list[Event]:
    """Return all events by their types; each has a sample."""
    objects.register_all()
    classes: dict[str, Any] = {
        cls.__name__: cls
        for cls in base.NovaObjectRegistry.notification_classes}
    return sorted((
        Event(event_type=sample.removesuffix('.json').replace('-', '.'),
              notification=cls, sample=sample,
              payload=classes[cls.fields['payload'].objname])
        for cls in classes.values()
        if issubclass(cls, notification.NotificationBase)
        for sample in getattr(cls, 'samples', ())),
        key=lambda event: event.event_type)


def document() -> dict[str, Any]:
    """Return the schema of the whole message.

    Under ``$defs`` are those of each event, each payload, and the body in
    which the bus carries a message.
    """
    described = events()
    return {
        '$schema': 'https://json-schema.org/draft/2020-12/schema',
        '$id': ID,
        'title': TITLE,
        'description': 'A message, as oslo.message of the body holds it.',
        'oneOf': [{'$ref': f'#/$defs/{event.event_type}'}
                  for event in described],
        '$defs': {'body': body('#'), **components(described, '#/$defs/')}}


def summary(cls: Any) -> str:
    """Return what a class says of itself in one line."""
    return (inspect.getdoc(cls) or '').partition('\n')[0]


def components(described: list[Event], prefix: str) -> dict[str, Any]:
    """Return the schemas of messages and payloads by their names.

    :param prefix: of references between them
    """
    return {
        **{event.event_type: _message(event, prefix) for event in described},
        **{event.payload.__name__: _payload(event.payload)
           for event in described}}


def body(message: str) -> dict[str, Any]:
    """Return the schema of what the driver ``messagingv2`` sends.

    :param message: reference to the schema of the message inside
    """
    return {
        'type': 'object',
        'description': 'What is on the bus. With the driver messaging it is '
                       'the message itself.',
        'required': ['oslo.version', 'oslo.message'],
        'properties': {
            'oslo.version': {'type': 'string', 'pattern': r'^2\.'},
            'oslo.message': {
                'type': 'string', 'description': 'The message as JSON text.',
                'contentMediaType': 'application/json',
                'contentSchema': {'$ref': message}}}}


def _message(event: Event, prefix: str) -> dict[str, Any]:
    properties = {
        'message_id': {
            'type': 'string', 'format': 'uuid',
            'description': 'The same each time that a message is sent.'},
        'publisher_id': {
            'type': 'string', 'pattern': '^[^:]+:',
            'description': '<source>:<host> of what it is about; sources: '
                           f'{", ".join(fields.NotificationSource.ALL)}.'},
        'event_type': {'const': event.event_type},
        'priority': {'enum': [
            priority.upper() for priority in fields.NotificationPriority.ALL]},
        'payload': {'$ref': f'{prefix}{event.payload.__name__}'},
        'timestamp': {
            'type': 'string',
            'pattern': r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$',
            'description': 'UTC; without fraction if that is zero.'}}
    return {
        'type': 'object', 'title': event.event_type,
        'description': summary(event.notification),
        'required': list(properties),
        'properties': properties,
        # What drivers add.
        'patternProperties': {'^_(unique_id$|context)': {}}}


def _payload(cls: Any) -> dict[str, Any]:
    major = cls.VERSION.partition('.')[0]
    properties = {
        'nova_object.name': {'const': cls.__name__},
        'nova_object.namespace': {'const': cls.OBJ_PROJECT_NAMESPACE},
        'nova_object.version': {
            'type': 'string', 'pattern': rf'^{major}\.\d+$',
            'description': f'Described is {cls.VERSION}; a later minor '
                           'version only adds to it.'},
        'nova_object.data': {
            'type': 'object', 'required': list(cls.fields),
            'properties': {name: _field(field)
                           for name, field in cls.fields.items()}}}
    return {
        'type': 'object', 'title': cls.__name__,
        'description': summary(cls),
        'required': list(properties), 'properties': properties}


def _field(field: Any) -> dict[str, Any]:
    schema = field.get_schema()
    # Nobody writes to a notification.
    del schema['readonly']
    if len(schema['type']) == 1:
        (schema['type'],) = schema['type']
    if isinstance(field, fields.DateTimeField):
        schema['pattern'] = _DATE_TIME
    return schema
