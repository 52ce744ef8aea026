# ruff: noqa: E501 - one fault a line
"""Faults about secrets, Vault, certificates and ingress that are seeded into our own tree (SEC1xx to SEC4xx, SEC6xx)."""

from __future__ import annotations

from seeded import Edit, Place, fault

KIND, TENANT, BASE = "clusters/kind", "clusters/base/tenants/tenant-a", "clusters/base/infrastructure"
VALUES, RECEIVER, TOKEN = f"{KIND}/cluster-sealed-values.yaml", f"{BASE}/flux/receiver/sealedsecret.yaml", f"{TENANT}/apps/sealedsecret.yaml"
CONFIGS = f"{BASE}/vault/configs"

# fmt: off
SEALED = (
    fault("sealed-value-cut-off", "SEC301", RECEIVER, "token: ${FLUX_RECEIVER_TOKEN_SEALED}", "token: AgBKlbyvddzogb7E7HukaqpW", "token: AgBKlbyvddzogb7E7HukaqpW"),
    fault("sealed-for-another-name", "SEC302", RECEIVER, "    metadata:\n      name: receiver-token", "    metadata:\n      name: webhook-token", "name: webhook-token"),
    fault("sealed-for-any-namespace", "SEC303", TOKEN, "  name: podinfo-token\n", "  name: podinfo-token\n  annotations:\n    sealedsecrets.bitnami.com/cluster-wide: \"true\"\n", "cluster-wide: \"true\""),
    fault("htpasswd-under-another-key", "SEC304", f"{BASE}/operator-ui/configs/sealedsecret.yaml", "    htpasswd: ", "    auth: ", "type: nginx.org/htpasswd"),
    fault("sealed-value-copied", "SEC305", f"{BASE}/operator-ui/configs/sealedsecret.yaml", "${OPERATORS_HTPASSWD_SEALED}", "${GRAFANA_SECRET_KEY_SEALED}", "htpasswd: ${GRAFANA_SECRET_KEY_SEALED}"),
    fault("sealing-certificate-damaged", "SEC306", f"{KIND}/sealed-secrets-certificate.yaml", "    MIIE3TCCAsWg", "    MIIE3TCCAsWgAAAA", "tls.crt: |"),
    fault("sealed-secret-among-others", "SEC307", TOKEN, "", None, "bitnami.com/v1alpha1", where=f"{TENANT}/apps/secrets.yaml", also=(Edit(f"{TENANT}/apps/secrets.yaml", None, "---\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: podinfo-token\nspec:\n  encryptedData:\n    token: ${TENANT_A_PODINFO_TOKEN_SEALED}\n"), Edit(f"{TENANT}/apps/kustomization.yaml", "sealedsecret.yaml", "secrets.yaml"))),
)

IN_GIT = (
    fault("generator-reads-a-key", "SEC102", f"{TENANT}/apps/kustomization.yaml", "resources:\n", "secretGenerator:\n  - name: app\n    envs:\n      - app.env\nresources:\n", "- app.env", also=(Edit(f"{TENANT}/apps/app.env", None, "USER=app\n"),)),
    fault("address-with-a-password", "SEC104", f"{TENANT}/apps/deployment.yaml", "value: podinfo on ${DOMAIN}", "value: postgres://podinfo:S0mmer2026@db/podinfo", "@db/podinfo"),
    fault("admin-password-in-values", "SEC105", f"{BASE}/loki/controllers/helmrelease.yaml", "  values:\n", "  values:\n    adminPassword: Sommer2026\n", "adminPassword: Sommer2026"),
    fault("password-in-the-environment", "SEC105", f"{TENANT}/apps/deployment.yaml", "            - name: PODINFO_PASSWORD\n              valueFrom:\n                secretKeyRef:\n                  name: podinfo-static\n                  key: password\n", "            - name: PODINFO_PASSWORD\n              value: changeme\n", "value: changeme"),
    fault("random-text-in-the-variables", "SEC106", f"{KIND}/cluster-vars.yaml", "  CLUSTER_NAME: kind\n", "  CLUSTER_NAME: kind\n  COOKIE_SALT: q7Zt1Xb9Kw3Rm5Yc8Nd2Vf6Hj4Lp0Gs\n", "COOKIE_SALT: q7Zt1Xb9Kw3Rm5Yc8Nd2Vf6Hj4Lp0Gs"),
    fault("password-in-a-chart's-container", "SEC107", f"{BASE}/vault/controllers/helmrelease.yaml", "        VAULT_CACERT: /vault/tls/ca.crt\n", "        VAULT_CACERT: /vault/tls/ca.crt\n        VAULT_TOKEN: aZ91kd02Lq83mX7v\n", "apiVersion: helm.toolkit.fluxcd.io/v2", charts=True),
    fault("token-in-a-script", "SEC108", f"{BASE}/vault/configs/snapshot.sh", "umask 077\n", "umask 077\nVAULT_TOKEN=hvs.Fixture00fixture11Fixture22fixture\n", "fixture", cluster=""),
)

