"""The part of Go's text templates that the stages ``template`` and ``replace`` live on: fields, literals, pipes and Promtail's functions.

Source: Promtail's documentation of the template stage. Control structures and functions that are not listed here are *not evaluated*.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ACTION: Final = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|`([^`]*)`|(\.[A-Za-z_][A-Za-z0-9_]*|\.)|([A-Za-z_][A-Za-z0-9_]*)|(-?[0-9]+)|(\S)')


class TemplateError(ValueError):
    """A template that cannot be evaluated here."""


def _limited(given: list[str]) -> str:
    # strings.Replace s old new n: a negative n replaces all.
    text, old, new, count = given
    return text.replace(old, new, int(count)) if int(count) >= 0 else text.replace(old, new)


def _hash(given: list[str]) -> str:
    salt, text = given
    return hashlib.sha3_256((salt + text).encode()).hexdigest()


def _sha2(given: list[str]) -> str:
    salt, text = given
    return hashlib.sha256((salt + text).encode()).hexdigest()


#: The functions by name, with the number of their arguments; a pipe gives the last one.
_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[[list[str]], str]]]] = {
    "ToLower": (1, lambda given: given[0].lower()),
    "ToUpper": (1, lambda given: given[0].upper()),
    "TrimSpace": (1, lambda given: given[0].strip()),
    "Trim": (2, lambda given: given[0].strip(given[1])),
    "TrimLeft": (2, lambda given: given[0].lstrip(given[1])),
    "TrimRight": (2, lambda given: given[0].rstrip(given[1])),
    "TrimPrefix": (2, lambda given: given[0].removeprefix(given[1])),
    "TrimSuffix": (2, lambda given: given[0].removesuffix(given[1])),
    "Replace": (4, _limited),
    "Hash": (2, _hash),
    "Sha2Hash": (2, _sha2),
    "lower": (1, lambda given: given[0].lower()),
    "upper": (1, lambda given: given[0].upper()),
}


def render(text: str, values: Mapping[str, str]) -> str:
    """The template with these fields; a field that is missing is ``<no value>``, as Go writes it. Raises TemplateError."""
    result, position = "", 0
    for match in _ACTION.finditer(text):
        before = text[position : match.start()]
        result += before.rstrip() if match[1] else before
        result += _pipe(match[2], values)
        position = match.end()
        if match[3]:
            position += len(text[position:]) - len(text[position:].lstrip())
    rest = text[position:]
    if "{{" in rest:
        raise TemplateError(f"{text!r} has an action that does not end")
    return result + rest


def _pipe(action: str, values: Mapping[str, str]) -> str:
    current: str | None = None
    for part in _split(action):
        current = _command(part, values, current)
    return current or ""


def _split(action: str) -> list[list[str | tuple[str, str]]]:
    parts: list[list[str | tuple[str, str]]] = [[]]
    for quoted, raw, field, name, number, other in _WORD.findall(action):
        if other == "|":
            parts.append([])
        elif other:
            raise TemplateError(f"not evaluated: {action!r}")
        elif field:
            parts[-1].append(("field", field[1:]))
        elif name:
            parts[-1].append(("name", name))
        else:
            parts[-1].append(raw or number or re.sub(r"\\(.)", r"\1", quoted))
    if not all(parts):
        raise TemplateError(f"{action!r} has an empty command")
    return parts


def _command(words: list[str | tuple[str, str]], values: Mapping[str, str], piped: str | None) -> str:
    first = words[0]
    if not isinstance(first, tuple) or first[0] == "field":
        if len(words) > 1 or piped is not None:
            raise TemplateError(f"not evaluated: {words!r}")
        return first if isinstance(first, str) else values.get(first[1], "<no value>")
    known = _FUNCTIONS.get(first[1])
    if known is None:
        raise TemplateError(f"not evaluated: function {first[1]}")
    given = [word if isinstance(word, str) else values.get(word[1], "<no value>") for word in words[1:]]
    given += [piped] if piped is not None else []
    if len(given) != known[0]:
        raise TemplateError(f"function {first[1]} takes {known[0]} arguments, not {len(given)}")
    return known[1](given)
