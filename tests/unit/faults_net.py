# ruff: noqa: E501 - one fault a line
"""Faults of the network: what one line in a policy, in a workload or in the intent changes."""

from __future__ import annotations

from seeded import Edit, Place, fault

BASE, BASELINE, TENANT = "clusters/base/infrastructure", "clusters/base/components/namespace-baseline", "clusters/base/tenants/tenant-a"
INTENT, VARS = "tests/intent/network.yaml", "clusters/kind/cluster-vars.yaml"
CERT, VAULT, FLUX, STACK = f"{BASE}/cert-manager/controllers", f"{BASE}/vault/controllers", f"{BASE}/flux/network", f"{BASE}/kube-prometheus-stack/controllers"
SYSTEM, GRAFANA, NGINX = f"{BASE}/cluster-baseline/configs/kube-system", f"{BASE}/grafana/controllers", f"{BASE}/ingress-nginx/controllers"
DENY = f"{BASELINE}/default-deny.networkpolicy.yaml"
TO_VAULT, SCRAPE_VAULT = f"{CERT}/allow-egress-vault-8200.networkpolicy.yaml", f"{VAULT}/allow-prometheus-to-vault-8200.networkpolicy.yaml"
POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: extra\nspec:\n"
SERVICE, DEPLOYMENT = f"{TENANT}/apps/service.yaml", f"{TENANT}/apps/deployment.yaml"
OTEL = f"{TENANT}/namespace/allow-egress-opentelemetry-4317.networkpolicy.yaml"
SCRAPE = f"{TENANT}/namespace/allow-prometheus-to-podinfo-9797.networkpolicy.yaml"
PODINFO = f"{TENANT}/namespace/allow-ingress-nginx-to-podinfo-9898.networkpolicy.yaml"

