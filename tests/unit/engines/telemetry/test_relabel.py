"""Relabelling: Prometheus' own cases, refusals, and agreement with an oracle that works on lists and runs Go's templates by hand."""

from __future__ import annotations

import hashlib
import re

import pytest
from harness.engines.telemetry.relabel import RelabelError, Step, anchored, read_step, relabel
from hypothesis import assume, given, settings
from hypothesis import strategies as st

A = {"a": "foo", "b": "bar", "c": "baz"}


@pytest.mark.parametrize(
    ("labels", "steps", "expected"),
    [
        (A, [{"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "separator": ";", "replacement": "ch${1}-ch${1}"}], {**A, "d": "choo-choo"}),
        (A, [{"source_labels": ["a", "b"], "regex": "f(.*);(.*)r", "target_label": "a", "replacement": "b${1}${2}m"}], {**A, "a": "boobam"}),
        (A, [{"source_labels": ["a"], "regex": ".*o.*", "action": "drop"}], None),
        ({"a": "abc"}, [{"source_labels": ["a"], "regex": ".*(b).*", "target_label": "d", "replacement": "$1"}], {"a": "abc", "d": "b"}),
        ({"a": "foo"}, [{"source_labels": ["a"], "regex": "no-match", "action": "drop"}], {"a": "foo"}),
        ({"a": "foo"}, [{"source_labels": ["a"], "regex": "f|o", "action": "drop"}], {"a": "foo"}),
        ({"a": "foo"}, [{"source_labels": ["a"], "regex": "no-match", "action": "keep"}], None),
        ({"a": "foo"}, [{"source_labels": ["a"], "regex": "f.*", "action": "keep"}], {"a": "foo"}),
        ({"a": "boo"}, [{"source_labels": ["a"], "regex": "f", "target_label": "b", "replacement": "bar"}], {"a": "boo"}),
        (A, [{"source_labels": ["c"], "target_label": "d", "separator": ";", "action": "hashmod", "modulus": 1000}], {**A, "d": "976"}),
        ({"a": "foo\nbar"}, [{"source_labels": ["a"], "target_label": "b", "action": "hashmod", "modulus": 1000}], {"a": "foo\nbar", "b": "734"}),
        ({"a": "foo", "b1": "bar", "b2": "baz"}, [{"regex": "(b.*)", "replacement": "bar_${1}", "action": "labelmap"}],
         {"a": "foo", "b1": "bar", "b2": "baz", "bar_b1": "bar", "bar_b2": "baz"}),
        ({"a": "foo", "__meta_my_bar": "aaa", "__meta_my_baz": "bbb"}, [{"regex": "__meta_(my.*)", "replacement": "${1}", "action": "labelmap"}],
         {"a": "foo", "__meta_my_bar": "aaa", "__meta_my_baz": "bbb", "my_bar": "aaa", "my_baz": "bbb"}),
        ({"a": "some-name-value"}, [{"source_labels": ["a"], "regex": "some-([^-]+)-([^,]+)", "replacement": "${2}", "target_label": "${1}"}],
         {"a": "some-name-value", "name": "value"}),
        ({"a": "some-name-0"}, [{"source_labels": ["a"], "regex": "some-([^-]+)-([^,]+)", "replacement": "$1", "target_label": "${3}"}], {"a": "some-name-0"}),
        ({"a": "foo"}, [{"source_labels": ["a"], "regex": "some-([^-]+)-([^,]+)", "replacement": "${1}", "target_label": "${3}"}], {"a": "foo"}),
        ({"b1": "bar", "a": "foo"}, [{"regex": "(b.*)", "action": "labeldrop"}], {"a": "foo"}),
        ({"b1": "bar", "a": "foo"}, [{"regex": "(b.*)", "action": "labelkeep"}], {"b1": "bar"}),
        ({"a": "BaR"}, [{"source_labels": ["a"], "target_label": "u", "action": "uppercase"}], {"a": "BaR", "u": "BAR"}),
        ({"a": "BaR"}, [{"source_labels": ["a"], "target_label": "l", "action": "lowercase"}], {"a": "BaR", "l": "bar"}),
        ({"p": "123", "q": "1234"}, [{"source_labels": ["p"], "target_label": "q", "action": "keepequal"}], None),
        ({"p": "12", "q": "12"}, [{"source_labels": ["p"], "target_label": "q", "action": "keepequal"}], {"p": "12", "q": "12"}),
        ({"p": "12", "q": "12"}, [{"source_labels": ["p"], "target_label": "q", "action": "dropequal"}], None),
        ({"a": "x"}, [{"target_label": "b", "replacement": "fixed"}], {"a": "x", "b": "fixed"}),
        ({"a": "x", "b": "y"}, [{"source_labels": ["gone"], "target_label": "b"}], {"a": "x"}),
        ({"a": "x"}, [{"source_labels": ["a"], "target_label": "b", "replacement": "$1x-$$-${1}x"}], {"a": "x", "b": "-$-xx"}),
        ({"a": "FOO"}, [{"source_labels": ["a"], "regex": "(?i)foo", "action": "keep"}], {"a": "FOO"}),
    ],
)  # fmt: skip
def test_prometheus_own_cases(labels: dict[str, str], steps: list[dict[str, object]], expected: dict[str, str] | None) -> None:
    assert relabel(labels, [read_step(step) for step in steps]) == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"action": "replace"}, "action replace needs a target label"),
        ({"action": "hashmod", "target_label": "a"}, "action hashmod needs a modulus above 0"),
        ({"action": "lowercase"}, "action lowercase needs a target label"),
        ({"action": "burn"}, "action 'burn' is none of"),
        ({"regex": "(a", "target_label": "b"}, "regex '(a'"),
        ({"target_label": "a-b"}, "'a-b' is no label name"),
        ({"action": "labeldrop", "source_labels": ["a"], "regex": "b"}, "action labeldrop takes a regex only"),
        ({"action": "keepequal", "target_label": "a", "regex": "b"}, "takes source labels and a target label only"),
        ("drop", "'drop' is no relabelling"),
    ],
)
def test_what_prometheus_refuses(entry: object, message: str) -> None:
    with pytest.raises(RelabelError, match=re.escape(message)):
        read_step(entry)


