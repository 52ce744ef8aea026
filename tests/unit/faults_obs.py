# ruff: noqa: E501 - one fault a line
"""Faults against what is scraped, asked, told and shown (OBS)."""

from __future__ import annotations

from pathlib import Path

from seeded import Edit, Place, fault

BASE, TENANT = "clusters/base/infrastructure", "clusters/base/tenants/tenant-a"
STACK = f"{BASE}/kube-prometheus-stack/controllers/helmrelease.yaml"
FLUX_MONITOR, PODINFO_MONITOR = f"{BASE}/flux/configs/podmonitor.yaml", f"{TENANT}/apps/servicemonitor.yaml"
PODINFO_SERVICE, PODINFO = f"{TENANT}/apps/service.yaml", f"{TENANT}/apps/deployment.yaml"
INTENT, METRICS = "tests/intent/telemetry.yaml", "tests/intent/metrics.yaml"
RULES = f"{BASE}/kube-prometheus-stack/configs"
CERT_RULES, VAULT_RULES, FLUX_RULES = (f"{BASE}/{path}/prometheusrule.yaml" for path in ("cert-manager/configs", "vault/configs", "flux/configs"))
NODE_RULES, PODINFO_RULES = f"{RULES}/kubernetes.prometheusrule.yaml", f"{RULES}/podinfo.prometheusrule.yaml"
BOARDS, SOURCES = f"{BASE}/grafana/controllers/dashboards", f"{BASE}/grafana/controllers/provisioning/data-sources.yaml"
ROOT = Path(__file__).parents[2]
#: Every other file of rules.
OTHER_RULES = tuple(
    Place(str(path.relative_to(ROOT)), "metadata:") for path in sorted((ROOT / BASE).rglob("*prometheusrule.yaml")) if path != ROOT / VAULT_RULES
)

# fmt: off
SCRAPING = (
    fault("monitor-selects-a-label-of-nothing", "OBS101", PODINFO_MONITOR, "app.kubernetes.io/name: podinfo\n  endpoints", "app.kubernetes.io/name: podinfoo\n  endpoints", "endpoints:\n    -"),
    fault("pod-monitor-of-a-port-that-is-not-there", "OBS101", FLUX_MONITOR, "port: http-prom", "port: http-prometheus", "podMetricsEndpoints:\n    -"),
    fault("prometheus-wants-a-label", "OBS102", STACK, "podMonitorSelectorNilUsesHelmValues: false", "podMonitorSelectorNilUsesHelmValues: true", "metadata:", where=FLUX_MONITOR, charts=True),
    fault("same-port-twice", "OBS103", PODINFO_MONITOR, "    - port: http-metrics\n", "    - port: http-metrics\n    - port: http-metrics\n", "    - port: http-metrics\n    - port: http-metrics"),
    fault("metrics-port-loses-its-monitor", "OBS104", PODINFO_MONITOR, "app.kubernetes.io/name: podinfo\n  endpoints", "app.kubernetes.io/name: podinfoo\n  endpoints", "- name: http-metrics", where=PODINFO),
    fault("token-of-a-secret-nobody-makes", "OBS105", PODINFO_MONITOR, "path: /metrics", "path: /metrics\n      bearerTokenSecret:\n        name: token\n        key: token", "bearerTokenSecret:"),
    fault("file-that-prometheus-has-not", "OBS105", PODINFO_MONITOR, "path: /metrics", "path: /metrics\n      tlsConfig:\n        caFile: /etc/prometheus/secrets/ca/ca.crt", "caFile: /etc/prometheus/secrets/ca/ca.crt"),
    fault("relabelling-without-a-target", "OBS106", FLUX_MONITOR, "targetLabel: controller_name", "action: replace", "- sourceLabels:"),
    fault("required-job-renamed", "OBS107", f"{TENANT}/apps/service.yaml", "name: podinfo\n", "name: podinfo-web\n", "- job: podinfo", where=INTENT),
    fault("flux-controller-no-longer-scraped", "OBS107", FLUX_MONITOR, "app.kubernetes.io/part-of: flux", "app: source-controller", "- Deployment/flux-system/helm-controller", where=INTENT, and_at=(Place(INTENT, "- Deployment/flux-system/kustomize-controller"), Place(INTENT, "- Deployment/flux-system/notification-controller"))),
    fault("intent-misspelt", "OBS109", INTENT, "    - job: cainjector", "    - jobb: cainjector", "    - jobb: cainjector"),
)

