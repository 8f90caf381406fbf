# SPDX-License-Identifier: Apache-2.0
"""nova-api: the REST API with a server of its own."""

from __future__ import annotations

from collections.abc import Sequence
import sys

from nova import config
from nova.cmd import common
from nova.conf import wsgi as wsgi_conf

CONF = config.CONF


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-api."""
    argv = sys.argv if argv is None else argv

    def work() -> int:
        # The options of nova.conf, on the command line as well.
        CONF.unregister_opts(wsgi_conf.LISTEN_OPTS)
        CONF.register_cli_opts(wsgi_conf.LISTEN_OPTS)
        config.parse_args(argv, prog='nova-api')
        config.setup_logging()
        from nova.api.openstack import deploy
        from nova.api.openstack import wsgi_app
        from nova.wsgi import server
        server.check_tls(CONF)
        bound = server.listen(CONF)
        # What can't work is found out here rather than in each process.
        deploy.loadapp(CONF)
        wsgi_app.register('osapi_compute')
        return server.serve(CONF, bound, deploy.loadapp)

    return common.run('nova-api', argv, work)


if __name__ == '__main__':
    sys.exit(main())