def test_both_spellings_read_alike() -> None:
    snake = {"source_labels": ["a"], "target_label": "b", "regex": "x", "replacement": "y", "separator": ",", "action": "Replace"}
    camel = {"sourceLabels": ["a"], "targetLabel": "b", "regex": "x", "replacement": "y", "separator": ",", "action": "replace"}
    assert read_step(snake) == read_step(camel)


def test_a_pattern_that_could_explode_is_not_run() -> None:
    with pytest.raises(RelabelError, match="not evaluated"):
        anchored("(a+)+b")


def test_a_set_that_python_warns_of_is_a_set() -> None:
    assert anchored("[[]a").fullmatch("[a")


NAMES = st.sampled_from(["a", "b", "ab", "c", "job"])
VALUES = st.text(alphabet="ab-1", max_size=4)
REGEXES = st.sampled_from(["(.*)", "a", "a.*", "(a)(b?)", "(?:a|b)+1?", "[ab]*", "b|a", "([^-]*)-(.*)", "", "(a|b)(.*)"])
TEMPLATES = st.sampled_from(["$1", "${1}", "$2", "x", "", "$1$2", "p_${2}_$1", "$$", "$0", "c"])


@st.composite
def entries(draw: st.DrawFn) -> dict[str, object]:
    action = draw(
        st.sampled_from(["replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"])
    )
    entry: dict[str, object] = {"action": action}
    if action in ("labeldrop", "labelkeep"):
        return entry | {"regex": draw(REGEXES)}
    if action == "labelmap":
        return entry | {"regex": draw(REGEXES), "replacement": draw(st.sampled_from(["m_$1", "${1}", "c", "m$2"]))}
    entry |= {"source_labels": draw(st.lists(NAMES, max_size=2)), "separator": draw(st.sampled_from([";", "-", ""]))}
    if action in ("replace", "keep", "drop"):
        entry |= {"regex": draw(REGEXES)}
    if action not in ("keep", "drop"):
        entry |= {"target_label": draw(NAMES)}
    if action == "replace":
        entry |= {"replacement": draw(TEMPLATES)}
    if action == "hashmod":
        entry |= {"modulus": draw(st.integers(1, 7))}
    return entry


