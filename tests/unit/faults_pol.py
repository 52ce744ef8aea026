# ruff: noqa: E501 - one fault a line
"""Faults against policies, their promotion, their exceptions, and against what they hold for (POL)."""

from __future__ import annotations

from seeded import Edit, fault

BASE, TENANT = "clusters/base/infrastructure", "clusters/base/tenants/tenant-a"
PODINFO, POOL = f"{TENANT}/apps/deployment.yaml", f"{BASE}/metallb/configs/ipaddresspool.yaml"
SECURITY, NETWORKING, EXCEPTIONS = "policies/pod-security", "policies/networking", "policies/exceptions"
HOST_PATH, NON_ROOT, SYSCTLS = f"{SECURITY}/disallow-host-path.yaml", f"{SECURITY}/require-run-as-non-root.yaml", f"{SECURITY}/restrict-sysctls.yaml"
NODE_PORTS, EXTERNAL_IPS = f"{NETWORKING}/disallow-node-ports.yaml", f"{NETWORKING}/disallow-external-ips.yaml"
PROMTAIL, NODE_EXPORTER = f"{EXCEPTIONS}/promtail.yaml", f"{EXCEPTIONS}/node-exporter.yaml"
PROMOTED, INTENT = "clusters/kind/patches/policies-networking.yaml", "tests/intent/policies.yaml"
CASES = "tests/data/policies"

# fmt: off
FILES = (
    fault("bracket-forgotten", "POL101", HOST_PATH, "!has(v.hostPath))", "!has(v.hostPath)", "- expression: variables.pod.?volumes"),
    fault("control-misspelt", "POL102", NODE_PORTS, "plimsoll.io/controls: NIST-SC-7", "plimsoll.io/controls: NIST SC-7", "plimsoll.io/controls:"),
    fault("denies-in-the-base", "POL103", SYSCTLS, "    - Audit", "    - Deny", "validationActions:"),
    fault("init-containers-forgotten", "POL104", NON_ROOT, "        + variables.pod.?initContainers.orValue([])\n", "", "name: containers\n      expression: >-"),
    fault("message-deleted", "POL105", EXTERNAL_IPS, "      message: >-\n        External IPs are not allowed. Remove spec.externalIPs; addresses come from a pool through type LoadBalancer.\n", "", "validations:\n    - expression"),
    fault("matches-everything", "POL106", NODE_PORTS, '          - ""\n        apiVersions:\n          - v1\n        operations:\n          - CREATE\n          - UPDATE\n        resources:\n          - services', "          - '*'\n        apiVersions:\n          - '*'\n        operations:\n          - CREATE\n          - UPDATE\n        resources:\n          - '*'", "resourceRules:\n      - apiGroups:"),
    fault("resource-in-the-singular", "POL107", NODE_PORTS, "          - services", "          - service", "- service"),
    fault("namespace-left-out", "POL108", HOST_PATH, "  matchConstraints:\n", "  matchConstraints:\n    namespaceSelector:\n      matchExpressions:\n        - key: kubernetes.io/metadata.name\n          operator: NotIn\n          values:\n            - legacy\n", "namespaceSelector:"),
    fault("case-deleted", "POL109", f"{CASES}/disallow-node-ports/denied/node-port.yaml", "#!", None, "validations:\n    - expression", where=NODE_PORTS, cluster="kind"),
)

