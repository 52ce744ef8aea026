#!/bin/sh
# Saves one raft snapshot and keeps the newest 28 (a week of them).
set -eu
umask 077
VAULT_TOKEN=$(vault write -field=token auth/kubernetes/login role=vault-snapshot jwt="$(cat /var/run/secrets/vault/token)")
export VAULT_TOKEN
file="/snapshots/vault-$(date -u +%Y%m%dT%H%M%SZ).snap"
vault operator raft snapshot save "$file.part"
mv "$file.part" "$file"
# Names sort by time.
find /snapshots -name 'vault-*.snap' | sort -r | tail -n +29 | xargs -r rm -f --
vault token revoke -self
echo "saved $file"
