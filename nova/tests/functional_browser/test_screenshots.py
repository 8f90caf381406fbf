# SPDX-License-Identifier: Apache-2.0
"""The pictures of the documentation: GENERATE_SAMPLES=1 takes them anew."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import struct

from nova.tests.functional_browser import test_board

IMAGES = pathlib.Path(__file__).parents[3] / 'doc' / 'source' / 'images'
SIZE = {'width': 1280, 'height': 640}

#: what is not as it should be: number of the host → values
TROUBLE = {
    3: {'state': 'down'},
    7: {'state': 'down', 'forced_down': True, 'disabled': True,
        'disabled_reason': 'power supply is broken'},
    12: {'disabled': True, 'disabled_reason': 'kernel update'},
    13: {'disabled': True, 'disabled_reason': 'kernel update'},
}


class TestScreenshots(test_board.FeedTestCase):

    def setUp(self):
        super().setUp()
        for controller in range(1, 4):
            for binary in ('nova-conductor', 'nova-scheduler'):
                self.feed.callbacks.added(test_board.service(
                    controller, uuid=f'{binary}{controller}',
                    host=f'ctl-{controller}', binary=binary,
                    zone='internal'))
        self.add(40)
        for minutes in range(29, 0, -1):
            for number in range(minutes * 7 % 5):
                self.announce(test_board.service(20 + number), minutes)
        for number, values in TROUBLE.items():
            changed = test_board.service(number, **values)
            if values.get('disabled'):
                self.announce(changed)
            self.feed.callbacks.changed(changed, changed)

    def announce(self, changed, minutes=0):
        data = {name: getattr(changed, name) for name in (
            'uuid', 'host', 'binary', 'disabled', 'disabled_reason',
            'forced_down')}
        now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(
            minutes=minutes)
        self.feed.heard(dataclasses.replace(
            test_board.EVENT, service=changed, timestamp=now, message={
                'event_type': 'service.update',
                'timestamp': f'{now:%Y-%m-%d %H:%M:%S.%f}',
                'payload': {'nova_object.data': data}}))

    def test_the_documentation_shows_the_board_as_it_is(self):
        for name, view, scheme in (('board', '', 'light'),
                                   ('board-hosts', '#view=grid', 'dark')):
            page = self.browser.open(
                f'{self.server.url}{view}', viewport=SIZE,
                color_scheme=scheme)
            test_board.expect(page.locator('#connection')).to_have_text(
                'Live')
            test_board.expect(page.locator('#count-all')).to_have_text('46')
            taken = page.screenshot(animations='disabled')
            kept = IMAGES / f'{name}.png'
            if os.environ.get('GENERATE_SAMPLES'):
                IMAGES.mkdir(exist_ok=True)
                kept.write_bytes(taken)
            # Fonts differ from machine to machine: not each dot.
            self.assertEqual(_size(taken), _size(kept.read_bytes()))
            self.assertLess(abs(len(taken) / kept.stat().st_size - 1), 0.5)


def _size(png):
    return struct.unpack('>II', png[16:24])
