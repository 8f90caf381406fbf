# SPDX-License-Identifier: Apache-2.0
"""nova-relay: publish what the outbox holds."""

from __future__ import annotations

from collections.abc import Sequence
import logging
import sys

from nova import config
from nova import signals
from nova.cmd import common

CONF = config.CONF

#: seconds that the relay has to end after a signal
_PATIENCE = 10


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
        counted = metrics.Metrics()
        the_relay = relay.Relay(CONF, publisher.Publisher(CONF),
                                 lease.Lease(CONF.host), counted)
        if CONF.relay.metrics_port:
            metrics.serve(CONF.relay.metrics_listen, CONF.relay.metrics_port,
                          counted, the_relay.health)
        signals.run_until_signal(the_relay.run, _PATIENCE)

    return common.run('nova-relay', argv, work)


if __name__ == '__main__':
    sys.exit(main())
