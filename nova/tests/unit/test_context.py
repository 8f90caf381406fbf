# SPDX-License-Identifier: Apache-2.0

from oslo_context import context as oslo_context

from nova import context
from nova import exception
from nova import policy
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
            remote_address='192.0.2.1',
            service_catalog=[{'type': 'compute'}])
        self.assertNotIn('secret', str(secret.redacted_copy().to_dict()))
        self.assertEqual([], secret.redacted_copy().service_catalog)
        self.assertIsNone(secret.redacted_copy().remote_address)
        self.assertEqual('192.0.2.1', secret.remote_address)
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

    def test_can_uses_the_own_project_and_user_without_a_target(self):
        rule = 'os_compute_api:os-services:list'
        settings = self.useFixture(fixtures.PolicyFixture())
        user = context.RequestContext('u', 'p', roles=['reader'])
        for own in ('project_id:%(project_id)s', 'user_id:%(user_id)s'):
            settings.set_rules({rule: own})
            self.assertTrue(policy.authorize(user, rule))
            self.assertTrue(user.can(rule))
            self.assertFalse(user.can(rule, target={}, fatal=False))
            self.assertFalse(policy.authorize(
                user, rule, {'project_id': 'q', 'user_id': 'v'}, fatal=False))
            settings.set_rules({'context_is_admin': own})
            self.assertTrue(policy.check_is_admin(user))
            settings.set_rules({'context_is_admin': f'not {own}'})
            self.assertFalse(policy.check_is_admin(user))

    def test_nobody_leaves_the_current_context(self):
        request = context.RequestContext('u', 'p', is_admin=False)
        self.assertFalse(context.get_context().is_admin)
        self.assertTrue(context.get_admin_context().is_admin)
        self.assertIs(request, oslo_context.get_current())
