"""One request and its signals: what is asked of the stores, how their answers are read, and what is said when something is missing."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.findings import NotEvaluatedError
from harness.live.reach.web import Answer, WebError
from harness.live.telemetry import signals as module
from harness.live.telemetry.loki import Entry
from harness.live.telemetry.signals import BUDGETS, DIRECT, RECORD, Signals, Trace, attributes, begin, misplaced, span_of
from harness.live.telemetry.stores import Span, Tempo, exemplars, spans_of
from unit.live.fakes import Time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SERIES = {"http_request_method": "POST", "http_response_status_code": "200", "le": "1"}
MADE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def span(name: str, own: str, parent: str, service: str) -> Span:
    return Span(name, own, parent, "SPAN_KIND_SERVER", {}, {"service.name": service})


def b64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def test_spans_are_read_from_either_shape_of_answer_with_ids_in_hexadecimal() -> None:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "podinfo"}}, {"key": "empty"}]}
    own: dict[str, Any] = {"name": "GET", "spanId": b64("b7ad6b7169203331"), "parentSpanId": "00f067aa0ba902b7", "kind": "SPAN_KIND_SERVER"}
    own |= {"attributes": [{"key": "http.status_code", "value": {"intValue": "200"}}]}
    batch = {"resource": resource, "scopeSpans": [{"spans": [own]}]}
    for body in ({"batches": [batch]}, {"resourceSpans": [batch]}):
        (found,) = spans_of(body)
        assert (found.span, found.parent, found.service, dict(found.attributes)) == (
            "b7ad6b7169203331",
            "00f067aa0ba902b7",
            "podinfo",
            {"http.status_code": "200"},
        )
    assert list(spans_of({})) == []


@pytest.mark.parametrize(("status", "found"), [(404, []), (200, []), (500, None)])
def test_a_trace_that_is_not_there_has_no_spans_and_an_error_is_one(monkeypatch: pytest.MonkeyPatch, status: int, found: list[Span] | None) -> None:
    monkeypatch.setattr("harness.live.reach.forwards.Client.ask", lambda _client, path: Answer(status, {}, b"{}") if path == "/api/traces/1f" else None)
    tempo = Tempo(None)  # type: ignore[arg-type]
    if found is None:
        with pytest.raises(WebError, match="Tempo: status 500"):
            tempo.spans("1f")
    else:
        assert tempo.spans("1f") == found


def test_exemplars_come_with_the_labels_of_their_series() -> None:
    series = [{"seriesLabels": {"service_name": "podinfo"}, "exemplars": [{"labels": {"trace_id": "a"}}, {"labels": {}}]}]
    asked: list[Any] = []
    prometheus: Any = SimpleNamespace(get=lambda path, query: asked.append((path, query)) or series)
    found = exemplars(prometheus, "x", seconds=100, now=lambda: 1000.0)
    assert found == [({"service_name": "podinfo"}, {"trace_id": "a"}), ({"service_name": "podinfo"}, {})]
    assert asked == [("/api/v1/query_exemplars", {"query": "x", "start": "900.000", "end": "1060.000"})]


def test_traces_are_new_and_their_header_is_w3cs() -> None:
    assert MADE.header == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    first, second = begin(), begin()
    assert (len(first.trace), len(first.span)) == (32, 16)
    assert first != second


def test_a_span_ends_now_and_has_attributes_as_otlp_wants_them() -> None:
    made = span_of(MADE, "proof", {"url.path": "/"}, now=5_000_000_000)
    assert (made["traceId"], made["startTimeUnixNano"], made["endTimeUnixNano"]) == (MADE.trace, "4990000000", "5000000000")
    assert made["attributes"] == attributes({"url.path": "/"}) == [{"key": "url.path", "value": {"stringValue": "/"}}]


@pytest.mark.parametrize(
    ("spans", "service", "said"),
    [
        ([span("in", "01", MADE.span, "ingress-nginx")], "ingress-nginx", ""),
        ([span("in", "01", "ff", "ingress-nginx")], "ingress-nginx", "the spans of ingress-nginx hang on ff, not on the span before"),
        ([span("in", "01", MADE.span, "ingress-nginx"), span("app", "02", "01", "podinfo")], "podinfo", ""),
        ([span("in", "01", MADE.span, "ingress-nginx"), span("app", "02", MADE.span, "podinfo")], "podinfo", "the spans of podinfo hang on b7ad6b7169203331"),
        # nginx's span is lost, its id is not.
        ([span("app", "02", "01", "podinfo")], "podinfo", ""),
        ([span("app", "02", MADE.span, "podinfo")], "podinfo", "the spans of podinfo hang on b7ad6b7169203331"),
    ],
)
def test_spans_hang_where_the_request_went(spans: list[Span], service: str, said: str) -> None:
    found = misplaced(spans, [item for item in spans if item.service == service], MADE, service)
    assert found.startswith(said)
    assert bool(found) == bool(said)


class Kubectl:
    """The services and the Secret of a cluster."""

    def __init__(self) -> None:
        balancer = {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
        self.services: list[dict[str, Any]] = [{"spec": {"type": "ClusterIP"}}, balancer]

    def list(self, *_kinds: str, namespace: str = "") -> list[dict[str, Any]]:
        assert namespace == "ingress-nginx"
        return self.services

    def json(self, *_arguments: str) -> dict[str, Any]:
        return {"data": {"ca.crt": base64.b64encode(b"PEM").decode()}}


@pytest.fixture
def platform() -> Any:
    item = SimpleNamespace(get=lambda *at: "podinfo.example.com" if at == ("spec", "rules", 0, "host") else None)
    world = SimpleNamespace(find=lambda *_key: item)
    return SimpleNamespace(world=world, forwards=None, cluster=SimpleNamespace(kubectl=Kubectl()))


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def looked(platform: Any, clock: Time) -> Signals:
    """Signals whose stores hold all of a request's."""
    made = Signals(platform, clock=clock.clock)
    line = json.dumps({"traceparent": MADE.header, "host": "podinfo.example.com"})
    spans = [span("in", "01", MADE.span, "ingress-nginx"), span("app", "02", "01", "podinfo")]

    def entries(query: str) -> list[Entry]:
        return [Entry({"service_name": "ingress-nginx" if "ingress" in query else "podinfo"}, line, {"status": "200"}, 1)]

    made.loki = SimpleNamespace(entries=entries)  # type: ignore[assignment]
    made.tempo = SimpleNamespace(spans=lambda _trace: spans)  # type: ignore[assignment]
    series = [{"seriesLabels": SERIES, "exemplars": [{"labels": {"trace_id": MADE.trace}}]}]
    made.prometheus = SimpleNamespace(get=lambda _path, _query: series, query=lambda _query: [3.0])  # type: ignore[assignment]
    return made


