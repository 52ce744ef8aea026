"""Pipelines do to lines what Promtail does, and refuse what it refuses."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import yaml
from harness.engines.telemetry.promtail import stages_of
from harness.engines.telemetry.promtail.selector import SelectorError, parse
from harness.engines.telemetry.promtail.template import TemplateError, render
from hypothesis import given, settings
from hypothesis import strategies as st

STREAM = {"app": "web", "namespace": "shop"}


def _run(stages: str, *lines: str, labels: dict[str, str] = STREAM) -> list[Any]:
    pipeline = stages_of(yaml.safe_load(stages))
    assert pipeline.errors == ()
    return [
        fate.dropped or (fate.entry.line, {key: value for key, value in fate.entry.labels.items() if labels.get(key) != value}, fate.entry.metadata)
        for fate in pipeline.run(labels, lines)
    ]


def _errors(stages: str) -> list[tuple[tuple[str | int, ...], str, bool]]:
    return [(error.at, error.message, error.unsupported) for error in stages_of(yaml.safe_load(stages)).errors]


@pytest.mark.parametrize(
    ("stages", "line", "expected"),
    [
        ("- cri: {}", "2026-11-23T10:00:00.1Z stderr F hello there", ("hello there", {"stream": "stderr"}, {})),
        ("- cri: {}", "no prefix", ("no prefix", {}, {})),
        ("- docker: {}", '{"log":"hello\\n","stream":"stdout","time":"2026-11-23T10:00:00Z"}', ("hello\n", {"stream": "stdout"}, {})),
        ("- regex: {expression: 'level=(?P<level>\\w+)'}\n- labels: {level:}", "a level=warn b", ("a level=warn b", {"level": "warn"}, {})),
        ("- regex: {expression: 'level=(?P<level>\\w+)'}\n- labels: {level:}", "nothing", ("nothing", {}, {})),
        ("- regex: {expression: '(?P<level>\\w+)', labels_from_groups: true}", "warn it", ("warn it", {"level": "warn"}, {})),
        (
            "- json: {expressions: {status: response.status, ok: ok}}\n- labels: {status:, fine: ok}",
            '{"response": {"status": 503.0}, "ok": true}',
            ('{"response": {"status": 503.0}, "ok": true}', {"status": "503", "fine": "true"}, {}),
        ),
        ("- json: {expressions: {x: list}}\n- labels: {x:}", '{"list": [1, "a"]}', ('{"list": [1, "a"]}', {"x": '[1,"a"]'}, {})),
        ("- json: {expressions: {x: x}}\n- labels: {x:}", '{"x": null}', ('{"x": null}', {}, {})),
        ("- json: {expressions: {x: x}, drop_malformed: true}", "not json", "malformed_json"),
        ("- json: {expressions: {x: x}}", "not json", ("not json", {}, {})),
        (
            "- json: {expressions: {inner: message}}\n- json: {source: inner, expressions: {level: }}\n- labels: {level:}",
            '{"message": "{\\"level\\": \\"info\\"}"}',
            ('{"message": "{\\"level\\": \\"info\\"}"}', {"level": "info"}, {}),
        ),
        (
            "- logfmt: {mapping: {level:, took: duration}}\n- labels: {level:, took:}",
            'ts=1 level=info duration="1 s"',
            ('ts=1 level=info duration="1 s"', {"level": "info", "took": "1 s"}, {}),
        ),
        ("- structured_metadata: {owner: app}\n- labeldrop: [namespace]", "x", ("x", {}, {"owner": "web"})),
        ("- labelallow: [app]\n- static_labels: {tier: front}", "x", ("x", {"tier": "front"}, {})),
        ("- regex: {expression: '(?P<msg>b.*)'}\n- output: {source: msg}", "a b c", ("b c", {}, {})),
        ("- template: {source: app, template: '{{ ToUpper .Value }}-{{ .Entry }}'}\n- labels: {app:}", "x", ("x", {"app": "WEB-x"}, {})),
        ("- replace: {expression: 'password=(\\S+)', replace: '***'}", "a password=secret1 password=secret2", ("a password=*** password=***", {}, {})),
        ("- replace: {expression: '(\\d+)-(\\d+)', replace: '<{{ .Value }}>'}", "x 1-22 y", ("x <1>-<22> y", {}, {})),
        ("- drop: {expression: 'GET /healthz', drop_counter_reason: probe}", "GET /healthz 200", "probe"),
        ("- drop: {source: app, value: web}", "x", "drop_stage"),
        ("- drop: {source: [app, namespace], separator: /, expression: '^web/shop$'}", "x", "drop_stage"),
        ("- drop: {source: gone, expression: '.*'}", "x", ("x", {}, {})),
        ("- drop: {longer_than: 1kb}", "x" * 1001, "drop_stage"),
        ('- match: {selector: \'{app="web"} |= "boom"\', action: drop}', "boom", "match_stage"),
        ('- match: {selector: \'{app="web"} |= "boom"\', action: drop}', "fine", ("fine", {}, {})),
        ("- match: {selector: '{namespace=~\"sh.p\"}', stages: [{static_labels: {a: b}}]}", "x", ("x", {"a": "b"}, {})),
        ("- match: {selector: '{namespace=~\"sh\"}', stages: [{static_labels: {a: b}}]}", "x", ("x", {}, {})),
        ("- pack: {labels: [app]}", "x", ('{"app":"web","_entry":"x"}', {}, {})),
        ("- decolorize: {}", "\x1b[31mred\x1b[0m", ("red", {}, {})),
        ("- limit: {rate: 1, burst: 1}\n- metrics: {}\n- tenant: {value: a}\n- timestamp: {source: t, format: RFC3339}", "x", ("x", {}, {})),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_one_line(stages: str, line: str, expected: Any) -> None:
    assert _run(stages, line) == [expected]


def test_partial_lines_of_the_runtime_are_put_together_for_each_stream() -> None:
    lines = ["t stdout P one ", "t stderr F other", "t stdout P two ", "t stdout F three", "t stdout P left"]
    assert [line for line, _, _ in _run("- cri: {}", *lines)] == ["one two three", "other", "one two three", "one two three", "left"]


def test_blocks_of_lines_are_joined_until_the_next_first_line() -> None:
    stages = "- multiline: {firstline: '^\\S', max_lines: 3}"
    lines = ["  before", "first", "  a", "second", "  b", "  c", "  d"]
    assert [line for line, _, _ in _run(stages, *lines)] == [
        "  before",
        "first\n  a",
        "first\n  a",
        "second\n  b\n  c",
        "second\n  b\n  c",
        "second\n  b\n  c",
        "  d",
    ]


def test_a_block_has_the_labels_of_its_first_line_and_no_structured_metadata() -> None:
    before = "- json: {expressions: {id: id}}\n- structured_metadata: {id: }\n"
    assert _run(before + "- multiline: {firstline: '^\\S'}", '{"id":"7"}', labels={"app": "web"}) == [('{"id":"7"}', {}, {})]
    after = "- json: {expressions: {id: id}}\n- multiline: {firstline: '^\\S'}\n- structured_metadata: {id: }"
    assert _run(after, '{"id":"7"}', labels={"app": "web"}) == [('{"id":"7"}', {}, {"id": "7"})]


def test_blocks_inside_a_match_leave_others_alone_and_may_be_dropped_whole() -> None:
    stages = "- match: {selector: '{app=\"web\"}', stages: [{multiline: {firstline: '^\\S'}}, {drop: {expression: secret}}]}"
    assert _run(stages, "a", " secret", "b") == ["drop_stage", "drop_stage", ("b", {}, {})]
    assert _run(stages, "a", " secret", labels={"app": "other"}) == [("a", {}, {}), (" secret", {}, {})]


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ("- cry: {}", [((0, "cry"), "there is no stage cry", False)]),
        ("- cri: {}\n  docker: {}", [((0,), "a stage has one name, this one has cri, docker", False)]),
        ("- regex: {expression: '('}", [((0, "regex", "expression"), "'(': Illegal regex: missing ), unterminated subpattern at position 0", False)]),
        ("- regex: {expression: a}", [((0, "regex", "expression"), "the expression has no named group: nothing would be extracted", False)]),
        ("- regex: {expresion: a}", [((0, "regex", "expresion"), "regex has no field expresion", False)]),
        (
            "- json: {expressions: {x: 'a.['}}",
            [((0, "json", "expressions", "x"), "'a.[' is no JMESPath: Invalid jmespath expression: Incomplete expression:", False)],
        ),
        ("- labels: {a-b: c}", [((0, "labels", "a-b"), "'a-b' is no label name", False)]),
        ("- timestamp: {source: t, format: later}", [((0, "timestamp", "format"), "'later' is neither a format by name nor a layout of Go's time", False)]),
        ("- match: {selector: 'app=x', stages: []}", [((0, "match", "selector"), "'app=x' does not start with a stream selector", False)]),
        (
            "- match: {selector: '{a=\"b\"}', stages: [{drop: {}}]}",
            [((0, "match", "stages", 0, "drop"), "drop needs one of source, expression, older_than, longer_than", False)],
        ),
        ("- replace: {expression: 'secret', replace: x}", [((0, "replace", "expression"), "the expression has no group: nothing would be replaced", False)]),
        ("- sampling: {rate: 0.1}", [((0, "sampling"), "which lines sampling keeps is chance", True)]),
        ("- template: {source: a, template: '{{ if .a }}x{{ end }}'}", [((0, "template", "template"), "not evaluated: function if", True)]),
        ("- drop: {older_than: yesterday}", [((0, "drop", "older_than"), "older_than: 'yesterday' is no duration", False)]),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_promtail_refuses_is_told_with_its_place(stages: str, expected: list[Any]) -> None:
    assert _errors(stages) == expected


def test_a_stage_that_cannot_be_evaluated_marks_the_entries_that_meet_it() -> None:
    pipeline = stages_of([{"sampling": {"rate": 0.5}}])
    (fate,) = pipeline.run(STREAM, ["x"])
    assert fate.entry.unknown == ("sampling: which lines sampling keeps is chance",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no matcher"),
        ('{a=~".*"', "cannot be read"),
        ('{a!="b"}', "needs one matcher"),
        ('{a="b"} | json', "which is no line filter"),
        ('{a=~"("}', "Illegal regex"),
    ],
    ids=lambda value: value,
)
def test_selectors_that_loki_refuses(text: str, message: str) -> None:
    with pytest.raises(SelectorError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ .a }}/{{ .gone }}", "x y/<no value>"),
        ('{{ Replace .a "x" "z" -1 | ToUpper }}', "Z Y"),
        ('{{ .a | TrimSpace }}{{- " " -}}  b', "x y b"),
        ('{{ TrimPrefix .a "x " }}', "y"),
        ('{{ Sha2Hash "salt" .a }}', hashlib.sha256(b"saltx y").hexdigest()),
    ],
    ids=lambda value: value,
)
def test_templates(template: str, expected: str) -> None:
    assert render(template, {"a": "x y"}) == expected


def test_templates_that_cannot_be_evaluated() -> None:
    with pytest.raises(TemplateError, match="not evaluated"):
        render("{{ range .a }}{{ end }}", {})


WORD = st.text(st.sampled_from("ab= 1"), max_size=12)


@settings(max_examples=80)
@given(st.lists(WORD, min_size=1, max_size=5))
def test_replacing_agrees_with_a_substitution_of_whole_matches(words: list[str]) -> None:
    line = " ".join(words)
    (found,) = _run("- replace: {expression: 'a=([b1]+)', replace: '#'}", line)
    assert found[0] == re.sub(r"(?<=a=)[b1]+", "#", line)


@settings(max_examples=80)
@given(st.lists(WORD, min_size=1, max_size=8))
def test_no_line_is_lost_and_blocks_keep_the_order(words: list[str]) -> None:
    pipeline = stages_of([{"multiline": {"firstline": "^a", "max_lines": 3}}])
    fates = pipeline.run(STREAM, words)
    sent = list(dict.fromkeys(id(fate.entry) for fate in fates))
    by_id = {id(fate.entry): fate.entry for fate in fates}
    assert [position for key in sent for position in by_id[key].sources] == list(range(len(words)))
    assert "\n".join(by_id[key].line for key in sent) == "\n".join(words)


@settings(max_examples=60)
@given(st.lists(WORD, min_size=1, max_size=6), st.sampled_from(['{app="web"}', '{app="x"}', '{app=~"w.."} |= "a"']))
def test_a_match_that_drops_is_the_complement_of_one_that_keeps(words: list[str], selector: str) -> None:
    drops = stages_of([{"match": {"selector": selector, "action": "drop"}}]).run(STREAM, words)
    marks = stages_of([{"match": {"selector": selector, "stages": [{"static_labels": {"met": "yes"}}]}}]).run(STREAM, words)
    assert [bool(fate.dropped) for fate in drops] == ["met" in fate.entry.labels for fate in marks]