REFERENCES = (
    fault("user-list-misspelt", "SEC201", f"{BASE}/operator-ui/configs/operators-password.policy.yaml", "secret: operators-htpasswd", "secret: operator-htpasswd", "secret: operator-htpasswd"),
    fault("authority-of-another-namespace", "SEC201", f"{TENANT}/apps/vaultconnection.yaml", "caCertSecretRef: vault-client-tls", "caCertSecretRef: vault-tls", "caCertSecretRef: vault-tls"),
    fault("key-misspelt", "SEC202", f"{TENANT}/apps/deployment.yaml", "                  name: podinfo-token\n                  key: token", "                  name: podinfo-token\n                  key: tokens", "secretKeyRef:"),
    fault("issuer-before-its-authority", "SEC203", f"{BASE}/cert-manager/controllers/kustomization.yaml", "resources:\n", "resources:\n  - early.clusterissuer.yaml\n", "secretName: platform-root-ca", where=f"{BASE}/cert-manager/controllers/early.clusterissuer.yaml", also=(Edit(f"{BASE}/cert-manager/controllers/early.clusterissuer.yaml", None, "---\napiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata:\n  name: early\nspec:\n  ca:\n    secretName: platform-root-ca\n"),)),
    fault("sealed-and-never-read", "SEC204", f"{TENANT}/apps/deployment.yaml", "            - name: PODINFO_JWT_SECRET\n              valueFrom:\n                secretKeyRef:\n                  name: podinfo-token\n                  key: token\n", "", "name: podinfo-token", where=TOKEN),
)

VAULT = (
    fault("capability-misspelt", "SEC401", f"{CONFIGS}/cert-manager.policy.hcl", '"create", "update"', '"create", "updte"', '"updte"]'),
    fault("declaration-misspelt", "SEC401", f"{CONFIGS}/platform.vault", "mount kv kv", "mounts kv kv", "mounts kv kv -version=2"),
    fault("tenant-writes-policies", "SEC402", f"{CONFIGS}/cert-manager.policy.hcl", "# The issuer", 'path "sys/policies/acl/*" {\n  capabilities = ["update"]\n}\n# The issuer', 'path "sys/policies/acl/*" {'),
    fault("path-of-another-tenant", "SEC403", f"{TENANT}/apps/vaultstaticsecret.yaml", "path: tenants/tenant-a/podinfo", "path: tenants/tenant-b/podinfo", "path: tenants/tenant-b/podinfo"),
    fault("policy-of-the-job-too-narrow", "SEC403", f"{CONFIGS}/vault-config.policy.hcl", 'path "pki/roles/*"', 'path "pki/role/*"', "write pki/roles/internal", where=f"{CONFIGS}/platform.vault", and_at=(Place(f"{CONFIGS}/tenant.vault", 'write pki/roles/"$tenant"'),)),
    fault("role-of-another-account", "SEC404", f"{CONFIGS}/platform.vault", "bound_service_account_names=vault-issuer", "bound_service_account_names=cert-manager", "role: cert-manager", where=f"{BASE}/cert-manager-vault/configs/clusterissuer.yaml"),
    fault("audience-of-somebody-else", "SEC404", f"{TENANT}/apps/vaultauth.yaml", "    audiences:\n      - vault", "    audiences:\n      - https://vault", "role: tenant-a"),
    fault("kv-of-another-version", "SEC405", f"{CONFIGS}/platform.vault", "mount kv kv -version=2", "mount kv kv -version=1", "type: kv-v2", where=f"{TENANT}/apps/vaultstaticsecret.yaml"),
    fault("role-of-the-engine-missing", "SEC405", f"{TENANT}/apps/vaultdynamicsecret.yaml", "path: creds/tenant-a-reader", "path: creds/tenant-a-writer", "path: creds/tenant-a-writer"),
    fault("policy-for-all-tenants", "SEC406", f"{CONFIGS}/tenant.policy.hcl", 'path "kv/data/tenants/TENANT/*"', 'path "kv/data/tenants/*"', 'path "kv/data/tenants/*" {'),
    fault("role-for-everybody", "SEC407", f"{CONFIGS}/platform.vault", "bound_service_account_names=vault-snapshot", "bound_service_account_names=*", "write auth/kubernetes/role/vault-snapshot"),
    fault("no-restart-after-rotation", "SEC408", f"{TENANT}/apps/vaultstaticsecret.yaml", "  rolloutRestartTargets:\n    - kind: Deployment\n      name: podinfo\n", "", "  destination:\n    name: podinfo-static"),
    fault("vault-unchecked", "SEC409", f"{TENANT}/apps/vaultconnection.yaml", "skipTLSVerify: false", "skipTLSVerify: true", "skipTLSVerify: true"),
)

