#!/usr/bin/env bash
# pool_user.sh VHOST POOL: a user, called as the pool, who may read that pool
# and do nothing else. CONSUMER_PASSWORD is in the environment: a command line
# could be read by others.
set -euo pipefail

vhost=$1 pool=$2

printf '%s\n' "$CONSUMER_PASSWORD" | rabbitmqctl add_user "$pool"
rabbitmqctl set_permissions -p "$vhost" "$pool" \
    "^(nova|$pool)$" "^$pool$" "^(nova|$pool)$"

# While the consumer is away its messages are kept; the oldest go.
rabbitmqctl set_policy -p "$vhost" --apply-to queues "$pool" "^$pool$" \
    '{"max-length-bytes": 1073741824, "overflow": "drop-head"}'