EXPRESSIONS = (
    fault("bracket-forgotten", "OBS201", CERT_RULES, "time() < 7 * 86400", "time( < 7 * 86400", "time( < 7"),
    fault("series-of-another-exporter", "OBS202", VAULT_RULES, "vault_core_unsealed", "vault_core_sealed", "vault_core_sealed"),
    fault("recording-rule-renamed", "OBS202", PODINFO_RULES, "record: slo:podinfo_availability:ratio_rate6h", "record: slo:podinfo_availability:ratio_rate12h", "alert: PodinfoErrorBudgetBurns\n          expr: >-", where=PODINFO_RULES),
    fault("label-of-another-series", "OBS203", NODE_RULES, 'rcode="SERVFAIL"', 'code="SERVFAIL"', "alert: CoreDnsErrorsHigh\n          expr: >-"),
    fault("job-misspelt", "OBS203", f"{RULES}/loki.prometheusrule.yaml", 'job="loki/loki"', 'job="loki"', 'job="loki"'),
    fault("read-and-thrown-away", "OBS204", STACK, "regex: (apiserver_(request_(sli", "regex: (apiserver_(client_certificate_expiration|request_(sli", "alert: ClientCertificateExpiring\n          expr: >-", where=NODE_RULES, charts=True),
    fault("rate-of-a-gauge", "OBS205", VAULT_RULES, "min by (pod) (vault_core_unsealed) == 0", "min by (pod) (rate(vault_core_unsealed[5m])) == 0", "rate(vault_core_unsealed"),
    fault("label-aggregated-away", "OBS206", FLUX_RULES, "sum by (controller) (rate(controller_runtime", "sum by (job) (rate(controller_runtime", "summary: Flux keeps failing to reconcile", where=FLUX_RULES),
    fault("recorded-twice", "OBS207", f"{RULES}/observability-recording.prometheusrule.yaml", "record: cluster:prometheus_tsdb_head_series:sum", "record: job:up:ratio\n          labels: {}", "(up)'\n        - record: job:up:ratio"),
    fault("image-newer-than-the-list", "OBS208", PODINFO, "podinfo:6.9.2", "podinfo:6.10.0", "podinfo:\n    version: 6.9.2", where=METRICS),
    fault("alert-never-seen-to-fire", "OBS209", "tests/data/alerts/vault.test.yaml", "alertname: VaultSealed\n        exp_alerts:", "alertname: VaultSealed\n        was:", "alert: VaultSealed", where=VAULT_RULES),
    fault("sum-of-what-may-not-be-there", "OBS212", f"{RULES}/opentelemetry.prometheusrule.yaml", "failed_spans[5m])) > 0 or sum by (exporter)\n", "failed_spans[5m])) + sum by (exporter)\n", "alert: OpenTelemetryExportFailing\n          expr"),
    fault("window-of-one-scrape", "OBS211", CERT_RULES, "(certmanager_http_acme_client_request_count{status=~\"4..|5..\"}[1h])", "(certmanager_http_acme_client_request_count{status=~\"4..|5..\"}[1m])", "[1m]"),
)

