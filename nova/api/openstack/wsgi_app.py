# SPDX-License-Identifier: Apache-2.0
"""What a WSGI server loads: configuration, record, application."""

from __future__ import annotations

from collections.abc import Iterable
import logging
import os
import pathlib
from typing import TYPE_CHECKING

from nova import config
from nova import context as nova_context
from nova import exception
from nova import objects
from nova import registration
from nova.api.openstack import deploy
from nova.objects import service as service_obj

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

LOG = logging.getLogger(__name__)


def init_application(name: str) -> WSGIApplication:
    """Return the application of a process that a WSGI server started.

    It is configured by files: those that ``OS_NOVA_CONFIG_FILES`` names,
    separated by ``;``, in the directory ``OS_NOVA_CONFIG_DIR``, by default
    ``nova.conf`` in ``/etc/nova``. With neither set, those in the usual
    places.

    :param name: ``osapi_compute``
    :raises TooOldComputeService: a nova-compute is older than supported
    """
    config.parse_args(['nova-api'], default_config_files=_config_files())
    config.setup_logging()
    try:
        register(name)
    except exception.ServiceTooOld as error:
        LOG.error('%s', error)
        return _refusal(error)
    # A server may fork now.
    config.reconnect()
    return deploy.loadapp(config.CONF)


def register(name: str) -> None:
    """Make or take up the record of the API on this host.

    :raises TooOldComputeService: a nova-compute is older than supported
    :raises ServiceTooOld: newer processes of the API are there
    """
    objects.register_all()
    service_obj.Service.enable_min_version_cache()
    context = nova_context.get_admin_context()
    registration.check_computes(context)
    host, binary = config.CONF.host, f'nova-{name}'
    registration.register(
        context, host, binary, None,
        service_obj.Service.get_by_host_and_binary(context, host, binary))


def _config_files() -> list[str] | None:
    directory = os.environ.get('OS_NOVA_CONFIG_DIR', '').strip()
    files = os.environ.get('OS_NOVA_CONFIG_FILES', '').strip()
    if not directory and not files:
        return None
    return [str(pathlib.Path(directory or '/etc/nova', name.strip()))
            for name in (files or 'nova.conf').split(';') if name.strip()]


def _refusal(error: Exception) -> WSGIApplication:
    def application(_environ: WSGIEnvironment,
                    start_response: StartResponse) -> Iterable[bytes]:
        start_response('500 Internal Server Error',
                       [('Content-Type', 'text/plain; charset=UTF-8')])
        return [f'nova-api could not be started: {error}\n'.encode()]
    return application
