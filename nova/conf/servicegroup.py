# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'servicegroup_driver', default='db', choices=('db',),
        help='How it is known whether a service is up: "db" compares its '
             'last heartbeat in the database with service_down_time. Nova\'s '
             '"mc" (memcached) is not offered here.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'DEFAULT': OPTS}
