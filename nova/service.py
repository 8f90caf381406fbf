# SPDX-License-Identifier: Apache-2.0
"""A process of Nova: it registers and beats; its record outlives it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from typing import Any

from oslo_service import service as oslo_service
from oslo_utils import importutils

from nova import config
from nova import context as nova_context
from nova import exception
from nova import registration
from nova import rpc
from nova import servicegroup
from nova import version
from nova.conf import CONF
from nova.objects import service as service_obj

LOG = logging.getLogger(__name__)

_MANAGER = 'nova.manager.Manager'

#: The work of Nova's own processes is done elsewhere; here they register.
SERVICE_MANAGERS = dict.fromkeys(
    ('nova-compute', 'nova-conductor', 'nova-scheduler'), _MANAGER)


class Service(oslo_service.Service):
    """A service of a host, with its record and its heartbeat.

    :param host: name of the host
    :param binary: name of the program, e.g. ``nova-conductor``
    :param topic: name of its queue, e.g. ``conductor``
    :param manager: class that does the work, as dotted path
    :param report_interval: seconds between heartbeats; 0 or None for none
    """

    def __init__(self, host: str, binary: str, topic: str, manager: str,
                 report_interval: int | None = None,
                 periodic_enable: bool | None = None,
                 periodic_fuzzy_delay: int | None = None,
                 periodic_interval_max: int | None = None,
                 topic_alt: str | None = None) -> None:
        super().__init__()
        self.host = host
        self.binary = binary
        self.topic = topic
        self.topic_alt = topic_alt
        self.manager_class_name = manager
        self.manager = importutils.import_class(manager)(host=host)
        self.servicegroup_api = servicegroup.API()
        self.service_ref: Any = None
        self.rpcserver = None
        self.rpcserver_alt = None
        self.report_interval = report_interval
        self.periodic_enable = periodic_enable
        self.periodic_fuzzy_delay = periodic_fuzzy_delay
        self.periodic_interval_max = periodic_interval_max
        self.model_disconnected = False

    def __getattr__(self, name: str) -> Any:
        if name == 'manager':
            raise AttributeError(name)
        return getattr(self.manager, name)

    @classmethod
    def create(cls, host: str | None = None, binary: str | None = None,
               topic: str | None = None, manager: str | None = None,
               report_interval: int | None = None,
               periodic_enable: bool | None = None,
               periodic_fuzzy_delay: int | None = None,
               periodic_interval_max: int | None = None,
               topic_alt: str | None = None) -> Service:
        """Make a service; what is not given comes from the configuration.

        :raises TooOldComputeService: a nova-compute is older than supported
        """
        binary = binary or os.path.basename(sys.argv[0])
        service = cls(
            host or CONF.host, binary,
            topic or binary.rpartition('nova-')[2],
            manager or SERVICE_MANAGERS.get(binary, _MANAGER),
            report_interval=(CONF.report_interval if report_interval is None
                             else report_interval),
            periodic_enable=(CONF.periodic_enable if periodic_enable is None
                             else periodic_enable),
            periodic_fuzzy_delay=(
                CONF.periodic_fuzzy_delay if periodic_fuzzy_delay is None
                else periodic_fuzzy_delay),
            periodic_interval_max=periodic_interval_max, topic_alt=topic_alt)
        registration.check_computes(nova_context.get_admin_context())
        return service

    def start(self) -> None:
        """Take up the record or make it, and start to beat.

        :raises ServiceTooOld: newer services of this binary are there
        :raises ServiceTopicExists: another binary holds host and topic
        """
        LOG.info('Starting %(topic)s node (version %(version)s)',
                 {'topic': self.topic, 'version': version.version_string()})
        _check_tempdir()
        context = nova_context.get_admin_context()
        found = service_obj.Service.get_by_host_and_binary(
            context, self.host, self.binary)
        self.manager.init_host(found)
        self.service_ref = registration.register(
            context, self.host, self.binary, self.topic, found)
        self.manager.pre_start_hook(self.service_ref)
        self.manager.post_start_hook()
        self._join()

    def _join(self) -> None:
        self.servicegroup_api.join(self.host, self.topic, self)

    def stop(self, graceful: bool = False) -> None:
        """Stop; the record stays, and reads as down after a while."""
        LOG.info('%s service graceful shutdown started.', self.topic)
        if self.manager is not None:
            self.manager.graceful_shutdown(timeout=_manager_timeout())
        super().stop(graceful)
        LOG.info('%s service graceful shutdown finished.', self.topic)

    def kill(self) -> None:
        """Stop, and delete the record: for tests and tools."""
        self.stop()
        try:
            self.service_ref.destroy()
        except exception.NotFound:
            LOG.warning('The record of %s on %s was gone already',
                        self.binary, self.host)

    def reset(self) -> None:
        """Take up a changed configuration."""
        self.manager.reset()
        service_obj.Service.clear_min_version_cache()
        self.servicegroup_api = servicegroup.API()
        self.report_interval = CONF.report_interval
        self.tg.stop_timers()
        self._join()


def _check_tempdir() -> None:
    try:
        with tempfile.TemporaryFile(dir=CONF.tempdir):
            pass
    except OSError as error:
        LOG.error('tempdir must be a directory that can be written to: %s',
                  error)
        sys.exit(1)


def _manager_timeout() -> int:
    limit, wanted = (CONF.graceful_shutdown_timeout,
                     CONF.manager_shutdown_timeout)
    if limit and wanted > limit:
        shortened = max(0, limit - 10)
        LOG.warning('manager_shutdown_timeout (%s) is above '
                    'graceful_shutdown_timeout (%s): %s is used', wanted,
                    limit, shortened)
        return shortened
    return wanted


class _Process:
    """Runs one service until a signal ends it."""

    def __init__(self, server: Service) -> None:
        self._server = server
        self._stopping = threading.Event()
        self._reloading = threading.Event()
        self._wake = threading.Event()

    def start(self) -> None:
        self._server.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def _on_stop(self, _number: int, _frame: Any) -> None:
        self._stopping.set()
        self._wake.set()

    def _on_reload(self, _number: int, _frame: Any) -> None:
        self._reloading.set()
        self._wake.set()

    def wait(self) -> None:
        """Return when the service has stopped.

        :raises NovaException: it did not stop in time
        """
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            if self._reloading.is_set():
                self._reloading.clear()
                self._reload()
        stopper = threading.Thread(target=self._server.stop, daemon=True)
        stopper.start()
        stopper.join(CONF.graceful_shutdown_timeout or None)
        if stopper.is_alive():
            raise exception.NovaException(
                'the service did not stop within graceful_shutdown_timeout '
                f'({CONF.graceful_shutdown_timeout} s)')

    def _reload(self) -> None:
        CONF.reload_config_files()
        try:
            config.check_values()
            rpc.cleanup()
            rpc.init(CONF)
            self._server.reset()
        except Exception as error:
            LOG.error('The changed configuration was not taken up: %s', error)
        else:
            LOG.info('The configuration was reloaded')


_process: Any = None


def serve(server: Service, workers: int | None = None,
          no_fork: bool = False) -> None:
    """Start a service; :func:`wait` waits for its end.

    :param workers: number of processes; None or 1 is this one
    :raises RuntimeError: a service is being served already
    """
    global _process
    if _process is not None:
        raise RuntimeError('serve() can only be called once')
    if workers and workers > 1 and not no_fork:
        _process = oslo_service.launch(CONF, server, workers=workers)
        return
    _process = _Process(server)
    _process.start()


def wait() -> None:
    """Wait until the service has stopped."""
    _process.wait()
