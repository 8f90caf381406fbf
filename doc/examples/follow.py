"""Follow the services: follow.py rabbit://user:password@host:5672/ NAME"""

import sys
import threading

import openstack

from nova import consumer


def say(what, service):
    print(what, service.binary, service.host, service.state,
          service.disabled_reason, flush=True)


mirror = consumer.ServiceMirror(
    consumer.connect(sys.argv[1]), consumer.ServiceLister(openstack.connect()),
    pool=sys.argv[2], callbacks=consumer.Callbacks(
        added=lambda service: say('added', service),
        changed=lambda old, new: say('changed', new),
        removed=lambda service: say('removed', service)))
mirror.start()
threading.Event().wait()
