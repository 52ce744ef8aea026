"""Small source rewrites that make cel-cpp behave like cel-go.

Three things cannot be added as functions, because optional values never cross into Python:

* ``x.orValue(d)`` on a value that is not optional: cel-go passes ``x`` through (``evalOptionalOrValue`` in cel-go's interpreter),
  cel-cpp finds no overload.
* ``format.X().validate(s)`` and ``format.named(s)`` return an optional (``k8s.io/apiserver/pkg/cel/library/format.go``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<string>[rRbB]{0,2}(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
      | (?P<number>[0-9][0-9A-Za-z]*(?:\.[0-9][0-9A-Za-z]*)?)
      | (?P<name>[A-Za-z_@][A-Za-z0-9_@]*|`[^`]*`)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_OPENERS = {")": "(", "]": "[", "}": "{"}
#: Stands for ``orValue`` in calls that are already rewritten.
_DONE = "orValue@"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def _tokens(text: str) -> list[_Token]:
    return [_Token(str(match.lastgroup), match[0], match.start(), match.end()) for match in _TOKEN.finditer(text) if match.lastgroup != "space"]


class _Call(NamedTuple):
    """A member call ``receiver.name(arguments)``, as offsets into the source."""

    receiver: int
    dot: int
    open: int
    close: int


def _opener(tokens: list[_Token], index: int) -> int | None:
    depth = 0
    for position in range(index, -1, -1):
        if tokens[position].kind == "mark":
            if tokens[position].text in _OPENERS:
                depth += 1
            elif tokens[position].text in _OPENERS.values():
                depth -= 1
                if depth == 0:
                    return position
    return None


def _closer(tokens: list[_Token], index: int) -> int | None:
    depth = 0
    for position in range(index, len(tokens)):
        if tokens[position].kind == "mark":
            if tokens[position].text in _OPENERS.values():
                depth += 1
            elif tokens[position].text in _OPENERS:
                depth -= 1
                if depth == 0:
                    return position
    return None


def _receiver(tokens: list[_Token], dot: int) -> int | None:
    """The index of the first token of the operand that the dot at index ``dot`` selects from."""
    position = dot - 1
    while position >= 0:
        token = tokens[position]
        if token.kind == "mark":
            if token.text not in _OPENERS:
                return None
            opener = _opener(tokens, position)
            if opener is None:
                return None
            position = opener
            before = tokens[position - 1] if position else None
            if token.text == "]" and before is not None and (before.kind in ("name", "string") or before.text in _OPENERS):
                position -= 1
                continue
            if token.text == ")" and before is not None and before.kind == "name":
                position -= 1
        start = position
        if position >= 1 and tokens[position - 1].text == "?":
            position -= 1
        if position >= 1 and tokens[position - 1].text == ".":
            position -= 2
            continue
        return start
    return None


def _find(tokens: list[_Token], name: str) -> _Call | None:
    for index in range(1, len(tokens) - 2):
        if tokens[index].text == "." and tokens[index + 1].text == name and tokens[index + 2].text == "(":
            close = _closer(tokens, index + 2)
            start = _receiver(tokens, index)
            if close is not None and start is not None:
                return _Call(tokens[start].start, tokens[index].start, tokens[index + 2].start, tokens[close].start)
    return None


def _replace(text: str, name: str, build: Callable[[str, str, int], str]) -> str:
    for number in range(64):
        call = _find(_tokens(text), name)
        if call is None:
            break
        replacement = build(text[call.receiver : call.dot], text[call.open + 1 : call.close], number)
        text = f"{text[: call.receiver]}{replacement}{text[call.close + 1 :]}"
    return text


def pass_through_or_value(text: str) -> str:
    """Makes every ``orValue`` accept a receiver that is not optional."""

    def build(receiver: str, argument: str, number: int) -> str:
        name = f"k8s_or_{number}"
        return f"cel.bind({name}, {receiver}, dyn(type(dyn({name}))) == dyn(optional_type) ? dyn({name}).{_DONE}({argument}) : {name})"

    return _replace(text, "orValue", build).replace(_DONE, "orValue")


def formats(text: str) -> str:
    """Expresses the format library's optional results through functions that return plain values."""
    if "format." not in text:
        return text
    text = re.sub(r"\bformat\.named\(", "format.k8sNamed(", text)
    text = _replace(text, "validate", lambda receiver, argument, _number: f"optional.ofNonZeroValue({receiver}.k8sValidate({argument}))")
    return _replace(text, "k8sNamed", lambda receiver, argument, _number: f"optional.ofNonZeroValue({receiver}.k8sFind({argument}))")


_CONSUMERS = frozenset({"orValue", "hasValue", "value"})


def optional_escapes(text: str) -> bool:
    """Whether some optional value may be left standing where a function takes it in: a chain with ``.?`` or ``[?`` that nothing ends.

    A chain that ends in ``orValue``, ``hasValue`` or ``value``, or that fills an optional entry of a list or a map, leaves none.
    """
    tokens = _tokens(text)
    for index, token in enumerate(tokens):
        if token.text == "optional" or (token.text in ("first", "last", "optMap", "optFlatMap", "validate") and index and tokens[index - 1].text == "."):
            if not _consumed(tokens, index + 1):
                return True
        elif token.text == "?" and index and tokens[index - 1].text in (".", "[") and not _optional_element(tokens, index):
            position = index + 1 if tokens[index - 1].text == "." else _closer(tokens, index - 1)
            if position is None or not (_consumed(tokens, position + 1) or _fills_entry(tokens, index)):
                return True
    return False


def _optional_element(tokens: list[_Token], index: int) -> bool:
    """Whether ``[?`` begins a list with an optional element, rather than an optional index."""
    before = tokens[index - 2] if index >= 2 else None
    return tokens[index - 1].text == "[" and (before is None or not (before.kind in ("name", "string") or before.text in _OPENERS))


def _consumed(tokens: list[_Token], position: int) -> bool:
    """Whether the chain of selections that goes on at a position takes the value out of its optional."""
    while position < len(tokens):
        if tokens[position].text in ("(", "["):
            close = _closer(tokens, position)
            if close is None:
                return False
            position = close + 1
        elif tokens[position].text == "." and position + 1 < len(tokens):
            position += 2 if tokens[position + 1].text == "?" else 1
            if position < len(tokens) and tokens[position].text in _CONSUMERS:
                return True
            position += 1
        else:
            return False
    return False


def _fills_entry(tokens: list[_Token], index: int) -> bool:
    """Whether the chain stands as the value of an optional entry, ``{?"key": chain}`` or ``[?chain]``."""
    start = _receiver(tokens, index - 1)
    if start is None:
        return False
    before = start - 1
    if before >= 0 and tokens[before].text == ":":
        before -= 2
    return before >= 1 and tokens[before].text == "?" and tokens[before - 1].text in ("{", "[", ",")
