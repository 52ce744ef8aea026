# ruff: noqa: E501 - one object a line
"""Input of any shape: the rules about telemetry find something, say that they do not know, or stay silent, and never raise."""

from __future__ import annotations

import copy
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.plain import plain_world
from harness.rules import all_rules
from harness.rules.engine import evaluate_world
from harness.rules.obs_alerts import not_evaluated as alerts_left
from harness.rules.obs_dashboards import not_evaluated as dashboards_left
from harness.rules.obs_promql import not_evaluated as expressions_left
from harness.rules.obs_scrape import not_evaluated as scrapes_left
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = {"port": "m", "path": "/m", "interval": "30s", "relabelings": [{"sourceLabels": ["a"], "regex": "x", "targetLabel": "b"}], "tlsConfig": {"ca": {"secret": {"name": "s", "key": "k"}}}}  # fmt: skip
META: dict[str, Any] = {"name": "x", "namespace": "a", "labels": {"app": "x"}}
RULE = {"alert": "A", "expr": "rate(x[5m]) > 0", "for": "5m", "labels": {"severity": "critical"}, "annotations": {"summary": "{{ $labels.a }}"}}
PANEL = {"title": "P", "targets": [{"expr": 'x{a="$v"}', "datasource": {"type": "prometheus", "uid": "p"}}]}
BOARD = {"title": "B", "uid": "b", "panels": [PANEL], "templating": {"list": [{"name": "v", "type": "query", "query": "label_values(x, a)"}]}}
SOURCES = {"apiVersion": 1, "datasources": [{"name": "P", "uid": "p", "type": "prometheus", "url": "http://p.a.svc:9090"}]}
ROUTES = {
    "route": {"receiver": "r", "routes": [{"receiver": "r", "matchers": ["a=b"]}]},
    "receivers": [{"name": "r", "webhook_configs": [{}]}],
    "inhibit_rules": [{"source_matchers": ["a=b"], "target_matchers": ["c=d"], "equal": ["e"]}],
}


def item(api: str, kind: str, spec: object) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": copy.deepcopy(META), "spec": copy.deepcopy(spec)}


OPERATOR = "monitoring.coreos.com/v1"
EVERYTHING: list[dict[str, Any]] = [
    item(OPERATOR, "Prometheus", {"serviceMonitorSelector": {}, "ruleSelector": {}, "alerting": {"alertmanagers": [{"name": "x", "port": 1}]}, "scrapeClasses": [{"name": "c"}]}),
    item(OPERATOR, "ServiceMonitor", {"selector": {"matchLabels": {"app": "x"}}, "endpoints": [ENDPOINT]}),
    item(OPERATOR, "PodMonitor", {"selector": {}, "podMetricsEndpoints": [ENDPOINT]}),
    item(OPERATOR, "Probe", {"prober": {"url": "p:1"}, "targets": {"staticConfig": {"static": ["https://x"]}}}),
    item("monitoring.coreos.com/v1alpha1", "ScrapeConfig", {"staticConfigs": [{"targets": ["a:1"], "labels": {"b": "c"}}]}),
    item(OPERATOR, "PrometheusRule", {"groups": [{"name": "g", "interval": "1m", "rules": [RULE, {"record": "a:b", "expr": "sum(x)"}]}]}),
    item(OPERATOR, "Alertmanager", {"alertmanagerConfigSelector": {}}),
    item("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", {"route": {"receiver": "r", "matchers": [{"name": "a", "value": "b"}]}, "receivers": [{"name": "r"}]}),
    item("keda.sh/v1alpha1", "ScaledObject", {"triggers": [{"type": "prometheus", "metadata": {"query": "x"}}]}),
    item("v1", "Service", {"selector": {"app": "x"}, "ports": [{"name": "m", "port": 1, "targetPort": "m"}]}),
    item("v1", "Pod", {"containers": [{"name": "c", "image": "grafana/grafana:1", "ports": [{"name": "m", "containerPort": 1}]}], "volumes": [{"configMap": {"name": "x"}}]}),
]  # fmt: skip
ODD = st.sampled_from([None, 0, 1.5, True, "", "x", "${x", [], [None], [[]], {}, {"x": None}, {"name": 3}])


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += paths(inner, (*at, key))
    return found


def write(folder: Path, objects: list[dict[str, Any]], texts: dict[str, Any]) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": dict(META),
        "data": {f"{name}.json": json.dumps(body, indent=1) for name, body in texts.items()},
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**META, "name": "alertmanager-x"},
        "stringData": {"alertmanager.yaml": json.dumps(texts["routes"], indent=1)},
    }
    (folder / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects, config, secret]}), encoding="utf-8")


def judge(folder: Path) -> int:
    world = plain_world([folder], today=date(2026, 11, 23))
    cases = evaluate_world(world, [rule for rule in all_rules() if rule.family == "OBS" and rule.id[3] in "1236"])
    left = [*scrapes_left(world), *expressions_left(world), *alerts_left(world), *dashboards_left(world)]
    return len(cases) + len(left)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


TEXTS = {"board": BOARD, "sources": SOURCES, "routes": ROUTES}


@settings(max_examples=60)
@given(data=st.data())
def test_one_odd_value_anywhere_is_survived(folder: Path, data: st.DataObject) -> None:
    objects, texts = copy.deepcopy(EVERYTHING), copy.deepcopy(TEXTS)
    for _ in range(data.draw(st.integers(1, 4))):
        target: Any = data.draw(st.sampled_from([*objects, *texts.values()]))
        at = data.draw(st.sampled_from([path for path in paths(target) if path[0] not in ("apiVersion", "kind") and path != ("metadata",)] or [()]))
        if not at:
            continue
        for part in at[:-1]:
            target = target[part]
        target[at[-1]] = copy.deepcopy(data.draw(ODD))
    write(folder, objects, texts)
    assert judge(folder) > 0


def test_nothing_odd_is_judged_too(folder: Path) -> None:
    write(folder, EVERYTHING, TEXTS)
    assert judge(folder) > 10
