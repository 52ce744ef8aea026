"""RE2 patterns for ``find`` and ``findAll``, on Python's engine, within bounded time.

RE2 never backtracks; Python's ``re`` does, so a pattern whose matching could explode is refused instead of run.
"""

from __future__ import annotations

import re
from functools import lru_cache
from re import _constants, _parser  # type: ignore[attr-defined]  # the only access to a parsed pattern
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNICODE_CLASS = re.compile(r"\\[pP](?:\{\^?[A-Za-z_]+\}|[A-Z])")
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9", "graph": "!-~",
    "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\t-\\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_MAX_PATTERN = 1000


class UnsafePatternError(ValueError):
    """A pattern that Python cannot run as RE2 would."""


def _explodes(items: Iterable[Any], inside: bool = False) -> bool:
    """Whether an unbounded repetition holds another repetition or a choice: what makes a backtracking matcher exponential."""
    for operator, argument in items:
        if operator in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            _low, high, body = argument
            if inside and high > 1:
                return True
            if _explodes(body, inside or high > 16):
                return True
        elif operator is _constants.SUBPATTERN:
            if _explodes(argument[-1], inside):
                return True
        elif operator is _constants.BRANCH and (inside or any(_explodes(branch, inside) for branch in argument[1])):
            return True
    return False


@lru_cache(maxsize=512)
def compile_re2(pattern: str) -> re.Pattern[str]:
    """The pattern as Python's ``re`` runs it, with RE2's ASCII classes and end-of-text ``$``.

    Raises UnsafePatternError, or ValueError when it is no pattern.
    """
    if len(pattern) > _MAX_PATTERN or _UNICODE_CLASS.search(pattern):
        raise UnsafePatternError("pattern is not evaluated: too long, or with Unicode classes")
    text = re.sub(r"\[:(\^?)([a-z]+):\]", lambda match: _POSIX.get(match[2], match[0]) if not match[1] else match[0], pattern)
    text = re.sub(r"(?<!\\)((?:\\\\)*)\$(?![^\[]*\])", r"\1\\Z", text).replace("\\z", "\\Z")
    flags = re.ASCII
    leading = re.match(r"\(\?([ims]+)\)", text)
    if leading:
        # Python allows global flags at the very start only; RE2 patterns often write ^(?i).
        flags |= sum((getattr(re, flag.upper()) for flag in set(leading[1])), re.RegexFlag(0))
        text = text[leading.end() :]
    if re.search(r"\(\?[=!<]", text) and not re.search(r"\(\?P?<[A-Za-z_]", text):
        raise ValueError("Illegal regex: invalid or unsupported Perl syntax")
    try:
        parsed = _parser.parse(text, flags)
        if _explodes(parsed):
            raise UnsafePatternError("pattern is not evaluated: nested repetition")
        return re.compile(text, flags)
    except re.error as error:
        raise ValueError(f"Illegal regex: {error}") from error
