# SPDX-License-Identifier: Apache-2.0
"""The board in a browser, beside the REST API."""

from __future__ import annotations

import dataclasses
import json
import re
import time

from axe_playwright_python import sync_playwright as axe
from oslotest import base
from playwright import sync_api

from nova import consumer
from nova.board import feed
from nova.board import server
from nova.tests.fixtures import proxy
from nova.tests.fixtures import standalone
from nova.tests.functional_browser import browser
from nova.tests.unit import test_consumer_events

HOSTILE = '<img src=x onerror="document.title=1">&amp;\u202e[x]'
#: what is shown of it: the character that turns the text around is named
SHOWN = HOSTILE.replace('\u202e', r'\u{202e}')

EVENT = consumer.parse(test_consumer_events.MESSAGE)

expect = sync_api.expect
expect.set_options(timeout=30_000)


class BoardTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.standalone = self.useFixture(standalone.Standalone())
        self.browser = self.useFixture(browser.Chromium())
        self.addCleanup(lambda: self.assertEqual([], self.browser.refused))

    def open(self, view='', **options):
        page = self.browser.open(f'{self.standalone.board}{view}', **options)
        expect(page.locator('#connection')).to_have_text('Live')
        return page

    def row(self, page, host):
        """Return the row of a host in the table."""
        return page.locator('#services tbody tr').filter(
            has=page.locator('th', has_text=host))


