# SPDX-License-Identifier: Apache-2.0
"""nova-api's own server: gunicorn with threads."""

from __future__ import annotations

from collections.abc import Callable
import gc
import ipaddress
import logging
import os
import signal
import socket
import ssl
from typing import TYPE_CHECKING, Any

from gunicorn import arbiter
from gunicorn import glogging
from gunicorn.app import base
from oslo_config import cfg
from oslo_middleware import sizelimit

from nova import config
from nova import exception
from nova.wsgi import worker

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LOG = logging.getLogger(__name__)

BACKLOG = 2048


def listen(conf: cfg.ConfigOpts) -> socket.socket:
    """Return a socket bound to where the API shall listen.

    :raises ConfigurationError: it can't be, or nobody is checked there
    """
    address, port = (conf.osapi_compute_listen,
                     conf.osapi_compute_listen_port)
    try:
        family, _kind, _protocol, _name, where = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE)[0]
        bound = socket.create_server(where[:2], family=family,
                                     backlog=BACKLOG)
    except OSError as error:
        raise exception.ConfigurationError(detail=(
            f"can't listen on osapi_compute_listen {address}, "
            f'osapi_compute_listen_port {port}: {_reason(error)}')) from error
    if (conf.api.auth_strategy == 'noauth2'
            and not conf.api.noauth_remote_access
            and not ipaddress.ip_address(where[0]).is_loopback):
        bound.close()
        raise exception.ConfigurationError(detail=(
            f'osapi_compute_listen is {address}, and with [api] '
            'auth_strategy noauth2 whoever can reach it is an administrator: '
            'listen on a loopback address, use keystone, or set [api] '
            'noauth_remote_access to true'))
    return bound


def check_tls(conf: cfg.ConfigOpts) -> None:
    """Refuse certificates that can't be used, before anything is started.

    :raises ConfigurationError: names the option
    """
    options = conf.wsgi
    if not options.ssl_cert_file:
        for name in ('ssl_key_file', 'ssl_ca_file'):
            if options[name]:
                raise exception.ConfigurationError(detail=(
                    f'[wsgi] {name} is set, but ssl_cert_file is not'))
        return
    if not options.ssl_key_file:
        raise exception.ConfigurationError(
            detail='[wsgi] ssl_cert_file is set, but ssl_key_file is not')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.ssl_cert_file, options.ssl_key_file)
    except OSError as error:
        raise exception.ConfigurationError(detail=(
            f'[wsgi] ssl_cert_file {options.ssl_cert_file} and ssl_key_file '
            f'{options.ssl_key_file} must be a certificate and its key, in '
            f'PEM files: {_reason(error)}')) from error
    try:
        if options.ssl_ca_file:
            context.load_verify_locations(options.ssl_ca_file)
    except OSError as error:
        raise exception.ConfigurationError(detail=(
            f'[wsgi] ssl_ca_file {options.ssl_ca_file} must be a PEM file '
            f'with certificates: {_reason(error)}')) from error


def _reason(error: OSError) -> str:
    # Without what create_server() adds.
    return os.strerror(error.errno) if error.errno else str(error)


def serve(conf: cfg.ConfigOpts, bound: socket.socket,
          load: Callable[[cfg.ConfigOpts], WSGIApplication]) -> int:
    """Answer requests until a signal ends it; return the exit code.

    SIGTERM finishes what was begun, SIGINT does not; SIGHUP starts processes
    with the changed configuration, and lets the old ones finish.

    :param load: makes the application; called in each process
    """
    try:
        _Arbiter(_Server(conf, bound, load)).run()
    except SystemExit as ending:
        return 1 if ending.code else 0
    return 0


class _Server(base.BaseApplication):
    """gunicorn's view of the application, configured by ours."""

    def __init__(self, conf: cfg.ConfigOpts, bound: socket.socket,
                 load: Callable[[cfg.ConfigOpts], WSGIApplication]) -> None:
        self.conf = conf
        self._bound = bound
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        conf = self.conf
        conf.register_opts(sizelimit.OPTS, group='oslo_middleware')
        settings: dict[str, Any] = {
            # gunicorn closes what it is given.
            'bind': f'fd://{os.dup(self._bound.fileno())}',
            'workers': conf.osapi_compute_workers,
            'threads': conf.osapi_compute_threads,
            'worker_class': worker.Worker,
            'worker_connections': worker.MAX_CONNECTIONS,
            'logger_class': _Log,
            'loglevel': 'debug' if conf.debug else 'info',
            'graceful_timeout': conf.graceful_shutdown_timeout or 2 ** 31,
            'proc_name': 'nova-api',
            'control_socket_disable': True,
            # That is for oslo.middleware and the proxy's configuration.
            'forwarded_allow_ips': '',
            'certfile': conf.wsgi.ssl_cert_file,
            'keyfile': conf.wsgi.ssl_key_file,
            'ca_certs': conf.wsgi.ssl_ca_file,
            'cert_reqs': (ssl.CERT_REQUIRED if conf.wsgi.ssl_ca_file
                          else ssl.CERT_NONE),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        # Connections of the process that this one was forked from.
        config.reconnect()
        application = self._load(self.conf)
        # All that is loaded stays: looking for garbage among it would take a
        # fifth of the time of a list of 10,000 services.
        gc.collect()
        gc.freeze()
        return application

    def try_reload(self) -> bool:
        """Read the files again; return whether they can be used."""
        self.conf.reload_config_files()
        try:
            config.check_values()
            check_tls(self.conf)
            self._load(self.conf)
        except Exception as error:
            LOG.error('The changed configuration was not taken up: %s', error)
            return False
        return True


class _Arbiter(arbiter.Arbiter):

    def spawn_worker(self) -> int:
        # Held back until the worker handles them: one that arrived before
        # would be lost, and the worker would not stop.
        before = signal.pthread_sigmask(
            signal.SIG_BLOCK, worker.ENDING_SIGNALS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def handle_hup(self) -> None:
        if self.app.try_reload():
            super().handle_hup()


class _Log(glogging.Logger):
    """gunicorn's messages in our log; requests are logged by the API."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
