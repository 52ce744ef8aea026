"""Expected values were taken from fluxcd/pkg/envsubst itself, built from its source."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from harness.flux.envsubst import SubstitutionError, evaluate
from harness.flux.globs import longest_prefix, shortest_prefix
from hypothesis import given, settings
from hypothesis import strategies as st

VARIABLES = {
    "v": "abcdEFGH28ij",
    "path": "/home/bozo/ideas/thoughts.for.today",
    "file": "bash.string.txt",
    "slash": "foo/bar/baz",
    "z": "abcABC123ABCabc",
    "empty": "",
    "accent": "été",
    "d": "other",
    "_n1": "3",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain $v {v} \\ text", "plain $v {v} \\ text"),
        ("${v}", "abcdEFGH28ij"),
        ("a ${v} b ${_n1}${empty}", "a abcdEFGH28ij b 3"),
        ("${missing}", ""),
        # Defaults.
        ("${missing:-x y}", "x y"),
        ("${missing:=x}", "x"),
        ("${missing=x}", "x"),
        ("${empty:-x}", "x"),
        ("${empty=x}", "x"),
        ("${v:-x}", "abcdEFGH28ij"),
        ("${missing:-}", ""),
        ("${missing:=${d}}", "other"),
        ("${missing:=pre${d}-${missing:-deep}post}", "preother-deeppost"),
        ("${missing:?x}", "x"),
        ("${missing:+x}", "x"),
        ("${v:+x}", "abcdEFGH28ij"),
        ("${missing:-a$$b}", "a$$b"),
        ("${missing:-{}", "{"),
        ("${missing:-a:b=c/d#e%f^g,h}", "a:b=c/d#e%f^g,h"),
        ("${missing:=a\nb}", "a\nb"),
        # Length, in bytes.
        ("${#v}", "12"),
        ("${#accent}", "5"),
        ("${#missing}", "0"),
        # Case.
        ("${v^} ${v^^} ${v,} ${v,,}", "AbcdEFGH28ij ABCDEFGH28IJ abcdEFGH28ij abcdefgh28ij"),
        ("${accent^} ${accent^^}", "Été ÉTÉ"),
        ("${v,^}", "abcdEFGH28ij"),
        ("${empty^}${empty,}", ""),
        # Substrings.
        ("${path:11}", "ideas/thoughts.for.today"),
        ("${path:11:5}", "ideas"),
        ("${path: -5}", "/home/bozo/ideas/thoughts.for.today"),
        ("${path:-5}", "/home/bozo/ideas/thoughts.for.today"),
        ("${path:99}${path:99:1}", ""),
        ("${path:0:999}", "/home/bozo/ideas/thoughts.for.today"),
        ("${v:${_n1}}", "dEFGH28ij"),
        ("${v:1::2}", "bc"),
        ("${v:x}${v:1:y}", "abcdEFGH28ijabcdEFGH28ij"),
        ("${v:99:-1}", ""),
        # Trims.
        ("${file#*.} ${file##*.}", "string.txt txt"),
        ("${file%.*} ${file%%.*}", "bash.string bash"),
        ("${slash#*/} ${slash##*/} ${slash%/*}", "bar/baz baz foo/bar"),
        ("${file#bash}${file%txt}", ".string.txtbash.string."),
        ("${file###}", "bash.string.txt"),
        ("${file#[a-c]?s[^x]}", ".string.txt"),
        ("${file#[}${file#[a}${file#[]a]}${file#b\\}", "bash.string.txt" * 4),
        ("${file#x*}", "bash.string.txt"),
        ("${accent#?}", "té"),
        # Replacements.
        ("${z/abc/xyz} ${z//abc/xyz}", "xyzABC123ABCabc xyzABC123ABCxyz"),
        ("${z/#abc/XYZ} ${z/%abc/XYZ}", "XYZABC123ABCabc abcABC123ABCXYZ"),
        ("${z/#ABC/x} ${z/%ABC/x}", "abcABC123ABCabc abcABC123ABCabc"),
        ("${slash/\\//-} ${slash//\\//-}", "foo-bar/baz foo-bar-baz"),
        ("${file/./} ${file//./}", "bashstring.txt bashstringtxt"),
        ("${z/#abc/} ${z/%abc/}", "abcABC123ABCabc abcABC123ABCabc"),
        ("${file/./${d}}", "bashotherstring.txt"),
        ("${z/}/x}", "abcABC123ABCabc"),
        ("${v//a///b}", "b/bcdEFGH28ij".replace("b/b", "bb")),
        # Escapes.
        ("$${v}", "${v}"),
        ("$$ $$$ a$$b", "$ $$ a$b"),
        ("$$$${v}$$${v}", "$${v}$abcdEFGH28ij"),
        ("some ${v}$${v$${v}$v${v}", "some abcdEFGH28ij${v${v}$vabcdEFGH28ij"),
        ("$", "$"),
        ("$(v) $v $1", "$(v) $v $1"),
    ],
)
def test_value(text: str, value: str) -> None:
    assert evaluate(text, VARIABLES).text == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${", "unable to parse variable name"),
        ("${}", "unable to parse variable name"),
        ("${ v}", "unable to parse variable name"),
        ("${!v}", "unable to parse variable name"),
        ("${v", "missing closing brace"),
        ("${v-x}", "missing closing brace"),
        ("${v+x}", "missing closing brace"),
        ("${v?x}", "missing closing brace"),
        ("${v.w}", "missing closing brace"),
        ("${v[0]}", "missing closing brace"),
        ("${v@Q}", "missing closing brace"),
        ("${v:-x", "unable to parse substitution within function"),
        ("${v:=${d}", "unable to parse substitution within function"),
        ("${v:}", "unable to parse substitution within function"),
        ("${v:1:}", "unable to parse substitution within function"),
        ("${v#}", "unable to parse substitution within function"),
        ("${v/}", "bad substitution"),
        ("${v///x}", "unable to parse substitution within function"),
        ("${#}", "bad substitution"),
        ("${#v#}", "bad substitution"),
        ("${v^a}", "bad substitution"),
        ("${v^^^}", "bad substitution"),
        ("${v/a}", "bad substitution"),
        ("${v#a${d}}", "bad substitution"),
        ("${v:é}", "bad substitution"),
        ("${v:1:-1}", "slice bounds out of range [1:0]: a negative length stops the controller"),
        ("${accent:1}", "the offset cuts a character in two, offsets count bytes"),
    ],
)
def test_refusal(text: str, message: str) -> None:
    with pytest.raises(SubstitutionError, match=f"^{re.escape(message)}$") as caught:
        evaluate(f"before {text}", VARIABLES)
    assert caught.value.offset == len("before ")


def test_names_that_were_found_and_missed() -> None:
    text = "${v} ${gone} ${#away} ${out^^} ${kept:-${d}} ${left:=${never:=x}} $${escaped} $bare ${late/a/b}"
    result = evaluate(text, VARIABLES)
    assert (sorted(result.used), sorted(result.missing)) == (["d", "v"], ["away", "gone", "late", "out"])


def test_an_empty_value_is_a_value() -> None:
    assert evaluate("${empty}", VARIABLES).missing == set()


@pytest.mark.parametrize("text", ["${a" * 100_000, "$" * 200_000, "${a:=" * 5_000, "${" + "a" * 200_000 + "}"])
def test_hostile_text_is_answered_in_bounded_time(text: str) -> None:
    started = time.monotonic()
    try:
        evaluate(text, {})
    except SubstitutionError as error:
        assert str(error)  # noqa: PT017
    assert time.monotonic() - started < 5


def test_trimming_a_long_value_takes_one_pass() -> None:
    started = time.monotonic()
    assert evaluate("${v##*a*a*a*a*b}", {"v": "a" * 20_000}).text == "a" * 20_000
    assert time.monotonic() - started < 5


# A slow oracle: expressions are made as trees, and their value is defined on the tree.

NAMES = st.sampled_from(["a", "b", "C_1", "missing"])
WORDS = st.text(st.sampled_from("ab.-x"), min_size=1, max_size=4)
Tree = tuple[Any, ...]

TREES = st.recursive(
    st.tuples(st.just("text"), WORDS),
    lambda inner: st.one_of(
        st.tuples(st.just("name"), NAMES),
        st.tuples(st.sampled_from([":-", ":=", "="]), NAMES, st.lists(inner, max_size=3)),
        st.tuples(st.sampled_from(["^", "^^", ",", ",,"]), NAMES),
        st.tuples(st.just("length"), NAMES),
        st.tuples(st.sampled_from(["#", "##", "%", "%%"]), NAMES, st.text(st.sampled_from("ab.*?"), min_size=1, max_size=4).filter(lambda p: p[0] != "#")),
        st.tuples(st.just(":"), NAMES, st.integers(0, 6), st.none() | st.integers(0, 6)),
        st.tuples(st.sampled_from(["/", "//", "/#", "/%"]), NAMES, WORDS, WORDS),
    ),
    max_leaves=8,
)


def written(tree: Tree) -> str:
    kind, *rest = tree
    match kind:
        case "text":
            return str(rest[0])
        case "name":
            return f"${{{rest[0]}}}"
        case "length":
            return f"${{#{rest[0]}}}"
        case ":-" | ":=" | "=":
            return f"${{{rest[0]}{kind}{''.join(map(written, rest[1]))}}}"
        case ":":
            return f"${{{rest[0]}:{rest[1]}{'' if rest[2] is None else f':{rest[2]}'}}}"
        case "/" | "//" | "/#" | "/%":
            return f"${{{rest[0]}{kind}{rest[1]}/{rest[2]}}}"
        case _:
            return f"${{{rest[0]}{kind}{''.join(rest[1:])}}}"


def regular(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern), re.DOTALL)


def trimmed(value: str, pattern: str, kind: str) -> str:
    cuts = range(1, len(value) + 1)
    if kind[0] == "#":
        fit = [cut for cut in cuts if regular(pattern).fullmatch(value[:cut])]
    else:
        fit = [cut for cut in cuts if regular(pattern).fullmatch(value[len(value) - cut :])]
    if not fit:
        return value
    cut = max(fit) if len(kind) == 2 else min(fit)
    return value[cut:] if kind[0] == "#" else value[: len(value) - cut]


def meant(tree: Tree, variables: dict[str, str]) -> str:
    kind, *rest = tree
    value = variables.get(rest[0], "")
    match kind:
        case "text":
            return str(rest[0])
        case "name":
            return value
        case "length":
            return str(len(value))
        case ":-" | ":=" | "=":
            return value or "".join(meant(each, variables) for each in rest[1])
        case "^" | ",":
            return (value[:1].upper() if kind == "^" else value[:1].lower()) + value[1:]
        case "^^" | ",,":
            return value.upper() if kind == "^^" else value.lower()
        case ":":
            return value[rest[1] :] if rest[2] is None else value[rest[1] : rest[1] + rest[2]]
        case "/" | "//":
            return value.replace(rest[1], rest[2], 1 if kind == "/" else -1)
        case "/#":
            return re.sub(f"^{re.escape(rest[1])}", rest[2], value)
        case "/%":
            return re.sub(f"{re.escape(rest[1])}\\Z", rest[2], value)
        case _:
            return trimmed(value, rest[1], kind)


@settings(max_examples=60)
@given(st.lists(TREES, min_size=1, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "C_1"]), st.text(st.sampled_from("abAB.x"), max_size=6)))
def test_an_expression_means_what_its_tree_means(trees: list[Tree], variables: dict[str, str]) -> None:
    text = " ".join(map(written, trees))
    assert evaluate(text, variables).text == " ".join(meant(tree, variables) for tree in trees)


@given(st.text(st.sampled_from("a{}$ :=-/"), max_size=20))
def test_escaping_every_dollar_keeps_any_text(text: str) -> None:
    assert evaluate(text.replace("$", "$$"), {}).text == text


@settings(max_examples=60)
@given(st.text(st.sampled_from("ab*?"), max_size=6), st.text(st.sampled_from("abc"), max_size=8))
def test_prefixes_agree_with_trying_them_all(pattern: str, value: str) -> None:
    fit = [cut for cut in range(1, len(value) + 1) if regular(pattern).fullmatch(value[:cut])]
    assert (shortest_prefix(pattern, value), longest_prefix(pattern, value)) == (min(fit, default=0), max(fit, default=0))