ALERTS = (
    fault("severity-left-out", "OBS301", VAULT_RULES, "          labels:\n            severity: critical\n", "", "alert: VaultAbsent", where=VAULT_RULES),
    fault("runbook-without-its-chapter", "OBS302", VAULT_RULES, "runbooks.md#vaultsealed", "runbooks.md#vault-sealed", "runbooks.md#vault-sealed"),
    fault("chapter-renamed", "OBS302", "docs/runbooks.md", "### VaultSealed", "### VaultIsSealed", "runbooks.md#vaultsealed", where=VAULT_RULES),
    fault("alert-named-like-another", "OBS303", VAULT_RULES, "alert: VaultNoLeader", "alert: VaultSealed", "runbooks.md#vaultsealed\n        - alert: VaultSealed"),
    fault("for-that-is-no-duration", "OBS303", VAULT_RULES, "for: 2m", "for: 2 minutes", "for: 2 minutes"),
    fault("silence-that-nobody-allows", "OBS304", INTENT, "severity: info", "severity: nothing", "alert: ResourceQuotaAlmostUsed", where=NODE_RULES, and_at=(Place(NODE_RULES, "alert: FluxObjectSuspended"),)),
    fault("receiver-misspelt", "OBS305", STACK, "            - receiver: team-platform-urgent\n", "            - receiver: team-platform-urgnt\n", "            - receiver: team-platform-urgnt", charts=True),
    fault("inhibition-of-nothing", "OBS305", STACK, 'alertname = "NodeNotReady"', 'alertname = "NodeDown"', "takes its targets with it.\n          - source_matchers:", charts=True),
    fault("required-alert-renamed", "OBS306", VAULT_RULES, "alert: VaultSealed", "alert: VaultIsSealed", "- alert: VaultSealed", where=INTENT),
    fault("critical-that-wakes-nobody", "OBS306", f"{RULES}/kubernetes.prometheusrule.yaml", "severity: critical", "severity: warning", "- alert: NodeNotReady", where=INTENT),
    fault("dead-man-repeated-twice-a-day", "OBS307", STACK, "repeat_interval: 5m", "repeat_interval: 12h", "group_interval: 1m\n              repeat_interval: 12h", charts=True),
    fault("dead-man-that-may-fall-silent", "OBS307", f"{RULES}/prometheus.prometheusrule.yaml", "expr: vector(1)", "expr: up == 1", "expr: up == 1"),
    fault("alertmanager-switched-off", "OBS308", STACK, "    alertmanager:\n      podDisruptionBudget:", "    alertmanager:\n      enabled: false\n      podDisruptionBudget:", "---\napiVersion:", charts=True),
    fault("rules-by-label-of-the-release", "OBS309", STACK, "ruleSelectorNilUsesHelmValues: false", "ruleSelectorNilUsesHelmValues: true", "metadata:", where=VAULT_RULES, charts=True, and_at=OTHER_RULES),
)

DASHBOARDS = (
    fault("scrape-blocked", "OBS108", f"{TENANT}/namespace/allow-prometheus-to-podinfo-9797.networkpolicy.yaml", "port: 9797", "port: 9898", "endpoints:\n    -", where=PODINFO_MONITOR),
    fault("dashboard-cut-off", "OBS601", f"{BOARDS}/platform/vault.json", '"schemaVersion": 41,', '"schemaVersion": 41,,', "{", cluster="kind", charts=True),
    fault("uid-with-a-blank", "OBS601", f"{BOARDS}/platform/vault.json", '"uid": "vault"', '"uid": "the vault"', '"uid": "the vault"'),
    fault("uid-of-another", "OBS602", f"{BOARDS}/platform/vault.json", '"uid": "vault"', '"uid": "metallb"', '"uid": "metallb"'),
    fault("source-by-hand", "OBS603", f"{BOARDS}/platform/flux.json", '"uid": "${datasource}"\n     },\n     "expr"', '"uid": "thanos"\n     },\n     "expr"', '"uid": "thanos"\n     },\n     "expr": "', cluster="kind"),
    fault("variable-misspelt", "OBS604", f"{BOARDS}/applications/podinfo.json", '=~\\"$service\\"', '=~\\"$servce\\"', '$servce'),
    fault("series-misspelt", "OBS605", f"{BOARDS}/observability/tempo.json", "tempodb_blocklist_length", "tempo_blocklist_length", "tempo_blocklist_length"),
    fault("cluster-by-name", "OBS606", f"{BOARDS}/observability/prometheus.json", "count(up == 0)", 'count(up{cluster=\\"production\\"} == 0)', 'production'),
    fault("folder-not-mounted", "OBS607", f"{BASE}/grafana/controllers/helmrelease.yaml", "      observability: grafana-dashboards-observability\n", "", "{", where=f"{BOARDS}/observability/grafana.json", charts=True),
    fault("source-on-another-port", "OBS608", SOURCES, "http://tempo.tempo.svc:3200", "http://tempo.tempo.svc:3100", "http://tempo.tempo.svc:3100"),
    fault("dashboard-left-out", "OBS609", f"{BASE}/grafana/controllers/kustomization.yaml", "      - dashboards/platform/vault.json\n", "", "- uid: vault\n", where=INTENT, charts=True),
    fault("source-behind-a-wall", "OBS610", f"{BASE}/grafana/controllers/allow-egress-data-sources.networkpolicy.yaml", "port: 3200", "port: 3201", "http://tempo.tempo.svc:3200", where=SOURCES),
)
# fmt: on
FAULTS = (*SCRAPING, *EXPRESSIONS, *ALERTS, *DASHBOARDS)
UNSEEDED: dict[str, str] = {}
__all__ = ["FAULTS", "UNSEEDED", "Edit"]
