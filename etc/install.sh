#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Install from this clone: programs in /opt/nova, nova.conf, systemd units.
# "install.sh ROOT" does it below another root, and touches nothing else.
set -eu
root=${1:-}
cd "$(dirname "$0")/.."

python3 -m venv "$root/opt/nova"
"$root/opt/nova/bin/pip" install --quiet .
install -D -m 0644 -t "$root/etc/systemd/system" etc/systemd/*.service
if [ ! -e "$root/etc/nova/nova.conf" ]; then
    install -D -m 0640 etc/nova/nova.conf.example "$root/etc/nova/nova.conf"
fi
if [ -z "$root" ]; then
    id nova >/dev/null 2>&1 || useradd --system --home-dir /var/lib/nova nova
    chgrp nova /etc/nova/nova.conf
    systemctl daemon-reload
fi
