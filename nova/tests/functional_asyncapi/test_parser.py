# SPDX-License-Identifier: Apache-2.0
"""The AsyncAPI document, read by AsyncAPI's own parser."""

import atexit
import functools
import json
import pathlib
import shutil
import subprocess
import tempfile

from oslotest import base

from nova.notifications import asyncapi
from nova.tests.fixtures import processes

_FILES = ('package.json', 'parse.js')


@functools.cache
def _parser():
    """Return a folder with the parser installed; made once a process."""
    # The default is a folder of one test.
    folder = pathlib.Path(tempfile.mkdtemp(prefix='nova-test-', dir='/tmp'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in _FILES:
        shutil.copy(pathlib.Path(__file__).with_name(name), folder)
    subprocess.run(
        ['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund',
         '--no-package-lock', '--no-update-notifier', '--loglevel=error'],
        cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def _parse(document):
    """Return the addresses of the channels, and errors and warnings."""
    done = subprocess.run(
        ['node', 'parse.js'], cwd=_parser(), input=document, check=True,
        stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout)
    return answer.get('channels'), answer['problems']


class TestParser(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.document = asyncapi.document('nova', ['one', 'two'])

    def test_what_is_printed_is_accepted(self):
        self.assertEqual(
            (['versioned_notifications.info'], []),
            _parse(processes.run('manage', 'notifications', 'schema',
                                 '--format', 'asyncapi')))

    def test_several_topics_are_accepted(self):
        self.assertEqual((['one.info', 'two.info'], []),
                         _parse(json.dumps(self.document)))

    def _check_refused(self, words):
        _channels, problems = _parse(json.dumps(self.document))
        self.assertIn(words, '\n'.join(problems))

    def test_a_document_that_lacks_something_is_refused(self):
        del self.document['info']['title']
        self._check_refused('must have required property "title"')

    def test_a_reference_to_nothing_is_refused(self):
        del self.document['components']['schemas']['ServiceStatusPayload']
        self._check_refused('ServiceStatusPayload')

    def test_a_binding_that_cannot_be_is_refused(self):
        self.document['channels']['one.info']['bindings']['amqp'][
            'exchange']['type'] = 'loud'
        self._check_refused('"type" property must be equal to one of')
