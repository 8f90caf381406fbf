# SPDX-License-Identifier: Apache-2.0

from nova import context
from nova import exception
from nova import test
from nova.tests import fixtures


class TestRequestContext(test.NoDBTestCase):

    def test_elevated_leaves_the_other_as_it_was(self):
        plain = context.RequestContext('u', 'p', is_admin=False,
                                       roles=['reader'])
        elevated = plain.elevated(read_deleted='yes')
        self.assertEqual((True, ['reader', 'admin'], 'yes'), (
            elevated.is_admin, elevated.roles, elevated.read_deleted))
        self.assertEqual((False, ['reader'], 'no'), (
            plain.is_admin, plain.roles, plain.read_deleted))
        self.assertEqual(elevated.roles, elevated.elevated().roles)

    def test_a_notification_carries_no_token(self):
        secret = context.RequestContext(
            'u', 'p', is_admin=False, auth_token='secret',
            service_catalog=[{'type': 'compute'}])
        self.assertNotIn('secret', str(secret.redacted_copy().to_dict()))
        self.assertEqual([], secret.redacted_copy().service_catalog)
        self.assertEqual('secret', secret.auth_token)

    def test_read_deleted(self):
        refusal = self.assertRaises(ValueError, context.RequestContext,
                                    'u', 'p', is_admin=False,
                                    read_deleted='maybe')
        self.assertIn("'no', 'yes' or 'only', not 'maybe'", str(refusal))

    def test_a_time_as_text(self):
        made = context.RequestContext(
            'u', 'p', is_admin=False, timestamp='2026-01-02T03:04:05.000006')
        self.assertEqual((2026, 6), (made.timestamp.year,
                                     made.timestamp.microsecond))

    def test_can(self):
        self.useFixture(fixtures.PolicyFixture())
        rule = 'os_compute_api:os-services:list'
        admin = context.RequestContext('u', 'p', roles=['admin'])
        other = context.RequestContext('u', 'p', roles=['reader'])
        self.assertTrue(admin.is_admin)
        self.assertFalse(other.is_admin)
        self.assertTrue(admin.can(rule))
        self.assertFalse(other.can(rule, fatal=False))
        self.assertRaises(exception.PolicyNotAuthorized, other.can, rule)

    def test_nobody(self):
        self.assertFalse(context.get_context().is_admin)
