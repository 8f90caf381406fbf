# SPDX-License-Identifier: Apache-2.0

import os

from oslo_config import cfg

GROUP = cfg.OptGroup('wsgi', title='The server of the REST API')

#: The embedded server's; also on its command line.
LISTEN_OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        'osapi_compute_listen', default='127.0.0.1',
        help='Address that nova-api listens on; 0.0.0.0 is every IPv4 '
             'address of the machine, :: every address.'),
    cfg.PortOpt(
        'osapi_compute_listen_port', default=8774,
        help='TCP port that nova-api listens on; 0 takes a free one, which '
             'the log names.'),
    cfg.IntOpt(
        'osapi_compute_workers', min=1,
        default=os.cpu_count() or 1,
        sample_default='<number of CPUs>',
        help='Number of processes of nova-api that answer requests.'),
    cfg.IntOpt(
        'osapi_compute_threads', min=1, default=8,
        help='Number of requests that each process of nova-api answers at '
             'a time. Each may take a database connection: see [database] '
             'max_pool_size and max_overflow.'),
]

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'ssl_cert_file',
        help='PEM file with the certificate of nova-api, followed by its '
             'chain. Set, nova-api speaks TLS only; needs ssl_key_file.'),
    cfg.StrOpt(
        'ssl_key_file',
        help='PEM file with the private key that belongs to ssl_cert_file.'),
    cfg.StrOpt(
        'ssl_ca_file',
        help='PEM file with the authorities whose client certificates '
             'nova-api accepts. Set, a client without one is refused; needs '
             'ssl_cert_file.'),
    cfg.IntOpt(
        'client_timeout', min=1, default=30,
        help='Seconds that a client of nova-api has for a TLS handshake, for '
             'sending a whole request, and for taking each MiB of an '
             'answer. A request that is not whole by then is answered with '
             '408, and its connection is closed. Raise it for clients on '
             'very slow links; it costs no thread, but each nova-api process '
             'holds 400 connections at most, and gives up the one that keeps '
             'it waiting longest when another one comes.'),
    cfg.StrOpt(
        'secure_proxy_ssl_header', deprecated_group='DEFAULT',
        deprecated_for_removal=True,
        deprecated_reason='[oslo_middleware] enable_proxy_headers_parsing '
                          'does more.',
        help='WSGI name of a header in which a proxy that ends TLS says '
             'https, e.g. HTTP_X_FORWARDED_PROTO. The proxy must remove it '
             'from what clients send.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(LISTEN_OPTS)
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'DEFAULT': LISTEN_OPTS, GROUP.name: OPTS}
