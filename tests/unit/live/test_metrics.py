"""Prometheus' answers, read, and what of them the model does not know."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from harness.live.findings import NotEvaluatedError
from harness.live.reach.web import Answer
from harness.live.telemetry import metrics
from harness.live.telemetry.metrics import LiveRuleState, Prometheus, QueryError, Sample, Scraped, rules_unlike, stood_in, target_of, unlike, unready
from harness.model import Object
from harness.model.identity import ObjectId
from harness.model.origin import Link, Location, Origin, fixed


class Api:
    """Answers every path with one body."""

    def __init__(self, body: Any, status: int = 200) -> None:
        self.body, self.status = body, status
        self.asked: list[tuple[str, Any]] = []

    def ask(self, path: str, query: Any = None) -> Answer:
        self.asked.append((path, query))
        return Answer(self.status, body=json.dumps(self.body).encode())


def prometheus(data: Any) -> Prometheus:
    return Prometheus(Api({"status": "success", "data": data}))  # type: ignore[arg-type]


A = Scraped("serviceMonitor/a/a/0", "a", "a", "http", "/metrics")
B = Scraped("serviceMonitor/b/b/0", "b", "b", "https", "/metrics")


def test_query_reads_vectors_matrices_and_scalars() -> None:
    vector = prometheus({"resultType": "vector", "result": [{"metric": {"job": "a"}, "value": [1, "2.5"]}]})
    assert vector.query("up") == [Sample({"job": "a"}, 2.5)]
    matrix = prometheus({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"], [2, "3"]]}]})
    assert matrix.query("up[1m]") == [Sample({}, 3.0)]
    assert prometheus({"resultType": "scalar", "result": [1, "7"]}).query("7") == [Sample({}, 7.0)]
    assert prometheus({"resultType": "string", "result": [1, "x"]}).query('"x"') == []


def test_query_that_is_refused_says_why() -> None:
    api = Api({"status": "error", "errorType": "execution", "error": "found duplicate series"}, 422)
    with pytest.raises(QueryError, match="status 422: execution: found duplicate series"):
        Prometheus(api).query("up + on () up")  # type: ignore[arg-type]


def test_target_keeps_what_the_model_can_know() -> None:
    found = target_of(
        {
            "scrapePool": "p",
            "labels": {"job": "a", "namespace": "n", "pod": "x"},
            "scrapeUrl": "https://10.0.0.1:9/m?format=x",
            "health": "down",
            "lastError": "no",
        }
    )
    assert found.scraped == Scraped("p", "a", "n", "https", "/m")
    assert not found.up
    assert str(found) == "https://10.0.0.1:9/m?format=x: down: no"


def test_lists_of_targets_name_both_sides() -> None:
    assert unlike([A, A], {A: frozenset({"a"})}, lambda _name: "") == []
    assert unlike([A], {B: frozenset({"b"})}, lambda _name: "") == [
        "only in Prometheus: a in a (http, /metrics, serviceMonitor/a/a/0)",
        "only in the model: b in b (https, /metrics, serviceMonitor/b/b/0)",
    ]


def test_what_is_not_ready_is_not_missed() -> None:
    assert unlike([A], {A: frozenset({"a"}), B: frozenset({"b"})}, lambda name: "not ready" if name == "b" else "") == []


def group(name: str, *rules: tuple[str, str], owner: str = "a") -> Any:
    chain = (Link("Kustomization", "flux-system", owner), Link("HelmRelease", "x", "x"))
    item = Object(ObjectId("kind", "monitoring.coreos.com", "PrometheusRule", "x", name), {}, Origin(fixed(Location("a.yaml", 1)), chain))
    return SimpleNamespace(name=name, object=item, rules=[SimpleNamespace(kind=kind, name=rule) for kind, rule in rules])


def test_rules_differ_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [group("one", ("alert", "A"), ("alert", "A"), ("record", "r")), group("two", ("alert", "B"), owner="b")]
    monkeypatch.setattr(metrics, "rule_groups", lambda _world: known)
    live = [LiveRuleState("one", "alert", "A", "ok", ""), LiveRuleState("one", "alert", "C", "ok", "")]
    found = rules_unlike(live, SimpleNamespace(), lambda name: "not ready" if name == "b" else "")  # type: ignore[arg-type]
    assert found == ["only in Prometheus: alert C of group one", "only in the model: alert A of group one", "only in the model: record r of group one"]


def test_owner_is_the_nearest_kustomization() -> None:
    assert metrics.owner_of(group("one", owner="here").object) == "here"
    assert metrics.owner_of(Object(ObjectId("kind", "", "Pod", "x", "x"), {}, Origin(fixed(Location("a.yaml"))))) == ""


def test_each_kustomization_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def require(_platform: object, name: str) -> None:
        asked.append(name)
        if name == "b":
            raise NotEvaluatedError(name, "live proof", "it is not ready")

    monkeypatch.setattr(metrics, "require", require)
    why = unready(SimpleNamespace())  # type: ignore[arg-type]
    assert [why("a"), why("b"), why("b"), why("")] == ["", "it is not ready", "it is not ready", ""]
    assert asked == ["a", "b"]


def test_a_stranger_under_the_name_is_told_by_its_identity() -> None:
    none = prometheus({"resultType": "vector", "result": []})
    assert stood_in(none, {}) == ""
    assert "no alloy_build_info" in stood_in(none, {"identity": "alloy_build_info"})
    there = prometheus({"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}]})
    assert stood_in(there, {"identity": "alloy_build_info"}) == ""
