"""Expressions: what they select, which labels their results have, how Grafana's variables are replaced, and what is known of series."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from harness.engines.telemetry import judgement
from harness.engines.telemetry.grafana_variables import STAND_IN, candidates, names_in, read_templated
from harness.engines.telemetry.inventory import Inventory
from harness.engines.telemetry.promql import Matcher, read, result_labels
from harness.engines.telemetry.rule_groups import groups_of, seconds
from harness.engines.telemetry.scraping import scraping_of
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from cluster import PROMETHEUS, WEB, objects, texts

LABELS = {"a": frozenset({"x", "y", "le"}), "b": frozenset({"x", "z"})}


def labels(text: str) -> list[str] | None:
    root = read(text).root
    assert root is not None
    found = result_labels(root, lambda selector: LABELS.get(selector.name))
    return None if found is None else sorted(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["le", "x", "y"]),
        ("unknown", None),
        ("1 + 2", []),
        ("vector(1)", []),
        ("time() - a", ["le", "x", "y"]),
        ("sum(a)", []),
        ("sum by (x, q) (a)", ["x"]),
        ("sum by (x, q) (unknown)", ["q", "x"]),
        ("sum without (x) (a)", ["le", "y"]),
        ("topk(3, a)", ["le", "x", "y"]),
        ('count_values by (x) ("v", a)', ["v", "x"]),
        ("rate(a[5m])", ["le", "x", "y"]),
        ("max_over_time(sum by (x) (rate(a[5m]))[1h:])", ["x"]),
        ("histogram_quantile(0.9, a)", ["x", "y"]),
        ('absent(a{x="1", y=~"2"})', ["x"]),
        ('label_replace(a, "new", "$1", "x", "(.*)")', ["le", "new", "x", "y"]),
        ("a / on (x) b", ["x"]),
        ("a / ignoring (y, z, le) b", ["x"]),
        ("a / on (x) group_left (z) b", ["le", "x", "y", "z"]),
        ("b * on (x) group_right (z) a", ["le", "x", "y", "z"]),
        ("a and on (x) b", ["le", "x", "y"]),
        ("a unless on () b", ["le", "x", "y"]),
        ("a or b", ["le", "x", "y", "z"]),
        ("a > 1", ["le", "x", "y"]),
        ("-a", ["le", "x", "y"]),
        ("scalar(a)", []),
    ],
)
def test_labels_of_a_result(text: str, expected: list[str] | None) -> None:
    assert labels(text) == expected


def test_selectors_and_their_surroundings() -> None:
    expression = read('sum(rate({__name__="web_total", code=~"5.."}[5m])) / sum(rate(web_total{job!="x"}[5m] offset 1h))')
    assert [(node.name, node.matchers) for node, _ in expression.selectors()] == [
        ("web_total", (Matcher("code", "=~", "5.."),)),
        ("web_total", (Matcher("job", "!=", "x"),)),
    ]
    assert [[step.name or step.kind for step in above] for _, above in expression.selectors()] == [["/", "sum", "rate", "range"]] * 2
    assert expression.names == ("web_total",)


def test_what_does_not_parse_says_why() -> None:
    assert read("rate(x)").error == "expected type matrix in call to function 'rate', got vector"
    assert read("rate(x)").selectors() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(a[$__rate_interval])", "rate(a[5m])"),
        ("rate(a[${__interval}:$step])", "rate(a[5m:5m])"),
        ('a{job=~"$job", x="[[x:regex]]"}', f'a{{job=~"{STAND_IN}", x="{STAND_IN}"}}'),
        ("a offset $shift", "a offset 5m"),
        ("a * $__range_s", "a * 1"),
        ("sum by ($by) (a)", f"sum by ({STAND_IN}) (a)"),
        ("topk($top, a)", "topk(1, a)"),
        ("a{${filters}}", f'a{{{STAND_IN}="x"}}'),
        ("${metric}_total", f"{STAND_IN}_total"),
        ('label_replace(a, "b", "$1", "c", "(.*)")', f'label_replace(a, "b", "{STAND_IN}", "c", "(.*)")'),
        ("topk(${top}, sum by (${by:csv}) (a))", f"topk(1, sum by ({STAND_IN}) (a))"),
    ],
)
def test_variables_are_replaced_by_what_parses(text: str, expected: str) -> None:
    assert read_templated(text).text == expected
    assert read_templated(text).error == ""


def test_variables_of_a_text() -> None:
    assert names_in('a{x=~"$x"}[${y:regex}] [[z]] ${w.text} $x') == ["x", "y", "z", "w"]


EXPRESSIONS = st.sampled_from(
    ["sum by (x) (rate(a{b=\"c\"}[5m]))", "topk(3, a{b=~\"c\"})", "a{b=\"c\"} offset 5m > 1", "histogram_quantile(0.9, a{b=\"c\"})", "a[5m:1m]", "max(a) - 1"]
)  # fmt: skip
FORMS = st.sampled_from(["$v", "${v}", "${v:regex}", "[[v]]", "[[v:csv]]", "${v.text}"])


@settings(max_examples=60)
@given(text=EXPRESSIONS, form=FORMS, part=st.sampled_from(['"c"', "5m", "(x)", "3,", "0.9", "1", "a"]))
def test_what_parses_still_parses_with_a_variable_in_place_of_a_part(text: str, form: str, part: str) -> None:
    replaced = {'"c"': f'"{form}"', "(x)": f"({form})", "3,": f"{form},"}.get(part, form)
    if part == "a" or part not in text or (part == "1" and "1m" in text):
        return
    assert read_templated(text.replace(part, replaced, 1)).error == ""


@settings(max_examples=50)
@given(text=st.text(alphabet="ab\"'$ {}[]:_x(),=~5m", max_size=24))
def test_any_text_gets_an_answer(text: str) -> None:
    assert read_templated(text).text in {text, *candidates(text)}


@pytest.mark.parametrize(
    ("text", "expected"), [("1h30m", 5400.0), ("0", 0.0), ("1d", 86400.0), ("500ms", 0.5), ("", None), ("1.5h", None), ("5", None), ("often", None)]
)
def test_durations(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


COMPONENTS = {
    "web": {
        "version": "1", "sources": ["https://example.com"], "jobs": "web",
        "metrics": {"web_total": "counter code", "web_size": "gauge namespace", "web_seconds": "histogram path", "web_lag": "summary", "web_open": "gauge *"},
    },
    "rare": {"version": "1", "sources": ["https://a.example"], "jobs": "web", "when": {"rare_total": "it rains"}, "metrics": {"rare_total": "counter"}},
    "pushed": {"version": "1", "sources": ["https://a.example"], "pushed": "somebody", "labels": ["service_name"], "metrics": {"spans_total": "counter kind"}},
    "gone": {"version": "1", "sources": ["https://example.com"], "jobs": "gone", "metrics": {"gone_total": "counter"}},
    "targets": {"version": "1", "sources": ["https://example.com"], "metrics": {"up": "gauge"}},
}  # fmt: skip
MONITOR = """---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  endpoints:
    - port: metrics
      honorLabels: HONOR
      metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: web_lag.*}, {targetLabel: zone, replacement: a}]
