from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.strvals import MAX_NESTING, StrvalsError, parse_line, set_value
from harness.flux.tools import run
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.flux.releases import TOOLS, chart

if TYPE_CHECKING:
    from pathlib import Path

#: What ``helm template --set`` made of it (Helm 4.2.3).
CASES: list[tuple[str, Any]] = [
    ("a=1", {"a": 1}),
    ("a.b=1,a.c=x", {"a": {"b": 1, "c": "x"}}),
    ("a[0]=1,a[2]=2", {"a": [1, None, 2]}),
    ("a={1,2,x}", {"a": [1, 2, "x"]}),
    ("a={1,2},b=3", {"a": [1, 2], "b": 3}),
    ("a={}", {"a": [""]}),
    ("a=", {"a": ""}),
    ("a.b=", {"a": {"b": ""}}),
    ("a=007", {"a": "007"}),
    ("a=0", {"a": 0}),
    ("a=-5", {"a": -5}),
    ("a=null", {"a": None}),
    ("a=True", {"a": True}),
    ("a=1.5", {"a": "1.5"}),
    ("a=99999999999999999999", {"a": "99999999999999999999"}),
    (r"a\.b=x\,y", {"a.b": "x,y"}),
    ("a[0].b=1,a[0].c=2", {"a": [{"b": 1, "c": 2}]}),
    ("a[1][2]=3", {"a": [None, [None, None, 3]]}),
    ("a[2].b=", {"a": []}),
    ("a=b=c", {"a": "b=c"}),
    ("a=1,", {"a": 1}),
    ("a[0", {}),
    ("a", "key 'a' has no value"),
    ("a..b=1", "key map 'a' has no value"),
    ("a[-1]=1", "negative -1 index not allowed"),
    ("a[x]=1", "error parsing index: 'x'"),
    ("a[70000]=1", "index of 70000 is greater than maximum supported index of 65536"),
    ("a={", "list must terminate with '}'"),
    ("a.b=1,a.b.c=2", "'b' is not a mapping"),
    ("a[0]=1,a.b=2", "'a' is not a mapping"),
    ("a,b=1", "key 'a' has no value (cannot end with ,)"),
]


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_lines(line: str, expected: Any) -> None:
    values: dict[str, Any] = {}
    if isinstance(expected, str):
        with pytest.raises(StrvalsError) as error:
            parse_line(line, values)
        assert str(error.value) == expected
    else:
        parse_line(line, values)
        assert values == expected


def test_text_only_makes_no_types() -> None:
    values: dict[str, Any] = {}
    parse_line("a=1,b={true,null}", values, text_only=True)
    assert values == {"a": "1", "b": ["true", "null"]}


def test_nesting_is_bounded() -> None:
    with pytest.raises(StrvalsError, match=f"greater than maximum supported nested level of {MAX_NESTING}"):
        parse_line(".".join("a" * 40) + "=1", {})


@pytest.mark.parametrize(
    ("value", "literal", "result"),
    [
        ("8080", False, 8080),
        ("'8080'", False, "8080"),
        ('"true"', False, "true"),
        ("{a,b}", False, ["a", "b"]),
        ("a,b=c", False, "a"),
        ("{a,b}", True, "{a,b}"),
        ("8080", True, "8080"),
        ("a,b=c[0]\\\n", True, "a,b=c[0]\\\n"),
        ("", True, ""),
    ],
)
def test_values_at_a_path(value: str, literal: bool, result: Any) -> None:
    values: dict[str, Any] = {"x": {"kept": 1}}
    set_value(values, r"x.y\.z", value, literal=literal)
    assert values["x"] == {"kept": 1, "y.z": result}


@settings(max_examples=60)
@given(st.text(max_size=12).filter(lambda text: not any(0xD800 <= ord(character) < 0xE000 for character in text)))
def test_literal_values_come_through_as_they_are(text: str) -> None:
    values: dict[str, Any] = {}
    set_value(values, "a[1].b", text, literal=True)
    # Helm drops an item that the text ends in.
    assert values == ({"a": [None, {"b": text}]} if text else {"a": []})


def test_agrees_with_helm(tmp_path: Path) -> None:
    package = chart(tmp_path, "x", templates__a_yaml="kind: A\nv: {{ .Values | toJson | squote }}\n")
    lines = [line for line, expected in CASES if not isinstance(expected, str)]
    for line in lines[:: max(1, len(lines) // 6)]:
        output = run(TOOLS.helm, ["template", "x", str(package), "--set", line])
        assert output.code == 0, line
        answer = json.loads(next(row for row in output.stdout.splitlines() if row.startswith("v: "))[4:-1])
        values: dict[str, Any] = {}
        parse_line(line, values)
        assert copy.deepcopy(answer) == values, line
