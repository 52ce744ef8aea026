"""RE2 patterns, within bounded time.

RE2 never backtracks; Python's ``re`` does. A pattern whose matching could explode runs on a linear engine instead (linear.py).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from re import _constants, _parser  # type: ignore[attr-defined]  # the only access to a parsed pattern
from typing import TYPE_CHECKING, Any

from harness.engines.cel.linear import Program, TooBigError, compile_linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Syntax of RE2 that is not translated: scripts and negated classes of Unicode, ungreedy mode, quoted text, single bytes.
_NOT_TRANSLATED = re.compile(r"\\P|\\p\{\^|\\p\{[A-Za-z_]{3,}\}|\(\?[imsU-]*U|\\Q|\\C")
_CATEGORY = re.compile(r"\\p(?:\{([A-Z][a-z]?)\}|([A-Z]))")
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9", "graph": "!-~",
    "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\t-\\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_MAX_PATTERN = 1000
_FOREIGN = (_constants.ASSERT, _constants.ASSERT_NOT, _constants.GROUPREF, _constants.GROUPREF_EXISTS, _constants.ATOMIC_GROUP, _constants.POSSESSIVE_REPEAT)


class UnsafePatternError(ValueError):
    """A pattern that is not run here, though an API server may well run it."""


def _explodes(items: Iterable[Any], inside: bool = False) -> bool:
    """Whether an unbounded repetition holds another repetition or a choice: what makes a backtracking matcher exponential."""
    repetitions = 0
    for operator, argument in items:
        if operator in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            _low, high, body = argument
            # Many repetitions in a row are polynomial of a degree that hurts.
            repetitions += high > 16
            if (inside and high > 1) or repetitions > 3:
                return True
            if _explodes(body, inside or high > 16):
                return True
        elif operator is _constants.SUBPATTERN:
            if _explodes(argument[-1], inside):
                return True
        elif operator is _constants.BRANCH and (inside or any(_explodes(branch, inside) for branch in argument[1])):
            return True
    return False


def _is_foreign(items: Any) -> bool:
    """Whether a pattern uses syntax that Python has and RE2 has not."""
    for operator, argument in items:
        if operator in _FOREIGN:
            return True
        if operator in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            low, high, _ = argument
            if low > 1000 or (high is not _constants.MAXREPEAT and high > 1000):
                return True
        bodies = argument[1] if operator is _constants.BRANCH else [argument[-1]] if operator is _constants.SUBPATTERN else []
        bodies = [argument[2]] if operator in (_constants.MAX_REPEAT, _constants.MIN_REPEAT) else bodies
        if any(_is_foreign(body) for body in bodies):
            return True
    return False


@lru_cache(maxsize=32)
def _category(name: str) -> str:
    """The characters of a general category (``L``, ``Lu``), as ranges of a character class."""
    ranges: list[list[int]] = []
    for code in range(0x110000):
        if unicodedata.category(chr(code)).startswith(name):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


def _with_categories(pattern: str) -> str:
    if "\\p" not in pattern:
        return pattern
    made, offset, inside = [], 0, False
    while offset < len(pattern):
        found = _CATEGORY.match(pattern, offset)
        if found:
            made.append(_category(found[1] or found[2]) if inside else f"[{_category(found[1] or found[2])}]")
            offset = found.end()
            continue
        char = pattern[offset : offset + (2 if pattern[offset] == "\\" else 1)]
        inside = char == "[" or (inside and char != "]")
        made.append(char)
        offset += len(char)
    return "".join(made)


@lru_cache(maxsize=1024)
def compile_any(pattern: str) -> Any:
    """The pattern with RE2's ASCII classes and end-of-text ``$``: a ``re.Pattern``, or a linear program with the same methods.

    Raises UnsafePatternError, or ValueError when it is no pattern.
    """
    if len(pattern) > _MAX_PATTERN or _NOT_TRANSLATED.search(pattern):
        raise UnsafePatternError("pattern is not evaluated: too long, or with syntax that is not translated")
    pattern = _with_categories(pattern)
    text = re.sub(r"\[:(\^?)([a-z]+):\]", lambda match: _POSIX.get(match[2], match[0]) if not match[1] else match[0], pattern)
    text = re.sub(r"(?<!\\)((?:\\\\)*)\$(?![^\[]*\])", r"\1\\Z", text).replace("\\z", "\\Z")
    flags = re.ASCII
    leading = re.match(r"\(\?([ims]+)\)", text)
    if leading:
        # Python allows global flags at the very start only.
        flags |= sum((getattr(re, flag.upper()) for flag in set(leading[1])), re.RegexFlag(0))
        text = text[leading.end() :]
        if "m" in leading[1] and "Z" in text:
            raise UnsafePatternError("pattern is not evaluated: ends of lines")
    inner = re.match(r"\^\(\?i\)", text)
    if inner:
        text, flags = "^" + text[inner.end() :], flags | re.IGNORECASE
    try:
        parsed = _parser.parse(text, flags)
        if _is_foreign(parsed):
            raise ValueError("Illegal regex: invalid or unsupported Perl syntax")
        return compile_linear(text, flags) if _explodes(parsed) else re.compile(text, flags)
    except re.error as error:
        if "global flags" in str(error):
            raise UnsafePatternError("pattern is not evaluated: flags in the middle") from error
        raise ValueError(f"Illegal regex: {error}") from error
    except (TooBigError, RecursionError, OverflowError) as error:
        raise UnsafePatternError(f"pattern is not evaluated: {error}") from error


def compile_re2(pattern: str) -> re.Pattern[str]:
    """Like ``compile_any``, for those who need all of ``re.Pattern``; UnsafePatternError for what only the linear engine runs."""
    compiled = compile_any(pattern)
    if isinstance(compiled, Program):
        raise UnsafePatternError("pattern is not evaluated: nested repetition")
    return compiled  # type: ignore[no-any-return]


def matches(text: str, pattern: str) -> bool:
    """Whether some part of a text matches. Raises as ``compile_any`` does."""
    compiled = compile_any(pattern)
    return compiled.test(text) if isinstance(compiled, Program) else compiled.search(text) is not None


def spans(text: str, pattern: str) -> Iterator[Any]:
    """The matches that do not overlap, as Go finds them: an empty one right after another match does not count."""
    compiled = compile_any(pattern)
    start, last = 0, -1
    while start <= len(text):
        found = compiled.search(text, start)
        if found is None:
            return
        begin, end = found.start(), found.end()
        if not (begin == end == last):
            yield found
        last = end
        start = end + 1 if begin == end else end


def replaced(text: str, pattern: str, expand: Callable[[Any], str], count: int) -> str:
    """The text with its first ``count`` matches replaced; all of them when negative."""
    made, offset = [], 0
    for index, found in enumerate(spans(text, pattern)):
        if 0 <= count <= index:
            break
        made += [text[offset : found.start()], expand(found)]
        offset = found.end()
    return "".join([*made, text[offset:]])
