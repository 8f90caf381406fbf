# SPDX-License-Identifier: Apache-2.0
"""Is the outbox there, does a relay empty it, is anything stuck in it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oslo_db import exception as db_exc
import sqlalchemy as sa

from nova import context as nova_context
from nova.db.main import outbox
from nova.notifications import findings
from nova.notifications import lease

#: seconds after which a notification that waits is old
OLD = 60

_NAME = 'Outbox'


def look(delivery: str, url: str | None) -> list[findings.Finding]:
    """Look at what waits for the bus, and at the relay.

    :param delivery: ``[notifications] delivery``
    :param url: ``[database] connection``
    """
    reason = _fault(url)
    try:
        if reason is None:
            return list(_look(nova_context.get_admin_context(), delivery))
    except (db_exc.DBError, sa.exc.DBAPIError) as error:
        first_line = str(error).partition('\n')[0]
        return [findings.failure(_NAME, (
            f'The database failed: {first_line}. Check [database] connection '
            'and the server.'))]
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        reason = f'can not be used: {error}'
    return [findings.failure(_NAME, (
        f'[database] connection {reason}. Set it to a URL like '
        'mysql+pymysql://nova:PASSWORD@HOST/nova, with the special '
        'characters of the password percent-encoded.'))]


def _fault(url: str | None) -> str | None:
    if not url:
        return 'is not set'
    try:
        host = sa.make_url(url).host or ''
    except (sa.exc.ArgumentError, ValueError):
        return 'is not a URL'
    # The end of a password, and not to be shown.
    return 'can not be read' if '@' in host else None


def _look(context: nova_context.RequestContext,
          delivery: str) -> Iterator[findings.Finding]:
    used = delivery == 'outbox'
    if not outbox.exists(context):
        yield (findings.failure(_NAME, (
            'The database has no table notification_outbox: no change can be '
            "made. Run 'nova-manage db sync'.")) if used else
               findings.success(_NAME, 'none, and delivery is direct'))
        return
    state = outbox.status(context)
    yield findings.merged(_rows(state, used))
    if used or state['depth']:
        yield _relay(context, state['relay'])


def _rows(state: dict[str, Any], used: bool) -> Iterator[findings.Finding]:
    age, depth = state['oldest_age'], outbox.describe_count(state['depth'])
    if state['depth'] and not used:
        yield findings.warning(_NAME, (
            f'{depth} wait although delivery is direct. Keep nova-relay '
            'running until they are sent.'))
    elif age is not None and age > OLD:
        yield findings.warning(_NAME, (
            f'{depth} wait, the oldest for {age:,.0f} s. See below whether '
            'a relay runs and the bus can be reached, and read the log of '
            'nova-relay.'))
    else:
        yield findings.success(_NAME, f'{depth} wait.')
    if state['parked']:
        parked = outbox.describe_count(state['parked'])
        yield findings.warning(_NAME, (
            f"{parked} are parked. See why with 'nova-manage outbox list "
            "--parked', then let the relay try them again ('nova-manage "
            "outbox retry') or delete them ('nova-manage outbox discard')."))


def _relay(context: nova_context.RequestContext,
           holder: str | None) -> findings.Finding:
    if lease.is_alive(context):
        return findings.success('Relay', f'{holder} is active')
    last = f' ({holder} was the last)' if holder else ''
    return findings.failure('Relay', (
        f'No relay is active{last}: what waits in the outbox is not sent. '
        'Start nova-relay.'))
