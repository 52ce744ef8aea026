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

INTENT, WORKFLOW = "tests/intent/supply-chain.yaml", ".github/workflows/release.yaml"
COMMIT: Final = "3d3c42e5aac5ba805825da76410c181273ba90b1"
FLOW: Final = (
    "on: push\npermissions: {}\njobs:\n  release:\n    runs-on: ubuntu-24.04\n    steps:\n"
    f"      - uses: actions/checkout@{COMMIT} # v7.0.1\n        with:\n          persist-credentials: false\n      - run: make\n"
)

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

SUPPLY: Final = (
    fault("image-in-capitals", "SEC701", DEPLOYMENT, "ghcr.io/stefanprodan/podinfo:6.9.2", "ghcr.io/stefanprodan/Podinfo:6.9.2", "image: ghcr.io"),
    fault("newest-image", "SEC702", DEPLOYMENT, "podinfo:6.9.2", "podinfo:latest", "image: ghcr.io"),
    fault("image-without-a-tag", "SEC702", f"{VAULT}/configs/job.yaml", "hashicorp/vault:2.0.4", "hashicorp/vault", "image: hashicorp/vault"),
    fault("image-of-a-stranger", "SEC703", DEPLOYMENT, "ghcr.io/stefanprodan/podinfo:6.9.2", "ghcr.io/mallory/podinfo:6.9.2", "image: ghcr.io"),
    fault("helper-of-a-stranger", "SEC703", DEPLOYMENT, "          command:\n", "          args:\n            - --helper=ghcr.io/mallory/helper:1.0.0\n          command:\n", "- --helper=ghcr.io/mallory/helper:1.0.0"),
    fault("digest-required", "SEC704", INTENT, "    reason: the tenants' example application\n    pin: tag\n", "    reason: the tenants' example application\n    pin: digest\n", "image: ghcr.io", where=DEPLOYMENT),
    fault("signature-required", "SEC704", INTENT, "    reason: the tenants' example application\n    pin: tag\n", "    reason: the tenants' example application\n    pin: signature\n", "image: ghcr.io", where=DEPLOYMENT),
    fault("two-versions-of-vault", "SEC705", f"{VAULT}/configs/cronjob.yaml", "hashicorp/vault:2.0.4", "hashicorp/vault:2.0.3", "image: hashicorp/vault", and_at=(Place(f"{VAULT}/controllers/helmrelease.yaml", "image: hashicorp/vault:2.0.4"),)),
    fault("never-pulled", "SEC706", DEPLOYMENT, "imagePullPolicy: IfNotPresent", "imagePullPolicy: Never", "imagePullPolicy: Never"),
    fault("chart-of-a-stranger", "SEC707", f"{BASE}/tempo/controllers/ocirepository.yaml", "oci://ghcr.io/grafana-community/helm-charts/tempo", "oci://ghcr.io/mallory/helm-charts/tempo", "url:"),
    fault("open-door", "SEC708", INTENT, "images:\n", "images:\n  - from: docker.io/mallory/\n    reason: somebody asked for it\n    pin: digest\n", "- from: docker.io/mallory/"),
    fault("exception-ran-out", "SEC708", INTENT, "until: \"2027-05-15\"", "until: \"2026-05-15\"", "until: \"2026-05-15\""),
    fault("exception-without-end", "SEC709", INTENT, "    until: \"2027-05-15\"\n", "", "- from: docker.io/bitnami/sealed-secrets-controller"),
    fault("no-list-of-publishers", "SEC709", INTENT, "", None),
    fault("action-by-tag", "SEC711", WORKFLOW, None, FLOW.replace(" # v7.0.1", "").replace(COMMIT, "v7"), "- uses: actions/checkout@v7"),
    fault("action-without-version", "SEC711", WORKFLOW, None, FLOW.replace(" # v7.0.1", ""), f"- uses: actions/checkout@{COMMIT}"),
    fault("token-may-everything", "SEC712", WORKFLOW, None, FLOW.replace("permissions: {}", "permissions: write-all"), "permissions: write-all"),
    fault("strangers-code", "SEC713", WORKFLOW, None, FLOW.replace("on: push", "on: pull_request_target").replace("persist-credentials: false", "ref: ${{ github.head_ref }}"), "ref: ${{ github.head_ref }}"),
    fault("title-is-run", "SEC714", WORKFLOW, None, FLOW.replace("make", "echo '${{ github.event.issue.title }}'"), "- run: echo"),
    fault("required-check-renamed", "SEC715", INTENT, "required_checks: [static]", "required_checks: [statics]", "required_checks:"),
    fault("required-check-can-be-skipped", "SEC715", ".github/workflows/static.yaml", "  pull_request:\n", "  pull_request:\n    paths: [clusters/**]\n", "    paths: [clusters/**]"),
    fault("workflow-cut-off", "SEC716", WORKFLOW, None, "on: push\npermissions: {}\n", "on: push"),
)
# fmt: on

FAULTS: Final[tuple[Fault, ...]] = (*PODS, *SUPPLY)
UNSEEDED: Final[dict[str, str]] = {}