CERTIFICATES = (
    fault("host-without-tls", "SEC601", f"{TENANT}/apps/ingress.yaml", "  tls:\n    - hosts:\n        - podinfo.${DOMAIN}\n      secretName: podinfo-ingress-tls\n", "", "host: podinfo.${DOMAIN}"),
    fault("name-missing-in-the-certificate", "SEC602", f"{TENANT}/apps/podinfo-ingress-tls.certificate.yaml", "podinfo.${DOMAIN}", "www.podinfo.${DOMAIN}", "secretName: podinfo-ingress-tls", where=f"{TENANT}/apps/ingress.yaml"),
    fault("root-is-no-authority", "SEC603", f"{BASE}/cert-manager/configs/certificate.yaml", "  isCA: true\n", "", "secretName: platform-root-ca", and_at=(Place(f"{BASE}/cert-manager/configs/certificate.yaml", "issuerRef:"),)),
    fault("longer-than-vault-signs", "SEC603", f"{CONFIGS}/platform.vault", "max_ttl=2160h", "max_ttl=240h", "duration: 720h", where=f"{BASE}/operator-ui/alertmanager/certificate.yaml"),
    fault("renewed-at-the-last-moment", "SEC604", f"{BASE}/grafana/configs/certificate.yaml", "renewBefore: 720h", "renewBefore: 24h", "renewBefore: 24h"),
    fault("key-too-short", "SEC605", f"{BASE}/grafana/configs/certificate.yaml", "    algorithm: ECDSA\n    size: 256", "    algorithm: RSA\n    size: 1024", "size: 1024"),
    fault("not-for-servers", "SEC605", f"{BASE}/grafana/configs/certificate.yaml", "- server auth", "- client auth", "usages:"),
    fault("two-makers-of-a-secret", "SEC606", f"{TENANT}/apps/vault-client-tls.certificate.yaml", "secretName: vault-client-tls", "secretName: podinfo-ingress-tls", "secretName: podinfo-ingress-tls", where=f"{TENANT}/apps/podinfo-ingress-tls.certificate.yaml"),
    fault("no-redirect", "SEC607", f"{BASE}/operator-ui/configs/prometheus.virtualserver.yaml", "enable: true", "enable: false", "host: prometheus.${DOMAIN}"),
    fault("no-strict-transport", "SEC608", f"{BASE}/operator-ui/configs/prometheus.virtualserver.yaml", "name: Strict-Transport-Security", "name: X-Strict-Transport-Security", "host: prometheus.${DOMAIN}"),
    fault("old-version-of-tls", "SEC609", f"{BASE}/ingress-nginx/controllers/helmrelease.yaml", "ssl-protocols: TLSv1.2 TLSv1.3", "ssl-protocols: TLSv1.1 TLSv1.2", "ssl-protocols: TLSv1.1 TLSv1.2", charts=True),
    fault("host-of-another-namespace", "SEC610", f"{TENANT}/apps/ingress.yaml", "    - host: podinfo.${DOMAIN}", "    - host: grafana.${DOMAIN}", "host: grafana.${DOMAIN}"),
    fault("class-misspelt", "SEC611", f"{TENANT}/apps/ingress.yaml", "ingressClassName: nginx", "ingressClassName: ngnix", "ingressClassName: ngnix"),
    fault("port-misspelt", "SEC612", f"{TENANT}/apps/ingress.yaml", "name: http", "name: https", "service:"),
    fault("damaged-certificate", "SEC613", f"{KIND}/sealed-secrets-certificate.yaml", "    MIIE3TCCAsWg", "    MIIE3TCCAsWgAAAA", "-----BEGIN CERTIFICATE-----"),
    fault("rate-by-a-bare-variable", "SEC614", f"{BASE}/operator-ui/configs/operators-rate.policy.yaml", "$${binary_remote_addr}", "$binary_remote_addr", "key: $binary_remote_addr"),
    fault("right-only-after-the-controller", "SEC615", f"{BASE}/flux/network/kustomization.yaml", "  - ../../../components/namespace-ingress\n", "", "gitops/ingress: nginx", where=f"{BASE}/flux/ks.yaml", also=(Edit(f"{BASE}/flux/receiver/kustomization.yaml", "resources:\n", "components:\n  - ../../../components/namespace-ingress\nresources:\n"),)),
)
# fmt: on

FAULTS = (*SEALED, *IN_GIT, *REFERENCES, *VAULT, *CERTIFICATES)
UNSEEDED = {"SEC205": "only charts of ours have webhooks whose authority is injected, and their annotations are not ours to edit"}
