"""``telemetry targets``, ``alerts`` and ``metrics`` on plain manifests: what they print, what they leave open, and their exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Said

SHOP = """\
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata:
  name: main
  namespace: monitoring
spec:
  serviceMonitorSelector: {}
  serviceMonitorNamespaceSelector: {}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - {name: web, image: web:1, ports: [{name: metrics, containerPort: 9797}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  selector: {app: web}
  ports: [{name: metrics, port: 80, targetPort: metrics}]
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  endpoints: [{port: PORT}]
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: web, namespace: shop}
spec:
  groups:
    - name: web
      rules:
        - record: web:up:sum
          expr: sum(up)
        - alert: WebDown
          expr: web:up:sum == 0
          for: 5m
          labels: {severity: SEVERITY}
---
apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
metadata: {name: main, namespace: monitoring}
spec: {replicas: 1}
---
apiVersion: v1
kind: Secret
metadata: {name: alertmanager-main, namespace: monitoring}
stringData:
  alertmanager.yaml: |
    route: {receiver: team, routes: [{receiver: nobody, matchers: [severity=info]}]}
    receivers: [{name: nobody}, {name: team, webhook_configs: [{url: https://hook.example.com}]}]
"""


@pytest.fixture
def ask(tmp_path: Path, command: Callable[..., Said]) -> Callable[..., Said]:
    def run(*words: str, port: str = "metrics", severity: str = "critical") -> Said:
        (tmp_path / "shop.yaml").write_text(SHOP.replace("PORT", port).replace("SEVERITY", severity), encoding="utf-8")
        return command("telemetry", *words, "--manifests", str(tmp_path))

    return run


def test_targets(ask: Callable[..., Said]) -> None:
    said = ask("targets")
    assert said.code == 0
    assert said.out.splitlines() == [
        "serviceMonitor/shop/web/0  manifests/ServiceMonitor/shop/web, taken by manifests/Prometheus/monitoring/main",
        "  http://192.0.2.1:9797/metrics  Deployment/shop/web",
        "    container=web, endpoint=metrics, job=web, namespace=shop, pod=web-0000000000-00000, service=web",
    ]


def test_a_job_that_finds_nothing_says_why(ask: Callable[..., Said]) -> None:
    said = ask("targets", port="http")
    assert said.code == 1
    assert said.out.splitlines()[-1] == "  no target: Service shop/web has no port http, only metrics"


def test_targets_of_one_job_as_json(ask: Callable[..., Said]) -> None:
    assert [job["job"] for job in json.loads(ask("targets", "--job", "web", "--format", "json").out)["jobs"]] == ["serviceMonitor/shop/web/0"]
    assert json.loads(ask("targets", "--job", "other", "--format", "json").out)["jobs"] == []


def test_alerts(ask: Callable[..., Said]) -> None:
    said = ask("alerts")
    assert (said.code, said.out) == (0, "WebDown  critical  5m     team\n")
    told = json.loads(ask("alerts", "--alert", "WebDown", "--format", "json").out)["alerts"]
    assert [(each["receiver"], each["certain"]) for each in told[0]["receivers"]] == [("team", True)]


def test_an_alert_that_nobody_hears(ask: Callable[..., Said]) -> None:
    said = ask("alerts", severity="info")
    assert (said.code, said.out) == (1, "WebDown  info      5m     nobody  (tells nobody)\n")


def test_metrics_without_a_list_of_what_components_expose(ask: Callable[..., Said]) -> None:
    said = ask("metrics")
    assert said.code == 0
    assert said.out.splitlines() == [
        "up          -                         -           1 users",
        "web:up:sum  recording rule            recorded    1 users",
    ]
    assert "not evaluated: what components expose: there is no tests/intent/metrics.yaml" in said.err


def test_metrics_against_the_list(ask: Callable[..., Said], tmp_path: Path) -> None:
    listed = "components:\n  other:\n    version: '1'\n    sources: [https://example.com]\n    metrics: {other: gauge}\n"
    (tmp_path / "tests/intent").mkdir(parents=True)
    (tmp_path / "tests/intent/metrics.yaml").write_text(listed, encoding="utf-8")
    said = ask("metrics", "--missing")
    assert said.code == 1
    assert said.out == "up  -                         -           1 users  nobody exposes or records it\n"


def test_nothing_to_look_at(tmp_path: Path, command: Callable[..., Said]) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n", encoding="utf-8")
    for words, answer in (("targets", "nothing is scraped"), ("alerts", "there is no alert"), ("metrics", "no series is read")):
        said = command("telemetry", words, "--manifests", str(tmp_path))
        assert (said.code, said.out) == (0, answer + "\n")