class TestBoard(BoardTestCase):

    def test_a_change_is_seen_within_a_second(self):
        page = self.open()
        expect(page.locator('#count-all')).to_have_text('4')
        expect(self.row(page, 'cmp-00002')).to_contain_text('up')
        before = page.locator('#log li').count()
        for number, (values, shown) in enumerate((
                ({'status': 'disabled', 'disabled_reason': 'broken'},
                 'broken'), ({'forced_down': True}, 'forced down'),
                ({'status': 'enabled'}, 'enabled')), 1):
            self.standalone.change('cmp-00002', **values)
            start = time.monotonic()
            expect(self.row(page, 'cmp-00002')).to_contain_text(shown)
            expect(page.locator('#log li')).to_have_count(before + number)
            self.assertLess(time.monotonic() - start, 1)
        expect(page.locator('#count-down')).to_have_text('1')
        # What is down is first, and the latest event.
        expect(page.locator('#services tbody tr').first).to_contain_text(
            'cmp-00002')
        expect(page.locator('#log li').first).to_contain_text(
            'service.update nova-compute on cmp-00002: enabled, forced down')
        compute = self.standalone.compute
        (service,) = compute.services(host='cmp-00001')
        compute.delete(f'/os-services/{service.id}', microversion='2.53')
        expect(self.row(page, 'cmp-00001')).to_have_count(0)
        expect(page.locator('#count-all')).to_have_text('3')

    def test_it_comes_back_by_itself(self):
        page = self.open()
        self.standalone.stop()
        expect(page.locator('#connection')).to_contain_text(
            'Connection lost: what you see may be old')
        # What is known is shown on.
        expect(self.row(page, 'cmp-00001')).to_have_count(1)
        self.standalone.start()
        expect(page.locator('#connection')).to_have_text('Live')
        self.standalone.change('cmp-00001', status='disabled',
                               disabled_reason='broken')
        expect(self.row(page, 'cmp-00001')).to_contain_text('broken')

    def test_names_and_reasons_are_text(self):
        self.standalone.change('cmp-00001', status='disabled',
                               disabled_reason=HOSTILE)
        page = self.open()
        self.standalone.change('cmp-00002', status='disabled',
                               disabled_reason=HOSTILE)
        for host in ('cmp-00001', 'cmp-00002'):
            expect(self.row(page, host).locator('td').nth(4)).to_have_text(
                SHOWN)
        log = page.locator('#log li')
        expect(log.first).to_contain_text(SHOWN)
        log.first.locator('button').click()
        shown = page.locator('#json').text_content()
        self.assertNotIn('\u202e', shown)
        self.assertIn(json.dumps(SHOWN)[1:-1].replace('\\\\', '\\'), shown)
        self.assertEqual(0, page.locator('main img, dialog img').count())
        self.assertEqual('Services', page.title())

    def test_an_event_is_shown_whole(self):
        page = self.open()
        self.standalone.change('cmp-00001', forced_down=True)
        event = page.locator('#log li button').first
        expect(event).to_contain_text('forced down')
        event.click()
        dialog = page.get_by_role('dialog', name='Notification')
        expect(dialog).to_be_visible()
        message = json.loads(dialog.locator('pre').text_content())
        self.assertEqual('service.update', message['event_type'])
        self.assertEqual('ServiceStatusPayload',
                         message['payload']['nova_object.name'])
        page.keyboard.press('Escape')
        expect(dialog).not_to_be_visible()
        expect(event).to_be_focused()

    def test_events_can_be_held(self):
        page = self.open()
        number = page.locator('#log li').count()
        pause = page.get_by_role('button', name='Pause')
        pause.click()
        self.standalone.change('cmp-00001', forced_down=True)
        self.standalone.change('cmp-00001', forced_down=False)
        resume = page.get_by_role('button', name='Resume (2)')
        expect(resume).to_have_attribute('aria-pressed', 'true')
        self.assertEqual(number, page.locator('#log li').count())
        resume.click()
        expect(page.locator('#log li')).to_have_count(number + 2)
        expect(pause).to_be_visible()

    def test_the_keyboard_is_enough(self):
        page = self.open()
        self.standalone.change('cmp-00001', forced_down=True)
        expect(page.locator('#count-down')).to_have_text('1')
        focused = []
        for _press in range(12):
            page.keyboard.press('Tab')
            focused.append(page.evaluate(
                'document.activeElement.id || document.activeElement.tagName'
            ))
        self.assertEqual(
            ['text', 'binary', 'state', 'status', 'view-table', 'view-grid',
             'services', 'pause', 'log', 'BUTTON'], focused[:10])
        page.locator('#text').focus()
        page.keyboard.type('cmp-00001')
        expect(page.locator('#services tbody tr')).to_have_count(1)
        expect(page.locator('#shown')).to_have_text('1 of 4 shown')
        page.locator('#view-grid').focus()
        page.keyboard.press('Enter')
        expect(page.locator('#services thead')).to_have_text(
            re.compile(r'Host\s*nova-compute'))

    def test_the_address_keeps_the_filters(self):
        page = self.open()
        page.get_by_role('button', name='Hosts').click()
        page.locator('#binary').select_option('nova-compute')
        page.locator('#status').select_option('enabled')
        page.reload()
        expect(page.locator('#services tbody tr')).to_have_count(2)
        expect(page.locator('#binary')).to_have_value('nova-compute')
        expect(page.get_by_role('button', name='Hosts')).to_have_attribute(
            'aria-pressed', 'true')
        page.locator('#state').select_option('down')
        expect(page.get_by_text('No service matches.')).to_be_visible()

    def test_a_state_is_never_told_by_colour_alone(self):
        self.standalone.change('cmp-00001', forced_down=True)
        self.standalone.change('cmp-00002', status='disabled')
        for view, down, disabled in (
                ('', 'forced down', 'up'),
                ('#view=grid', 'forced down', 'up, disabled')):
            page = self.open(view)
            expect(self.row(page, 'cmp-00001').locator('.state')
                   ).to_have_text(down)
            expect(self.row(page, 'cmp-00002').locator('.state')
                   ).to_have_text(disabled)

    def test_events_a_minute_are_drawn_and_told(self):
        page = self.open()
        self.standalone.change('cmp-00001', forced_down=True)
        expect(page.locator('#sparkline')).to_have_attribute(
            'aria-label', re.compile(r'[1-9]\d* in this minute'))
        self.assertEqual(30, page.locator('#sparkline rect').count())

    def test_nothing_is_hard_to_use(self):
        self.standalone.change('cmp-00001', forced_down=True)
        self.standalone.change('cmp-00002', status='disabled',
                               disabled_reason='broken')
        for scheme in ('light', 'dark'):
            for width in (1280, 390):
                for view in ('', '#view=grid'):
                    page = self.open(view, color_scheme=scheme, viewport={
                        'width': width, 'height': 800}, bypass_csp=True)
                    self.check_axe(page, (scheme, width, view))
                    page.locator('#log button').first.click()
                    self.check_axe(page, (scheme, width, view, 'dialog'))
                    page.close()

    def check_axe(self, page, where):
        found = [(rule['id'], rule['impact'],
                  [node['html'] for node in rule['nodes']])
                 for rule in axe.Axe().run(page).response['violations']]
        self.assertEqual([], found, where)


