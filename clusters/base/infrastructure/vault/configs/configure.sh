#!/bin/sh
# Brings Vault to the state described here. Every step may be repeated.
#
# Once per cluster, by hand, with the root token of `vault operator init` (then revoke it):
#   vault operator init, and vault operator unseal on each member where no key service does it
#   vault auth enable kubernetes
#   vault write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc
#   vault policy write vault-config vault-config.policy.hcl
#   vault write auth/kubernetes/role/vault-config bound_service_account_names=vault-config \
#     bound_service_account_namespaces=vault audience=vault token_policies=vault-config token_ttl=15m
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

log "audit devices"
# Two, so that a full disk does not stop Vault: it refuses requests only when no device works.
has audit file || vault audit enable file file_path=/vault/audit/audit.log mode=0600
has audit stdout || vault audit enable -path=stdout file file_path=stdout

log "auth method kubernetes"
has auth kubernetes || vault auth enable kubernetes
vault write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc
vault auth tune -default-lease-ttl=1h -max-lease-ttl=24h kubernetes/

# role NAME, service account, namespace, audience, policy, ttl
role() {
  vault write "auth/kubernetes/role/$1" bound_service_account_names="$2" bound_service_account_namespaces="$3" \
    audience="$4" token_policies="$5" token_ttl="$6" token_max_ttl=24h token_no_default_policy=false
}

log "policies and roles of the platform"
for name in cert-manager vault-config vault-snapshot; do
  vault policy write "$name" "/scripts/$name.policy.hcl"
done
role vault-config vault-config vault vault vault-config 15m
role vault-snapshot vault-snapshot vault vault vault-snapshot 15m
role cert-manager vault-issuer cert-manager vault://vault-pki cert-manager 15m

log "KV v2 at kv"
has secrets kv || vault secrets enable -path=kv -version=2 kv
vault write kv/config max_versions=10 cas_required=false delete_version_after=0s

log "Kubernetes secrets engine at kubernetes-creds"
has secrets kubernetes-creds || vault secrets enable -path=kubernetes-creds -default-lease-ttl=1h -max-lease-ttl=2h kubernetes
# Vault's own service account; a Role in each tenant's namespace lets it mint tokens for one account there.
vault write kubernetes-creds/config kubernetes_host=https://kubernetes.default.svc

log "PKI at pki"
has secrets pki || vault secrets enable -path=pki -default-lease-ttl=72h -max-lease-ttl=87600h pki
if ! vault list pki/issuers >/dev/null 2>&1; then
  vault write -field=issuer_id pki/root/generate/internal common_name="plimsoll vault $CLUSTER_NAME" issuer_name=root \
    key_type=ec key_bits=384 ttl=87600h
fi
vault write pki/config/urls issuing_certificates=https://vault.vault.svc:8200/v1/pki/ca \
  crl_distribution_points=https://vault.vault.svc:8200/v1/pki/crl
vault write pki/config/auto-tidy enabled=true tidy_cert_store=true tidy_revoked_certs=true interval_duration=24h
vault write pki/roles/internal allowed_domains="svc,svc.cluster.local,$DOMAIN" allow_subdomains=true allow_bare_domains=false \
  allow_ip_sans=false allow_localhost=false require_cn=false server_flag=true client_flag=true \
  key_type=any ttl=720h max_ttl=2160h

log "tenants"
for tenant in tenant-a tenant-b; do
  sed "s/TENANT/$tenant/g" /scripts/tenant.policy.hcl | vault policy write "$tenant" -
  role "$tenant" vault-auth "$tenant" vault "$tenant" 1h
  vault write "kubernetes-creds/roles/$tenant-reader" allowed_kubernetes_namespaces="$tenant" \
    service_account_name=vault-issued-reader token_default_ttl=1h token_max_ttl=2h
  vault write "pki/roles/$tenant" allowed_domains="$tenant.svc,$tenant.svc.cluster.local" allow_subdomains=true \
    allow_bare_domains=false allow_ip_sans=false allow_localhost=false require_cn=false key_type=ec key_bits=256 ttl=72h max_ttl=72h
  if ! vault kv metadata get "kv/tenants/$tenant/podinfo" >/dev/null 2>&1; then
    log "first value for $tenant"
    vault kv put -cas=0 "kv/tenants/$tenant/podinfo" username=podinfo \
      password="$(vault write -field=random_bytes sys/tools/random/24 format=hex)"
  fi
done

vault token revoke -self
log "done"
