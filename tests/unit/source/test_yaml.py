from __future__ import annotations

import json
import time
from typing import Any

import pytest
from harness.flux.go_yaml import dump
from harness.model import Location, Pointer
from harness.source import yaml
from harness.source.yaml import loads, parse, split
from hypothesis import given, settings
from hypothesis import strategies as st


def problems(text: str, **options: Any) -> list[tuple[str, int, str]]:
    return [(each.code, each.location.line, each.message) for each in parse(text, "f.yaml", **options).problems]


# Scalars: what kubectl 1.37 reads (measured with `kubectl label --local -o json`).


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y")),
        *((word, False) for word in ("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N")),
        *((word, None) for word in ("~", "null", "Null", "NULL", "")),
        *((word, word) for word in ("tRue", "yEs", "nULL", "=", "12:30:45", "2024-01-01", "2024-01-01T00:00:00Z")),
        *((word, word) for word in ("1.2.3", "0x", "0b", "1e", "+", "_1", "1e400")),
        *(("017", 15), ("0o17", 15), ("0644", 420), ("1_000", 1000), ("0b11", 3), ("0x1F", 31), ("-0x1F", -31), ("+12", 12), ("-0", 0)),
        *(("1e3", 1000), ("1.0", 1), ("1.5", 1.5), ("-.5", -0.5), ("08", 8), ("1_0.5", 10.5), ("6.022e23", 6.022e23)),
        *(("9223372036854775807", 2**63 - 1), ("18446744073709551615", 2**64 - 1), ("18446744073709551616", float(2**64)), ("9" * 30, 1e30)),
    ],
)
def test_plain_scalar_is_read_as_kubectl_reads_it(text: str, value: object) -> None:
    body = loads(f"key: {text}")
    assert body == {"key": value}
    assert type(body["key"]) is type(value)


@pytest.mark.parametrize("text", ["true", "12", "~", "2024-01-01", "0644", "", "1e3"])
def test_quoted_scalar_is_text(text: str) -> None:
    assert loads(f"a: '{text}'\nb: \"{text}\"\nc: !!str {text or chr(39) * 2}\n") == {"a": text, "b": text, "c": text}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yes", "yes is the boolean true for kubectl and text for kustomize: write true, false or quote it"),
        ("Off", "Off is the boolean false for kubectl and text for kustomize: write true, false or quote it"),
        ("n", "n is the boolean false for kubectl and text for kustomize: write true, false or quote it"),
        ("0644", "0644 is the number 420 for kubectl and 644 for YAML 1.2: write 420 or quote it"),
        ("1_000", "1_000 is the number 1000 for kubectl and text for YAML 1.2: write the plain number or quote it"),
        ("0b11", "0b11 is the number 3 for kubectl and text for YAML 1.2: write the plain number or quote it"),
        ("12:30", "12:30 is text for kubectl and a number in base 60 for YAML 1.1: quote it"),
        ("2024-01-01", "2024-01-01 is text for kubectl and a timestamp for kustomize: quote it"),
        (".inf", ".inf has no form in JSON: quote it"),
        ("99999999999999999999", "99999999999999999999 loses digits, it does not fit 64 bits: quote it"),
        ("1" * 5000, f"{'1' * 37}... loses digits, it does not fit 64 bits: quote it"),
    ],
)
def test_ambiguous_scalar_is_reported_in_sources_only(text: str, message: str) -> None:
    assert problems(f"a: 1\nkey: {text}\n") == [("yaml-ambiguous-scalar", 2, message)]
    assert problems(f"a: 1\nkey: {text}\n", strict=False) == []


@pytest.mark.parametrize("text", ["true", "null", "~", "0", "10", "-1", "1.5", "1e3", "0x1F", "8080:80", "v1", "'yes'", '"0644"', "|\n  yes", "!!str yes"])
def test_clear_scalar_is_not_reported(text: str) -> None:
    assert problems(f"key: {text}") == []