def test_a_request_goes_to_the_balancers_address_for_the_ingress_host(looked: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answer(*arguments: Any, method: str, headers: Mapping[str, str], tls: Any) -> Answer:
        asked.append((*arguments, method, headers["traceparent"][:3], tls.authority))
        return Answer(200 if len(asked) == 1 else 502)

    monkeypatch.setattr(module, "request", answer)
    looked.send()
    assert asked == [(("192.0.2.1", 443), "podinfo.example.com", "/headers", "POST", "00-", "PEM")]
    with pytest.raises(WebError, match=r"podinfo\.example\.com/x: status 502"):
        looked.send("/x")


def test_all_signals_are_there_at_once(looked: Signals, clock: Time) -> None:
    seen, after = looked.follow(MADE, BUDGETS)
    assert (set(seen.values()), set(after.values()), clock.slept) == ({""}, {0.0}, [])
    assert looked.look(DIRECT, MADE) == ""


@pytest.mark.parametrize(
    ("signal", "store", "wrong", "said"),
    [
        ("ingress log", "loki", {"entries": lambda _query: []}, "no line of the access log names the trace"),
        ("ingress log", "loki", {"entries": lambda _query: [Entry({}, "{}", {}, 1)]}, "the access log says traceparent None, host None"),
        ("application log", "loki", {"entries": lambda _query: []}, "no line of the application names the trace"),
        ("ingress span", "tempo", {"spans": lambda _trace: []}, "of ingress-nginx nothing in the trace, which has spans of nobody"),
        (DIRECT, "tempo", {"spans": lambda _trace: []}, "the trace is not in Tempo"),
        (
            "application metric",
            "prometheus",
            {"get": lambda _path, _query: [{"seriesLabels": {}, "exemplars": [{"labels": {"trace_id": "other"}}]}]},
            "no exemplar of podinfo names the trace (1 others do)",
        ),
        (
            "ingress metric",
            "prometheus",
            {"get": lambda _path, _query: [{"seriesLabels": SERIES, "exemplars": [{"labels": {"trace_id": MADE.trace}}]}], "query": lambda _query: []},
            "an exemplar, but no calls of ingress-nginx",
        ),
        (
            "ingress metric",
            "prometheus",
            {"get": lambda _path, _query: [{"seriesLabels": {"le": "1"}, "exemplars": [{"labels": {"trace_id": MADE.trace}}]}]},
            "an exemplar of ingress-nginx, but on series without http_request_method, http_response_status_code: {'le': '1'}",
        ),
        (
            "application log",
            "loki",
            {"entries": lambda _query: [Entry({"service_name": "other"}, "", {}, 1)]},
            "the lines are of service_name other, the spans of podinfo",
        ),
    ],
)
def test_what_is_missing_is_said(looked: Signals, signal: str, store: str, wrong: Mapping[str, Callable[..., Any]], said: str) -> None:
    setattr(looked, store, SimpleNamespace(**wrong))
    assert looked.look(signal, MADE) == said


def test_a_status_that_was_not_200_and_a_store_that_fails_are_said(looked: Signals) -> None:
    line = json.dumps({"traceparent": MADE.header, "host": "podinfo.example.com"})
    looked.loki = SimpleNamespace(entries=lambda _query: [Entry({}, line, {"status": "404"}, 1)])  # type: ignore[assignment]
    assert looked.look("ingress log", MADE) == "the access log says status 404"

    def fails(_trace: str) -> list[Span]:
        raise WebError("no answer")

    looked.tempo = SimpleNamespace(spans=fails)  # type: ignore[assignment]
    assert looked.look("ingress span", MADE) == "no answer"


def test_each_signal_is_followed_until_its_own_budget(looked: Signals, clock: Time) -> None:
    looked.tempo = SimpleNamespace(spans=lambda _trace: [])  # type: ignore[assignment]
    seen, after = looked.follow(MADE, {"ingress log": 5.0, "ingress span": 3.0})
    assert (seen["ingress log"], after) == ("", {"ingress log": 0.0, "ingress span": 4.0})
    assert clock.slept == [1.0, 1.0, 1.0, 1.0]


def test_a_span_is_handed_over_as_otlp_in_json(looked: Signals) -> None:
    asked: list[Any] = []
    looked.collector = SimpleNamespace(json=lambda path, method, body: asked.append((path, method, json.loads(body))))  # type: ignore[assignment]
    looked.hand_over({"name": "x"}, service="proof")
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "proof"}}]}
    assert asked == [("/v1/traces", "POST", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [{"name": "x"}]}]}]})]


def test_a_record_is_handed_over_and_found_by_its_trace(looked: Signals) -> None:
    asked: list[Any] = []
    looked.collector = SimpleNamespace(json=lambda path, method, body: asked.append((path, method, json.loads(body))))  # type: ignore[assignment]
    looked.record(MADE, "a text", service="proof")
    ((path, method, body),) = asked
    (record,) = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert (path, method, record["body"], record["traceId"]) == ("/v1/logs", "POST", {"stringValue": "a text"}, MADE.trace)
    queries: list[str] = []

    def entries(query: str) -> list[Entry]:
        queries.append(query)
        return []

    looked.loki = SimpleNamespace(entries=entries)  # type: ignore[assignment]
    assert looked.look(RECORD, MADE) == "the record is not in Loki"
    assert queries == [f'{{service_name="proof"}} | trace_id="{MADE.trace}"']


def test_without_an_address_nothing_is_evaluated(platform: Any) -> None:
    platform.cluster.kubectl.services = []
    with pytest.raises(NotEvaluatedError, match="no address that nginx listens at"):
        Signals(platform)
