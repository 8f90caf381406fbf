# SPDX-License-Identifier: Apache-2.0
"""Compare requests and answers, whole, with the samples that the docs show.

``GENERATE_SAMPLES=1`` rewrites them.
"""

import json
import os
import pathlib

from nova.tests.functional import api_base
from nova.tests.functional.api_base import UUID

SAMPLES = (pathlib.Path(__file__).parents[3] / 'doc' / 'api_samples'
           / 'os-services')

HOST = {'host': 'host1', 'binary': 'nova-compute'}


class TestServiceSamples(api_base.APITestCase):

    def setUp(self):
        super().setUp()
        self.compute = self.create(
            uuid=UUID, disabled=True, disabled_reason='test2')
        self.create('host2', 'nova-scheduler', 'scheduler',
                    uuid='c0669f0d-2f1c-4f1c-8a0e-6d3b0f1a2b3c')
        self.compute.report_count = 1
        self.compute.save()
        self.notifier.reset()

    def _verify(self, name, observed):
        file = SAMPLES / f'{name}.json'
        if os.environ.get('GENERATE_SAMPLES'):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(observed, indent=4) + '\n')
        sample = json.loads(file.read_text())
        self.assertEqual(sample, observed)
        self.assertEqual(json.dumps(sample), json.dumps(observed))

    def _put(self, microversion, target, name, body):
        self.admin.microversion = microversion
        self._verify(f'{name}-req', body)
        self._verify(f'{name}-resp', self.admin.api_put(
            f'/os-services/{target}', body).body)
        self.assertEqual(['service.update'], self.announced())

    def test_list(self):
        for microversion, folder in (
                ('2.1', ''), ('2.11', 'v2.11/'), ('2.53', 'v2.53/'),
                ('2.69', 'v2.69/')):
            self.admin.microversion = microversion
            self._verify(f'{folder}services-list-get-resp',
                         self.admin.api_get('/os-services').body)

    def test_enable(self):
        self._put('2.1', 'enable', 'service-enable-put', HOST)

    def test_disable(self):
        self._put('2.1', 'disable', 'service-disable-put', HOST)

    def test_disable_with_a_reason(self):
        self._put('2.1', 'disable-log-reason', 'service-disable-log-put',
                  {**HOST, 'disabled_reason': 'test2'})

    def test_force_down(self):
        self._put('2.11', 'force-down', 'v2.11/service-force-down-put',
                  {**HOST, 'forced_down': True})

    def test_enable_by_uuid(self):
        self._put('2.53', UUID, 'v2.53/service-enable-put',
                  {'status': 'enabled'})

    def test_disable_by_uuid(self):
        self._put('2.53', UUID, 'v2.53/service-disable-put',
                  {'status': 'disabled'})

    def test_disable_with_a_reason_by_uuid(self):
        self._put('2.53', UUID, 'v2.53/service-disable-log-put',
                  {'status': 'disabled', 'disabled_reason': 'maintenance'})

    def test_force_down_by_uuid(self):
        self._put('2.53', UUID, 'v2.53/service-force-down-put',
                  {'forced_down': True})