def test_workflow_words_are_text() -> None:
    text = "on: push\njobs: {a: yes, b: 'no', c: true}\n"
    assert parse(text, "f", yaml_1_1=False).documents[0].body == {"on": "push", "jobs": {"a": "yes", "b": "no", "c": True}}
    assert problems(text, yaml_1_1=False) == []


# What is wrong with a document.


def test_duplicate_keys_are_all_reported_with_the_first_line() -> None:
    text = "# c\na: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\na: 3\n"
    assert problems(text) == [
        ("yaml-duplicate-key", 6, "duplicate key 'c', first at line 4"),
        ("yaml-duplicate-key", 7, "duplicate key 'a', first at line 2"),
        ("yaml-duplicate-key", 8, "duplicate key 'a', first at line 2"),
    ]
    assert parse(text, "f").documents[0].body == {"a": 3, "b": {"c": 3, "d": 2}}


def test_many_duplicate_keys_take_no_time() -> None:
    text = "".join(f"k{index % 5000}: 1\n" for index in range(10_000))
    started = time.monotonic()
    assert len(problems(text)) == 5000
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\n\tb: 2\n", ("yaml-tab", 2, "a tab is used for indentation: use spaces")),
        ("a:\n\t- b\n", ("yaml-tab", 2, "a tab is used for indentation: use spaces")),
        ("- a\n", ("yaml-not-a-mapping", 1, "the document is a list, not a mapping")),
        ("\n# c\ntext\n", ("yaml-not-a-mapping", 3, "the document is text, not a mapping")),
        ("12\n", ("yaml-not-a-mapping", 1, "the document is a number, not a mapping")),
        ("true\n", ("yaml-not-a-mapping", 1, "the document is a boolean, not a mapping")),
        ("a: [\n", ("yaml-syntax", 2, "did not find expected node content while parsing a flow node")),
        ('a: "b\n', ("yaml-syntax", 2, "found unexpected end of stream while scanning a quoted scalar")),
        ("a: b\n b: c\n", ("yaml-syntax", 2, "mapping values are not allowed in this context")),
        ("a: *x\n", ("yaml-syntax", 1, "found undefined alias")),
        ("a: !Ref b\n", ("yaml-syntax", 1, "the tag !Ref means nothing to Kubernetes")),
        ("a: !!int b\n", ("yaml-syntax", 1, "'b' is not of the type !!int")),
        ("a: x\x07y\n", ("yaml-encoding", 1, "the control character U+0007 is not allowed in YAML")),
        ("a: 1\nb: \x00\n", ("yaml-encoding", 2, "the control character U+0000 is not allowed in YAML")),
        ("\ufeffa: 1\n", ("yaml-encoding", 1, "the file starts with a byte order mark: save it as UTF-8 without one")),
        ("1: a\n", ("yaml-non-string-key", 1, "the key 1 is not text, and becomes '1': quote it")),
        ("on: a\n", ("yaml-non-string-key", 1, "the key on is not text, and becomes 'true': quote it")),
        ("~: a\n", ("yaml-non-string-key", 1, "null cannot be a key: quote it")),
        ("? [a]\n: b\n", ("yaml-non-string-key", 1, "a mapping or list cannot be a key")),
        ("a: {<<: [1]}\n", ("yaml-syntax", 1, "a merge key (<<) takes a mapping or a list of mappings")),
        ("a: &x [*x]\n", ("yaml-alias-bomb", 1, "an alias refers to a node that contains it")),
    ],
)
def test_problem(text: str, problem: tuple[str, int, str]) -> None:
    assert problems(text) == [problem]


def test_one_bad_document_does_not_hide_the_others() -> None:
    parsed = parse("a: 1\n---\nb: [\n---\n- c\n---\nd: 4\n---\ne: 5\n", "f")
    assert [(each.index, each.line, each.body) for each in parsed.documents] == [(0, 1, {"a": 1}), (3, 7, {"d": 4}), (4, 9, {"e": 5})]
    assert [(each.code, each.location) for each in parsed.problems] == [("yaml-syntax", Location("f", 4)), ("yaml-not-a-mapping", Location("f", 5))]


