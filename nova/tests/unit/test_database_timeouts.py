# SPDX-License-Identifier: Apache-2.0
"""Which limits the connections to a database get."""

import sqlalchemy as sa
from sqlalchemy import event

from nova import test
from nova.db import timeouts


class _ConnectedError(Exception):
    pass


class TestTimeouts(test.NoDBTestCase):

    def parameters(self, url, connect_timeout=10, read_timeout=20):
        """Return what the driver is called with."""
        engine = sa.create_engine(sa.make_url(url).update_query_string(
            timeouts.url_parameters(connect_timeout, read_timeout),
            append=True))
        found = {}

        @event.listens_for(engine, 'do_connect')
        def connect(_dialect, _record, _arguments, parameters):
            found.update(parameters)
            raise _ConnectedError

        self.assertRaises(_ConnectedError, engine.connect)
        self.assertNotIn('nova', str(engine.url))
        return found

    def test_pymysql_gets_all_its_limits(self):
        found = self.parameters('mysql+pymysql://h/')
        self.assertEqual((10, 20, 20), (
            found['connect_timeout'], found['read_timeout'],
            found['write_timeout']))

    def test_psycopg2_gets_all_its_limits(self):
        found = self.parameters('postgresql+psycopg2://h/', read_timeout=7)
        self.assertEqual((10, 20_000, 7), (
            found['connect_timeout'], found['tcp_user_timeout'],
            found['connection_factory'].limit))

    def test_parameters_of_the_url_come_first(self):
        found = self.parameters(
            'mysql+pymysql://h/?connect_timeout=1&read_timeout=2')
        self.assertEqual((1, 2, 20), (
            found['connect_timeout'], found['read_timeout'],
            found['write_timeout']))
        found = self.parameters(
            'postgresql+psycopg2://h/?connect_timeout=1&tcp_user_timeout=2')
        self.assertEqual(('1', '2'), (
            found['connect_timeout'], found['tcp_user_timeout']))

    def test_no_read_limit_is_given_for_zero(self):
        found = self.parameters('mysql+pymysql://h/', read_timeout=0)
        self.assertNotIn('read_timeout', found)
        found = self.parameters('postgresql+psycopg2://h/', read_timeout=0)
        self.assertNotIn('connection_factory', found)
