#!/usr/bin/env bash
# Run once, on one node. RELAY_PASSWORD and CONSUMER_PASSWORD are in the
# environment: a command line could be read by others.
set -euo pipefail

rabbitmqctl add_vhost nova
rabbitmqctl delete_user guest

# nova-relay makes exchange and queue and sends; it can't read a message.
printf '%s\n' "$RELAY_PASSWORD" | rabbitmqctl add_user nova-relay
rabbitmqctl set_permissions -p nova nova-relay \
    '^(nova|versioned_notifications\.info)$' \
    '^(nova|versioned_notifications\.info)$' \
    '^nova$'

# A consumer reads; it can't send.
printf '%s\n' "$CONSUMER_PASSWORD" | rabbitmqctl add_user searchlight
rabbitmqctl set_permissions -p nova searchlight \
    '^(nova|versioned_notifications\.info)$' \
    '^versioned_notifications\.info$' \
    '^(nova|versioned_notifications\.info)$'

# A queue that nobody reads must not fill the disk: the oldest messages go.
rabbitmqctl set_policy -p nova --apply-to queues notifications \
    '^versioned_notifications\.' \
    '{"max-length-bytes": 1073741824, "overflow": "drop-head"}'
