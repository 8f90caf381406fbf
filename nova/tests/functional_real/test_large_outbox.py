# SPDX-License-Identifier: Apache-2.0
"""An outbox with 200,000 parked and 200,000 waiting notifications."""

from __future__ import annotations

import time
from urllib import request

import sqlalchemy as sa

from nova import context
from nova import test
from nova.db.main import api as db
from nova.db.main import outbox
from nova.notifications import metrics
from nova.tests.fixtures import servers

#: rows of each kind
NUMBER = 200_000

#: seconds that an answer may take
LIMIT = 0.2

_COLUMNS = {
    'aggregatetype': "'service'", 'aggregateid': "'u'",
    'type': "'service.update'", 'payload': "'{}'", 'message_id': "'m'",
    'timestamp': "'t'", 'publisher_id': "'nova-compute:h1'",
    'priority': "'info'", 'topics': "'[]'", 'context': "'{}'",
    'created_at': 'CURRENT_TIMESTAMP', 'attempts': '0'}


class _OnDatabase(test.TestCase):

    SERVER = None
    NUMBERS = ''
    ANALYZE = ''

    def database_url(self):
        return self.useFixture(self.SERVER()).url

    def setUp(self):
        super().setUp()
        self.context = context.get_admin_context()
        self._fill('CURRENT_TIMESTAMP')

    def _fill(self, parked_at):
        with db.get_engine().connect().execution_options(
                isolation_level='AUTOCOMMIT') as connection:
            connection.exec_driver_sql(
                f'INSERT INTO notification_outbox ({", ".join(_COLUMNS)}, '
                f'parked_at) SELECT {", ".join(_COLUMNS.values())}, '
                f'{parked_at} FROM {self.NUMBERS}')
            # The server does it by itself, but not at once.
            connection.exec_driver_sql(f'{self.ANALYZE} notification_outbox')


class _LargeOutboxTests:

    def test_poll_behind_parked_ones_is_fast(self):
        self._check_time(lambda: outbox.waiting(self.context, 100), 0.02)
        self._check_plans()

    def test_answers_with_a_large_backlog_are_fast(self):
        self._fill('NULL')
        self.assertEqual(
            (outbox.COUNTED, outbox.COUNTED), tuple(
                outbox.status(self.context)[name]
                for name in ('depth', 'parked')))
        self._check_time(lambda: outbox.status(self.context))
        self._check_time(lambda: outbox.oldest_waiting(self.context))
        self._check_time(lambda: outbox.listed(self.context, True, 50))
        server = metrics.serve('127.0.0.1', 0, metrics.Metrics(),
                               lambda: {'active': True, 'trouble': None})
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        for path in ('/metrics', '/healthcheck'):
            self._check_time(lambda path=path: request.urlopen(
                f'http://127.0.0.1:{server.server_port}{path}',
                timeout=30).close())
        self._check_plans()

    def _check_plans(self):
        """Check that each query reads an index in its order."""
        statements = []

        def note(*arguments):
            statements.append((arguments[2], arguments[3]))

        engine = db.get_engine()
        sa.event.listen(engine, 'before_cursor_execute', note)
        for query in (lambda: outbox.waiting(self.context, 100),
                      lambda: outbox.oldest_waiting(self.context),
                      lambda: outbox.listed(self.context, True, 50)):
            query()
        sa.event.remove(engine, 'before_cursor_execute', note)
        self.assertEqual(3, len(statements))
        with engine.connect() as connection:
            for statement, parameters in statements:
                plan = str(connection.exec_driver_sql(
                    f'EXPLAIN {statement}', parameters).all())
                self.assertRegex(plan, r'notification_outbox_\w+_idx')
                self.assertNotRegex(plan, '(?i)filesort|Sort|Seq Scan')

    def _check_time(self, ask, limit=LIMIT):
        """Check the best of many tries: other work only makes them slower."""
        best = float('inf')
        for _try in range(20):
            start = time.monotonic()
            ask()
            best = min(best, time.monotonic() - start)
            if best < limit:
                return
        self.fail(f'{best:.3f} s')


class TestMariaDB(_LargeOutboxTests, _OnDatabase):
    SERVER = servers.MariaDB
    NUMBERS = f'seq_1_to_{NUMBER}'
    ANALYZE = 'ANALYZE TABLE'


class TestPostgreSQL(_LargeOutboxTests, _OnDatabase):
    SERVER = servers.PostgreSQL
    NUMBERS = f'generate_series(1, {NUMBER})'
    ANALYZE = 'VACUUM ANALYZE'
