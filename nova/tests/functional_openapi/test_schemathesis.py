# SPDX-License-Identifier: Apache-2.0
"""Generated requests against the running API and its OpenAPI documents.

``NOVA_TEST_EXAMPLES`` is the number of generated requests for each operation
and phase; ``NOVA_TEST_SEED`` makes others of them.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import fixtures
from oslotest import base

from nova.tests.fixtures import processes

#: enough for those that are deleted
SERVICES = 500

#: What it is about is right by contract, or nothing of ours:
EXCLUDED = ','.join((
    'unsupported_method',  # Nova answers 404, not 405
    'ignored_auth',        # noauth2 is meant to
))


class TestSchemathesis(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(processes.NovaAPI())
        self.api.add_services(*(
            (f'host{number}', 'nova-compute') for number in range(SERVICES)))

    def _document(self, microversion):
        """Write the document of a server that knows all who call it.

        The version is sent with each request: one without has another
        version's document.
        """
        document = json.loads(processes.run(
            'manage', 'api', 'openapi', '--microversion', microversion))
        del document['security'], document['components']['securitySchemes']
        version = document['components']['parameters'].pop('version')
        for path in document['paths'].values():
            for operation in path.values():
                if isinstance(operation, dict) and 'parameters' in operation:
                    del operation['parameters'][0]
        file = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'openapi.json')
        file.write_text(json.dumps(document))
        return file, f'{version["name"]}: {version["schema"]["const"]}'

    def _check(self, microversion):
        file, header = self._document(microversion)
        done = subprocess.run(
            [pathlib.Path(sys.executable).with_name('schemathesis'), 'run',
             file, '--url', self.api.url, '--header', header,
             '--max-examples', os.environ.get('NOVA_TEST_EXAMPLES', '150'),
             '--exclude-checks', EXCLUDED, '--continue-on-failure',
             '--seed', os.environ.get('NOVA_TEST_SEED', '1')],
            cwd=file.parent, capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        cases = re.search(r'Test cases:\s+([\d,]+) generated', done.stdout)
        self.assertGreaterEqual(int(cases[1].replace(',', '')), 1000)
        self.assertNotIn('Traceback', self.api.log)
        self.assertEqual(0, self.api.stop())

    def test_2_1(self):
        self._check('2.1')

    def test_2_11(self):
        self._check('2.11')

    def test_2_53(self):
        self._check('2.53')

    def test_latest(self):
        self._check('latest')
