# ruff: noqa: E501 - one fault a line
"""Faults against what is scraped, asked, told and shown (OBS)."""

from __future__ import annotations

from seeded import Edit, Place, fault

BASE, TENANT = "clusters/base/infrastructure", "clusters/base/tenants/tenant-a"
STACK = f"{BASE}/kube-prometheus-stack/controllers/helmrelease.yaml"
FLUX_MONITOR, PODINFO_MONITOR = f"{BASE}/flux/configs/podmonitor.yaml", f"{TENANT}/apps/servicemonitor.yaml"
PODINFO_SERVICE, PODINFO = f"{TENANT}/apps/service.yaml", f"{TENANT}/apps/deployment.yaml"
INTENT = "tests/intent/telemetry.yaml"

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
# fmt: on
FAULTS = (*SCRAPING,)
UNSEEDED: dict[str, str] = {}
__all__ = ["FAULTS", "UNSEEDED", "Edit"]
