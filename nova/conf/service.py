# SPDX-License-Identifier: Apache-2.0

import socket

from oslo_config import cfg
from oslo_service import opts as oslo_service_opts

HOST = cfg.HostDomainOpt(
    'host', default=socket.gethostname(), sample_default='<hostname>',
    help='Name of this host: host of the service records that its '
         'processes register, and part of the publisher of their '
         'notifications. Changing it makes new records; the old ones '
         'stay and read as down.')

OPTS: list[cfg.Opt] = [
    HOST,
    cfg.IntOpt(
        'report_interval', default=10,
        help='Seconds between two heartbeats of a service; 0 turns them off. '
             'Must be below service_down_time.'),
    cfg.IntOpt(
        'service_down_time', default=60,
        help='Seconds since the last heartbeat after which a service counts '
             'as down. If it is not above report_interval, 2.5 times '
             'report_interval is used.'),
    cfg.BoolOpt(
        'enable_new_services', default=True,
        help='Whether a new nova-compute service starts enabled. Set false '
             'to test new hosts before they get instances.'),
    cfg.BoolOpt(
        'periodic_enable', default=True,
        help="Whether a process runs its manager's periodic tasks."),
    cfg.IntOpt(
        'periodic_fuzzy_delay', default=60, min=0,
        help='Seconds: upper bound of the random delay before the first '
             'periodic task, so that hosts that start together do not act '
             'together. 0 turns the delay off.'),
    cfg.IntOpt(
        'manager_shutdown_timeout', default=160, min=0,
        help='Seconds a manager gets to finish its work when the process is '
             'stopped; heartbeats go on meanwhile. After that, or when the '
             'manager fails, the process stops without it. 0 does not wait '
             'for the manager. Must not be above graceful_shutdown_timeout.'),
    cfg.StrOpt(
        'tempdir',
        help='Directory for temporary files; the system default if not set. '
             'A process refuses to start if it is not writable.'),
]

#: oslo.service registers this one, which it needs for several workers.
_OF_OSLO_SERVICE = cfg.IntOpt(
    'graceful_shutdown_timeout', default=180,
    help='Seconds a process gets to stop after SIGTERM; 0 means without end.')


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)
    oslo_service_opts.set_service_opts_defaults(
        conf, **{_OF_OSLO_SERVICE.dest: _OF_OSLO_SERVICE.default})


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'DEFAULT': [*OPTS, _OF_OSLO_SERVICE]}
