# SPDX-License-Identifier: Apache-2.0
"""Field types, and the enumerations of the notification format.

The order of every ``ALL`` is part of the objects' fingerprints: a new value
goes where Nova has put it, with a new version of the object that uses it.
"""

from typing import Any

from oslo_versionedobjects import fields

from nova import exception

# The types that versioned objects and payloads are made of, so that their
# modules need no other import.
AutoTypedField = fields.AutoTypedField
BaseEnumField = fields.BaseEnumField
Boolean = fields.Boolean
BooleanField = fields.BooleanField
DateTime = fields.DateTime
DateTimeField = fields.DateTimeField
Dict = fields.Dict
DictOfIntegersField = fields.DictOfIntegersField
DictOfListOfStringsField = fields.DictOfListOfStringsField
DictOfNullableStringsField = fields.DictOfNullableStringsField
DictOfSetOfIntegersField = fields.DictOfSetOfIntegersField
DictOfStringsField = fields.DictOfStringsField
DictProxyField = fields.DictProxyField
Enum = fields.Enum
EnumField = fields.EnumField
Field = fields.Field
FieldType = fields.FieldType
FlexibleBoolean = fields.FlexibleBoolean
FlexibleBooleanField = fields.FlexibleBooleanField
Float = fields.Float
FloatField = fields.FloatField
IPAddress = fields.IPAddress
IPAddressField = fields.IPAddressField
IPNetwork = fields.IPNetwork
IPNetworkField = fields.IPNetworkField
IPV4Address = fields.IPV4Address
IPV4AddressField = fields.IPV4AddressField
IPV4AndV6Address = fields.IPV4AndV6Address
IPV4AndV6AddressField = fields.IPV4AndV6AddressField
IPV4Network = fields.IPV4Network
IPV4NetworkField = fields.IPV4NetworkField
IPV6Address = fields.IPV6Address
IPV6AddressField = fields.IPV6AddressField
IPV6Network = fields.IPV6Network
IPV6NetworkField = fields.IPV6NetworkField
Integer = fields.Integer
IntegerField = fields.IntegerField
List = fields.List
ListOfDictOfNullableStringsField = fields.ListOfDictOfNullableStringsField
ListOfEnumField = fields.ListOfEnumField
ListOfIntegersField = fields.ListOfIntegersField
ListOfListsOfStringsField = fields.ListOfListsOfStringsField
ListOfObjectsField = fields.ListOfObjectsField
ListOfSetsOfIntegersField = fields.ListOfSetsOfIntegersField
ListOfStringsField = fields.ListOfStringsField
ListOfUUIDField = fields.ListOfUUIDField
MACAddress = fields.MACAddress
MACAddressField = fields.MACAddressField
NonNegativeFloat = fields.NonNegativeFloat
NonNegativeFloatField = fields.NonNegativeFloatField
NonNegativeInteger = fields.NonNegativeInteger
NonNegativeIntegerField = fields.NonNegativeIntegerField
Object = fields.Object
ObjectField = fields.ObjectField
PCIAddress = fields.PCIAddress
PCIAddressField = fields.PCIAddressField
SensitiveString = fields.SensitiveString
SensitiveStringField = fields.SensitiveStringField
Set = fields.Set
SetOfIntegersField = fields.SetOfIntegersField
SetOfStringsField = fields.SetOfStringsField
StateMachine = fields.StateMachine
String = fields.String
StringField = fields.StringField
StringPattern = fields.StringPattern
UUID = fields.UUID
UUIDField = fields.UUIDField
UnspecifiedDefault = fields.UnspecifiedDefault
VersionPredicate = fields.VersionPredicate
VersionPredicateField = fields.VersionPredicateField


class BaseNovaEnum(fields.Enum):
    """An enumeration whose valid values are the class's ``ALL``."""

    ALL: tuple[str, ...] = ()
    #: constants whose name is not their value in upper case
    NAMES: dict[str, str] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(valid_values=self.__class__.ALL)


def _named(values: str) -> Any:
    """Return a class decorator that sets ``ALL`` and a constant a value."""
    def decorate(cls: type[BaseNovaEnum]) -> type[BaseNovaEnum]:
        cls.ALL = tuple(values.split())
        for value in cls.ALL:
            name = cls.NAMES.get(value, value.upper())
            setattr(cls, name, value)
        return cls
    return decorate


@_named('audit critical debug info error sample warn')
class NotificationPriority(BaseNovaEnum):
    """How urgent a notification is; part of the name of its queue."""

    INFO: str


@_named('start end error progress')
class NotificationPhase(BaseNovaEnum):
    """Which part of a longer action a notification is about."""


@_named('''
    update exception delete pause unpause resize volume_swap suspend power_on
    reboot shutdown snapshot interface_attach power_off shelve resume restore
    exists rescue volume_attach volume_detach share_attach share_detach create
    import evacuate resize_finish live_migration_abort
    live_migration_post_dest live_migration_post live_migration_pre
    live_migration_rollback live_migration_rollback_dest rebuild
    interface_detach resize_confirm resize_prep resize_revert shelve_offload
    soft_delete trigger_crash_dump unrescue unshelve add_host remove_host
    add_member update_metadata lock unlock rebuild_scheduled update_prop
    live_migration_force_complete connect usage build_instances migrate_server
    rebuild_server select_destinations cache_images
''')
class NotificationAction(BaseNovaEnum):
    """What happened to the object that a notification is about."""

    CREATE: str
    UPDATE: str
    DELETE: str

    NAMES = {'cache_images': 'IMAGE_CACHE'}


_SOURCES = ('nova-api', 'nova-compute', 'nova-conductor', 'nova-scheduler',
            'nova-network', 'nova-consoleauth', 'nova-cells', 'nova-console',
            'nova-metadata')


@_named(' '.join(_SOURCES))
class NotificationSource(BaseNovaEnum):
    """Which kind of service a notification is about."""

    NAMES = {source: source.removeprefix('nova-').upper()
             for source in _SOURCES}

    @staticmethod
    def get_source_by_binary(binary: str) -> str:
        """Return the source that stands for a service's binary."""
        # The API service's binary has a name of its own in the table.
        return 'nova-api' if binary == 'nova-osapi_compute' else binary

    @classmethod
    def check_binary(cls, binary: str | None) -> None:
        """Check that services of this binary can send notifications.

        :raises UnknownNotificationSource: they can't
        """
        if cls.get_source_by_binary(binary or '') not in cls.ALL:
            raise exception.UnknownNotificationSource(
                binary=binary, valid=', '.join(cls.ALL))


class NotificationPriorityField(fields.BaseEnumField):
    AUTO_TYPE = NotificationPriority()


class NotificationPhaseField(fields.BaseEnumField):
    AUTO_TYPE = NotificationPhase()


class NotificationActionField(fields.BaseEnumField):
    AUTO_TYPE = NotificationAction()


class NotificationSourceField(fields.BaseEnumField):
    AUTO_TYPE = NotificationSource()
