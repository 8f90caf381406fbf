# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'internal_service_availability_zone', default='internal',
        help='Availability zone shown for services that are not compute '
             'services (those whose topic is not "compute"). Change it only '
             'if a zone of your users is called the same.'),
    cfg.StrOpt(
        'default_availability_zone', default='nova',
        help='Availability zone shown for compute services that were not '
             'put into one.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'DEFAULT': OPTS}
