"""``string.format()`` and ``strings.quote()``. Source: ``ext/formatting.go`` of cel-go (the version 2 of the strings library), v0.26.

Numbers with a fraction are written as the library's English locale does: groups of three digits, and powers of ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from harness.engines.cel.data import CelError, Duration, Timestamp, TypeValue, key_value, type_name
from harness.engines.cel.standard import text_of_bytes, text_of_double

_QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"'}
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_PRECISION = 6
_SPECIAL = ("NaN", "Infinity", "-Infinity")


def quote(text: str) -> str:
    """A text in quotes, with control characters escaped."""
    return f'"{"".join(_QUOTED.get(char, char) for char in text)}"'


def _go_quote(text: str) -> str:
    """Go's ``%q``."""
    made = []
    for char in text:
        if char in _QUOTED:
            made.append(_QUOTED[char])
        elif char.isprintable():
            made.append(char)
        elif ord(char) < 0x80:
            made.append(f"\\x{ord(char):02x}")
        else:
            made.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return f'"{"".join(made)}"'


def _string(value: Any) -> str:
    """The ``%s`` clause."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return text_of_double(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, bytes):
        return text_of_bytes(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, Mapping):
        entries = sorted((_literal(key_value(key)), _literal(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}:{item}" for key, item in entries) + "}"
    if isinstance(value, Timestamp | Duration | TypeValue):
        return str(value)
    raise CelError(f"error during formatting: string clause cannot be used on {type_name(value)}")


def _literal(value: Any) -> str:
    """A member of a list or a map, as CEL source would have it."""
    if isinstance(value, str):
        return _go_quote(value)
    if isinstance(value, bytes):
        return f"b{_go_quote(text_of_bytes(value))}"
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            return _go_quote(text_of_double(value))
        return f"{value:.{_PRECISION}f}"
    if isinstance(value, Timestamp):
        return f'timestamp("{value}")'
    if isinstance(value, Duration):
        return f'duration("{value}")'
    return _string(value)


def _decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise CelError(f"error during formatting: decimal clause can only be used on integers, was given {type_name(value)}")
    return str(int(value))


def _number(value: Any, clause: str) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return float(value.replace("Infinity", "inf"))
    if not isinstance(value, float):
        raise CelError(f"error during formatting: {clause} clause can only be used on doubles, was given {type_name(value)}")
    return value


def _special(value: float) -> str | None:
    return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞") if math.isinf(value) else None


def _fixed(value: Any, precision: int) -> str:
    number = _number(value, "fixed-point")
    return _special(number) or f"{Decimal(number):,.{precision}f}"


def _scientific(value: Any, precision: int) -> str:
    number = _number(value, "scientific")
    special = _special(number)
    # The precision is taken for a width; there are always six digits.
    if special is not None:
        return special.rjust(precision)
    mantissa, _, exponent = f"{number:.{_PRECISION}e}".partition("e")
    power = f"{'-' if int(exponent) < 0 else ''}{abs(int(exponent)):02}"
    return f"{mantissa}\u00d710{power.translate(_SUPERSCRIPTS)}".rjust(precision)


def _binary(value: Any) -> str:
    if not isinstance(value, int):
        raise CelError(f"error during formatting: only integers and bools can be formatted as binary, was given {type_name(value)}")
    return f"{int(value):b}"


def _hexadecimal(upper: bool) -> Callable[[Any], str]:
    def run(value: Any) -> str:
        if isinstance(value, str | bytes):
            made = (value.encode() if isinstance(value, str) else value).hex()
        elif isinstance(value, int) and not isinstance(value, bool):
            made = f"{int(value):x}"
        else:
            raise CelError(f"error during formatting: only integers, byte buffers, and strings can be formatted as hex, was given {type_name(value)}")
        return made.upper() if upper else made

    return run


def _octal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise CelError(f"error during formatting: octal clause can only be used on integers, was given {type_name(value)}")
    return f"{int(value):o}"


_CLAUSES: dict[str, Callable[[Any], str]] = {"s": _string, "d": _decimal, "b": _binary, "x": _hexadecimal(False), "X": _hexadecimal(True), "o": _octal}
_WITH_PRECISION: dict[str, Callable[[Any, int], str]] = {"f": _fixed, "e": _scientific}


def clauses(text: str) -> Iterator[str | tuple[str, int]]:
    """The pieces of a format: plain text, and clauses as their letter and precision. Raises CelError."""
    index = 0
    while index < len(text):
        percent = text.find("%", index)
        if percent < 0:
            yield text[index:]
            return
        yield text[index:percent]
        index = percent + 1
        if text[index : index + 1] == "%":
            yield "%"
            index += 1
            continue
        precision = _PRECISION
        if text[index : index + 1] == ".":
            end = index + 1
            while text[end : end + 1].isdigit():
                end += 1
            if end == index + 1 or len(text[index + 1 : end]) > 3:
                raise CelError("could not parse formatting clause: error while converting precision to integer")
            precision, index = int(text[index + 1 : end]), end
        clause = text[index : index + 1]
        index += 1
        if clause not in _CLAUSES and clause not in _WITH_PRECISION:
            raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{clause}"')
        yield clause, precision


def format_text(text: str, values: Sequence[Any]) -> str:
    """``text.format(values)``. Raises CelError for a clause or a value that does not fit."""
    made: list[str] = []
    used = 0
    for piece in clauses(text):
        if isinstance(piece, str):
            made.append(piece)
            continue
        clause, precision = piece
        if used >= len(values):
            raise CelError(f"index {used} out of range")
        value, used = values[used], used + 1
        made.append(_CLAUSES[clause](value) if clause in _CLAUSES else _WITH_PRECISION[clause](value, precision))
    return "".join(made)
