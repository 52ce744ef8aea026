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
