# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'notifications', title='Notifications',
    help='What is said on the message bus when a service is created, '
         'changed or deleted. The bus itself, its driver and its retries '
         'are set in [oslo_messaging_notifications].')

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'notification_format', default='unversioned',
        choices=('both', 'versioned', 'unversioned'),
        deprecated_group='DEFAULT',
        help='Which format of notifications is sent. The registry of '
             'services speaks only the versioned one: set "versioned" or '
             '"both" to hear of it. A driver is needed too, see '
             '[oslo_messaging_notifications] driver.'),
    cfg.ListOpt(
        'versioned_notifications_topics', default=['versioned_notifications'],
        help='Topics that versioned notifications are sent to, one message '
             'each; the queue is called <topic>.<priority>, e.g. '
             '"versioned_notifications.info". Give every consumer that must '
             'see all messages a topic of its own, or let them use pools.'),
    cfg.StrOpt(
        'delivery', default='direct', choices=('direct', 'outbox'),
        help='How a notification reaches the bus. "direct" hands it over '
             'right after the transaction has committed, at most once: while '
             'the bus is down it is lost after [oslo_messaging_notifications] '
             'retry attempts. The default of retry, -1, waits for ever and '
             'blocks the change meanwhile; set e.g. 3. "outbox" stores it in '
             "the change's own transaction, and nova-relay, which must run "
             'then, sends it until the bus has confirmed it: at least once, '
             'with the same message_id each time.'),
    cfg.StrOpt(
        'default_level', default='INFO',
        choices=('DEBUG', 'INFO', 'WARN', 'ERROR', 'CRITICAL'),
        deprecated_group='DEFAULT',
        deprecated_name='default_notification_level',
        help="Accepted so that a nova.conf of Nova's stays valid; has no "
             'effect on service notifications, which are always INFO.'),
    cfg.StrOpt(
        'notify_on_state_change', choices=('vm_state', 'vm_and_task_state'),
        deprecated_group='DEFAULT',
        help="Accepted so that a nova.conf of Nova's stays valid; concerns "
             'instances only.'),
    cfg.BoolOpt(
        'bdms_in_notifications', default=False,
        help="Accepted so that a nova.conf of Nova's stays valid; concerns "
             'instances only.'),
    cfg.BoolOpt(
        'include_share_mapping', default=False,
        help="Accepted so that a nova.conf of Nova's stays valid; concerns "
             'instances only.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {GROUP.name: OPTS}
