# ruff: noqa: E501 - one fault a line
"""Faults against log pipelines, the store's limits, the collector and the ways between signals (OBS4xx, OBS5xx)."""

from __future__ import annotations

from seeded import Place, fault

BASE = "clusters/base/infrastructure"
PROMTAIL, COLLECTOR, LOKI = (f"{BASE}/{name}/controllers/helmrelease.yaml" for name in ("promtail", "opentelemetry", "loki"))
SOURCES = f"{BASE}/grafana/controllers/provisioning/data-sources.yaml"
INTENT = "tests/intent/telemetry.yaml"

# fmt: off
FAULTS = (
    fault("stage-misspelt", "OBS401", PROMTAIL, "                - cri: {}\n", "                - crii: {}\n", "- crii: {}", charts=False),
    fault("pattern-that-is-none", "OBS401", PROMTAIL, "firstline: ^[^[:space:]]", "firstline: ^[^[:space:]", "firstline: ^[^[:space:]"),
    fault("credentials-no-longer-replaced", "OBS402", PROMTAIL, "(hv[sbr][.]", "(xv[sbr][.]", "- line: 'unsealed with hvs.CAESIJabcdefghijklmnopqrstuvwxyz'", where=INTENT),
    fault("probes-shipped-again", "OBS402", PROMTAIL, "(GET|HEAD) /(healthz|", "(GET|HEAD) /(health|", '- line: \'10.244.0.1 - - [23/Nov/2026:10:00:02 +0000] "GET /healthz HTTP/1.1" 200 19\'', where=INTENT),
    fault("stack-traces-torn-apart", "OBS402", PROMTAIL, '{namespace=~"tenant-.+|vault|kyverno"}', '{namespace=~"tenants-.+|vault|kyverno"}', '- line: "panic: boom', where=INTENT),
    fault("pod-becomes-a-label", "OBS403", PROMTAIL, "                    - filename\n                    - pod\n", "                    - filename\n", "target_label: pod"),
    fault("namespace-without-a-sample", "OBS404", INTENT, "    - workload: Deployment/sealed-secrets/sealed-secrets-controller\n", "    - workload: Deployment/cert-manager/cert-manager-webhook\n", where=INTENT),
    fault("retention-that-nothing-enforces", "OBS405", LOKI, "        retention_enabled: true\n", "        retention_enabled: false\n", "retention_period: ${LOKI_RETENTION}", charts=True),
    fault("client-of-another-port", "OBS406", PROMTAIL, "http://loki.loki.svc:3100/", "http://loki.loki.svc:3101/", "- url: http://loki.loki.svc:3101/loki/api/v1/push"),
    fault("ended-pods-not-read", "OBS407", PROMTAIL, "                # A pod may opt out.\n", "                - source_labels: [__meta_kubernetes_pod_phase]\n                  regex: Succeeded|Failed\n                  action: drop\n", "- source_labels: [__meta_kubernetes_pod_phase]"),
    fault("exporter-that-nobody-declares", "OBS501", COLLECTOR, "              - otlp_grpc/tempo\n", "              - otlp_grpc/tempoo\n", "- otlp_grpc/tempoo"),
    fault("file-that-is-not-mounted", "OBS501", COLLECTOR, "ca_file: /etc/otelcol/ca/ca.crt", "ca_file: /etc/otelcol/ca.crt", "ca_file: /etc/otelcol/ca.crt"),
    fault("batch-before-the-limiter", "OBS502", COLLECTOR, "            processors:\n              - memory_limiter\n              - k8s_attributes\n", "            processors:\n              - k8s_attributes\n              - memory_limiter\n", "- memory_limiter"),
    fault("exporter-of-another-port", "OBS503", COLLECTOR, "endpoint: tempo.tempo.svc:4317", "endpoint: tempo.tempo.svc:4318", "endpoint: tempo.tempo.svc:4318"),
    fault("policy-lets-no-span-through", "OBS503", f"{BASE}/tempo/controllers/allow-opentelemetry-to-tempo-4317.networkpolicy.yaml", "port: 4317", "port: 4318", "endpoint: tempo.tempo.svc:4317", where=COLLECTOR),
    fault("receiver-on-localhost", "OBS504", COLLECTOR, "endpoint: 0.0.0.0:4317", "endpoint: localhost:4317", "endpoint: localhost:4317"),
    fault("ingress-traces-to-nobody", "OBS505", f"{BASE}/ingress-nginx/controllers/helmrelease.yaml", "opentelemetry-collector.opentelemetry.svc", "opentelemetry.opentelemetry.svc", "hops:\n        - Deployment/ingress-nginx/ingress-nginx-nginx-ingress-controller", where=INTENT),
    fault("trace-leads-to-a-label-of-nobody", "OBS506", SOURCES, "            value: service_name\n      tracesToMetrics", "            value: service\n      tracesToMetrics", "tags:\n          - key: service.name"),
    fault("line-leads-to-metadata-of-nobody", "OBS506", SOURCES, "matcherRegex: trace_id", "matcherRegex: traceId", "matcherRegex: traceId"),
    fault("no-example-is-kept", "OBS506", f"{BASE}/kube-prometheus-stack/controllers/helmrelease.yaml", "- exemplar-storage", "- memory-snapshot-on-shutdown", "exemplarTraceIdDestinations:", where=SOURCES, charts=True),
)
# fmt: on
UNSEEDED: dict[str, str] = {}
__all__ = ["FAULTS", "UNSEEDED", "Place"]