def test_alias_bomb_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    found = problems("\n".join(lines))
    assert [(code, line) for code, line, _ in found] == [("yaml-alias-bomb", 1)]


def test_an_anchor_may_be_used_again() -> None:
    text = "a: &x {k: 1}\nb: *x\nc: &x [2, 'y']\nd: *x\ne: !!str 3\n"
    assert parse(text, "f").documents[0].body == {"a": {"k": 1}, "b": {"k": 1}, "c": [2, "y"], "d": [2, "y"], "e": "3"}
    assert problems("a: &x 1\nb: &x 2\nc: *z\n") == [("yaml-syntax", 3, "found undefined alias")]


def test_anchors_and_merge_keys_are_resolved() -> None:
    text = "base: &b {x: 1, w: 2}\nother: &o {w: 9, z: 3}\nuse: {<<: [*b, *o], x: 0}\nsame: *b\n"
    assert parse(text, "f").documents[0].body["use"] == {"x": 0, "w": 2, "z": 3}
    assert parse(text, "f").documents[0].body["same"] == {"x": 1, "w": 2}
    assert problems(text) == []


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000 + "a", "? " * 100_000 + "a", "\n".join(" " * n + "a:" for n in range(600))])
def test_deep_nesting_is_refused_in_bounded_time(text: str) -> None:
    started = time.monotonic()
    assert [code for code, _, _ in problems(text)] == ["yaml-too-deep"]
    assert time.monotonic() - started < 5


def test_nesting_below_the_limit_is_read() -> None:
    assert problems("a: " + "[" * 190 + "]" * 190) == []


def test_line_ends_of_other_systems() -> None:
    parsed = parse("a: 1\r\nb:\r\n  - x\r\n---\r\nc: yes\r\n", "f")
    assert [each.body for each in parsed.documents] == [{"a": 1, "b": ["x"]}, {"c": True}]
    assert [each.location.line for each in parsed.problems] == [5]


def test_bytes_that_are_not_utf_8_are_reported_with_their_line() -> None:
    text, found = yaml.decode(b"a: 1\nb: \xff\n", "f")
    assert text == "a: 1\nb: \ufffd\n"
    assert [(each.code, str(each.location), each.message) for each in found] == [("yaml-encoding", "f:2", "byte 0xff at position 8 is not UTF-8")]


def test_loads_refuses_what_it_cannot_give() -> None:
    assert loads("") is None
    assert loads("- 1") == [1]
    with pytest.raises(ValueError, match="more than one document"):
        loads("a: 1\n---\nb: 2\n")
    with pytest.raises(ValueError, match="did not find expected node content"):
        loads("[")


# Documents and lines.


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("# only\n---\n# comments\n", []),
        ("a: 1\n", [(1, "a: 1\n")]),
        ("---\na: 1\n---\nb: 2\n", [(1, "\na: 1\n"), (3, "\nb: 2\n")]),
        ("---# Source: x\na: 1\n", [(1, "\na: 1\n")]),
        ("--- # c\na: 1\n...\n---\nb: 1\n", [(1, "\na: 1\n"), (4, "\nb: 1\n")]),
        ("--- {a: 1}\n", [(1, "{a: 1}\n")]),
        ("a: |\n  ---\n  x\n", [(1, "a: |\n  ---\n  x\n")]),
        ("a: ---b\n", [(1, "a: ---b\n")]),
        ("%YAML 1.1\n---\na: 1\n", [(2, "\na: 1\n")]),
        ("a: 1\n-----\nb\n", [(1, "a: 1\n-----\nb\n")]),
    ],
)
def test_split(text: str, pieces: list[tuple[int, str]]) -> None:
    assert split(text) == pieces


