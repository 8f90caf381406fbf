# SPDX-License-Identifier: Apache-2.0
"""A process of Nova: it registers and beats; its record outlives it."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
from typing import Any

from oslo_service import service as oslo_service
from oslo_utils import importutils
from oslo_utils import reflection

from nova import config
from nova import context as nova_context
from nova import exception
from nova import registration
from nova import rpc
from nova import servicegroup
from nova import signals
from nova import version
from nova.conf import CONF
from nova.objects import service as service_obj

LOG = logging.getLogger(__name__)

#: seconds that stop() waits for a heartbeat that is being stored
_HEARTBEAT_PATIENCE = 5

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
        self._stopped = False

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
        self._stopped = False
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
        """Stop the manager and the heartbeat; a second call does nothing.

        The record stays, and reads as down after a while. Whatever the
        manager does or raises, the heartbeat stops within
        ``manager_shutdown_timeout`` and a few seconds.

        :param graceful: wait also for threads of the manager in ``tg``
        """
        if self._stopped:
            return
        self._stopped = True
        LOG.info('%s service graceful shutdown started.', self.topic)
        timeout = _manager_timeout()
        if self.manager is not None and not _finishes(
                timeout, self.manager.graceful_shutdown, timeout=timeout):
            LOG.warning('The manager of %s did not finish its work within '
                        '%s s and is left behind', self.binary, timeout)
        timers = list(self.tg.timers)
        if not _finishes(timeout + _HEARTBEAT_PATIENCE if graceful
                         else _HEARTBEAT_PATIENCE, self._stop_group, graceful,
                         timers):
            LOG.warning('A heartbeat or a thread of %s did not finish and is '
                        'left behind', self.binary)
        LOG.info('%s service graceful shutdown finished.', self.topic)

    def _stop_group(self, graceful: bool, timers: list[Any]) -> None:
        super().stop(graceful)
        for timer in timers:
            # What a manager's own timer raised was logged by then.
            with contextlib.suppress(Exception):
                timer.wait()

    def kill(self) -> None:
        """Stop, and delete the record: for tests and tools."""
        self.stop()
        if self.service_ref is None:
            return
        try:
            self.service_ref.destroy()
        except exception.NotFound:
            LOG.warning('The record of %s on %s was gone already',
                        self.binary, self.host)

    def reset(self) -> None:
        """Take up a changed configuration, unless the service stops."""
        if self._stopped:
            return
        self.manager.reset()
        service_obj.Service.clear_min_version_cache()
        self.servicegroup_api = servicegroup.API()
        self.report_interval = CONF.report_interval
        self.tg.stop_timers()
        self._join()
        if self._stopped:
            # stop() came in between and may have missed the new timer.
            self.tg.stop_timers()


def _finishes(limit: float | None, function: Callable[..., object], /,
              *args: Any, **kwargs: Any) -> bool:
    """Return whether a function finished in time; log what it raised.

    It runs in a thread that does not keep the process alive.

    :param limit: seconds; 0 does not wait, None waits without limit
    """
    ended = threading.Event()

    def run() -> None:
        try:
            function(*args, **kwargs)
        except Exception:
            LOG.exception('%s failed while the service stopped',
                          reflection.get_callable_name(function))
        finally:
            ended.set()

    threading.Thread(target=run, daemon=True).start()
    return ended.wait(limit) or limit == 0


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
        self._reload_wanted = threading.Event()

    def start(self) -> None:
        self._server.start()

    def wait(self) -> None:
        """Return when the service has stopped.

        SIGTERM and SIGINT stop it. SIGHUP reloads the configuration, in a
        thread: a reload that hangs does not delay the end.

        :raises NovaException: it did not stop in time
        """
        with signals.Receiver(signal.SIGTERM, signal.SIGINT,
                              signal.SIGHUP) as receiver:
            threading.Thread(target=self._reload_when_wanted,
                             daemon=True).start()
            while receiver.wait() == signal.SIGHUP:
                self._reload_wanted.set()
            if not _finishes(CONF.graceful_shutdown_timeout or None,
                             self._server.stop):
                raise exception.NovaException(
                    'the service did not stop within '
                    'graceful_shutdown_timeout '
                    f'({CONF.graceful_shutdown_timeout} s)')

    def _reload_when_wanted(self) -> None:
        while True:
            self._reload_wanted.wait()
            self._reload_wanted.clear()
            self._reload()

    def _reload(self) -> None:
        try:
            CONF.reload_config_files()
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
