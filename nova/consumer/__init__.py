# SPDX-License-Identifier: Apache-2.0
"""For programs that follow the services of a cloud.

Needs oslo.messaging and openstacksdk, and no database.
"""

from nova.consumer.api import APIError
from nova.consumer.api import APIRefused
from nova.consumer.api import ServiceLister
from nova.consumer.bus import BusError
from nova.consumer.bus import BusRefused
from nova.consumer.bus import check
from nova.consumer.bus import connect
from nova.consumer.bus import delete_pool
from nova.consumer.events import NotUnderstood
from nova.consumer.events import Service
from nova.consumer.events import ServiceEvent
from nova.consumer.events import parse
from nova.consumer.listener import Listener
from nova.consumer.mirror import ServiceMirror
from nova.consumer.store import Callbacks
from nova.consumer.store import Drift

__all__ = ['APIError', 'APIRefused', 'BusError', 'BusRefused', 'Callbacks',
           'Drift', 'Listener', 'NotUnderstood', 'Service', 'ServiceEvent',
           'ServiceLister', 'ServiceMirror', 'check', 'connect',
           'delete_pool', 'parse']
