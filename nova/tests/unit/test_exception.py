# SPDX-License-Identifier: Apache-2.0

from nova import exception
from nova import test


class TestNovaException(test.NoDBTestCase):

    def test_message_is_the_filled_template(self):
        error = exception.HostBinaryNotFound(host='h', binary='b')
        text = 'Could not find binary b on host h.'
        self.assertEqual((text, text, text), (
            error.message, error.format_message(), str(error)))
        self.assertEqual({'host': 'h', 'binary': 'b', 'code': 404},
                         error.kwargs)

    def test_message_that_was_given_is_text(self):
        given = ValueError('wrong')
        self.assertEqual('wrong', exception.Invalid(given).message)

    def test_keyword_that_is_missing_is_logged(self):
        error = exception.HostBinaryNotFound(host='secret')
        self.assertEqual(exception.HostBinaryNotFound.msg_fmt, error.message)
        self.assertIn('HostBinaryNotFound could not be made of its keywords '
                      "['code', 'host']: KeyError('binary')",
                      self.stdlog.output)
        self.assertNotIn('secret', self.stdlog.output)

    def test_keyword_of_a_wrong_type_is_logged(self):
        error = exception.ServiceTooOld(thisver='old', minver=1)
        self.assertEqual(exception.ServiceTooOld.msg_fmt, error.message)
