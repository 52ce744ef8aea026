# ruff: noqa: E501 - one fault a line
"""Faults about Pod Security and the supply chain, seeded into a copy of the tree: SEC5xx and SEC7xx."""

from __future__ import annotations

from typing import Final

from seeded import Fault, Place, fault

BASE: Final = "clusters/base/infrastructure"
TENANT: Final = "clusters/base/tenants/tenant-a"
DEPLOYMENT, VAULT = f"{TENANT}/apps/deployment.yaml", f"{BASE}/vault"
STACK: Final = f"{BASE}/kube-prometheus-stack/controllers/helmrelease.yaml"
DEFAULT: Final = f"{BASE}/cluster-baseline/configs/default/namespace.yaml"
LABELS: Final = "        labels:\n          toolkit.fluxcd.io/tenant: tenant-a\n"

# fmt: off
PODS: Final = (
    fault("escalation-allowed", "SEC501", DEPLOYMENT, "            allowPrivilegeEscalation: false\n", "            allowPrivilegeEscalation: true\n", "allowPrivilegeEscalation: true"),
    fault("volume-of-the-node", "SEC501", DEPLOYMENT, "          emptyDir:\n            sizeLimit: 64Mi\n", "          hostPath:\n            path: /var/lib\n", "hostPath:"),
    fault("keeps-its-capabilities", "SEC501", f"{VAULT}/configs/cronjob.yaml", "                capabilities:\n", "                capability:\n", "              securityContext:"),
    fault("operator-makes-a-root", "SEC501", STACK, "      prometheusSpec:\n", "      prometheusSpec:\n        securityContext:\n          runAsUser: 0\n", "runAsUser: 0", charts=True),
    fault("namespace-becomes-stricter", "SEC501", "clusters/base/components/namespace-privileged/kustomization.yaml", "          pod-security.kubernetes.io/enforce: privileged\n", "          pod-security.kubernetes.io/enforce: baseline\n", "---\napiVersion:", where=f"{BASE}/metallb/controllers/helmrelease.yaml", and_at=(Place(STACK, "---\napiVersion:"), Place(f"{BASE}/promtail/controllers/helmrelease.yaml", "- name: pods\n            hostPath:"))),
    fault("version-of-tomorrow", "SEC502", DEFAULT, "enforce-version: latest", "enforce-version: v1.99", "enforce-version: v1.99"),
    fault("level-nobody-knows", "SEC502", DEFAULT, "audit: restricted", "audit: strict", "audit: strict"),
    fault("label-misspelt", "SEC502", DEFAULT, "warn-version: latest", "warning-version: latest", "warning-version: latest"),
    fault("audits-less", "SEC503", DEFAULT, "audit: restricted", "audit: baseline", "audit: baseline"),
    fault("warns-about-the-past", "SEC503", DEFAULT, "warn-version: latest", "warn-version: v1.30", "warn-version: v1.30"),
    fault("enforces-less-than-it-could", "SEC504", f"{TENANT}/namespace/kustomization.yaml", LABELS, f"{LABELS}          pod-security.kubernetes.io/enforce: baseline\n", "enforce: baseline"),
)
# fmt: on

FAULTS: Final[tuple[Fault, ...]] = (*PODS,)
UNSEEDED: Final[dict[str, str]] = {}
