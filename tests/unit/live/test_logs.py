"""Lines of log with a mark, what the model says of them, and how what is stored differs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness.engines.telemetry.discovery import Discovery
from harness.engines.telemetry.promtail import Shipper
from harness.live.findings import NotEvaluatedError
from harness.live.telemetry import logs
from harness.live.telemetry.logs import Line, lines_of, marked, numbers, workloads_of
from harness.live.telemetry.loki import Entry, Loki
from harness.model import Location, Object, ObjectId, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

WEB = "Deployment/shop/web"
CONFIG = """
clients: [{url: "http://loki:3100/loki/api/v1/push", external_labels: {cluster: kind}}]
scrape_configs:
  - kubernetes_sd_configs: [{role: pod}]
    relabel_configs:
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
      - {source_labels: [__meta_kubernetes_pod_node_name], target_label: node}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_uid], replacement: /var/log/pods/*$1/*.log, target_label: __path__}
    pipeline_stages:
      - cri: {}
      - multiline: {firstline: '^[^ ]'}
      - structured_metadata: {pod: }
      - labeldrop: [filename, pod]
      - drop: {expression: secret, drop_counter_reason: hidden}
"""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cluster with one Deployment, the shipper above, and samples of ``entries``."""
    template = {"metadata": {}, "spec": {"containers": [{"name": "web", "image": "x"}, {"name": "proxy", "image": "x"}]}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"template": template}}
    made = Object(ObjectId("c", "apps", "Deployment", "shop", "web"), body, Origin(lambda _: Location("f")))
    found = SimpleNamespace(shipper=Shipper(yaml.safe_load(CONFIG)), samples=[{"workload": WEB, "container": "web", "lines": [{"line": "a\n b"}]}])
    monkeypatch.setattr(logs, "shippers", lambda _world: [(None, found.shipper)])
    monkeypatch.setattr(logs, "scraping", lambda _world: SimpleNamespace(discovery=Discovery((made,))))
    monkeypatch.setattr(logs, "asserted", lambda _world, *_at: enumerate(found.samples))
    return found


def stored(of: Line, **changed: Any) -> Entry:
    """An entry exactly as the model predicts."""
    labels = {"namespace": "shop", "container": "web", "cluster": "kind", "node": "node-1", "stream": "stdout", "service_name": "web"}
    metadata = {"pod": "web-1", "detected_level": "unknown"}
    return Entry(**{"labels": labels, "line": of.fate.entry.line, "metadata": metadata, "time": 1, **changed})


def test_a_mark_is_a_field_of_json_and_ends_the_first_line_of_a_block() -> None:
    assert json.loads(marked('{"level": "info", "msg": "x"}', "m1")) == {"level": "info", "msg": "x", "proof": "m1"}
    assert marked("panic: boom\n\tmain", "m1") == "panic: boom proof m1\n\tmain"
    assert marked("[1]", "m1") == "[1] proof m1"
    assert marked("{}", "m1") == "{} proof m1"


def test_lines_have_marks_of_their_own_and_a_last_one_follows(world: Any) -> None:
    world.samples += [{"workload": "Deployment/shop/other", "lines": [{"line": "no"}]}, {"workload": WEB, "container": "proxy", "lines": []}]
    found = lines_of(world, WEB, "run")
    assert [(line.mark, line.container, line.text) for line in found] == [
        ("runn0e", "web", "a proof runn0e\n b"),
        ("runn1e", "web", "the last line of a proof proof runn1e"),
        ("runn2e", "proxy", "the last line of a proof proof runn2e"),
    ]
    assert workloads_of(world.samples) == ["Deployment/shop/other", WEB]


def test_what_is_stored_as_predicted_does_not_differ(world: Any) -> None:
    line = lines_of(world, WEB, "run")[0]
    assert line.differences([stored(line)], pod="web-1", node="node-1") == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"metadata": {}}, "structured metadata pod is 'not there', in the model 'web-1'"),
        ({"metadata": {"pod": "web-1", "user": "x"}}, "structured metadata user is 'x', in the model 'not there'"),
        ({"labels": {"namespace": "shop"}}, "label cluster is 'not there', in the model 'kind'"),
        ({"line": "a proof runn0e"}, "the line is 'a proof runn0e', in the model 'a proof runn0e\\n b'"),
    ],
)
def test_every_difference_names_both_sides(world: Any, changed: Mapping[str, Any], said: str) -> None:
    line = lines_of(world, WEB, "run")[0]
    assert said in line.differences([stored(line, **changed)], pod="web-1", node="node-1")


def test_lines_that_are_missing_there_twice_or_dropped_differ(world: Any) -> None:
    world.samples[0]["lines"] = [{"line": "a secret"}, {"line": "words", "lacks": ["words"]}]
    hidden, shown, _last = lines_of(world, WEB, "run")
    assert hidden.differences([], pod="web-1", node="node-1") == []
    assert hidden.differences([stored(hidden)], pod="web-1", node="node-1") == ["is in the store although the model drops it for hidden"]
    assert shown.differences([], pod="web-1", node="node-1") == ["is in the store 0 times"]
    assert shown.differences([stored(shown)] * 2, pod="web-1", node="node-1") == ["is in the store 2 times"]
    assert shown.differences([stored(shown)], pod="web-1", node="node-1") == ["the line still holds 'words'"]


def test_what_the_model_cannot_say_is_not_evaluated(world: Any) -> None:
    world.samples[0]["container"] = "none"
    with pytest.raises(NotEvaluatedError, match="reads no container none"):
        lines_of(world, WEB, "run")
    with pytest.raises(NotEvaluatedError, match="not at hand, or does not read it"):
        lines_of(world, "Deployment/shop/other", "run")
    world.samples[0]["container"] = "web"
    world.shipper = Shipper({**world.shipper.body, "scrape_configs": [_sampled(world.shipper.body["scrape_configs"][0])]})
    with pytest.raises(NotEvaluatedError, match="the model cannot say: sampling"):
        lines_of(world, WEB, "run")


def _sampled(scrape: dict[str, Any]) -> dict[str, Any]:
    return {**scrape, "pipeline_stages": [{"sampling": {"rate": 0.5}}]}


def test_numbers_are_as_often_as_they_are_there() -> None:
    entries = [Entry({}, text, {}, 0) for text in ("run 3", "run 1 and more", "other 2", "run x", "run 3")]
    assert numbers(entries, "run") == [3, 1, 3]


def test_entries_come_with_labels_metadata_and_line_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, str]]] = []
    streams = [
        {"stream": {"app": "b"}, "values": [["20", "late", {"structuredMetadata": {"pod": "p"}}]]},
        {"stream": {"app": "a"}, "values": [["10", "early"], ["30", "last", {}]]},
    ]

    def answer(_client: object, path: str, query: dict[str, str]) -> Any:
        asked.append((path, query))
        return {"data": {"result": streams}}

    monkeypatch.setattr("harness.live.reach.forwards.Client.json", answer)
    loki = Loki(None, now=lambda: 1_000_000_000_000)  # type: ignore[arg-type]
    found = loki.with_text("x1", selector='{app="a"}', seconds=100)
    assert [(entry.line, entry.labels["app"], dict(entry.metadata)) for entry in found] == [("early", "a", {}), ("late", "b", {"pod": "p"}), ("last", "a", {})]
    assert asked == [
        (
            "/loki/api/v1/query_range",
            {"query": '{app="a"} |= "x1"', "limit": "5000", "direction": "forward", "start": "900000000000", "end": "1060000000000"},
        )
    ]
