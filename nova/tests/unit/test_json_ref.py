# SPDX-License-Identifier: Apache-2.0

import json
import pathlib

import fixtures

from nova import test
from nova.tests import json_ref


class TestResolveRefs(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def _write(self, name, content):
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))

    def test_overrides_are_merged_into_the_named_file(self):
        self._write('base.json', {'a': 1, 'b': {'c': 2, 'd': [1]}})
        self.assertEqual(
            {'x': {'a': 1, 'b': {'c': 3, 'd': [2], 'e': 4}}},
            json_ref.resolve_refs(
                {'x': {'$ref': 'base.json#',
                       'b': {'c': 3, 'd': [2], 'e': 4}}}, self.folder))

    def test_an_override_can_be_of_another_kind(self):
        self._write('base.json', {'a': 1, 'b': {'c': 2}})
        self.assertEqual({'a': {'d': 3}, 'b': None}, json_ref.resolve_refs(
            {'$ref': 'base.json#', 'a': {'d': 3}, 'b': None}, self.folder))

    def test_a_reference_is_relative_to_its_own_file(self):
        self._write('inner/leaf.json', {'leaf': True})
        self._write('inner/middle.json', {'$ref': 'leaf.json#'})
        self.assertEqual({'leaf': True}, json_ref.resolve_refs(
            {'$ref': 'inner/middle.json#'}, self.folder))

    def test_a_part_of_a_file_is_refused(self):
        self.assertRaises(NotImplementedError, json_ref.resolve_refs,
                          {'$ref': 'base.json#/a'}, self.folder)
