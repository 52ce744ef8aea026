"""What dashboards ask, with variables filled in, and what Grafana and the data sources answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from harness.engines.telemetry.dashboards import Dashboard, Source
from harness.live.reach.web import Answer, WebError
from harness.live.telemetry import grafana
from harness.live.telemetry.grafana import Asked, Backend, Grafana, asked_by, backend_of, filled, values_of

PROMETHEUS = Source("prom", "Prometheus", "prometheus", "https://p.monitoring.svc:9090", True, None, ())  # type: ignore[arg-type]
LOKI = Source("logs", "Loki", "loki", "http://loki.loki.svc:3100", False, None, ())  # type: ignore[arg-type]


class Api:
    """Answers each path with its body and status, and keeps what was asked."""

    def __init__(self, answers: dict[str, tuple[int, Any]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any, Any]] = []

    def ask(self, path: str, query: Any = None, *, method: str = "GET", body: bytes = b"", headers: Any = None) -> Answer:
        assert method in ("GET", "POST")
        assert headers is None or body
        self.asked.append((path, query, json.loads(body) if body else None))
        status, said = self.answers[path]
        return Answer(status, body=said if isinstance(said, bytes) else json.dumps(said).encode())

    def json(self, path: str, query: Any = None) -> Any:
        return self.ask(path, query).json


def dashboard(*panels: dict[str, Any], variables: tuple[dict[str, Any], ...] = ()) -> Dashboard:
    return Dashboard(SimpleNamespace(body={"uid": "d", "panels": list(panels), "templating": {"list": list(variables)}}))  # type: ignore[arg-type]


VARIABLES = (
    {"name": "datasource", "type": "datasource", "query": "prometheus"},
    {"name": "kind", "type": "query", "query": "label_values(up, job)", "allValue": ".*", "current": {"value": "$__all"}},
    {"name": "many", "type": "custom", "query": "a,b,c", "current": {"value": ["a", "b"]}},
)


def test_variables_stand_for_what_opening_the_dashboard_gives() -> None:
    assert values_of(dashboard(variables=VARIABLES), [LOKI, PROMETHEUS]) == {"datasource": "prom", "kind": ".*", "many": "a|b"}


def test_known_variables_are_filled_and_others_stay() -> None:
    assert filled('rate(x{a=~"$kind"}[$__rate_interval]) ${many:regex} [[kind]]', {"kind": "k", "many": "m"}) == 'rate(x{a=~"k"}[$__rate_interval]) m k'


def test_queries_go_to_the_source_that_their_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana, "sources", lambda _world: (LOKI, PROMETHEUS))
    reference = {"type": "prometheus", "uid": "${datasource}"}
    panel = {"title": "P", "datasource": reference, "targets": [{"refId": "A", "expr": 'up{job=~"$kind"}', "instant": True}]}
    own = {"title": "Q", "datasource": {"uid": "-- Grafana --"}, "targets": [{"refId": "A"}]}
    found = asked_by(SimpleNamespace(), dashboard(panel, own, variables=VARIABLES))  # type: ignore[arg-type]
    assert [(each.panel, each.source, each.query, each.target["instant"]) for each in found] == [("P", PROMETHEUS, 'up{job=~".*"}', True)]


def test_prometheus_is_asked_over_a_range_or_at_once() -> None:
    api = Api({"/api/v1/query_range": (200, {"status": "success"}), "/api/v1/query": (400, {"status": "error"})})
    backend = Backend(PROMETHEUS, api)  # type: ignore[arg-type]
    assert backend.error("rate(x[$__rate_interval])") == ""
    assert api.asked[0][1]["query"] == "rate(x[2m])"
    assert backend.error("x", {"instant": True}) == 'status 400: {"status": "error"}'


def test_an_answer_that_says_error_is_one() -> None:
    api = Api({"/loki/api/v1/query_range": (200, {"status": "error", "errorType": "bad", "error": "no"})})
    assert Backend(LOKI, api).error('{a="b"}') == "bad: no"  # type: ignore[arg-type]


def test_url_must_name_a_service() -> None:
    platform = SimpleNamespace(forwards=None)
    client = backend_of(platform, LOKI).client  # type: ignore[arg-type]
    assert (client.target, client.port, client.namespace, client.host, client.tls) == ("svc/loki", 3100, "loki", "loki.loki.svc", None)
    with pytest.raises(WebError, match="names no Service"):
        backend_of(platform, Source("x", "x", "loki", "http://loki.example.com", False, None, ()))  # type: ignore[arg-type]


def test_grafana_says_what_is_wrong() -> None:
    answers = {
        "/api/health": (200, {"database": "failing"}),
        "/api/datasources/uid/prom/health": (200, {"status": "OK"}),
        "/api/datasources/uid/logs/health": (400, {"status": "ERROR", "message": "dial tcp"}),
        "/api/datasources/proxy/uid/prom/x": (502, b"bad gateway"),
        "/api/datasources": (200, [{"uid": "prom", "type": "prometheus"}]),
        "/api/search": (200, [{"uid": "d"}]),
    }
    known = Grafana(Api(answers))  # type: ignore[arg-type]
    assert known.health() == "/api/health says {'database': 'failing'}"
    assert known.source_health("prom") == ""
    assert known.source_health("logs") == "status 400: dial tcp"
    assert known.proxied("prom", "/x") == "status 502: bad gateway"
    assert known.sources() == {"prom": "prometheus"}
    assert known.dashboards() == {"d"}


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (200, {"results": {"A": {"status": 200, "frames": []}}}, ""),
        (207, {"results": {"A": {"status": 400, "error": "parse error"}}}, "parse error"),
        (403, {"message": "no"}, "status 403: no"),
        (200, {"results": {}}, "status 200: {'results': {}}"),
    ],
    ids=["empty", "error", "forbidden", "nothing"],
)
def test_panel_shows_an_error_or_not(status: int, said: dict[str, Any], error: str) -> None:
    api = Api({"/api/ds/query": (status, said)})
    asked = Asked("P", PROMETHEUS, {"refId": "B", "expr": "up"}, ())
    assert Grafana(api).query(asked) == error  # type: ignore[arg-type]
    sent = api.asked[0][2]["queries"][0]
    assert (sent["refId"], sent["range"], sent["datasource"]) == ("B", True, {"type": "prometheus", "uid": "prom"})
