# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'relay', title='The relay',
    help='nova-relay, which sends what [notifications] delivery = outbox '
         'has stored.')

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'poll_interval', default=0.05, min=0.001,
        help='Seconds between two looks at an empty outbox: the delay of a '
             'notification when there is nothing else to do. Each look is '
             'one small query.'),
    cfg.IntOpt(
        'batch_size', default=500, min=1,
        help='Number of notifications that are read, sent and deleted '
             'together. After a crash so many may be sent a second time, '
             'with the same message_id.'),
    cfg.IntOpt(
        'max_attempts', default=5, min=1,
        help='Number of times that a notification which the bus refuses, '
             'for instance as too large, is tried before it is parked. An '
             'outage of the bus is not counted.'),
    cfg.FloatOpt(
        'max_backoff', default=5.0, min=0.1,
        help='Longest pause, in seconds, between two attempts to reach a bus '
             'that is down; the first is a tenth of a second, each later '
             'twice as long, all with jitter.'),
    cfg.HostAddressOpt(
        'metrics_listen', default='127.0.0.1',
        help='Address on which the relay answers /metrics (Prometheus) and '
             '/healthcheck. Nobody who reaches it is checked.'),
    cfg.PortOpt(
        'metrics_port', min=1,
        help='TCP port for metrics_listen; the relay does not listen if it '
             'is not set.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {GROUP.name: OPTS}