"""
TARGET = {"job", "instance", "namespace", "service", "pod", "container", "endpoint", "zone"}


def known(extra: str = "", honor: str = "false") -> Inventory:
    given = objects(PROMETHEUS + "---" + WEB + MONITOR.replace("HONOR", honor) + extra)
    recorded = [rule for group in groups_of(given, texts(given)) for rule in group.rules if rule.kind == "record"]
    return Inventory(COMPONENTS, scraping_of(given), recorded)


def test_series_get_the_labels_of_their_targets() -> None:
    series = known().find("web_total")
    assert series is not None
    assert (series.type, series.labels, series.missing) == ("counter", TARGET | {"code"}, "")
    bucket = known().find("web_seconds_bucket")
    assert bucket is not None
    assert bucket.labels == TARGET | {"path", "le"}
    assert known().find("web_seconds") is None


def test_a_label_that_both_have_is_exported_unless_the_job_honours_it() -> None:
    assert known().labels_of(read("web_size").root) == TARGET | {"exported_namespace"}  # type: ignore[arg-type]
    assert known(honor="true").labels_of(read("web_size").root) == TARGET  # type: ignore[arg-type]


def test_what_is_pushed_open_dropped_or_not_scraped() -> None:
    inventory = known()
    found = {name: inventory.find(name) for name in ("spans_total", "web_open", "web_lag", "gone_total", "nothing")}
    assert found["spans_total"].labels == {"service_name", "kind"}  # type: ignore[union-attr]
    assert found["web_open"].labels is None  # type: ignore[union-attr]
    assert found["web_lag"].dropped  # type: ignore[union-attr]
    assert found["gone_total"].missing == "no job gone is scraped"  # type: ignore[union-attr]
    assert found["nothing"] is None


def test_recorded_series_have_what_their_rule_leaves_them() -> None:
    rules = "---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: r}\nspec: {groups: [{name: g, rules: %s}]}\n"
    inventory = known(rules % "[{record: 'a:b', expr: 'sum by (code) (web_total)', labels: {tier: x}}, {record: 'loop:x', expr: 'loop:x + 1'}]")
    assert inventory.find("a:b").labels == {"code", "tier"}  # type: ignore[union-attr]
    assert inventory.find("loop:x").labels is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("judge", "text", "expected"),
    [
        (judgement.missing_series, "web_totl", ["no component exposes web_totl, and no rule records it (there is web_total)"]),
        (judgement.missing_series, '{__name__=~"web_.*"} or {__name__=~"nope_.*"}', ["no component exposes anything like nope_.*, and no rule records it"]),
        (judgement.missing_series, "gone_total", ["gone_total of gone does not arrive: no job gone is scraped"]),
        (judgement.lost_sums, "sum(web_total) + sum(rare_total)", ["+ with rare_total, which is there only when it rains"]),
        (judgement.lost_sums, "sum(rare_total) - 1 or web_total + (rare_total or vector(0))", []),
        (judgement.dropped_series, "web_lag", ["web_lag of web is thrown away: the metricRelabelings of serviceMonitor/shop/web/0 drop it"]),
        (judgement.missing_labels, 'spans_total{color="red"}', ["spans_total has no label color, only kind, service_name"]),
        (judgement.missing_labels, 'up{job="wep"}', ['no target that brings up has job="wep"']),
        (judgement.missing_labels, 'up{pod=~"nothing-.*"}', []),
        (judgement.missing_labels, 'web_open{anything="x"}', []),
        (judgement.missing_labels, "sum by (a) (spans_total)", ["sum by (a): what is inside has no label a, only kind, service_name"]),
        (judgement.wrong_types, "rate(web_size[5m])", ["rate of web_size, which is a gauge"]),
        (judgement.wrong_types, "deriv(web_total[5m])", ["deriv of web_total, which is a counter"]),
        (judgement.wrong_types, "sum(web_total) > 5", ["the raw value of the counter web_total"]),
        (judgement.wrong_types, "sum(increase(web_total[5m])) or changes(web_total[5m]) or count(web_total) or absent(web_total)", []),
        (judgement.wrong_types, "web_lag_count", ["the raw value of the counter web_lag_count"]),
    ],
)  # fmt: skip
def test_judgements(judge: object, text: str, expected: list[str]) -> None:
    assert list(judge(read(text), known())) == expected  # type: ignore[operator]


def test_labels_of_templates() -> None:
    texts = {"summary": "{{ $labels.kind }} {{ $labels.pod }}", "link": '{{ index $labels "who" }} {{ with .Labels.kind }}x{{ end }}'}
    assert list(judgement.lost_labels(read("sum by (kind) (spans_total)"), texts, known())) == [
        ("summary", "uses $labels.pod, and the result has only kind"),
        ("link", "uses $labels.who, and the result has only kind"),
    ]
