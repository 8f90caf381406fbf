# SPDX-License-Identifier: Apache-2.0
"""The AsyncAPI 3 document of the notifications.

Made of the same schemas as :mod:`nova.notifications.schema`, and of the
samples.
"""

from __future__ import annotations

import json
from typing import Any

from nova import version
from nova.notifications import samples
from nova.notifications import schema

_AMQP = {'bindingVersion': '0.3.0'}
_KAFKA = {'bindingVersion': '0.5.0'}

# What samples, which Nova keeps short, do not show.
_MESSAGE_ID = '6e0b3f0e-5bb1-4a4e-9d3b-2f7f9c6a1d58'
_TIMESTAMP = '2012-10-29 13:42:11.385206'


def document(exchange: str, topics: list[str]) -> dict[str, Any]:
    """Return the document of one deployment.

    :param exchange: that messages go to on RabbitMQ
    :param topics: each gets every message
    :raises SamplesNotFound: there are no samples
    """
    events = schema.events()
    messages = {event.event_type: samples.read(event.sample)
                for event in events}
    channels: dict[str, list[str]] = {}
    for topic in topics:
        for name, sample in messages.items():
            channels.setdefault(
                f'{topic}.{sample["priority"].lower()}', []).append(name)
    return {
        'asyncapi': '3.0.0',
        'id': schema.ID,
        'info': {
            'title': schema.TITLE,
            'version': version.version_string(),
            'description': 'Sent when a service of OpenStack Nova is '
                           'created, changed or deleted.',
            'license': {
                'name': 'Apache-2.0',
                'url': 'https://www.apache.org/licenses/LICENSE-2.0'}},
        'defaultContentType': 'application/json',
        'channels': {address: _channel(address, names, exchange)
                     for address, names in channels.items()},
        'operations': {f'send.{address}': _operation(address, names)
                       for address, names in channels.items()},
        'components': {
            'messages': {
                event.event_type: _message(event, messages[event.event_type])
                for event in events},
            'schemas': schema.components(events, '#/components/schemas/')}}


def _channel(address: str, names: list[str], exchange: str) -> dict[str, Any]:
    return {
        'address': address,
        'description': 'RabbitMQ: the routing key, and the name of a queue '
                       'that is made with the first message. Kafka: the '
                       'topic.',
        'messages': {name: {'$ref': f'#/components/messages/{name}'}
                     for name in names},
        'bindings': {
            'amqp': {'is': 'routingKey',
                     'exchange': {'name': exchange, 'type': 'topic'},
                     **_AMQP},
            'kafka': {'topic': address, **_KAFKA}}}


def _operation(address: str, names: list[str]) -> dict[str, Any]:
    channel = f'#/channels/{address}'
    return {
        'action': 'send',
        'summary': 'Say what happened to a service.',
        'channel': {'$ref': channel},
        'messages': [{'$ref': f'{channel}/messages/{name}'}
                     for name in names],
        # Persistent.
        'bindings': {'amqp': {'deliveryMode': 2, **_AMQP}}}


def _message(event: schema.Event, sample: dict[str, Any]) -> dict[str, Any]:
    return {
        'name': event.event_type,
        'summary': schema.summary(event.notification),
        'contentType': 'application/json',
        'payload': schema.body(f'#/components/schemas/{event.event_type}'),
        'bindings': {
            'amqp': {'contentEncoding': 'utf-8', **_AMQP},
            'kafka': {'key': {
                'type': ['string', 'null'],
                'description': 'With delivery = outbox the uuid of the '
                               'service; with direct there is none.'},
                      **_KAFKA}},
        'examples': [{'name': event.sample,
                      'payload': _on_the_bus(sample)}]}


def _on_the_bus(sample: dict[str, Any]) -> dict[str, str]:
    message = {
        'message_id': _MESSAGE_ID,
        **{key: sample[key] for key in (
            'publisher_id', 'event_type', 'priority', 'payload')},
        'timestamp': _TIMESTAMP}
    return {'oslo.version': '2.0', 'oslo.message': json.dumps(message)}