PLATFORM = (
    fault("privileged-container", "POL201", PODINFO, "            allowPrivilegeEscalation: false\n", "            allowPrivilegeEscalation: false\n            privileged: true\n", "apiVersion:"),
    fault("image-of-an-unknown-publisher", "POL201", PODINFO, "ghcr.io/stefanprodan/podinfo", "ghcr.io/somebody/podinfo", "apiVersion:"),
    fault("host-of-another", "POL201", f"{TENANT}/apps/ingress.yaml", "    - host: podinfo.${DOMAIN}", "    - host: grafana.${DOMAIN}", "apiVersion:"),
    fault("pool-open-to-all", "POL201", POOL, "    namespaces:\n      - ingress-nginx\n", "", "apiVersion:"),
    fault("exception-withdrawn", "POL201", f"{EXCEPTIONS}/podinfo.yaml", "    - kind: ValidatingPolicy\n      name: disallow-secret-environment\n", "", "apiVersion:", where=PODINFO),
    fault("aggregated-role-held-to-the-rules-of-others", "POL201", "policies/access/restrict-node-rights.yaml", '"!has(object.aggregationRule)"', '"!has(object.aggregationRule) || object.metadata.name == \'developer\'"', "apiVersion:", where=f"{BASE}/access/configs/developer.clusterrole.yaml"),
    fault("audited-tag", "POL202", f"{EXCEPTIONS}/podinfo.yaml", "    - kind: ValidatingPolicy\n      name: require-image-digest\n", "", "apiVersion:", where=PODINFO),
    fault("policy-of-no-kind-here", "POL203", NODE_PORTS, '          - ""\n        apiVersions:', "          - networking.k8s.io\n        apiVersions:", "apiVersion:", cluster="", also=(Edit(NODE_PORTS, "          - services", "          - servicecidrs"),)),
    fault("reports-controller-loses-a-right", "POL204", f"{BASE}/kyverno/controllers/reports-controller-policies.clusterrole.yaml", "      - ipaddresspools\n", "      - ipaddresspoolz\n", "- ipaddresspools", where="policies/load-balancing/restrict-address-pools.yaml"),
    fault("promotion-lost", "POL205", PROMOTED, "        name: disallow-node-ports\n      patch: |\n        - op: replace\n          path: /spec/validationActions\n          value:\n            - Deny", "        name: disallow-node-ports\n      patch: |\n        - op: replace\n          path: /spec/validationActions\n          value:\n            - Audit", "name: disallow-node-ports\n      patch: |\n        - op: replace\n          path: /spec/validationActions\n          value:"),
    fault("namespace-open-to-accidents", "POL207", "policies/lifecycle/protect-namespaces.yaml", "in ['plimsoll', 'flux']", "in ['plimsoll']", "ref:", where=f"{BASE}/flux/ocirepository.yaml"),
    fault("table-says-otherwise", "POL206", "policies/README.md", "| Disallow node ports | medium | NIST-SC-7, NIST-CM-7 | Deny |", "| Disallow node ports | medium | NIST-SC-7, NIST-CM-7 | Audit |", "[disallow-node-ports]"),
)

HELD = (
    fault("exception-of-nobody", "POL301", PROMTAIL, "    plimsoll.io/owner: platform\n", "", "annotations:"),
    fault("exception-for-ever", "POL302", PROMTAIL, '  expiresAt: "2027-04-30T00:00:00Z"\n', "", "spec:"),
    fault("exception-that-has-ended", "POL302", NODE_EXPORTER, 'expiresAt: "2027-04-30', 'expiresAt: "2026-04-30', "expiresAt:"),
    fault("exception-for-everything", "POL303", NODE_EXPORTER, "        object.kind in", "        true || object.kind in", "- name: is-node-exporter"),
    fault("exception-that-nothing-needs", "POL304", NODE_EXPORTER, "      name: disallow-host-ports\n", "      name: disallow-host-ports\n    - kind: ValidatingPolicy\n      name: disallow-privilege-escalation\n", "name: disallow-host-ports\n    - kind: ValidatingPolicy"),
    fault("exception-where-nobody-reads-it", "POL305", NODE_EXPORTER, "  namespace: kyverno", "  namespace: node-exporter", "namespace: node-exporter"),
)
# fmt: on

FAULTS = (*FILES, *PLATFORM, *HELD)

#: The rules that no edit of our tree breaks, each with the reason.
UNSEEDED: dict[str, str] = {}
