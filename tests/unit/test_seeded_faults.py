# ruff: noqa: E501 - one fault a line
"""Every rule that our own tree can break is seen to catch it: one fault a line, seeded into a copy of the tree and reported at its line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness.rules import all_rules
from harness.suite import prove

sys.path.insert(0, str(Path(__file__).parent))
from seeded import CHARTS, Edit, Fault, Grounds, Link, Memory, Place, copy, fault

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND, COMPONENTS, TENANT = "clusters/kind", "clusters/base/components", "clusters/base/tenants/tenant-a"
BASE = "clusters/base/infrastructure"
CERT, FLUX, VAULT = f"{BASE}/cert-manager", f"{BASE}/flux", f"{BASE}/vault"
RELEASE, CHART = f"{CERT}/controllers/helmrelease.yaml", f"{CERT}/controllers/ocirepository.yaml"
BASELINE, VARS = f"{COMPONENTS}/namespace-baseline", f"{KIND}/cluster-vars.yaml"
ALERT, RECEIVER = f"{BASELINE}/alert.yaml", f"{FLUX}/receiver/receiver.yaml"
SOURCE, TENANT_SOURCE = f"{FLUX}/ocirepository.yaml", f"{TENANT}/namespace/ocirepository.yaml"
KS = f"{CERT}/ks.yaml"
POLICY, CONFIGMAP = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata:\n  name: podinfo\nspec:\n", f"{TENANT}/namespace/configmap.yaml"
IMAGES = (
    "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata:\n  name: podinfo\nspec:\n  image: ghcr.io/stefanprodan/podinfo\n  interval: 1h\n"
)
PAGER = "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\nmetadata:\n  name: pager\nspec:\n"
NOTICE = "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Alert\nmetadata:\n  name: notice\nspec:\n  providerRef:\n    name: pager\n"
SOPS = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  token: ENC[AES256_GCM,data:abc,iv:def,tag:ghi,type:str]\nsops:\n  version: 3.9.0\n  mac: ENC[AES256_GCM,data:jkl,type:str]\n"
GIT = "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: app\nspec:\n  interval: 10m\n  url: https://git.example.com/app\n  ref:\n    branch: main\n"
CATEGORIES = ("access", "certificates", "exceptions", "lifecycle", "load-balancing", "multi-tenancy", "secrets", "supply-chain", "workload")
PROMTAIL, STACK = f"{BASE}/promtail/controllers", f"{BASE}/kube-prometheus-stack/controllers"


# fmt: off
YML = (
    fault("duplicate-key", "YML101", f"{TENANT}/apps/service.yaml", "  type: ClusterIP\n", "  type: ClusterIP\n  type: NodePort\n", "type: NodePort"),
    fault("tab", "YML101", f"{TENANT}/apps/service.yaml", "  selector:\n    app", "  selector:\n\tapp", "\tapp"),
    fault("unclosed-bracket", "YML101", f"{TENANT}/apps/vaultauth.yaml", "allowedNamespaces:\n    - tenant-a", "allowedNamespaces: [tenant-a", "[tenant-a\n  kubernetes:"),
    fault("list-instead-of-object", "YML101", f"{TENANT}/apps/serviceaccount.yaml", None, "---\n- apiVersion: v1\n  kind: ServiceAccount\n", "- apiVersion: v1"),
    fault("schema-of-another-kind", "YML102", f"{TENANT}/apps/service.yaml", "---\n", "---\n# yaml-language-server: $schema=https://schemas.example.com/apps/deployment_v1.json\n", "_v1.json"),
    fault("no-instead-of-false", "YML103", f"{TENANT}/apps/serviceaccount.yaml", "Token: false", "Token: no", "Token: no"),
    fault("byte-order-mark", "YML104", f"{TENANT}/apps/serviceaccount.yaml", "---\n", "\ufeff---\n", "---"),
    fault("binary-file", "YML104", f"{TENANT}/apps/serviceaccount.yaml", "---\n", "\0---\n"),
    Fault("link-out-of-the-repository", "YML105", (Link(f"{TENANT}/apps/extra.yaml", "/etc/hosts"),), (Place(f"{TENANT}/apps/extra.yaml"),)),
    fault("nothing-but-a-comment", "YML106", f"{TENANT}/apps/service.yaml", None, "# later\n", "# later"),
)

KUS = (
    fault("resource-missing", "KUS101", f"{TENANT}/apps/kustomization.yaml", "- service.yaml", "- services.yaml", "- services.yaml"),
    fault("bases-in-a-circle", "KUS101", f"{TENANT}/apps/kustomization.yaml", "resources:\n", "resources:\n  - ../namespace\n", "- ../namespace", also=(Edit(f"{TENANT}/namespace/kustomization.yaml", "resources:\n", "resources:\n  - ../apps\n"),)),
    fault("unknown-kustomize-field", "KUS101", f"{TENANT}/apps/kustomization.yaml", "resources:\n", "namePrefixes: a\nresources:\n", "namePrefixes: a"),
    fault("patch-file-without-its-object", "KUS101", f"{KIND}/patches/tenant-a.yaml", "  name: tenant-a\n", "  name: tenant-c\n", "- path: patches/tenant-a.yaml", where=f"{KIND}/kustomization.yaml"),
    fault("patch-of-a-missing-path", "KUS101", f"{TENANT}/namespace/kustomization.yaml", "op: add\n        path: /spec/limits/0/default/cpu", "op: replace\n        path: /spec/limits/1/default/cpu", "must not eat the whole quota. In the same object, because the defaults of two would compete.\n  - target:"),
    fault("unreached-file", "KUS102", f"{TENANT}/apps/networkpolicy.yaml", None, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: x\nspec:\n  podSelector: {}\n", "apiVersion:", cluster=""),
    fault("line-forgotten", "KUS102", f"{TENANT}/apps/kustomization.yaml", "  - poddisruptionbudget.yaml\n", "", "---", where=f"{TENANT}/apps/poddisruptionbudget.yaml", cluster=""),
    fault("kustomization-file-deleted", "KUS103", "policies/networking/kustomization.yaml", "", None, "path: ./policies/networking", where=f"{BASE}/policies/policies-networking.ks.yaml"),
    fault("remote-base", "KUS104", f"{TENANT}/apps/kustomization.yaml", "resources:\n", "resources:\n  - https://github.com/stefanprodan/podinfo//kustomize?ref=6.9.2\n", "6.9.2"),
    fault("helm-charts", "KUS105", f"{TENANT}/apps/kustomization.yaml", "resources:\n", "helmCharts:\n  - name: podinfo\n    repo: https://stefanprodan.github.io/podinfo\nresources:\n", "- name: podinfo"),
    fault("common-labels", "KUS106", f"{TENANT}/apps/kustomization.yaml", "resources:\n", "commonLabels:\n  team: a\nresources:\n", "commonLabels:"),
    fault("labels-in-selectors", "KUS107", f"{TENANT}/apps/kustomization.yaml", "resources:\n", "labels:\n  - includeSelectors: true\n    pairs:\n      team: a\nresources:\n", "includeSelectors: true"),
    fault("no-hash-in-the-name", "KUS108", f"{VAULT}/configs/kustomization.yaml", "    options:\n", "    options:\n      disableNameSuffixHash: true\n", "Hash: true"),
    fault("patch-target-misspelt", "KUS109", f"{TENANT}/namespace/kustomization.yaml", "kind: LimitRange\n      name: defaults", "kind: LimitRange\n      name: limits", "would compete.\n  - target:"),
    fault("resource-listed-twice", "KUS110", f"{TENANT}/apps/kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - service.yaml\n", "  - service.yaml\n  - service.yaml"),
)


FLX_KUSTOMIZATIONS = (
    fault("no-timeout", "FLX101", KS, "  timeout: 10m\n", "", "spec:"),
    fault("neither-wait-nor-checks", "FLX101", KS, "  wait: true\n", "", "spec:"),
    fault("dependency-misspelt", "FLX102", KS, "name: prometheus-operator-crds", "name: prometheus-operator-crd", "- name: prometheus-operator-crd"),
    fault("dependencies-in-a-circle", "FLX102", f"{BASE}/prometheus-operator-crds/ks.yaml", "spec:\n", "spec:\n  dependsOn:\n    - name: cert-manager\n", "- name: cert-manager", and_at=(Place(KS, "- name: prometheus-operator-crds"),)),
    fault("dependency-does-not-wait", "FLX103", KS, "wait: true", "wait: false", "wait: false"),
    fault("wait-and-checks", "FLX104", KS, "  wait: true\n", "  wait: true\n  healthChecks:\n    - apiVersion: helm.toolkit.fluxcd.io/v2\n      kind: HelmRelease\n      name: cert-manager\n      namespace: cert-manager\n", "healthChecks:"),
    fault("folder-inside-another", "FLX105", f"{BASE}/policies/policies-networking.ks.yaml", "path: ./policies/networking", "path: ./policies", "path: ./policies/pod-security", where=f"{BASE}/policies/policies-pod-security.ks.yaml", and_at=tuple(Place(f"{BASE}/policies/policies-{each}.ks.yaml", f"path: ./policies/{each}") for each in CATEGORIES)),
    fault("definition-comes-later", "FLX106", f"{BASE}/sealed-secrets/ks.yaml", "  dependsOn:\n    - name: prometheus-operator-crds\n", "", "kind: PrometheusRule", where=f"{BASE}/sealed-secrets/controllers/prometheusrule.yaml", and_at=(Place(f"{BASE}/sealed-secrets/controllers/helmrelease.yaml", "apiVersion: helm.toolkit.fluxcd.io/v2"),)),
    fault("ready-before-anybody-looked", "FLX107", f"{FLUX}/ks.yaml", "      current: has(status.conditions) && status.conditions.exists(e, e.type == 'Synced' && e.status == 'True')\n", "      current: status.conditions.filter(e, e.type == 'Synced').all(e, e.status == 'True')\n", ".all(e, e.status == 'True')"),
    fault("variable-removed", "FLX108", VARS, "  LB_POOL: 172.18.255.200-172.18.255.250\n", "", "- ${LB_POOL}", where=f"{BASE}/metallb/configs/ipaddresspool.yaml"),
    fault("variable-misspelt", "FLX108", f"{BASE}/metallb/configs/ipaddresspool.yaml", "${LB_POOL}", "${LB_POOLS}", "${LB_POOLS}"),
    fault("acts-as-the-controller", "FLX109", KS, "  serviceAccountName: kustomize-controller\n", "", "spec:"),
    fault("remote-bases-allowed", "FLX109", f"{FLUX}/ks.yaml", "        - op: add\n          path: /spec/template/spec/containers/0/args/-\n          value: --no-remote-bases=true\n", "", "ref:", where=SOURCE),
    fault("source-of-another-namespace", "FLX109", f"{TENANT}/namespace/ks.yaml", "    name: plimsoll\n", "    name: flux-system\n    namespace: flux-system\n", "    namespace: flux-system"),
    fault("variables-unwatched", "FLX110", CONFIGMAP, "  labels:\n    reconcile.fluxcd.io/watch: Enabled\n", "", "- kind: ConfigMap", where=f"{TENANT}/namespace/ks.yaml"),
    fault("waits-for-its-applier", "FLX111", f"{TENANT}/namespace/ks.yaml", "  interval: 10m\n", "  interval: 10m\n  dependsOn:\n    - name: tenant-a\n      namespace: flux-system\n", "- name: tenant-a"),
    fault("receiver-across-namespaces", "FLX112", RECEIVER, "      name: flux-system\n", "      name: flux-system\n      namespace: monitoring\n", "namespace: monitoring"),
    fault("account-missing", "FLX113", f"{TENANT}/namespace/ks.yaml", "serviceAccountName: flux-tenant-a", "serviceAccountName: flux-tenant", "serviceAccountName: flux-tenant"),
    fault("depends-on-the-suspended", "FLX114", f"{BASE}/metallb/ks.yaml", "  wait: true\n", "  wait: true\n  suspend: true\n", "- name: metallb"),
    fault("expression-cut-off", "FLX115", f"{FLUX}/ks.yaml", "      current: has(status.conditions) && status", "      current: has(status.conditions && status", "      current:"),
    fault("check-without-namespace", "FLX131", f"{VAULT}/ks.yaml", "      name: vault-config\n      namespace: vault\n", "      name: vault-config\n", "- apiVersion: batch/v1"),
    fault("check-of-nothing", "FLX132", f"{VAULT}/ks.yaml", "      name: vault-config\n", "      name: vault-configure\n", "- apiVersion: batch/v1"),
    fault("check-of-a-stranger", "FLX133", f"{VAULT}/ks.yaml", "    - apiVersion: batch/v1\n      kind: Job\n      name: vault-config\n      namespace: vault\n", "    - apiVersion: apps/v1\n      kind: Deployment\n      name: grafana\n      namespace: monitoring\n", "- apiVersion: apps/v1"),
    fault("retries-less-often", "FLX134", KS, "retryInterval: 2m", "retryInterval: 2h", "retryInterval: 2h"),
    fault("keeps-what-is-gone", "FLX135", KS, "prune: true", "prune: false", "prune: false"),
    fault("forces", "FLX137", KS, "force: false", "force: true", "force: true"),
    fault("source-suspended", "FLX139", CHART, "spec:\n", "spec:\n  suspend: true\n", "suspend: true"),
    fault("no-variables", "FLX141", f"{BASE}/metallb/ks.yaml", "    substituteFrom:\n      - kind: ConfigMap\n        name: cluster-vars\n---", "    substitute: {}\n---", "postBuild:"),
    fault("encrypted-and-not-decrypted", "FLX142", CONFIGMAP, "---\n", f"---\n{SOPS}---\n", "stringData:"),
    fault("decryption-without-keys", "FLX143", KS, "spec:\n", "spec:\n  decryption:\n    provider: sops\n", "decryption:"),
    fault("two-kubeconfigs", "FLX144", f"{BASE}/access/ks.yaml", "spec:\n", "spec:\n  kubeConfig:\n    configMapRef:\n      name: a\n    secretRef:\n      name: b\n", "kubeConfig:"),
    fault("patch-of-nothing", "FLX145", f"{FLUX}/ks.yaml", "name: allow-scraping", "name: allow-metrics", "path: /spec/ingress\n          value: []\n    - target:"),
    fault("patch-of-a-cluster-of-nothing", "FLX145", f"{KIND}/patches/flux-network.yaml", "name: allow-egress-registries", "name: allow-egress-registry-x", "- target:"),
    fault("image-of-nothing", "FLX146", KS, "spec:\n", "spec:\n  images:\n    - name: nginx\n      newTag: 1.31.4\n", "- name: nginx"),
    fault("ignores-everywhere", "FLX147", KS, "spec:\n", "spec:\n  ignore:\n    - paths:\n        - /spec/replicas\n", "- paths:"),
    fault("ignores-no-pointer", "FLX148", KS, "spec:\n", "spec:\n  ignore:\n    - paths:\n        - spec.replicas\n      target:\n        kind: Deployment\n", "- spec.replicas"),
    fault("sync-moves-itself", "FLX149", f"{KIND}/kustomization.yaml", "patches:\n", "patches:\n  - target:\n      kind: Kustomization\n      name: flux-system\n    patch: |\n      - op: replace\n        path: /spec/path\n        value: ./clusters/staging\n", "value: ./clusters/staging"),
)

FLX_ORDER = (
    fault("namespace-comes-later", "FLX201", f"{BASE}/kube-prometheus-stack/ks.yaml", "    - name: node-exporter\n", "", "apiVersion: helm.toolkit.fluxcd.io/v2", where=f"{BASE}/kube-prometheus-stack/controllers/helmrelease.yaml"),
    fault("webhook-comes-later", "FLX202", f"{BASE}/metallb/ks.yaml", "  dependsOn:\n    - name: metallb\n", "", "name: default", where=f"{BASE}/metallb/configs/ipaddresspool.yaml", and_at=(Place(f"{BASE}/metallb/configs/l2advertisement.yaml", "name: default"),)),
    fault("secret-comes-later", "FLX203", f"{VAULT}/ks.yaml", "  dependsOn:\n    - name: vault\n", "", "- name: ca\n          secret:", where=f"{VAULT}/configs/job.yaml", and_at=(Place(f"{VAULT}/configs/cronjob.yaml", "- name: ca\n              secret:"),)),
    fault("runs-as-nobody", "FLX204", f"{TENANT}/apps/deployment.yaml", "serviceAccountName: podinfo", "serviceAccountName: podinfos", "serviceAccountName: podinfos"),
    fault("source-comes-later", "FLX205", f"{CERT}/controllers/kustomization.yaml", "  - ocirepository.yaml\n", "", "chartRef:", where=RELEASE, also=(Edit(f"{CERT}/configs/kustomization.yaml", "resources:\n", "resources:\n  - ../controllers/ocirepository.yaml\n"),)),
    fault("priority-class-unknown", "FLX206", f"{TENANT}/apps/deployment.yaml", "      serviceAccountName: podinfo\n", "      serviceAccountName: podinfo\n      priorityClassName: urgent\n", "priorityClassName: urgent"),
    fault("issuer-comes-later", "FLX207", f"{BASE}/metallb/ks.yaml", "    - name: cert-manager-config\n", "    - name: cert-manager\n", "issuerRef:", where=f"{BASE}/metallb/controllers/certificate.yaml"),
    fault("variables-come-later", "FLX208", f"{BASE}/access/ks.yaml", "spec:\n", "spec:\n  postBuild:\n    substituteFrom:\n      - kind: Secret\n        name: receiver-token\n", "- kind: Secret"),
    fault("makes-what-it-reads", "FLX209", CONFIGMAP, "", None, "- kind: ConfigMap", where=f"{TENANT}/namespace/ks.yaml", also=(Edit(f"{TENANT}/namespace/kustomization.yaml", "  - configmap.yaml\n", ""), Edit(f"{TENANT}/apps/configmap.yaml", None, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tenant-vars\ndata:\n  DOMAIN: example.com\n"), Edit(f"{TENANT}/apps/kustomization.yaml", "resources:\n", "resources:\n  - configmap.yaml\n"))),
    fault("definition-in-the-same-batch", "FLX210", f"{CERT}/controllers/kustomization.yaml", "resources:\n", "resources:\n  - ../configs/selfsigned.clusterissuer.yaml\n", "kind: ClusterIssuer", where=f"{CERT}/configs/selfsigned.clusterissuer.yaml", also=(Edit(f"{CERT}/configs/kustomization.yaml", "  - selfsigned.clusterissuer.yaml\n", ""),)),
    fault("account-comes-later", "FLX212", f"{VAULT}/configs/kustomization.yaml", "  - vault-config.serviceaccount.yaml\n", "", "serviceAccountName: vault-config", where=f"{VAULT}/configs/job.yaml", also=(Edit(f"{BASE}/access/configs/kustomization.yaml", "resources:\n", "resources:\n  - vault.serviceaccount.yaml\n"), Edit(f"{BASE}/access/configs/vault.serviceaccount.yaml", None, "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: vault-config\n  namespace: vault\n"))),
    fault("namespace-deleted", "FLX211", f"{BASE}/tempo/controllers/namespace.yaml", "", None, "---\napiVersion:", where=f"{BASE}/tempo/ks.yaml", also=(Edit(f"{BASE}/tempo/controllers/kustomization.yaml", "  - namespace.yaml\n", ""),), and_at=(Place(f"{BASE}/tempo/controllers/helmrelease.yaml", "---\napiVersion:"),)),
)

FLX_SOURCES = (
    fault("no-revision", "FLX301", f"{KIND}/flux-system/ocirepository.yaml", "  ref:\n    tag: kind\n", "", "spec:"),
    fault("range-of-revisions", "FLX302", SOURCE, "tag: v2.9.4", "semver: 2.x", "semver: 2.x"),
    fault("two-revisions", "FLX303", CHART, "    tag: v1.21.1\n", "    tag: v1.21.1\n    semver: 1.x\n", "tag: v1.21.1"),
    fault("no-tls", "FLX304", CHART, "spec:\n", "spec:\n  insecure: true\n", "insecure: true"),
    fault("field-of-another-type", "FLX305", f"{BASE}/promtail/controllers/helmrepository.yaml", "spec:\n", "spec:\n  provider: aws\n", "provider: aws"),
    fault("charts-from-oci-the-old-way", "FLX306", f"{BASE}/promtail/controllers/helmrepository.yaml", "url: https://grafana.github.io/helm-charts", "type: oci\n  url: oci://ghcr.io/grafana/helm-charts", "type: oci"),
    fault("tag-in-the-address", "FLX307", SOURCE, "/flux-manifests\n", "/flux-manifests:v2.9.4\n", ":v2.9.4"),
    fault("anybodys-signature", "FLX308", SOURCE, "    matchOIDCIdentity:\n      - issuer: ^https://token\\.actions\\.githubusercontent\\.com$\n        subject: ^https://github\\.com/fluxcd/flux2/\\.github/workflows/release\\.yaml@refs/tags/v2\\.9\\.4$\n", "", "verify:"),
    fault("unsigned-manifests", "FLX309", SOURCE, "  verify:\n    provider: cosign\n    matchOIDCIdentity:\n      - issuer: ^https://token\\.actions\\.githubusercontent\\.com$\n        subject: ^https://github\\.com/fluxcd/flux2/\\.github/workflows/release\\.yaml@refs/tags/v2\\.9\\.4$\n", "", "spec:"),
    fault("source-for-nobody", "FLX310", TENANT_SOURCE, "---\n", GIT + "---\n", "---\napiVersion:"),
    fault("source-misspelt", "FLX311", f"{BASE}/access/ks.yaml", "    name: flux-system\n  path", "    name: flux-systm\n  path", "sourceRef:"),
    fault("fetched-every-second", "FLX312", CHART, "interval: 12h", "interval: 1s", "interval: 1s"),
    fault("secret-nobody-makes", "FLX313", CHART, "spec:\n", "spec:\n  secretRef:\n    name: registry\n", "secretRef:"),
    fault("includes-nothing", "FLX314", TENANT_SOURCE, "---\n", GIT + "  include:\n    - repository:\n        name: library\n---\n", "- repository:"),
    fault("variable-for-nobody", "FLX401", VARS, "data:\n  # identity", "data:\n  COLOUR: blue\n  # identity", "COLOUR: blue"),
    fault("variable-with-a-dash", "FLX402", VARS, "data:\n  # identity", "data:\n  LB-POOL: blue\n  # identity", "LB-POOL: blue"),
    fault("variable-of-two-lines", "FLX403", VARS, "  DOMAIN: kind.example.com\n", "  DOMAIN: |\n    kind.example.com\n    example.com\n", "DOMAIN: |"),
    fault("optional-variables-nowhere", "FLX404", KS, "        name: cluster-vars\n", "        name: cluster-vars\n      - kind: ConfigMap\n        name: extra-vars\n        optional: true\n", "name: cluster-vars\n      - kind: ConfigMap"),
)

FLX_OTHERS = (
    fault("provider-misspelt", "FLX501", ALERT, "    name: alertmanager", "    name: alertmanger", "providerRef:"),
    fault("alert-about-nothing", "FLX502", CONFIGMAP, "---\n", f"---\n{NOTICE}  eventSources:\n    - kind: OCIRepository\n      name: nothing\n---\n", "- kind: OCIRepository"),
    fault("provider-without-address", "FLX503", CONFIGMAP, "---\n", f"---\n{PAGER}  type: alertmanager\n---\n", "spec:"),
    fault("alert-summary", "FLX504", CONFIGMAP, "---\n", f"---\n{NOTICE}  summary: plimsoll\n  eventSources:\n    - kind: Kustomization\n      name: '*'\n---\n", "summary: plimsoll"),
    fault("credentials-in-the-address", "FLX505", CONFIGMAP, "---\n", f"---\n{PAGER}  type: alertmanager\n  address: https://user:secret@alerts.example.com/\n---\n", "address:"),
    fault("receiver-without-secret", "FLX506", RECEIVER, "  secretRef:\n    name: receiver-token\n", "", "spec:"),
    fault("receiver-of-nothing", "FLX507", RECEIVER, "      name: flux-system\n", "      name: flux-systems\n", "- apiVersion"),
    fault("anybody-calls", "FLX508", RECEIVER, "type: generic-hmac", "type: generic", "type: generic"),
    fault("incidents-never-end", "FLX509", CONFIGMAP, "---\n", f"---\n{PAGER}  type: incident.io\n---\n{NOTICE}  eventSeverity: error\n---\n", "eventSeverity: error"),
    fault("provider-without-alert", "FLX510", CONFIGMAP, "---\n", f"---\n{PAGER}  type: alertmanager\n---\n", "---\napiVersion:"),
    fault("policy-of-no-images", "FLX601", CONFIGMAP, "---\n", f"---\n{POLICY}  imageRepositoryRef:\n    name: podinfo\n  policy:\n    semver:\n      range: 6.x\n---\n", "imageRepositoryRef:"),
    fault("policy-of-two-minds", "FLX602", CONFIGMAP, "---\n", f"---\n{IMAGES}---\n{POLICY}  imageRepositoryRef:\n    name: podinfo\n  policy:\n    semver:\n      range: 6.x\n    numerical:\n      order: asc\n---\n", "policy:"),
    fault("automation-without-author", "FLX603", CONFIGMAP, "---\n", "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata:\n  name: podinfo\nspec:\n  interval: 1h\n  sourceRef:\n    kind: GitRepository\n    name: app\n  git:\n    push:\n      branch: updates\n---\n", "git:"),
    fault("marker-of-no-policy", "FLX604", f"{TENANT}/apps/deployment.yaml", "podinfo:6.9.2", 'podinfo:6.9.2 # {"$imagepolicy": "tenant-a:podinfos"}', "imagepolicy", also=(Edit(CONFIGMAP, "---\n", f"---\n{POLICY}---\n"),)),
    fault("images-for-nobody", "FLX605", CONFIGMAP, "---\n", f"---\n{IMAGES}---\n", "---\napiVersion:"),
    fault("flux-undeclared", "FLX701", f"{KIND}/kustomization.yaml", "  - ../base/infrastructure/flux\n", "", "---\n# The sync root. It does not wait for what it declares: its children report for themselves, and a sealed Vault must not hold up a fix.\napi", where=f"{KIND}/flux-system/ks.yaml", also=(Edit(f"{KIND}/kustomization.yaml", "  - path: patches/flux-network.yaml\n", ""),)),
    fault("insecure-switch", "FLX702", f"{FLUX}/ks.yaml", "value: --no-remote-bases=true", "value: --insecure-kubeconfig-exec=true", "value: --insecure-kubeconfig-exec=true"),
    fault("substitution-not-strict", "FLX703", f"{FLUX}/ks.yaml", "StrictPostBuildSubstitutions=true", "StrictPostBuildSubstitutions=false", "StrictPostBuildSubstitutions=false"),
    fault("artifact-without-its-gate", "FLX704", f"{BASE}/access/ks.yaml", "kind: OCIRepository", "kind: ExternalArtifact", "sourceRef:"),
    fault("shard-of-nobody", "FLX705", KS, "  labels:\n", "  labels:\n    sharding.fluxcd.io/key: one\n", "key: one"),
    fault("two-owners", "FLX801", "policies/networking/kustomization.yaml", "resources:\n", "resources:\n  - ../pod-security/require-run-as-non-root.yaml\n", "---\napi", where="policies/pod-security/require-run-as-non-root.yaml"),
    fault("no-namespace", "FLX802", f"{CERT}/configs/certificate.yaml", "  namespace: cert-manager\n", "", "metadata:"),
    fault("namespace-of-a-cluster-object", "FLX803", f"{CERT}/configs/selfsigned.clusterissuer.yaml", "  name: selfsigned\n", "  name: selfsigned\n  namespace: cert-manager\n", "namespace: cert-manager"),
    fault("label-flux-does-not-know", "FLX804", f"{VAULT}/configs/persistentvolumeclaim.yaml", "prune: disabled", "prune: false", "prune: false"),
    fault("never-applied", "FLX805", f"{VAULT}/configs/job.yaml", "    kustomize.toolkit.fluxcd.io/force: enabled\n", "    kustomize.toolkit.fluxcd.io/force: enabled\n    kustomize.toolkit.fluxcd.io/reconcile: disabled\n", "reconcile: disabled"),
    fault("version-of-the-server", "FLX807", f"{TENANT}/apps/service.yaml", "  name: podinfo\n", "  name: podinfo\n  resourceVersion: '1'\n", "resourceVersion:"),
    fault("replicas-of-the-autoscaler", "FLX808", f"{TENANT}/apps/deployment.yaml", "spec:\n", "spec:\n  replicas: 2\n", "replicas: 2"),
    fault("job-that-cannot-change", "FLX809", f"{VAULT}/configs/job.yaml", "    kustomize.toolkit.fluxcd.io/force: enabled\n", "    example.com/force: enabled\n", "metadata:"),
    fault("job-that-vanishes", "FLX810", f"{VAULT}/configs/job.yaml", "# Brings Vault to the state that the script describes, over and over: a finished Job disappears after half an hour and Flux makes the next one,\n# so what somebody changed by hand does not last. Until Vault is unsealed and the login exists it waits.\n", "", "ttlSecondsAfterFinished: 1800"),
    fault("volume-may-be-pruned", "FLX811", f"{VAULT}/configs/persistentvolumeclaim.yaml", "    kustomize.toolkit.fluxcd.io/prune: disabled\n", "    example.com/keep: forever\n", "metadata:"),
    fault("volume-may-be-recreated", "FLX812", f"{VAULT}/configs/persistentvolumeclaim.yaml", "  annotations:\n", "  annotations:\n    kustomize.toolkit.fluxcd.io/force: enabled\n", "force: enabled"),
)


HLM = (
    fault("range-of-charts", "HLM101", CHART, "tag: v1.21.1", "semver: 1.x", "semver: 1.x"),
    fault("no-crds-policy", "HLM102", RELEASE, "  install:\n    crds: Skip\n", "  install:\n", "install:"),
    fault("retries-without-retrying", "HLM102", RELEASE, "      name: RetryOnFailure\n", "      name: RemediateOnFailure\n", "name: RemediateOnFailure\n      retryInterval: 2m"),
    fault("no-drift-detection", "HLM103", RELEASE, "    mode: enabled\n", "", "driftDetection:"),
    fault("ignores-all-of-spec", "HLM103", RELEASE, "- /webhooks/0/clientConfig/caBundle", "- /webhooks", "- /webhooks"),
    fault("makes-its-namespace", "HLM104", RELEASE, "  install:\n", "  install:\n    createNamespace: true\n", "createNamespace: true"),
    fault("value-misspelt", "HLM105", RELEASE, "    enableCertificateOwnerRef: false\n", "    enableCertificateOwnerReference: false\n", "enableCertificateOwnerReference: false", charts=True),
    fault("type-without-its-scheme", "HLM106", f"{PROMTAIL}/helmrepository.yaml", "  url:", "  type: oci\n  url:", "url:"),
    fault("registry-without-login", "HLM111", CHART, "oci://quay.io/jetstack/charts", "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/charts", "spec:"),
    fault("name-too-long", "HLM107", RELEASE, "  interval: 1h\n", "  releaseName: cert-manager-of-the-platform-that-is-called-plimsoll-for-short\n  interval: 1h\n", "releaseName:"),
    fault("state-left-behind", "HLM108", RELEASE, "  interval: 1h\n", "  targetNamespace: vault\n  interval: 1h\n", "targetNamespace: vault"),
    fault("definitions-never-upgraded", "HLM109", f"{BASE}/sealed-secrets/controllers/helmrelease.yaml", "crds: CreateReplace", "crds: Skip", "crds: Skip"),
    fault("post-renderer-of-nothing", "HLM110", f"{STACK}/helmrelease.yaml", "              name: kube-prometheus-stack-admission\n", "              name: kube-prometheus-stack-admissions\n", "- target:", charts=True),
    fault("two-charts", "HLM201", RELEASE, "  interval: 1h\n", "  chart:\n    spec:\n      chart: cert-manager\n      sourceRef:\n        kind: HelmRepository\n        name: jetstack\n  interval: 1h\n", "chart:"),
    fault("chart-source-misspelt", "HLM202", RELEASE, "    name: cert-manager\n  interval", "    name: cert-manger\n  interval", "chartRef:"),
    fault("values-without-the-key", "HLM203", f"{VAULT}/controllers/helmrelease.yaml", "  interval: 1h\n", "  valuesFrom:\n    - kind: ConfigMap\n      name: vault-seal\n  interval: 1h\n", "- kind: ConfigMap"),
    fault("values-from-nowhere", "HLM205", RELEASE, "  interval: 1h\n", "  valuesFrom:\n    - kind: ConfigMap\n      name: cert-manager-values\n  interval: 1h\n", "- kind: ConfigMap"),
    fault("release-acts-as-nobody", "HLM204", RELEASE, "serviceAccountName: flux-cert-manager", "serviceAccountName: flux-certmanager", "serviceAccountName: flux-certmanager"),
    fault("remediates-for-ever", "HLM301", RELEASE, "    cleanupOnFail: true\n    crds: Skip\n    strategy:\n      name: RetryOnFailure\n      retryInterval: 2m\n", "    cleanupOnFail: true\n    crds: Skip\n    strategy:\n      name: RemediateOnFailure\n    remediation:\n      retries: -1\n", "retries: -1"),
    fault("release-without-timeout", "HLM302", RELEASE, "  timeout: 10m\n", "", "spec:"),
    fault("helm-tests-on", "HLM303", RELEASE, "    enable: false\n", "    enable: true\n", "enable: true"),
    fault("check-switched-off", "HLM304", RELEASE, "  install:\n", "  install:\n    disableSchemaValidation: true\n", "disableSchemaValidation: true"),
    fault("release-suspended", "HLM305", RELEASE, "  interval: 1h\n", "  suspend: true\n  interval: 1h\n", "suspend: true"),
    fault("values-file-the-chart-lacks", "HLM401", f"{PROMTAIL}/helmrelease.yaml", "      version: 1.11.1\n", "      version: 1.11.1\n      valuesFiles:\n        - values-small.yaml\n", "version: 1.11.1", charts=True),
    fault("value-the-chart-refuses", "HLM402", RELEASE, "      timeoutSeconds: 10\n", "      timeoutSeconds: soon\n", "timeoutSeconds: soon", charts=True),
    fault("lock-stale", "HLM403", RELEASE, "      timeoutSeconds: 10\n", "      timeoutSeconds: 11\n", where="tests/lock/kind/cert-manager.cert-manager.json"),
    fault("lock-of-another-chart", "HLM403", CHART, "tag: v1.21.1", "tag: v1.21.0", "tag: v1.21.0"),
    fault("lock-tampered", "HLM403", "tests/lock/kind/metallb-system.metallb.json", '"name": "metallb:controller"', '"name": "metallb:control"', charts=True),
    fault("lock-deleted", "HLM403", "tests/lock/kind/metallb-system.metallb.json", "", None, charts=True),
    fault("resource-set-that-does-not-render", "HLM404", CONFIGMAP, "---\n", "---\napiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata:\n  name: apps\nspec:\n  inputs:\n    - app: podinfo\n  resourcesTemplate: |\n    apiVersion: v1\n    kind: ConfigMap\n    metadata:\n      name: << inputs.app | nothing >>\n---\n", "name: apps\nspec:"),
)

SCH = (
    fault("field-misspelt", "SCH101", f"{TENANT}/apps/deployment.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriod: 30", "terminationGracePeriod: 30"),
    fault("quantity-of-nothing", "SCH101", f"{TENANT}/apps/deployment.yaml", "memory: 128Mi", "memory: 128MiB", "memory: 128MiB"),
    fault("mount-without-volume", "SCH101", f"{TENANT}/apps/deployment.yaml", "            - name: data\n              mountPath: /data", "            - name: date\n              mountPath: /data", "- name: date"),
    fault("selector-of-other-pods", "SCH101", f"{TENANT}/apps/deployment.yaml", "    matchLabels:\n      app.kubernetes.io/name: podinfo", "    matchLabels:\n      app.kubernetes.io/name: podinfos", "template:\n    metadata:\n      labels:"),
    fault("schedule-of-no-day", "SCH101", f"{VAULT}/configs/cronjob.yaml", '"17 */6 * * *"', '"17 */6 * *"', "schedule:"),
    fault("unknown-kind", "SCH101", f"{TENANT}/apps/horizontalpodautoscaler.yaml", "apiVersion: autoscaling/v2\n", "apiVersion: autoscaling/v9\n", "kind: HorizontalPodAutoscaler"),
    fault("crd-not-installed", "SCH101", f"{TENANT}/apps/vaultauth.yaml", "kind: VaultAuth", "kind: VaultAuthentication", "kind: VaultAuthentication"),
    fault("object-without-namespace", "SCH103", f"{CERT}/configs/certificate.yaml", "  namespace: cert-manager\n", "", "metadata:"),
    fault("field-of-a-custom-resource", "SCH101", f"{BASE}/metallb/configs/ipaddresspool.yaml", "avoidBuggyIPs: true", "avoidBuggyIps: true", "avoidBuggyIps: true"),
    fault("field-of-a-patch-of-a-cluster", "SCH101", f"{KIND}/patches/tenant-a.yaml", "          insecure: true\n", "          insecured: true\n", "insecured: true"),
    fault("patch-of-a-json-path", "SCH101", f"{KIND}/patches/flux-network.yaml", "port: 5000", "port: 500000", "port: 500000"),
    fault("patch-of-an-artifact", "SCH101", f"{FLUX}/ks.yaml", "                      cpu: 20m\n", "                      cpu: 20 millis\n", "cpu: 20 millis"),
    fault("variable-of-another-type", "SCH101", VARS, "LB_POOL: 172.18.255.200-172.18.255.250", "LB_POOL: '17'", "${LB_POOL}", where=f"{BASE}/metallb/configs/ipaddresspool.yaml"),
    fault("value-that-renders-a-bad-field", "SCH101", RELEASE, "        memory: 64Mi\n", "        memory: 64MB\n", "memory: 64MB", charts=True),
    fault("value-in-a-patch-of-a-cluster", "SCH101", "clusters/staging/patches/grafana.yaml", "cpu: 200m", "cpu: 200 m", "cpu: 200 m", cluster="staging", charts=True),
    fault("cel-rule-of-a-definition", "SCH102", f"{FLUX}/receiver/receiver.yaml", "  secretRef:\n    name: receiver-token\n", "", "spec:"),
)

SEC = (
    fault("secret-in-git", "SEC101", CONFIGMAP, "---\n", "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  token: correct horse\n---\n", "stringData:"),
    fault("namespace-without-pod-security", "SEC103", f"{FLUX}/ks.yaml", "            pod-security.kubernetes.io/enforce: restricted\n", "", "ref:", where=SOURCE),
)

#: With a register of its own, a repository is judged by it (LIF301), not by the facts of the harness.
NO_REGISTER = Edit("tests/intent/lifecycle.yaml", "", None)
LIF = (
    fault("api-removed", "LIF101", f"{TENANT}/apps/poddisruptionbudget.yaml", "policy/v1\n", "policy/v1beta1\n", "apiVersion: policy/v1beta1"),
    fault("old-flux-api", "LIF103", RELEASE, "helm.toolkit.fluxcd.io/v2\n", "helm.toolkit.fluxcd.io/v2beta1\n", "apiVersion: helm.toolkit.fluxcd.io/v2beta1"),
    fault("version-without-definition", "LIF103", f"{TENANT}/apps/vaultauth.yaml", "secrets.hashicorp.com/v1beta1", "secrets.hashicorp.com/v2", "secrets.hashicorp.com/v2"),
    fault("api-deprecated", "LIF102", f"{TENANT}/apps/service.yaml", "---\n", "---\napiVersion: v1\nkind: Endpoints\nmetadata:\n  name: podinfo\n---\n", "apiVersion: v1"),
    fault("volume-type-gone", "LIF105", f"{TENANT}/apps/deployment.yaml", "          emptyDir:\n            sizeLimit: 64Mi\n", "          gitRepo:\n            repository: https://git.example.com/x\n", "gitRepo:"),
    fault("annotation-for-the-class", "LIF106", f"{TENANT}/apps/ingress.yaml", "  name: podinfo\n", "  name: podinfo\n  annotations:\n    kubernetes.io/ingress.class: nginx\n", "ingress.class: nginx"),
    fault("api-off-by-default", "LIF107", f"{TENANT}/apps/service.yaml", "---\n", "---\napiVersion: scheduling.k8s.io/v1alpha2\nkind: Workload\nmetadata:\n  name: podinfo\n---\n", "---\napiVersion:"),
    fault("chart-for-another-kubernetes", "LIF202", VARS, "KUBERNETES_VERSION: 1.36.4", "KUBERNETES_VERSION: 1.24.17", "tag:", where=f"{BASE}/grafana/controllers/ocirepository.yaml", charts=True, and_at=tuple(Place(f"{BASE}/{name}/controllers/ocirepository.yaml", "tag:") for name in ("ingress-nginx", "kube-prometheus-stack", "kyverno", "loki", "prometheus-operator-crds"))),
    fault("legacy-policy", "LIF203", "policies/pod-security/require-run-as-non-root.yaml", "---\n", "---\napiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: legacy\nspec:\n  rules: []\n---\n", "kind: ClusterPolicy"),
    fault("image-past-its-end", "LIF204", f"{TENANT}/apps/deployment.yaml", "ghcr.io/stefanprodan/podinfo:6.9.2", "docker.io/traefik/traefik:v3.6.1", "image: docker.io"),
    fault("kubernetes-past-its-end", "LIF205", VARS, "KUBERNETES_VERSION: 1.36.4", "KUBERNETES_VERSION: 1.33.4", "KUBERNETES_VERSION: 1.33.4", also=(NO_REGISTER,)),
    fault("flux-past-its-end", "LIF206", f"{FLUX}/ks.yaml", "    - target:\n        kind: Deployment\n        name: (helm|kustomize|notification)-controller\n", "    - target:\n        kind: Deployment\n        name: source-controller\n      patch: |\n        - op: replace\n          path: /metadata/labels/app.kubernetes.io~1version\n          value: v2.6.4\n    - target:\n        kind: Deployment\n        name: (helm|kustomize|notification)-controller\n", "value: v2.6.4", also=(NO_REGISTER,)),
)

REP = (
    fault("file-named-otherwise", "REP101", f"{TENANT}/apps/serviceaccount.yaml", "kind: ServiceAccount", "kind: ConfigMap", "---\napiVersion:"),
    fault("notes-among-manifests", "REP105", f"{TENANT}/apps/NOTES.md", None, "later\n", cluster=""),
    fault("variable-in-lower-case", "REP106", VARS, "data:\n  # identity", "data:\n  colour: blue\n  # identity", "colour: blue"),
)
# fmt: on

#: The families of the engines, each in a module of its own beside this one.
ENGINES = tuple(importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("faults_*.py")))
FAULTS = (
    *YML,
    *KUS,
    *FLX_KUSTOMIZATIONS,
    *FLX_ORDER,
    *FLX_SOURCES,
    *FLX_OTHERS,
    *HLM,
    *SCH,
    *SEC,
    *LIF,
    *REP,
    *(each for module in ENGINES for each in module.FAULTS),
)

#: The rules that no edit of our tree breaks, each with the reason.
UNSEEDED = {
    "FLX806": "kustomize refuses an object without a name before the rule could see it (KUS101)",
    "LIF104": "no definition that the charts install has a deprecated version",
    "LIF201": "no chart of ours is deprecated, and a chart is not ours to edit",
    **{rule: reason for module in ENGINES for rule, reason in module.UNSEEDED.items()},
}


@pytest.fixture(scope="session")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    cache = tmp_path_factory.mktemp("cache")
    found = Grounds(copy(tmp_path_factory.mktemp("copy")), copy(tmp_path_factory.mktemp("tree")), Memory(cache / "plimsoll"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setattr("harness.source.repository.parse", found.parse)
        yield found


def test_the_tree_itself_has_no_finding(grounds: Grounds) -> None:
    verdict = prove(grounds.untouched)
    assert [f"{finding.rule} {finding.location} {finding.found}" for finding in verdict.findings] == []


@pytest.mark.parametrize("seeded", [pytest.param(each, id=f"{each.rule}-{each.name}") for each in FAULTS])
def test_fault_is_reported_at_its_line(seeded: Fault, grounds: Grounds) -> None:
    if seeded.charts and CHARTS is None:
        pytest.skip("what the charts render changes: set PLIMSOLL_CHARTS to the folder that holds them")
    with grounds.seeded(seeded) as workspace:
        assert grounds.reported(workspace, seeded) == {place.location(workspace.root) for place in seeded.places}


def test_every_rule_has_a_fault_or_a_reason_for_none() -> None:
    rules = {rule.id for rule in all_rules() if rule.family != "REP"}
    assert rules - {each.rule for each in FAULTS} == UNSEEDED.keys()
