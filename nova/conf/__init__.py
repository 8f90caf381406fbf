# SPDX-License-Identifier: Apache-2.0
"""Configuration options, one module a group; names and defaults are Nova's."""

from oslo_config import cfg

from nova.conf import api
from nova.conf import availability_zone
from nova.conf import database
from nova.conf import notifications
from nova.conf import relay
from nova.conf import service
from nova.conf import servicegroup
from nova.conf import workarounds
from nova.conf import wsgi

CONF = cfg.CONF

MODULES = (api, availability_zone, database, notifications, relay, service,
           servicegroup, workarounds, wsgi)

for _module in MODULES:
    _module.register_opts(CONF)