class FeedTestCase(base.BaseTestCase):
    """A board whose services are put there by the test."""

    def setUp(self):
        super().setUp()
        self.feed = feed.Feed()
        self.server = server.BoardServer(self.feed, '127.0.0.1', 0)
        self.server.start()
        self.addCleanup(self.server.stop)
        self.browser = self.useFixture(browser.Chromium())
        self.addCleanup(lambda: self.assertEqual([], self.browser.refused))

    def add(self, number):
        for host in range(number):
            self.feed.callbacks.added(service(host))

    def hear(self, changed):
        """Let the feed hear that a service is as it is given."""
        self.feed.heard(dataclasses.replace(EVENT, service=changed))
        self.feed.callbacks.changed(changed, changed)

    def open(self, url):
        page = self.browser.open(url)
        expect(page.locator('#connection')).to_have_text('Live')
        return page


class TestLostConnection(FeedTestCase):

    def test_what_was_missed_is_caught_up_with(self):
        network = self.useFixture(proxy.Proxy(
            int(self.server.url.split(':')[2].strip('/'))))
        self.add(3)
        page = self.open(f'http://127.0.0.1:{network.port}/')
        asked = []
        page.on('request', lambda request: asked.append(request.url))
        network.cut()
        expect(page.locator('#connection')).to_contain_text('Connection lost')
        for host in range(3):
            self.hear(service(host, state='down'))
        expect(page.locator('#count-down')).to_have_text('0')
        network.mend()
        expect(page.locator('#connection')).to_have_text('Live')
        expect(page.locator('#count-down')).to_have_text('3')
        expect(page.locator('#log li')).to_have_count(3)
        # It was caught up with, and not loaded anew.
        self.assertNotIn('services', [url.rpartition('/')[2]
                                      for url in asked])

    def test_a_stream_that_falls_silent_is_told(self):
        network = self.useFixture(proxy.Proxy(
            int(self.server.url.split(':')[2].strip('/'))))
        page = self.open(f'http://127.0.0.1:{network.port}/')
        network.stall()
        expect(page.locator('#connection')).to_contain_text('Connection lost')
        network.mend()
        expect(page.locator('#connection')).to_have_text('Live')


class TestManyServices(FeedTestCase):

    def test_they_stay_smooth(self):
        self.add(10_000)
        page = self.open(self.server.url)
        expect(page.locator('#count-all')).to_have_text('10000')
        # Only what is seen is there.
        self.assertLess(page.locator('#services tr').count(), 150)
        page.evaluate("""() => {
            window.longest = 0;
            let last = performance.now();
            requestAnimationFrame(function frame(now) {
                window.longest = Math.max(window.longest, now - last);
                last = now;
                requestAnimationFrame(frame);
            });
        }""")
        for number in range(1000):
            self.hear(service(number, state='down'))
            if number % 100 == 0:
                page.mouse.wheel(0, 400)
        expect(page.locator('#count-down')).to_have_text('1000')
        self.assertLess(page.evaluate('window.longest'), 500)
        page.locator('#services').focus()
        page.keyboard.press('End')
        expect(page.get_by_text('cmp-09999')).to_be_visible()
        page.get_by_role('searchbox').fill('cmp-0777')
        expect(page.locator('#shown')).to_have_text('10 of 10000 shown')
        page.get_by_role('button', name='Hosts').click()
        expect(page.locator('#services tbody tr')).to_have_count(10)


def service(number, **values):
    name = f'cmp-{number:05}'
    return consumer.Service(**{
        'uuid': name, 'host': name, 'binary': 'nova-compute', 'zone': 'nova',
        'state': 'up', 'disabled': False, 'disabled_reason': None,
        'forced_down': False, **values})
