"""The account of a run: the chart over time, the sums, and the file."""

from __future__ import annotations

import json

import pytest
from harness.live.account import Account, Span, chart, union
from harness.live.red import Red
from harness.model import NotEvaluated
from hypothesis import given
from hypothesis import strategies as st

SECONDS = st.integers(0, 50)
SPANS = st.lists(st.builds(Span, st.just("x"), SECONDS.map(float), SECONDS.map(float)), max_size=6)


@given(SPANS)
def test_time_at_work_is_the_number_of_seconds_in_which_somebody_works(spans: list[Span]) -> None:
    assert union(spans) == sum(any(span.start <= second < span.end for span in spans) for second in range(101))


def test_the_chart_shows_what_took_long_over_time() -> None:
    spans = [Span("flux", 0, 30), Span("loki", 30, 30), Span("tempo", 30, 15), Span("quick", 59, 0.2)]
    assert chart(spans, 60) == [
        "#" * 30 + " " * 30 + "    30 s flux",
        " " * 30 + "#" * 30 + "    30 s loki",
        " " * 30 + "#" * 15 + " " * 15 + "    15 s tempo",
    ]


def test_nothing_makes_no_chart() -> None:
    assert chart([], 0) == []
    assert Account("c", "kind").lines() == ["0 s in all: phases 0 s, proofs 0 s of work in 0 s"]


@given(SPANS, st.floats(0, 100))
def test_bars_stay_in_the_chart(spans: list[Span], wall: float) -> None:
    for line in chart(spans, wall):
        bar = line[:60]
        assert set(bar) <= {" ", "#"}
        assert "#" in bar


def test_the_file_has_everything() -> None:
    account = Account(
        "0123",
        "kind",
        "v1.34.4",
        "sha256:1",
        60.04,
        [Span("flux", 0, 30.04)],
        [Span("test_logs", 30, 20, "passed"), Span("test_traces", 30, 10, "failed")],
        {"Kustomization/flux-system/loki": 12.34},
        [Red("Promtail -> Loki", "Loki is away", "0 lines", 3.0, 5.0)],
        [NotEvaluated("grafana", "live proof", "left out of this run")],
        ["seed 7"],
    )
    lines = account.lines()
    assert lines[0] == "60 s in all: phases 30 s, proofs 30 s of work in 20 s, 1.5 at once"
    assert lines[-1] == "Kustomization/flux-system/loki ready 12 s after the sync"
    found = json.loads(json.dumps(account.json()))
    assert found["proofs"] == [
        {"name": "test_logs", "start": 30, "seconds": 20, "result": "passed"},
        {"name": "test_traces", "start": 30, "seconds": 10, "result": "failed"},
    ]
    assert found["red"] == [{"hop": "Promtail -> Loki", "fault": "Loki is away", "observed": "0 lines", "seconds": 3.0, "mended": 5.0}]
    assert found["notEvaluated"] == [{"subject": "grafana", "what": "live proof", "why": "left out of this run"}]
    assert found["ready"] == {"Kustomization/flux-system/loki": 12.3}
    assert found["seconds"] == pytest.approx(60.0)
