# SPDX-License-Identifier: Apache-2.0
"""Run the tests that should notice what was broken: see mutation.toml."""

import subprocess
import sys

UNIT = 'nova.tests.unit.'
FUNCTIONAL = 'nova.tests.functional.'
REAL = 'nova.tests.functional_real.'

OBJECTS = (UNIT + 'test_objects', FUNCTIONAL + 'notification_sample_tests'
           '.test_service', FUNCTIONAL + 'test_service_object',
           FUNCTIONAL + 'test_os_services')
DESCRIPTION = (UNIT + 'test_schema', UNIT + 'test_resync',
               FUNCTIONAL + 'test_notifications')
OUTBOX = (FUNCTIONAL + 'test_relay', FUNCTIONAL + 'test_outbox')
STATUS = (UNIT + 'test_check', FUNCTIONAL + 'test_status')

#: what is broken → what should notice
TESTS = {
    'nova/db/main/outbox.py': OUTBOX,
    'nova/notifications/asyncapi.py': DESCRIPTION,
    'nova/notifications/bus_check.py': (*STATUS, REAL + 'test_status'),
    'nova/notifications/check.py': STATUS,
    'nova/notifications/delivery.py': (*OBJECTS, *OUTBOX, *DESCRIPTION),
    'nova/notifications/findings.py': STATUS,
    'nova/notifications/kafka.py': (FUNCTIONAL + 'test_kafka',),
    'nova/notifications/lease.py': OUTBOX,
    'nova/notifications/metrics.py': OUTBOX,
    'nova/notifications/objects/base.py': OBJECTS,
    'nova/notifications/objects/service.py': (*OBJECTS, *DESCRIPTION),
    'nova/notifications/outbox_check.py': STATUS,
    'nova/notifications/publisher.py': (*OUTBOX, REAL + 'test_outbox'),
    'nova/notifications/rabbit_check.py': (REAL + 'test_status',),
    'nova/notifications/relay.py': OUTBOX,
    'nova/notifications/resync.py': DESCRIPTION,
    'nova/notifications/retry.py': (FUNCTIONAL + 'test_retry',),
    'nova/notifications/samples.py': (UNIT + 'test_json_ref', *DESCRIPTION),
    'nova/notifications/schema.py': DESCRIPTION,
    'nova/objects/service.py': OBJECTS,
}


def main() -> int:
    changed = subprocess.run(
        ['git', 'diff', '--name-only'], check=True, capture_output=True,
        text=True).stdout.split()
    tests = dict.fromkeys(test for name in changed or TESTS
                          for test in TESTS.get(name, ()))
    return subprocess.run([sys.executable, '-m', 'testtools.run', '--failfast',
                           *tests], check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
