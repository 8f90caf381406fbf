# SPDX-License-Identifier: Apache-2.0
"""The table of nova-watch, painted without a terminal."""

import dataclasses
import io
import logging
import sys

import fixtures
from oslotest import base
import rich.console

from nova import consumer
from nova.tests.unit import test_consumer_events
from nova.watch import screen

SERVICE = dataclasses.replace(
    consumer.parse(test_consumer_events.MESSAGE).service, state='up',
    zone='nova', disabled=False, disabled_reason=None)
HOSTILE = 'disk \x1b[2J\u202e[red]'


def service(host, **values):
    return dataclasses.replace(SERVICE, uuid=host, host=host, **values)


class TestScreen(base.BaseTestCase):

    def shown(self, services, wanted=lambda service: True, height=30,
              synced=True, events=()):
        """Return what is painted, line by line."""
        mirror = consumer.ServiceMirror(
            consumer.connect('fake:/'), lambda **filters: services, 'test')
        if synced:
            mirror.start()
            self.addCleanup(mirror.stop)
            self.assertTrue(mirror.wait_until_synced(30))
        painter = screen.Screen(wanted)
        for event in events:
            painter.heard(event)
        for drift in (consumer.Drift('u', None, service('h8')),
                      consumer.Drift('u', service('h9'), None)):
            painter.drifted(drift)
        console = rich.console.Console(
            width=120, height=height, file=io.StringIO(), color_system=None)
        console.print(painter.render(mirror, console.size))
        return [line.rstrip() for line in
                console.file.getvalue().splitlines()]

    def test_what_needs_attention_is_first(self):
        lines = self.shown([
            service('h1'), service('h2', disabled=True,
                                   disabled_reason=HOSTILE),
            service('h3', state='down', forced_down=True),
            service('h4', state=None)])
        self.assertEqual('4 services, 1 down, 1 disabled   current; Ctrl-C '
                         'ends', lines[0])
        rows = [line.split() for line in lines if line.startswith('h')]
        self.assertEqual(['host', 'h3', 'h2', 'h1', 'h4'],
                         [row[0] for row in rows])
        self.assertEqual(['✖', 'forced', 'down', 'enabled'], rows[1][3:7])
        self.assertIn(r'disk \x1b[2J\u202e[red]', '\n'.join(lines))

    def test_what_does_not_fit_is_counted(self):
        lines = self.shown([service(f'h{number:02}') for number in range(40)],
                           height=20)
        rows = [line for line in lines if line.startswith('h')][1:]
        self.assertIn(f'{40 - len(rows)} more; --host and --binary choose',
                      lines)
        self.assertLessEqual(len(lines), 20)

    def test_only_what_is_wanted(self):
        event = consumer.parse(test_consumer_events.MESSAGE)
        lines = self.shown(
            [service('h1'), service('x1')],
            wanted=lambda service: service.host != 'x1', events=[
                dataclasses.replace(event, service=service('x1')),
                dataclasses.replace(event, service=service('h1'))])
        self.assertIn('1 service, 0 down', lines[0])
        self.assertNotIn('x1', '\n'.join(lines))
        self.assertIn('service.update nova-compute on h1', '\n'.join(lines))
        self.assertIn('no event has told that nova-compute on h8 is there',
                      '\n'.join(lines))

    def test_before_the_services_are_listed(self):
        self.assertIn('waiting for the list of services',
                      self.shown([], synced=False)[0])

    def test_ages(self):
        self.assertEqual(
            ['0s', '0s', '59s', '1m', '59m', '1h', '23h', '1d', '400d'],
            [screen.age(seconds) for seconds in (
                -5, 0, 59.4, 60, 3599, 3600, 86399, 86400, 400 * 86400)])


class TestHeldLog(base.BaseTestCase):

    def test_the_log_is_told_and_printed_later(self):
        printed = self.useFixture(_Stderr()).stream
        told = []
        with screen.held_log(told.append):
            logging.getLogger('nova').error('bus is away')
            self.assertEqual('', printed.getvalue())
        self.assertEqual(['bus is away'],
                         [line.rpartition(' | ')[2] for line in told])
        self.assertEqual('bus is away\n', printed.getvalue())


class _Stderr(fixtures.Fixture):
    """A stderr of our own, which the log goes to."""

    def _setUp(self):
        self.stream = io.StringIO()
        self.useFixture(fixtures.MonkeyPatch('sys.stderr', self.stream))
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        self.addCleanup(logging.getLogger().removeHandler, handler)
