# SPDX-License-Identifier: Apache-2.0
"""Changes services without end; run as ``writer.py CONF SEED``.

In the transaction of each change it writes into a ledger what it changed, so
that the ledger knows what has been committed however the process ends.
"""

from __future__ import annotations

import random
import sys
import time
import uuid

import sqlalchemy as sa

from nova import config
from nova import context as nova_context
from nova import objects
from nova.db.main import api as db
from nova.objects import service as service_obj

HOSTS = 12
ROLLED_BACK = 0.1
DELETED = 0.05

LEDGER = sa.Table(
    'fault_ledger', sa.MetaData(),
    sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('uuid', sa.String(36)),
    sa.Column('event_type', sa.String(36)),
    sa.Column('reason', sa.String(36)))


class _ChangeOfMind(Exception):
    pass


def _change(chance: random.Random) -> None:
    context = nova_context.get_admin_context()
    host, reason = f'h{chance.randrange(HOSTS)}', uuid.uuid4().hex
    with db.transaction(context):
        service = service_obj.Service.get_by_host_and_binary(
            context, host, 'nova-compute')
        if service is None:
            event_type = 'service.create'
            service = service_obj.Service(
                context, host=host, binary='nova-compute', topic='compute',
                disabled_reason=reason)
            service.create()
        elif chance.random() < DELETED:
            # Another may have set its reason just now.
            event_type, reason = 'service.delete', ''
            service.destroy()
        else:
            event_type = 'service.update'
            service.disabled_reason = reason
            service.save()
        db.connection_of(context).execute(LEDGER.insert(), {
            'uuid': service.uuid, 'event_type': event_type, 'reason': reason})
        if chance.random() < ROLLED_BACK:
            raise _ChangeOfMind


def main() -> None:
    """Change until killed."""
    _program, conf, seed = sys.argv
    config.parse_args(['writer', '--config-file', conf])
    config.setup_logging()
    objects.register_all()
    chance = random.Random(seed)
    while True:
        try:
            _change(chance)
        except Exception:
            # A change of mind, a lost race, or a database that is away.
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.06))


if __name__ == '__main__':
    main()
