"""Dashboards: what panels ask, which variables they use, and what a Grafana loads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from harness.engines.telemetry.dashboards import Dashboard, dashboards_of, is_own, metric_query, sources_of, variable_order, variable_queries
from harness.engines.telemetry.grafana import loading_of
from harness.model.pods import pods_of

sys.path.insert(0, str(Path(__file__).parent))
from cluster import Written, objects

(CONFIG,) = objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: boards, namespace: monitoring, labels: {grafana_dashboard: '1'}}\ndata: {}\n")


def dashboard(**body: object) -> Dashboard:
    return Dashboard(Written(CONFIG, ("data", "a.json"), {"title": "A", "panels": [], **body}))


def test_queries_of_panels_inside_rows_and_of_old_rows() -> None:
    target = {"expr": "up", "datasource": {"type": "prometheus", "uid": "p"}}
    found = dashboard(
        panels=[
            {"title": "one", "datasource": "Old", "targets": [{"expr": "a"}, target, {"queryText": "q", "datasource": None}]},
            {"type": "row", "panels": [{"title": "two", "datasource": {"uid": "-- Mixed --"}, "targets": [target]}]},
            "odd",
        ],
        rows=[{"panels": [{"title": "three", "targets": [{"query": "{a=1}"}, 5]}]}, None],
    )
    assert [(query.panel, query.text, query.source, query.type) for query in found.queries] == [
        ("one", "a", "Old", ""),
        ("one", "up", "p", "prometheus"),
        ("one", "q", "Old", ""),
        ("three", "{a=1}", "", ""),
        ("three", "", "", ""),
        ("two", "up", "p", "prometheus"),
    ]
    assert found.queries[1].at == ("panels", 0, "targets", 1, "expr")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("label_values(up, job)", ("up", "job")),
        ('label_values(up{a="b,c", d=~"$e"}, namespace)', ('up{a="b,c", d=~"$e"}', "namespace")),
        ("label_values(job)", None),
        ("metrics(node_.*)", None),
        ("query_result(topk(3, up))", ("topk(3, up)", "")),
        ('label_values({app="x"}, $label)', ('{app="x"}', "$label")),
        ("", None),
    ],
)
def test_queries_of_variables(query: str, expected: tuple[str, str] | None) -> None:
    assert metric_query(query) == expected


def test_variables_in_order() -> None:
    found = dashboard(
        templating={
            "list": [
                {"name": "pod", "type": "query", "query": 'label_values(up{ns="$ns", x="$nowhere"}, pod)', "datasource": {"uid": "${ds}"}},
                {"name": "ns", "type": "query", "query": {"query": "label_values(up, ns)", "refId": "x"}},
                {"name": "ds", "type": "datasource", "query": "prometheus"},
                {"name": "step", "type": "interval", "query": "1m,$__auto"},
            ]
        }
    )
    assert [(variable.name, name, later) for variable, name, later in variable_order(found)] == [
        ("pod", "ns", True), ("pod", "nowhere", False), ("pod", "ds", True),
    ]  # fmt: skip
    assert [(variable.name, asked, label) for variable, asked, label in variable_queries(found)] == [
        ("pod", 'up{ns="$ns", x="$nowhere"}', "pod"),
        ("ns", "up", "ns"),
    ]


def test_uses_of_variables() -> None:
    found = dashboard(
        panels=[{"repeat": "ns", "datasource": {"uid": "${ds}"}, "targets": [{"expr": 'label_replace(up{a="$a"}[$__interval], "b", "$1", "c", "")'}]}]
    )
    assert list(dict.fromkeys(name for name, _ in found.uses())) == ["ns", "ds", "a"]


def test_what_is_a_dashboard_and_what_is_a_data_source() -> None:
    texts = [
        Written(CONFIG, ("data", "a"), {"title": "A", "panels": []}),
        Written(CONFIG, ("data", "b"), {"panels": []}),
        Written(CONFIG, ("data", "c"), {"title": "A"}),
        Written(CONFIG, ("data", "d"), {"datasources": [{"name": "P", "type": "prometheus", "url": "http://p:9090"}, {"name": "no type"}, None]}),
    ]
    assert [each.text.at[-1] for each in dashboards_of(texts)] == ["a"]
    assert [(each.name, each.type, each.url) for each in sources_of(texts)] == [("P", "prometheus", "http://p:9090")]
    assert [is_own(name) for name in ("-- Grafana --", "__expr__", "prometheus")] == [True, True, False]


POD = """
apiVersion: v1
kind: Pod
metadata: {name: grafana, namespace: monitoring}
spec:
  containers:
    - {name: grafana, image: "docker.io/grafana/grafana:13@sha256:00"}
    - {name: sidecar, image: x, env: [{name: LABEL, value: grafana_dashboard}, {name: NAMESPACE, value: NAMESPACES}]}
  volumes:
    - {name: a, configMap: {name: mounted}}
    - {name: b, projected: {sources: [{configMap: {name: projected}}, {secret: {name: sealed}}]}}
"""


@pytest.mark.parametrize(("namespaces", "taken"), [("ALL", True), ("monitoring,shop", True), ("shop", False)])
def test_what_a_grafana_loads(namespaces: str, taken: bool) -> None:
    view = loading_of(pods_of(objects(POD.replace("NAMESPACES", namespaces))))
    assert len(view.pods) == 1
    assert view.takes(CONFIG) is taken
    assert {name for _, _, name in view.mounted} == {"mounted", "projected", "sealed"}
