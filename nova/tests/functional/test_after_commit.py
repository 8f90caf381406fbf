# SPDX-License-Identifier: Apache-2.0
"""Functions that are deferred until a transaction has committed."""

from __future__ import annotations

import contextlib

from oslo_db import exception as db_exc

from nova import context
from nova import test
from nova.db.main import api as db
from nova.objects import service as service_obj


class TestFailure(test.TestCase):
    """A deferred function that raises."""

    def setUp(self):
        super().setUp()
        self.context = context.get_admin_context()
        self.called = []
        self.error = ZeroDivisionError('of a deferred function')

    def _fail(self):
        self.called.append('failing')
        raise self.error

    def _defer(self):
        db.defer(self.context, self._fail)
        db.defer(self.context, lambda: self.called.append('other'))

    def _check(self):
        self.assertEqual(['failing', 'other'], self.called)
        self.assertEqual(1, self.stdlog.output.count(
            f'{type(self.error).__name__}: {self.error}'))

    def _create(self):
        service_obj.Service(self.context, host='h1', binary='nova-compute',
                            topic='compute').create()

    def test_failure_does_not_reach_the_caller_of_a_transaction(self):
        with db.transaction(self.context):
            self._create()
            self._defer()
        self._check()
        self.assertEqual(1, len(db.service_get_all(self.context)))

    def test_failure_does_not_reach_the_caller_of_a_nested_transaction(self):
        with db.transaction(self.context):
            with db.transaction(self.context):
                self._create()
                self._defer()
            self.assertEqual([], self.called)
        self._check()

    def test_failure_does_not_reach_the_caller_of_a_session(self):
        with db.context_manager.writer.using(self.context):
            self._create()
            self._defer()
        self._check()

    def test_failure_does_not_reach_the_caller_without_a_transaction(self):
        self._defer()
        self._check()

    def test_deadlock_does_not_repeat_the_change(self):
        self.error = db_exc.DBDeadlock('of a deferred function')
        attempts = []

        @db.transactional
        def change(context):
            attempts.append(1)
            self._create()
            self._defer()

        change(self.context)
        self.assertEqual([1], attempts)
        self._check()

    def test_rollback_calls_nothing(self):
        with contextlib.suppress(KeyError), db.transaction(self.context):
            self._defer()
            raise KeyError
        self.assertEqual([], self.called)

    def test_interrupt_reaches_the_caller(self):
        def interrupt():
            raise KeyboardInterrupt

        def change():
            with db.transaction(self.context):
                db.defer(self.context, interrupt)

        self.assertRaises(KeyboardInterrupt, change)
