"""Grafana's variables in queries, replaced by something a parser accepts.

Source: Grafana 13 documentation (``dashboards/variables``): ``$name``, ``${name}``, ``${name:format}``, ``${name.field}``, ``[[name]]``,
``[[name:format]]`` and the built-in ones.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from harness.engines.telemetry.promql import Expression, read

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What stands where a variable stood, wherever a name or a text can be.
STAND_IN: Final = "grafana_variable"
VARIABLE: Final = re.compile(r"\$\{(?P<braced>\w+)(?:\.[\w.-]+)?(?::[^}]*)?\}|\[\[(?P<square>\w+)(?::[^\]]*)?\]\]|\$(?P<plain>\w+)")
#: Built-in variables that stand for a duration, and those that stand for a number.
DURATIONS: Final = frozenset({"__interval", "__rate_interval", "__range", "interval"})
NUMBERS: Final = frozenset({"__interval_ms", "__range_s", "__range_ms", "__from", "__to", "__rate_interval_ms"})
#: Every variable that Grafana itself provides.
BUILT_IN: Final = (
    (DURATIONS - {"interval"})
    | NUMBERS
    | {
        "__dashboard",
        "__org",
        "__user",
        "__name",
        "__all",
        "timeFilter",
        "__timeFilter",
        "__data",
        "__field",
        "__fields",
        "__series",
        "__value",
        "__url",
        "__time",
        "__timezone",
        "__cell",
        "__file",
        "__env",
        "__interval_s",
        "__searchFilter",
    }
)
_RANGE: Final = re.compile(r"(?:\[\s*|:\s*|\boffset\s+-?)$")
_TRIES: Final = (STAND_IN, "1", "5m", f'{STAND_IN}="x"')
_MOST: Final = 64


def names_in(text: str) -> list[str]:
    """The variables of a text, in order, each once."""
    return list(dict.fromkeys(_name(match) for match in VARIABLE.finditer(text)))


def _name(match: re.Match[str]) -> str:
    return match["braced"] or match["square"] or match["plain"]


@lru_cache(maxsize=16384)
def read_templated(text: str) -> Expression:
    """The expression of a query of Grafana, with every variable replaced by what makes it parse; ``error`` is that of the first try otherwise.

    In quotes a variable is a text, where a duration must be it is one; elsewhere it may be a name, a number, a duration or a whole matcher.
    """
    first: Expression | None = None
    for candidate in candidates(text):
        expression = read(candidate)
        if not expression.error:
            return expression
        first = first or expression
    return first if first is not None else read(text)


def candidates(text: str) -> Iterator[str]:
    """The text with its variables replaced, the likeliest way first."""
    pieces: list[str | None] = []
    at = 0
    for match in VARIABLE.finditer(text):
        before = text[: match.start()]
        pieces.append(text[at : match.start()])
        name = _name(match)
        if name in NUMBERS:
            pieces.append("1")
        elif _quoted(before):
            pieces.append(STAND_IN)
        elif _RANGE.search(before) or name in DURATIONS:
            pieces.append("5m")
        else:
            pieces.append(None)
        at = match.end()
    pieces.append(text[at:])
    free = pieces.count(None)
    for choice in itertools.islice(itertools.product(_TRIES, repeat=free), _MOST):
        values = iter(choice)
        yield "".join(piece if piece is not None else next(values) for piece in pieces)


def _quoted(before: str) -> bool:
    """Whether a text ends inside a string of PromQL."""
    quote = ""
    skip = False
    for character in before:
        if skip:
            skip = False
        elif quote:
            if character == "\\" and quote != "`":
                skip = True
            elif character == quote:
                quote = ""
        elif character in "\"'`":
            quote = character
    return bool(quote)
