"""Stream selectors with line filters, as the ``match`` stage takes them: ``{app="x", level=~"w.*"} |= "text" !~ "[a-z]+"``.

Source: LogQL's documentation (log stream selector, line filter) and grafana/loki ``pkg/logql/syntax``. Label filters, parsers and formats behind a
pipe are refused: Promtail refuses them too, except line filters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from harness.engines.cel.pattern import UnsafePatternError, compile_re2

if TYPE_CHECKING:
    from collections.abc import Mapping

_STRING: Final = r'"(?:[^"\\]|\\.)*"|`[^`]*`'
_MATCHER: Final = re.compile(rf"\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>{_STRING})\s*(?P<end>,|\}})")
_FILTER: Final = re.compile(rf"\s*(?P<operator>\|=|!=|\|~|!~)\s*(?P<value>{_STRING})")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}


class SelectorError(ValueError):
    """A selector that Promtail would refuse, or that cannot be evaluated; the message says which."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: of a label (``name``), or of the line where the name is empty."""

    name: str
    operator: str
    value: str

    def holds(self, labels: Mapping[str, str], line: str) -> bool:
        text = labels.get(self.name, "") if self.name else line
        if self.name:
            if self.operator in ("=", "!="):
                return (text == self.value) == (self.operator == "=")
            return (pattern(self.value).fullmatch(text) is not None) == (self.operator == "=~")
        if self.operator in ("|=", "!="):
            return (self.value in text) == (self.operator == "|=")
        return (pattern(self.value).search(text) is not None) == (self.operator == "|~")


@lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    """An RE2 pattern. Raises SelectorError when it is none, or cannot be run in bounded time (the message starts with ``not evaluated``)."""
    try:
        return compile_re2(text)
    except UnsafePatternError as error:
        raise SelectorError(f"not evaluated: {text!r}: {error}") from error
    except ValueError as error:
        raise SelectorError(f"{text!r}: {error}") from error


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Condition, ...]:
    """The conditions of a selector; all of them must hold. Raises SelectorError."""
    stripped = text.strip()
    if not stripped.startswith("{"):
        raise SelectorError(f"{text!r} does not start with a stream selector")
    conditions: list[Condition] = []
    position, closed = 1, False
    if re.match(r"\s*\}", stripped[1:]):
        raise SelectorError(f"{text!r} has no matcher")
    while not closed:
        match = _MATCHER.match(stripped, position)
        if match is None:
            raise SelectorError(f"{text!r} cannot be read at {stripped[position : position + 20]!r}")
        conditions.append(Condition(match["name"], match["operator"], _unquote(match["value"])))
        position, closed = match.end(), match["end"] == "}"
    if all(each.operator in ("!=", "!~") or (each.operator == "=" and not each.value) for each in conditions):
        raise SelectorError(f"{text!r} needs one matcher that is not empty-compatible")
    while position < len(stripped):
        match = _FILTER.match(stripped, position)
        if match is None:
            raise SelectorError(f"{text!r} has {stripped[position:].strip()[:20]!r}, which is no line filter")
        conditions.append(Condition("", match["operator"], _unquote(match["value"])))
        position = match.end()
    for condition in conditions:
        if condition.operator.endswith("~"):
            pattern(condition.value)
    return tuple(conditions)


def _unquote(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text[1:-1])