# fmt: off
FAULTS = (
    fault("system-namespace-opens", "NET101", f"{SYSTEM}/default-deny.networkpolicy.yaml", "  podSelector: {}", "  podSelector:\n    matchLabels:\n      k8s-app: kube-dns", "name: kube-system", where=f"{SYSTEM}/namespace.yaml"),
    fault("deny-of-one-direction", "NET101", f"{SYSTEM}/default-deny.networkpolicy.yaml", "    - Egress\n", "", "name: kube-system", where=f"{SYSTEM}/namespace.yaml"),
    fault("allow-all-beside-the-deny", "NET102", OTEL, "---\n", f"---\n{POLICY}  podSelector: {{}}\n  policyTypes:\n    - Egress\n  egress:\n    - {{}}\n---\n", "    - {}"),
    fault("dns-by-udp-only", "NET103", f"{TENANT}/namespace/kustomization.yaml", "patches:\n", "patches:\n  - target:\n      kind: NetworkPolicy\n      name: allow-egress-dns\n    patch: |\n      - op: remove\n        path: /spec/egress/0/ports/1\n", "name: podinfo", where=DEPLOYMENT),
    fault("group-misspelt", "NET104", INTENT, "    to: resolver\n    ports: [53/UDP, 53/TCP]\n", "    to: resolvr\n    ports: [53/UDP, 53/TCP]\n", "to: resolvr"),
    fault("workload-of-nobody", "NET105", INTENT, "  loki: [loki/loki]", "  loki: [loki/loki, loki/loki-gateway]", "  loki: [loki/loki, loki/loki-gateway]"),
    fault("tenant-forgotten", "NET105", INTENT, "  - from: tenant-b/*\n    to: tenant-a/*\n    reason: tenants do not see each other\n", "", "name: tenant-b", where="clusters/base/tenants/tenant-b/namespace/namespace.yaml", also=(Edit(INTENT, "    to: tenant-b/*\n", "    to: vault/*\n"), Edit(INTENT, "  tenants: [tenant-a/*, tenant-b/*]", "  tenants: [tenant-a/*]"))),
    fault("vault-open-to-its-namespace", "NET106", f"{VAULT}/allow-vault-client-to-vault-8200.networkpolicy.yaml", "              app.kubernetes.io/component: vault-client\n      ports:\n        - port: 8200\n", "              app.kubernetes.io/component: vault-client\n      ports:\n        - port: 8200\n          endPort: 8202\n", "- from:", also=(Edit(f"{BASE}/vault/configs/allow-vault-client-egress-vault-8200.networkpolicy.yaml", "        - port: 8200\n", "        - port: 8200\n          endPort: 8202\n"),)),
    fault("cloud-for-the-collector", "NET106", f"{BASE}/opentelemetry/controllers/allow-egress-api-server.networkpolicy.yaml", "    - to:\n", "    - to:\n        - ipBlock:\n            cidr: 198.51.100.0/24\n      ports:\n        - port: 443\n          protocol: TCP\n    - to:\n", "    - to:"),
    fault("namespace-of-the-peer-misspelt", "NET107", SCRAPE_VAULT, "kubernetes.io/metadata.name: monitoring", "kubernetes.io/metadata.name: monitorin", "    - from:"),
    fault("port-of-the-service", "NET107", f"{GRAFANA}/allow-ingress-nginx-to-grafana-3000.networkpolicy.yaml", "port: 3000", "port: 80", "    - from:"),
    fault("policy-removed", "NET107", f"{TENANT}/namespace/kustomization.yaml", "  - allow-egress-opentelemetry-4317.networkpolicy.yaml\n", "", "apiVersion:", where=DENY),
    fault("tenant-to-vault", "NET108", OTEL, "              kubernetes.io/metadata.name: opentelemetry\n          podSelector:\n            matchLabels:\n              app.kubernetes.io/name: opentelemetry-collector\n      ports:\n        - port: 4317\n", "              kubernetes.io/metadata.name: opentelemetry\n          podSelector:\n            matchLabels:\n              app.kubernetes.io/name: opentelemetry-collector\n        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: vault\n      ports:\n        - port: 4317\n        - port: 8200\n", "    - from:", where=f"{VAULT}/allow-vault-client-to-vault-8200.networkpolicy.yaml", also=(Edit(f"{VAULT}/allow-vault-client-to-vault-8200.networkpolicy.yaml", "              kubernetes.io/metadata.name: vault\n          podSelector:\n            matchLabels:\n              app.kubernetes.io/component: vault-client\n", "              app.kubernetes.io/part-of: plimsoll\n"),)),
    fault("tenant-to-the-metadata", "NET108", OTEL, "---\n", f"---\n{POLICY}  podSelector: {{}}\n  policyTypes:\n    - Egress\n  egress:\n    - to:\n        - ipBlock:\n            cidr: 169.254.169.254/32\n---\n", "    - to:"),
    fault("metadata-among-the-internet", "NET109", f"{FLUX}/allow-egress-registries.networkpolicy.yaml", "              - 169.254.0.0/16\n", "", "- ipBlock:", also=(Edit(f"{FLUX}/allow-egress-registries.networkpolicy.yaml", "        - port: 443\n", "        - port: 443\n        - port: 80\n"),)),
    fault("label-renamed", "NET201", SCRAPE, "app.kubernetes.io/name: podinfo", "app.kubernetes.io/name: pod-info", "  podSelector:"),
    fault("peer-of-the-old-controller", "NET202", PODINFO, "app.kubernetes.io/name: nginx-ingress", "app.kubernetes.io/name: ingress-nginx", "- namespaceSelector:"),
    fault("service-of-nobody", "NET203", SERVICE, "  selector:\n    app.kubernetes.io/name: podinfo", "  selector:\n    app.kubernetes.io/name: pod-info", "  selector:"),
    fault("number-transposed", "NET204", SCRAPE, "port: 9797", "port: 7997", "port: 7997"),
    fault("target-renamed", "NET205", SERVICE, "targetPort: http\n", "targetPort: web\n", "targetPort: web"),
    fault("name-of-the-service-port", "NET206", SCRAPE, "port: 9797", "port: metrics", "port: metrics"),
    fault("address-of-the-service-kubernetes", "NET207", f"{BASE}/sealed-secrets/controllers/allow-egress-api-server.networkpolicy.yaml", "cidr: ${API_SERVER_CIDR}", "cidr: 10.96.0.1/32", "cidr: 10.96.0.1/32"),
    fault("policy-for-the-speakers", "NET208", f"{BASE}/metallb/controllers/allow-prometheus-to-controller-9120.networkpolicy.yaml", "app.kubernetes.io/component: controller", "app.kubernetes.io/component: speaker", "  podSelector:"),
    fault("half-a-door", "NET209", f"{BASE}/tempo/controllers/allow-grafana-to-tempo-3200.networkpolicy.yaml", "port: 3200", "port: 4317", "    - from:", and_at=(Place(f"{GRAFANA}/allow-egress-data-sources.networkpolicy.yaml", "        - port: 3100\n          protocol: TCP\n    - to:"),)),
    fault("webhook-for-pods-only", "NET301", f"{CERT}/allow-api-server-to-webhook-10250.networkpolicy.yaml", "        - ipBlock:\n            cidr: ${NODE_CIDR}\n", "        - namespaceSelector: {}\n", "apiVersion: helm", where=f"{CERT}/helmrelease.yaml"),
    fault("scrape-of-the-wrong-port", "NET302", SCRAPE, "port: 9797", "port: 9898", "- port:", where=f"{TENANT}/apps/servicemonitor.yaml"),
    fault("host-without-its-backend", "NET303", f"{TENANT}/namespace/kustomization.yaml", "  - allow-ingress-nginx-to-podinfo-9898.networkpolicy.yaml\n", "", "service:", where=f"{TENANT}/apps/ingress.yaml"),
    fault("operator-cut-off", "NET304", f"{BASE}/promtail/controllers/allow-egress-api-server.networkpolicy.yaml", "port: 6443", "port: 8443", "fullnameOverride: promtail", where=f"{BASE}/promtail/controllers/helmrelease.yaml"),
    fault("probe-of-no-port", "NET305", DEPLOYMENT, "port: http\n", "port: web\n", "port: web"),
    fault("nobody-comes-in", "NET306", f"{NGINX}/allow-any-to-ingress-nginx.networkpolicy.yaml", "    - ports:\n", "    - from:\n        - namespaceSelector: {}\n      ports:\n", "apiVersion: helm", where=f"{NGINX}/helmrelease.yaml"),
)
# fmt: on
UNSEEDED: dict[str, str] = {}