MANIFEST = """\
# A comment.

apiVersion: v1
kind: Pod
spec:
  containers:
    - name: a
      image: b
    - name: c
      env: [{name: x}, {name: y}]
  on: [1]
"""


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ((), 3),
        (("kind",), 4),
        (("spec",), 5),
        (("spec", "containers"), 6),
        (("spec", "containers", 0), 7),
        (("spec", "containers", 0, "image"), 8),
        (("spec", "containers", 1, "env", 1, "name"), 10),
        (("spec", "true", 0), 11),
        (("spec", "containers", 0, "ports", 0), 7),
        (("spec", "containers", 7), 6),
        (("status",), 3),
    ],
)
def test_locate(pointer: Pointer, line: int) -> None:
    document = parse(MANIFEST, "f.yaml", first_line=11).documents[0]
    assert document.locate(pointer) == Location("f.yaml", line + 10)


def test_locate_follows_aliases_and_merges() -> None:
    document = parse("a: &a\n  x: 1\nb:\n  <<: *a\n  w: 2\nc: *a\n", "f").documents[0]
    assert [document.locate(pointer).line for pointer in (("b", "x"), ("b", "w"), ("c",), ("c", "x"))] == [2, 5, 6, 2]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
KEYS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=8).filter(lambda key: key != "<<")
DATA = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12)
BODIES = st.dictionaries(KEYS, DATA, min_size=1, max_size=4)


@settings(max_examples=50, deadline=None)
@given(BODIES)
def test_json_and_go_yaml_are_read_back(body: dict[str, Any]) -> None:
    assert loads(json.dumps(body, ensure_ascii=False)) == body
    assert loads(dump(body)) == body


@settings(max_examples=30, deadline=None)
@given(st.lists(BODIES, min_size=1, max_size=4), st.sampled_from(["---\n", "--- # c\n", "---# c\n", "---\n# c\n\n---\n"]))
def test_a_stream_is_its_documents_with_their_lines(bodies: list[dict[str, Any]], separator: str) -> None:
    text = separator.join(dump(body) for body in bodies)
    parsed = parse(text, "f", strict=False)
    assert [each.body for each in parsed.documents] == bodies
    lines = text.split("\n")
    for document, body in zip(parsed.documents, bodies, strict=True):
        assert lines[document.line - 1] == dump(body).split("\n")[0]


@settings(max_examples=40, deadline=None)
@given(st.recursive(st.integers(), lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3)))
def test_every_line_can_be_found_again(data: Any) -> None:
    """In block style each entry of a mapping has a line of its own, which begins with its key."""
    document = parse(dump({"root": data}), "f", strict=False).documents[0]
    lines = document.text.split("\n")

    def walk(value: Any, pointer: Pointer) -> None:
        line = lines[document.locate(pointer).line - 1]
        if isinstance(pointer[-1], str):
            assert dump({pointer[-1]: 0}).partition(":")[0].split("\n")[0] in line
        else:
            assert line.lstrip().startswith("- ")
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
            walk(inner, (*pointer, key))

    walk(data, ("root",))


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from(list(" \n\t-:#[]{}&*!|>'\"%@`abyn01~,?<$\x00\x85\u2028")), max_size=40))
def test_any_text_is_answered(text: str) -> None:
    """No input raises, and reading for people finds at least what reading for machines finds."""
    strict = parse(text, "f")
    lenient = parse(text, "f", strict=False)
    assert [each.body for each in strict.documents] == [each.body for each in lenient.documents]
    assert set(lenient.problems) <= set(strict.problems)
    for document in strict.documents:
        assert document.locate(("a", 0)).line >= 1
        json.dumps(document.body, allow_nan=False)


def test_equal_rendered_text_is_parsed_once() -> None:
    first = parse("a: {b: [1]}\n", "x", strict=False).documents[0].body
    assert parse("a: {b: [1]}\n", "y", strict=False).documents[0].body is first
