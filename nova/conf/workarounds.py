# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'workarounds', title='Workarounds',
    help='Switches for situations that should not last.')

OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'disable_compute_service_check_for_ffu', default=False,
        help='During a fast-forward upgrade computes may be older than '
             'supported for a while: true turns the refusal to start beside '
             'them into a warning.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {GROUP.name: OPTS}
