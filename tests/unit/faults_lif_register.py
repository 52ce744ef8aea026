# ruff: noqa: E501 - one fault a line
"""Faults about lifecycles, seeded into a copy of the tree: what is pinned against the register, the register itself, what is stored and what is retired."""

from __future__ import annotations

from typing import Final

from seeded import Edit, Fault, fault

BASE: Final = "clusters/base/infrastructure"
TENANT: Final = "clusters/base/tenants/tenant-a"
REGISTER, VARS = "tests/intent/lifecycle.yaml", "clusters/kind/cluster-vars.yaml"
DEPLOYMENT, JOB = f"{TENANT}/apps/deployment.yaml", f"{BASE}/vault/configs/job.yaml"
KUBERNETES: Final = '      - {cycle: "1.36", ends: "2027-06-28"}\n'
PODINFO: Final = "  - component: podinfo\n"
CRD: Final = (
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: ships.example.com\nspec:\n  group: example.com\n"
    "  scope: Namespaced\n  names:\n    kind: Ship\n    plural: ships\n  versions:\n    - name: v1\n      served: true\n      deprecated: true\n      storage: true\n"
    "      schema:\n        openAPIV3Schema:\n          type: object\n"
)

# fmt: off
FAULTS: Final[tuple[Fault, ...]] = (
    fault("image-of-an-old-line", "LIF301", JOB, "hashicorp/vault:2.0.4", "hashicorp/vault:1.21.4", "image: hashicorp/vault"),
    fault("line-ends", "LIF301", REGISTER, '{cycle: "13.2", ends: "2027-05-18"}', '{cycle: "13.2", ends: "2026-11-23"}', "---\napiVersion:", where=f"{BASE}/grafana/controllers/helmrelease.yaml"),
    fault("next-line-is-out", "LIF301", REGISTER, '      - {cycle: "0.16", ends: false}\n', '      - {cycle: "0.17", ends: false}\n      - {cycle: "0.16", ends: false}\n', "---\napiVersion:", where=f"{BASE}/metallb/controllers/helmrelease.yaml"),
    fault("kubernetes-of-an-old-line", "LIF301", VARS, "KUBERNETES_VERSION: 1.36.4", "KUBERNETES_VERSION: 1.34.4", "KUBERNETES_VERSION: 1.34.4"),
    fault("line-ends-soon", "LIF302", REGISTER, KUBERNETES, KUBERNETES.replace("2027-06-28", "2027-01-28"), "KUBERNETES_VERSION: 1.36.4", where=VARS),
    fault("component-nobody-watches", "LIF303", REGISTER, "[stefanprodan/podinfo]", "[stefanprodan/podinf]", "image: ghcr.io", where=DEPLOYMENT),
    fault("line-nobody-watches", "LIF303", DEPLOYMENT, "podinfo:6.9.2", "podinfo:7.0.0", "image: ghcr.io"),
    fault("chart-nobody-watches", "LIF303", REGISTER, "    charts: [tempo]\n", "", "chartRef:", where=f"{BASE}/tempo/controllers/helmrelease.yaml"),
    fault("component-nobody-runs", "LIF304", REGISTER, PODINFO, f'  - component: Ship\n    images: [x/ship]\n    policy: none stated\n    source: https://ship.example.com\n    cycles:\n      - {{cycle: "1", ends: false}}\n{PODINFO}', "- component: Ship"),
    fault("register-of-last-year", "LIF305", REGISTER, 'checked: "2026-11-22"', 'checked: "2025-11-22"', 'checked: "2025-11-22"'),
    fault("policy-forgotten", "LIF306", REGISTER, "    policy: none; an example application, kept within its major\n", "", "- component: podinfo"),
    fault("no-register", "LIF306", REGISTER, "", None),
    fault("another-date", "LIF307", REGISTER, KUBERNETES, KUBERNETES.replace("2027-06-28", "2027-06-30"), 'cycle: "1.36"'),
    fault("stored-in-an-old-version", "LIF308", f"{BASE}/access/configs/kustomization.yaml", "resources:\n", "resources:\n  - ships.crd.yaml\n", "      storage: true", where=f"{BASE}/access/configs/ships.crd.yaml", also=(Edit(f"{BASE}/access/configs/ships.crd.yaml", None, CRD),)),
    fault("annotation-of-a-retired-controller", "LIF309", f"{TENANT}/apps/ingress.yaml", "  name: podinfo\n", "  name: podinfo\n  annotations:\n    nginx.ingress.kubernetes.io/force-ssl-redirect: 'true'\n", "nginx.ingress.kubernetes.io/force-ssl-redirect: 'true'"),
)
# fmt: on

UNSEEDED: Final[dict[str, str]] = {}
