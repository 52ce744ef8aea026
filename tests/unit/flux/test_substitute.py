from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from harness.flux import substitute as module
from harness.flux.envsubst import Result, SubstitutionError, evaluate
from harness.flux.go_yaml import dump
from harness.flux.substitute import substitute
from harness.model import Location, Pointer, format_pointer
from harness.source.yaml import parse
from hypothesis import given, settings
from hypothesis import strategies as st

NO_YAML = "the object is no YAML after substitution"


def config(value: Any, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}, "data": {"key": value}}


def where(pointer: Pointer) -> Location:
    return Location(format_pointer(pointer), 7)


def problems(body: dict[str, Any], variables: dict[str, str], *, strict: bool = True) -> list[tuple[str, str, str]]:
    return [(each.code, each.location.path, each.message) for each in substitute(body, variables, strict=strict, locate=where).problems]


@pytest.mark.parametrize(
    ("text", "value", "result"),
    [
        ("${A}", "text", "text"),
        ("x-${A}-y", "b", "x-b-y"),
        # The result is read again, so types may change.
        ("${A}", "3", 3),
        ("${A}", "true", True),
        ("${A}", "yes", True),
        ("${A}", "null", None),
        ("${A}", "", None),
        ("${A}", "1e3", 1000),
        ("${A}", "0644", 420),
        ("${A}", "1.20", 1.2),
        ("${A}", '"3"', "3"),
        ("${A}", "[1, {a: b}]", [1, {"a": "b"}]),
        ("${A}", "# gone", None),
        ("a${A}", " # gone", "a"),
        ("${A}", "{a: 1}", {"a": 1}),
        ("${A}0", "1", 10),
        ("${A}:${A}", "8", "8:8"),
        ("'${A}'", "it", "'it'"),
        # Text in quotes or in a block stays text.
        ("${A} ", "3", "3 "),
        ("- ${A}", "3", "- 3"),
        ("a: ${A}", "3", "a: 3"),
        ("one\n${A}\n", "3", "one\n3\n"),
        ("one\n  ${A}", "{", "one\n  {"),
        # Newlines in values are dropped.
        ("${A}", "a\nb\n", "ab"),
        ("$${A}", "x", "${A}"),
        ("a$$b", "x", "a$b"),
        ("$A", "x", "$A"),
    ],
)
def test_value(text: str, value: str, result: object) -> None:
    changed = substitute(config(text), {"A": value}, strict=True)
    assert changed.problems == ()
    assert changed.body == config(result)
    assert type(changed.body["data"]["key"]) is type(result)


def test_keys_are_substituted() -> None:
    body = config("x")
    body["data"] = {"${A}.txt": "1", "z": "${A}"}
    assert substitute(body, {"A": "name"}, strict=True).body["data"] == {"name.txt": "1", "z": "name"}


def test_the_input_is_not_changed_and_is_returned_when_nothing_is_to_do() -> None:
    body = config("${A}")
    before = copy.deepcopy(body)
    assert substitute(body, {"A": "x"}, strict=True).body is not body
    assert body == before
    plain = config("plain $A text")
    assert substitute(plain, {"A": "x"}, strict=True).body is plain


@pytest.mark.parametrize("metadata", [{"labels": {module.OPT_OUT: "disabled"}}, {"annotations": {module.OPT_OUT: "disabled"}}])
def test_opting_out(metadata: dict[str, Any]) -> None:
    body = config("${A} ${", **metadata)
    assert substitute(body, {"A": "x"}, strict=True).body is body


@pytest.mark.parametrize(
    "metadata",
    [{"labels": {module.OPT_OUT: "enabled"}}, {"annotations": {"substitute": "disabled"}}, {"labels": None}, {"annotations": [1]}],
)
def test_not_opting_out(metadata: dict[str, Any]) -> None:
    assert substitute(config("${A}", **metadata), {"A": "x"}, strict=True).body["data"] == {"key": "x"}


def test_without_variables_nothing_happens_unless_always() -> None:
    body = config("${A:=default} $$")
    assert substitute(body, {}, strict=True).body is body
    assert substitute(body, {}, strict=True, always=True).body["data"] == {"key": "default $"}


def test_names_are_reported() -> None:
    body = config("${A} ${B:-${C}} ${D} ${#E}")
    result = substitute(body, {"A": "a", "X": "x"}, strict=False)
    assert (result.used, result.missing, result.problems) == ({"A"}, ("C", "D", "E"), ())


