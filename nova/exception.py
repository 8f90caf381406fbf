# SPDX-License-Identifier: Apache-2.0
"""Exceptions that callers act on; the message templates are Nova's interface.

Each class names its message in ``msg_fmt``, filled from the keyword arguments
it is raised with, and its HTTP status in ``code``.
"""

import logging

LOG = logging.getLogger(__name__)


class NovaException(Exception):
    """Base of all exceptions raised here.

    :ivar kwargs: the values the message was made of, with ``code`` added
    :ivar message: the text
    """

    msg_fmt = 'An unknown exception occurred.'
    code = 500
    headers: dict[str, str] = {}
    #: whether the message may be shown to an API user
    safe = False

    def __init__(self, message: str | None = None, **kwargs: object) -> None:
        self.kwargs = {'code': self.code, **kwargs}
        self.message = str(message or self._filled_template())
        super().__init__(self.message)

    def _filled_template(self) -> str:
        try:
            return self.msg_fmt % self.kwargs
        except (KeyError, TypeError, ValueError) as error:
            # A mistake of the caller, which must not hide what it reports.
            LOG.error('The message of %s could not be made of its keywords '
                      '%s: %r', type(self).__name__, sorted(self.kwargs),
                      error)
            return self.msg_fmt

    def format_message(self) -> str:
        """Return the text to show to a user."""
        return str(self.args[0])


class Invalid(NovaException):
    msg_fmt = 'Bad Request - Invalid Parameters'
    code = 400


class NotFound(NovaException):
    msg_fmt = 'Resource could not be found.'
    code = 404


class Forbidden(NovaException):
    msg_fmt = 'Forbidden'
    code = 403
    safe = True


class PolicyNotAuthorized(Forbidden):
    msg_fmt = "Policy doesn't allow %(action)s to be performed."


class InvalidInput(Invalid):
    msg_fmt = 'Invalid input received: %(reason)s'


class ValidationError(Invalid):
    msg_fmt = '%(detail)s'


class InvalidAPIVersionString(Invalid):
    msg_fmt = ('API Version String %(version)s is of invalid format. Must be '
               'of format MajorNum.MinorNum.')


class InvalidGlobalAPIVersion(Invalid):
    msg_fmt = ('Version %(req_ver)s is not supported by the API. Minimum is '
               '%(min_ver)s and maximum is %(max_ver)s.')
    code = 406


class ServiceNotFound(NotFound):
    msg_fmt = 'Service %(service_id)s could not be found.'


class HostNotFound(NotFound):
    msg_fmt = 'Host %(host)s could not be found.'


class ComputeHostNotFound(HostNotFound):
    msg_fmt = 'Compute host %(host)s could not be found.'


class HostBinaryNotFound(NotFound):
    msg_fmt = 'Could not find binary %(binary)s on host %(host)s.'


class HostMappingNotFound(Invalid):
    msg_fmt = "Host '%(name)s' is not mapped to any cell"


class ServiceBinaryExists(NovaException):
    msg_fmt = 'Service with host %(host)s binary %(binary)s exists.'


class ServiceTopicExists(NovaException):
    msg_fmt = 'Service with host %(host)s topic %(topic)s exists.'


class ServiceUUIDExists(NovaException):
    msg_fmt = 'Service with uuid %(uuid)s exists.'


class ServiceNotUnique(Invalid):
    msg_fmt = 'More than one possible service found.'


class ServiceTooOld(Invalid):
    msg_fmt = ('This service is older (v%(thisver)i) than the minimum '
               '(v%(minver)i) version of the rest of the deployment. '
               'Unable to continue.')


class TooOldComputeService(Invalid):
    msg_fmt = ('The oldest nova-compute of this %(scope)s has service '
               'version %(min_service_level)i; '
               '%(oldest_supported_version)s needs at least '
               '%(oldest_supported_service)i.')


class ServiceFieldTooLong(Invalid):
    msg_fmt = ('%(field)s is %(length)i characters long; '
               'at most %(limit)i fit')


class ServiceFieldNotStorable(Invalid):
    msg_fmt = ('%(field)s has a character beyond U+FFFF, which this database '
               "can't store")


class UnknownNotificationSource(Invalid, ValueError):
    """Also a ValueError: that is what Nova raises for it."""

    msg_fmt = ("binary '%(binary)s' can't be the source of a notification; "
               'valid are: %(valid)s')


class ServiceWithoutHost(Invalid, ValueError):
    """Also a ValueError: that is what Nova raises for it."""

    msg_fmt = 'host of a %(binary)s service must be a name, not None'


class ObjectActionError(NovaException):
    msg_fmt = 'Object action %(action)s failed because: %(reason)s'


class OrphanedObjectError(NovaException):
    msg_fmt = 'Cannot call %(method)s on orphaned %(objtype)s object'


class DBNotAllowed(NovaException):
    msg_fmt = ('%(binary)s attempted direct database access which is not '
               'allowed')


class SchemaMismatch(NovaException):
    msg_fmt = ("table '%(table)s' exists with another shape than Nova's, so "
               'it was left alone: %(differences)s')


class SamplesNotFound(NovaException):
    msg_fmt = ('the samples of notifications are not installed: %(place)s '
               'should be below the prefix of the installation')


class NotificationLost(NovaException):
    msg_fmt = ('the message bus did not take a notification; %(sent)i of '
               '%(number)i services were announced before. Run it again once '
               'the bus is well')


class ConfigurationError(NovaException):
    """The configuration can't be used; the message names the option."""

    msg_fmt = '%(detail)s'
