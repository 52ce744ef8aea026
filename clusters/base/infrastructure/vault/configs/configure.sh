#!/bin/sh
# Brings Vault to the state that platform.vault and tenant.vault declare. Every step may be repeated.
#
# Once per cluster, with the root token of `vault operator init`, which is revoked at the end. `python -m harness bootstrap vault up` reads these lines
# and does what they say (docs/operations.md); audit comes first, so that all the rest is in the log.
#   vault operator init
#   vault operator unseal        on each member where no key service does it
#   vault audit enable -path=file file file_path=/vault/audit/audit.log mode=0600
#   vault auth enable kubernetes
#   vault write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc
#   vault policy write vault-config vault-config.policy.hcl
#   vault write auth/kubernetes/role/vault-config bound_service_account_names=vault-config \
#     bound_service_account_namespaces=vault audience=vault token_policies=vault-config token_ttl=15m
#   vault token revoke -self     when the Job has logged in
set -eu

log() { echo "$(date -u +%H:%M:%S) $*"; }

login() {
  VAULT_TOKEN=$(vault write -field=token auth/kubernetes/login \
    role=vault-config jwt="$(cat /var/run/secrets/vault/token)" 2>/tmp/login.err)
}
until login; do
  log "waiting for Vault: $(tail -n 1 /tmp/login.err)"
  sleep 15
done
export VAULT_TOKEN

# A listing ends in the name of each mount and a slash.
has() { vault "$1" list -format=json | grep -q "\"$2/\""; }

# The words of the declarations. Each of them starts a line there, and the tests read those lines as this script does.

# audit PATH TYPE [option=value ...]
audit() {
  log "audit device $1"
  has audit "$1" || { path="$1" && shift && vault audit enable -path="$path" "$@"; }
}

# auth PATH TYPE [-option=value ...]: options are set on every run
auth() {
  log "auth method $1"
  has auth "$1" || vault auth enable -path="$1" "$2"
  path="$1"
  shift 2
  vault auth tune "$@" "$path/"
}

# mount PATH TYPE [-option=value ...]
mount() {
  log "secrets engine $1"
  has secrets "$1" || { path="$1" type="$2" && shift 2 && vault secrets enable -path="$path" "$@" "$type"; }
}

# policy NAME FILE: TENANT in the file becomes the tenant's name
policy() { sed "s/TENANT/$tenant/g" "/scripts/$2" | vault policy write "$1" -; }

# write PATH key=value ...
write() { vault write "$@"; }

# first LIST PATH key=value ...: written only while nothing is listed at LIST
first() {
  list="$1"
  shift
  vault list "$list" >/dev/null 2>&1 || vault write "$@"
}

# value PATH key=value ...: the first values in KV; `random` as a value becomes a random one
value() {
  path="$1"
  shift
  if vault kv metadata get "$path" >/dev/null 2>&1; then
    return
  fi
  log "first value at $path"
  for word in "$@"; do
    shift
    case "$word" in
      *=random) word="${word%random}$(vault write -field=random_bytes sys/tools/random/24 format=hex)" ;;
    esac
    set -- "$@" "$word"
  done
  vault kv put -cas=0 "$path" "$@"
}

# tenant NAME: everything in tenant.vault, for this tenant
tenant() {
  log "tenant $1"
  tenant="$1"
  # shellcheck source=/dev/null
  . /scripts/tenant.vault
  tenant=""
}

tenant=""
# shellcheck source=/dev/null
. /scripts/platform.vault

vault token revoke -self
log "done"