def test_missing_variables_are_problems_when_strict() -> None:
    body = config("${A}")
    body["data"]["other"] = "x ${#B} y"
    body["data"]["x${D}"] = "z"
    assert problems(body, {"A": "a"}) == [
        ("substitute-missing", "data.other", "the variable B is not set and has no default"),
        ("substitute-missing", "data.x${D}", "the variable D is not set and has no default"),
    ]
    assert problems(body, {"A": "a"}, strict=False) == []
    assert problems(config("${AB} ${A}"), {"AB": "a"}) == [("substitute-missing", "data.key", "the variable A is not set and has no default")]


@pytest.mark.parametrize(
    ("text", "value", "problem"),
    [
        ("${A", "x", ("substitute-syntax", "data.key", "missing closing brace")),
        ("${A-x}", "x", ("substitute-syntax", "data.key", "missing closing brace")),
        ("for i in ${list[@]}; do", "x", ("substitute-syntax", "data.key", "missing closing brace")),
        ("a ${1%%:*", "x", ("substitute-syntax", "data.key", "bad substitution")),
        ("${A}", "a: b", ("substitute-not-yaml", "data.key", f"{NO_YAML}: mapping values are not allowed in this context")),
        ("${A}", "*x", ("substitute-not-yaml", "data.key", f"{NO_YAML}: found undefined alias")),
        ("${A}", "[", ("substitute-not-yaml", "data.key", f"{NO_YAML}: did not find expected ',' or ']' while parsing a flow sequence")),
        ("${A:9:-10}", "0123456789", ("substitute-syntax", "data.key", "slice bounds out of range [9:-1]: a negative length stops the controller")),
    ],
)
def test_problem(text: str, value: str, problem: tuple[str, str, str]) -> None:
    body = config(text)
    result = substitute(body, {"A": value}, strict=True, locate=where)
    assert problems(body, {"A": value}) == [problem]
    assert result.body is body


def test_a_wrong_variable_name_spoils_every_object() -> None:
    expected = [("substitute-name", ".", "'a-b' is no variable name: names match ^[_[:alpha:]][_[:alpha:][:digit:]]*$")]
    assert problems(config("plain"), {"a-b": "x", "A": "y"}) == expected


def test_a_key_that_breaks_the_object_is_found() -> None:
    body = config("x")
    body["data"]["${A}"] = "z"
    assert problems(body, {"A": ""}) == [("substitute-not-yaml", "data.${A}", f"{NO_YAML}: did not find expected key while parsing a block mapping")]


def test_an_expression_may_span_the_strings_of_an_object() -> None:
    """Flux sees one text: an unclosed default ends at the next brace of the object, wherever that is."""
    body = config("${A:-open")
    body["data"]["later"] = "close} after"
    result = substitute(body, {"A": "x"}, strict=True)
    assert result.problems == ()
    assert result.body["data"] == {"key": "x after"}


ATOMS = ["${A}", "${B:-d}", "${MISSING:=}", "$$", "$", "a", "/", ":", "-", " ", "#", "'", "{", "1", "\n", "."]
TEXTS = st.lists(st.sampled_from(ATOMS), max_size=6).map("".join)
ENTRIES = TEXTS | st.lists(TEXTS, max_size=2) | st.integers(-(2**63), 2**63) | st.none()
BODIES = st.dictionaries(st.sampled_from(["a", "b", "k ${A}"]), ENTRIES, min_size=1, max_size=4)
VALUES = st.sampled_from(["x", "1", "true", "", "a: b", "[1]", "yes", "# c", "it's", '"', "- a", "a:b", "x/y:1.2", "1.20", "2024-01-01", ":", "a:"])


@settings(max_examples=60)
@given(BODIES, VALUES, VALUES)
def test_the_short_way_gives_what_the_long_way_gives(body: dict[str, Any], first: str, second: str) -> None:
    values = {"A": first, "B": second}
    quick = module._by_scalar(body, values, Result(""))
    if quick is not None:
        slow = module._by_text(body, values, Result(""), where)
        assert json.dumps(quick, sort_keys=True) == json.dumps(slow, sort_keys=True)


@settings(max_examples=60)
@given(BODIES, VALUES, VALUES)
def test_the_result_is_the_text_read_again(body: dict[str, Any], first: str, second: str) -> None:
    result = substitute(body, {"A": first, "B": second}, strict=False)
    try:
        parsed = parse(evaluate(dump(body), {"A": first, "B": second}).text, "x", strict=False)
    except SubstitutionError as error:
        assert [each.message for each in result.problems] == [str(error)]  # noqa: PT017
        return
    fatal = [each for each in parsed.problems if each.code != "yaml-duplicate-key"]
    if fatal or not parsed.documents:
        assert result.problems
    else:
        assert result.body == parsed.documents[0].body
        assert result.problems == ()
