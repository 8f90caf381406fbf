# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

GROUP = cfg.OptGroup('api', title='The REST API')

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'auth_strategy', default='keystone',
        choices=[
            ('keystone', 'Tokens are checked as [keystone_authtoken] says.'),
            ('noauth2', 'Nobody is checked: a request with the token '
                        "USER:PROJECT is that user's, any other the "
                        "administrator's. For tests and trials on one "
                        'machine.'),
        ],
        help='How the API learns who makes a request.'),
    cfg.BoolOpt(
        'noauth_remote_access', default=False,
        help='Whether nova-api may listen on another address than one of '
             'the loopback interface although auth_strategy is noauth2. '
             'Whoever can reach it is an administrator then.'),
    cfg.StrOpt(
        'compute_link_prefix',
        help='URL that replaces scheme, host and path in the links of the '
             'version documents, e.g. https://compute.example.org. For an '
             'API behind a proxy that does not set forwarding headers.'),
    cfg.StrOpt(
        'response_validation', default='warn',
        choices=[
            ('error', 'Answer 500 instead.'),
            ('warn', 'Log a warning.'),
            ('ignore', 'Do not check.'),
        ],
        help='What to do about an answer that does not match its own '
             'schema. That is a defect of the API; the check of 10,000 '
             'services takes a few milliseconds.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {GROUP.name: OPTS}
