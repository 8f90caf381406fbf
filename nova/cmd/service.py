# SPDX-License-Identifier: Apache-2.0
"""nova-service: register a service of a host and keep it up."""

from __future__ import annotations

from collections.abc import Sequence
import signal
import sys

from oslo_config import cfg

from nova import config
from nova.cmd import common
from nova.conf import service as service_conf

CONF = config.CONF

_BINARY = cfg.StrOpt('binary', required=True, metavar='NAME',
                     help='Name of the service, e.g. nova-conductor.')


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-service."""
    argv = sys.argv if argv is None else argv

    def work() -> None:
        # The service takes it over when it runs. Until then there is nothing
        # to reload, and by default SIGHUP ends a process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        CONF.register_cli_opt(_BINARY)
        # The option of nova.conf, on the command line as well.
        CONF.unregister_opt(service_conf.HOST)
        CONF.register_cli_opt(service_conf.HOST)
        config.parse_args(argv, prog='nova-service')
        config.setup_logging()
        from nova import objects
        from nova import service
        objects.register_all()
        from nova.objects import service as service_obj
        service_obj.Service.enable_min_version_cache()
        server = service.Service.create(binary=CONF.binary)
        service.serve(server)
        service.wait()

    return common.run('nova-service', argv, work)


if __name__ == '__main__':
    sys.exit(main())
