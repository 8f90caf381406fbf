# SPDX-License-Identifier: Apache-2.0
"""nova-relay: send what the outbox holds."""

from __future__ import annotations

from collections.abc import Sequence
import logging
import signal
import sys
import threading

from nova import config
from nova.cmd import common

CONF = config.CONF


def main(argv: Sequence[str] | None = None) -> int:
    """Run nova-relay."""
    argv = sys.argv if argv is None else argv

    def work() -> None:
        config.parse_args(argv, prog='nova-relay')
        config.setup_logging()
        if not CONF.debug:
            # Each attempt would be an error; the relay says it once.
            logging.getLogger(
                'oslo.messaging._drivers.impl_rabbit').setLevel(
                    logging.CRITICAL)
        from nova import context
        from nova.notifications import delivery
        from nova.notifications import lease
        from nova.notifications import metrics
        from nova.notifications import publisher
        from nova.notifications import relay
        delivery.check_outbox(context.get_admin_context())
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_arguments: stopping.set())
        counted = metrics.Metrics()
        the_relay = relay.Relay(CONF, publisher.Publisher(CONF),
                                 lease.Lease(CONF.host), counted)
        if CONF.relay.metrics_port:
            metrics.serve(CONF.relay.metrics_listen, CONF.relay.metrics_port,
                          counted, the_relay.health)
        the_relay.run(stopping)

    return common.run('nova-relay', argv, work)


if __name__ == '__main__':
    sys.exit(main())
