# ruff: noqa: E501 - one fault a line
"""Faults against who may do what, and where it leads (RBC)."""

from __future__ import annotations

from seeded import Place, fault

ACCESS, TENANT, OTHER = "clusters/base/infrastructure/access/configs", "clusters/base/tenants/tenant-a/namespace", "clusters/base/tenants/tenant-b/namespace"
BASE, INTENT = "clusters/base/infrastructure", "tests/intent/access.yaml"
FIRST, NEXT = "rules:\n  - apiGroups:", "    verbs:\n      - get\n      - list\n      - watch\n  - apiGroups:"
OPERATE, VIEW, FLUX = f"{ACCESS}/operate-workloads.clusterrole.yaml", f"{ACCESS}/view-workloads.clusterrole.yaml", f"{TENANT}/flux.role.yaml"
READ = "verbs:\n      - get\n      - list\n      - watch\n"
VAULT_ROW = "- row: Vault knows who asks, and issues tokens of one account\n    subjects: ['sa:vault/vault']\n    only: true"

# fmt: off
DANGEROUS = (
    fault("developers-do-everything-with-sealed-secrets", "RBC101", f"{ACCESS}/view-tenant.clusterrole.yaml", READ, "verbs:\n      - '*'\n", FIRST),
    fault("auditors-become-administrators", "RBC102", f"{ACCESS}/auditor.clusterrolebinding.yaml", "  name: auditor\nsubjects", "  name: cluster-admin\nsubjects", "roleRef:"),
    fault("tenant-acts-as-others", "RBC103", FLUX, "      - pods\n    verbs:\n", "      - serviceaccounts\n    verbs:\n      - impersonate\n", FIRST),
    fault("everyone-reads-secrets", "RBC104", VIEW, "      - configmaps\n", "      - configmaps\n      - secrets\n", "      - events\n" + NEXT),
    fault("developers-issue-tokens", "RBC105", OPERATE, "      - pods/eviction\n", "      - pods/eviction\n      - serviceaccounts/token\n", "      - delete\n  - apiGroups:"),
    fault("prometheus-reaches-the-kubelets", "RBC106", f"{BASE}/kube-prometheus-stack/controllers/prometheus.clusterrole.yaml", "      - nodes/metrics\n", "      - nodes/proxy\n", "      - endpointslices\n" + NEXT),
    fault("tenant-enters-pods", "RBC107", FLUX, "      - pods\n", "      - pods\n      - pods/exec\n", FIRST),
    fault("platform-approves-certificates", "RBC108", f"{ACCESS}/operate-certificates.clusterrole.yaml", "      - certificaterequests\n    verbs:\n      - delete", "      - signers\n    verbs:\n      - approve", "      - update\n  - apiGroups:"),
    fault("auditors-change-policies", "RBC109", f"{ACCESS}/view-platform.clusterrole.yaml", "      - validatingpolicies\n    verbs:\n", "      - validatingpolicies\n    verbs:\n      - update\n", "      - servicemonitors\n" + NEXT),
    fault("platform-relabels-namespaces", "RBC110", f"{ACCESS}/operate-nodes.clusterrole.yaml", "      - nodes\n    verbs:\n      - patch", "      - namespaces\n    verbs:\n      - patch", FIRST),
    fault("developers-write-status", "RBC111", OPERATE, "      - pods/eviction\n    verbs:\n      - create", "      - pods/status\n    verbs:\n      - patch", "      - delete\n  - apiGroups:"),
    fault("developers-delete-the-trace", "RBC112", OPERATE, "      - pods\n    verbs:\n      - delete", "      - pods\n      - events\n    verbs:\n      - delete", FIRST),
)
INTENDED = (
    fault("intent-of-another-type", "RBC201", INTENT, "    only: true", "    only: certainly", "only: certainly"),
    fault("reason-for-a-right-that-is-none", "RBC201", INTENT, "rights: [nodes:write, nodes:drain, pods:create, pods:exec]", "rights: [nodes:write, nodes:drain, pods:make, pods:exec]", "rights: [nodes:write, nodes:drain, pods:make, pods:exec]"),
    fault("token-of-another-account", "RBC202", f"{TENANT}/vault-token-issuer.role.yaml", "- vault-issued-reader", "- vault-auth", "tenant-a: {create: ['serviceaccounts/token vault-issued-reader']}", where=INTENT, and_at=(Place(INTENT, VAULT_ROW),)),
    fault("collector-reads-logs", "RBC202", f"{BASE}/promtail/controllers/promtail.clusterrole.yaml", "      - pods\n", "      - pods\n      - pods/log\n", "anything: ['@keys', '@shells', '@nodes', configmaps, pods/log]", where=INTENT),
    fault("namespace-in-no-group", "RBC203", INTENT, "tenants: [tenant-a, tenant-b]", "tenants: [tenant-a]", "name: tenant-b", where=f"{OTHER}/namespace.yaml"),
    fault("account-in-no-row", "RBC203", "clusters/base/tenants/tenant-a/apps/serviceaccount.yaml", "  name: podinfo\n", "  name: web\n", "  name: web"),
    fault("administrator-who-is-none", "RBC204", INTENT, "      - sa:promtail/flux-promtail\n      - sa:sealed-secrets/flux-sealed-secrets\n      - sa:vault", "      - sa:promtail/flux-promtail\n      - sa:loki/flux-loki\n      - sa:sealed-secrets/flux-sealed-secrets\n      - sa:vault", "      - sa:promtail/flux-promtail\n      - sa:loki/flux-loki"),
    fault("reason-for-what-nobody-has", "RBC204", f"{BASE}/kube-prometheus-stack/controllers/prometheus-operator.clusterrole.yaml", "      - secrets\n    resourceNames", "      - configmaps\n    resourceNames", "  - subjects: ['sa:monitoring/kube-prometheus-stack-operator']", where=INTENT),
)
ODD = (
    fault("binding-to-no-role", "RBC301", f"{TENANT}/developer.rolebinding.yaml", "  name: developer\nsubjects", "  name: developers\nsubjects", "  name: developers"),
    fault("account-that-is-not-there", "RBC302", f"{TENANT}/flux.rolebinding.yaml", "    name: flux-tenant-a\n", "    name: flux-tenant-c\n", "subjects:\n  - kind: ServiceAccount"),
    fault("role-of-nobody", "RBC303", f"{TENANT}/vault-issued-reader.rolebinding.yaml", "  kind: Role\n  name: vault-issued-reader\n", "  kind: Role\n  name: vault-token-issuer\n", "name: vault-issued-reader", where=f"{TENANT}/vault-issued-reader.role.yaml"),
    fault("rights-for-the-default-account", "RBC304", f"{OTHER}/flux.rolebinding.yaml", "    name: flux-tenant-b\n", "    name: default\n", "subjects:\n  - kind: ServiceAccount"),
    fault("everyone-is-an-auditor", "RBC305", f"{ACCESS}/auditor.clusterrolebinding.yaml", "name: plimsoll:auditors", "name: system:authenticated", "subjects:\n  - apiGroup: rbac.authorization.k8s.io"),
    fault("aggregation-of-nothing", "RBC306", f"{ACCESS}/auditor.clusterrole.yaml", "aggregate-to-auditor", "aggregate-to-auditors", "- matchLabels:"),
    fault("resource-in-the-singular", "RBC307", VIEW, "- controllerrevisions", "- controllerrevision", "rules:\n  - apiGroups:\n      - apps\n    resources:"),
    fault("name-with-create", "RBC307", f"{TENANT}/vault-token-issuer.role.yaml", "      - serviceaccounts/token\n", "      - serviceaccounts\n", "    resourceNames:"),
    fault("subject-of-no-kind", "RBC308", f"{OTHER}/developer.rolebinding.yaml", "kind: Group", "kind: Team", "subjects:\n  - apiGroup: rbac.authorization.k8s.io"),
)
LEADING = (
    fault("auditors-alter-what-is-admitted", "RBC401", f"{ACCESS}/view-cluster.clusterrole.yaml", "      - validatingwebhookconfigurations\n    verbs:\n", "      - validatingwebhookconfigurations\n    verbs:\n      - patch\n", "      - persistentvolumes\n" + NEXT),
    fault("developers-relabel-their-namespace", "RBC402", f"{ACCESS}/view-tenant.clusterrole.yaml", FIRST, "rules:\n  - apiGroups:\n      - ''\n    resources:\n      - namespaces\n    verbs:\n      - patch\n  - apiGroups:", "      - get\n  - apiGroups:", where=OPERATE),
)
# fmt: on
FAULTS = (*DANGEROUS, *INTENDED, *ODD, *LEADING)
UNSEEDED: dict[str, str] = {}
