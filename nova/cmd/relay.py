# SPDX-License-Identifier: Apache-2.0
"""nova-relay: publish what the outbox holds."""

from __future__ import annotations

from collections.abc import Sequence
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from nova import config
from nova import exception
from nova import signals
from nova.cmd import common

if TYPE_CHECKING:
    from nova.notifications import relay

LOG = logging.getLogger(__name__)
CONF = config.CONF

#: seconds that the relay has to finish what it has begun, and then to end
#: once its connection to the bus was cut
_PATIENCE = (4.0, 6.0)


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
        _run(the_relay)

    return common.run('nova-relay', argv, work)


def _run(the_relay: relay.Relay) -> None:
    """Let the relay work in a thread until a signal ends it.

    :raises NovaException: it has ended by itself
    """
    stopping = threading.Event()
    working = threading.Thread(target=the_relay.run, args=(stopping,),
                               name='relay', daemon=True)
    with signals.Receiver(signal.SIGTERM, signal.SIGINT) as receiver:
        working.start()
        while receiver.wait(1.0) is None:
            if not working.is_alive():
                raise exception.NovaException('the relay has ended; see its '
                                              'log for the reason')
        stopping.set()
        polite, final = _PATIENCE
        working.join(polite)
        if working.is_alive():
            the_relay.abort()
            working.join(final)
    if working.is_alive():
        LOG.warning('The database or the message bus did not answer in time; '
                    'another relay takes over after a few seconds')


if __name__ == '__main__':
    sys.exit(main())