def oracle_expand(template: str, groups: list[str]) -> str:
    """Go's Expand, character by character."""
    out, at = "", 0
    while at < len(template):
        if template[at] != "$":
            out, at = out + template[at], at + 1
            continue
        rest = template[at + 1 :]
        if rest.startswith("$"):
            out, at = out + "$", at + 2
            continue
        braced = rest.startswith("{") and "}" in rest
        body = rest[1 : rest.index("}")] if braced else ""
        if not braced:
            while len(body) < len(rest) and (rest[len(body)].isalnum() or rest[len(body)] == "_"):
                body += rest[len(body)]
        if not body:
            out, at = out + "$", at + 1
            continue
        out += groups[int(body)] if body.isdigit() and int(body) < len(groups) else ""
        at += 1 + len(body) + (2 if braced else 0)
    return out


def oracle(labels: dict[str, str], steps: list[dict[str, object]]) -> dict[str, str] | None:
    """The documentation's words over a list of pairs, with Python's own regular expressions."""
    pairs = [[name, value] for name, value in sorted(labels.items())]

    def get(name: str) -> str:
        return "".join(value for known, value in pairs if known == name)

    def put(name: str, value: str) -> None:
        pairs[:] = [pair for pair in pairs if pair[0] != name] + ([[name, value]] if value else [])

    for step in steps:
        action, regex = step["action"], str(step.get("regex", "(.*)"))
        joined = str(step.get("separator", ";")).join(get(str(name)) for name in step.get("source_labels", []))  # type: ignore[attr-defined]
        hit = re.match(f"^(?:{regex})$", joined)
        groups = [hit[0], *(group or "" for group in hit.groups())] if hit else []
        target = str(step.get("target_label", ""))
        if (action == "keep" and not hit) or (action == "drop" and hit):
            return None
        if (action == "keepequal" and get(target) != joined) or (action == "dropequal" and get(target) == joined):
            return None
        if action == "replace" and hit:
            put(target, oracle_expand(str(step["replacement"]), groups))
        elif action == "hashmod":
            put(target, str(int(hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()[16:], 16) % int(str(step["modulus"]))))
        elif action in ("lowercase", "uppercase"):
            put(target, joined.lower() if action == "lowercase" else joined.upper())
        elif action == "labelmap":
            for name, value in [tuple(pair) for pair in pairs]:
                named = re.match(f"^(?:{regex})$", name)
                if named:
                    put(oracle_expand(str(step["replacement"]), [named[0], *(group or "" for group in named.groups())]), value)
        elif action in ("labeldrop", "labelkeep"):
            pairs[:] = [pair for pair in pairs if bool(re.match(f"^(?:{regex})$", pair[0])) == (action == "labelkeep")]
    return dict(pairs)


@settings(max_examples=100)
@given(labels=st.dictionaries(NAMES, VALUES.filter(bool), max_size=4), steps=st.lists(entries(), max_size=4))
def test_agrees_with_the_oracle(labels: dict[str, str], steps: list[dict[str, object]]) -> None:
    assert relabel(labels, [read_step(step) for step in steps]) == oracle(labels, steps)


@settings(max_examples=50)
@given(labels=st.dictionaries(NAMES, VALUES.filter(bool), max_size=4), first=st.lists(entries(), max_size=3), second=st.lists(entries(), max_size=3))
def test_steps_in_two_parts_are_steps_in_one(labels: dict[str, str], first: list[dict[str, object]], second: list[dict[str, object]]) -> None:
    # Of two labels that labelmap maps to one name the later wins, and which is later depends on where the steps began.
    assume(all(step["action"] != "labelmap" for step in second))
    head, tail = [read_step(step) for step in first], [read_step(step) for step in second]
    half = relabel(labels, head)
    assert relabel(labels, head + tail) == (None if half is None else relabel(half, tail))


def test_no_step_changes_nothing_but_empty_labels() -> None:
    assert relabel({"a": "x", "b": ""}, []) == {"a": "x"}
    assert Step() == read_step({"target_label": "x"}).__class__()
