# SPDX-License-Identifier: Apache-2.0
"""Is everything set up for a notification to reach its consumers?

Nothing is changed by looking, and no text holds a password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
import threading
import time
from typing import Any

from oslo_config import cfg
from stevedore import extension

from nova.notifications import bus_check
from nova.notifications import findings
from nova.notifications import outbox_check

#: seconds that the bus and the database together may take to answer
PATIENCE = 8.0

_ON_THE_BUS = {'messaging', 'messagingv2', 'routing'}


def look(conf: cfg.ConfigOpts) -> Iterator[findings.Finding]:
    """Look at configuration, bus and outbox.

    :raises oslo_config.cfg.Error: an option has a value that it can't have
    """
    driver, trouble = bus_check.open_driver(conf)
    drivers = set(conf.oslo_messaging_notifications.driver)
    yield _format(conf)
    yield _driver(drivers)
    yield _delivery(conf, driver)
    topics = conf.notifications.versioned_notifications_topics
    if not topics:
        yield findings.failure('Topics', (
            '[notifications] versioned_notifications_topics is empty: '
            'nothing is sent. Remove the line to use its default.'))
    looks = [('Outbox', '[database] connection', _begin(
        outbox_check.look, conf.notifications.delivery,
        conf.database.connection))]
    if trouble:
        yield trouble
    elif not drivers or drivers - {'log', 'test'}:
        looks.insert(0, ('Message bus', 'transport_url', _begin(
            bus_check.look, driver, topics)))
    deadline = time.monotonic() + PATIENCE
    for name, option, begun in looks:
        try:
            yield from begun.result(max(0, deadline - time.monotonic()))
        except TimeoutError:
            yield findings.failure(name, (
                f'There is no answer within {PATIENCE:.0f} s. Check {option} '
                'and the network.'))


def _begin(function: Callable[..., list[findings.Finding]],
           *arguments: Any) -> futures.Future[list[findings.Finding]]:
    """Call in a thread: some waits, as for a name server, have no timeout.

    It is a daemon: the process may end before it.
    """
    future: futures.Future[list[findings.Finding]] = futures.Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _format(conf: cfg.ConfigOpts) -> findings.Finding:
    wanted = conf.notifications.notification_format
    if wanted == 'unversioned':
        return findings.failure('Format', (
            '[notifications] notification_format is unversioned: nothing is '
            'said of services. Set it to versioned.'))
    return findings.success('Format', wanted)


def _driver(drivers: set[str]) -> findings.Finding:
    option = '[oslo_messaging_notifications] driver'
    names = ', '.join(sorted(drivers))
    known = extension.ExtensionManager(
        'oslo.messaging.notify.drivers').names()
    unknown = ', '.join(sorted(drivers.difference(known)))
    if unknown:
        return findings.failure('Driver', (
            f'{option}: there is no {unknown}, which is passed over. Set it '
            'to messagingv2.'))
    if not drivers - {'noop'}:
        return findings.failure('Driver', (
            f'{option} is {names or "not set"}: nothing is sent. Set it to '
            'messagingv2.'))
    if not drivers & _ON_THE_BUS:
        return findings.warning('Driver', (
            f'{option} is {names}: nothing is sent to the message bus. Add '
            'messagingv2.'))
    if drivers >= {'messaging', 'messagingv2'}:
        return findings.warning('Driver', (
            f'{option} is {names}: each notification is sent twice. Keep '
            'messagingv2 only, unless there are consumers that need the '
            'other.'))
    return findings.success('Driver', names)


def _delivery(conf: cfg.ConfigOpts, driver: Any) -> findings.Finding:
    if conf.notifications.delivery == 'outbox':
        return findings.success('Delivery', 'outbox')
    retry = conf.oslo_messaging_notifications.retry
    if not bus_check.blocks(driver):
        return findings.success('Delivery', 'direct')
    if retry < 0:
        return findings.warning('Delivery', (
            '[notifications] delivery is direct and '
            f'[oslo_messaging_notifications] retry is {retry}: while the bus '
            'is down, a request waits for it without end. Set retry to 3, '
            'or delivery to outbox.'))
    return findings.success('Delivery', (
        f'direct; what the bus does not take after {retry} retries is lost'))
