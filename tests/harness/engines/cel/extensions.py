"""cel-go's extension libraries: strings, lists, sets, math, encoders, regex, and optional values. Source: ``ext/`` and ``cel/library.go``, v0.26.

Two-variable comprehensions and bindings are macros and stand in the parser.
"""

from __future__ import annotations

import base64
import binascii
import functools
import math
import re
from typing import TYPE_CHECKING, Any

from harness.engines.cel import pattern
from harness.engines.cel.data import INT_MIN, NONE, CelError, Optional, UInt, UnsupportedError, equal, no_overload, order
from harness.engines.cel.formatting import format_text, quote
from harness.engines.cel.functions import Overload, overload
from harness.engines.cel.standard import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# --- strings -----------------------------------------------------------------------------------------------------------------------

#: ``unicode.IsSpace``, which ``strings.TrimSpace`` uses.
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, part: str, offset: int = 0) -> int:
    if offset < 0:
        raise CelError(f"index out of range: {offset}")
    if not part:
        return min(offset, len(text))
    return text.find(part, offset)


def _last_index_of(text: str, part: str, offset: int | None = None) -> int:
    if offset is not None and offset < 0:
        raise CelError(f"index out of range: {offset}")
    if not part:
        return len(text) if offset is None else min(offset, len(text))
    if offset is None:
        return text.rfind(part)
    return -1 if offset >= len(text) else text.rfind(part, 0, offset + len(part))


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    found = text.count(old) if old else len(text) + 1
    if (found if count < 0 else min(found, count)) * len(new) + len(text) > MAX_SIZE:
        raise UnsupportedError(f"a text of more than {MAX_SIZE} characters is not evaluated")
    return text.replace(old, new, max(count, -1))


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if separator:
        return text.split(separator) if count < 0 else text.split(separator, count - 1)
    # Go explodes a text into characters.
    return list(text) if count < 0 or count >= len(text) else [*text[: count - 1], text[count - 1 :]]


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if end is not None and start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, stop):
        if not 0 <= index <= len(text):
            raise CelError(f"index out of range: {index}")
    return text[start:stop]


def _join(items: Sequence[Any], separator: str = "") -> str:
    for item in items:
        if not isinstance(item, str):
            raise CelError(f"join: invalid input: {item}")
    return separator.join(items)


_STRINGS = (
    overload("<string>.charAt(int) -> string", _char_at),
    overload("<string>.indexOf(string) -> int", _index_of),
    overload("<string>.indexOf(string, int) -> int", _index_of),
    overload("<string>.lastIndexOf(string) -> int", _last_index_of),
    overload("<string>.lastIndexOf(string, int) -> int", _last_index_of),
    overload("<string>.lowerAscii() -> string", lambda text: text.translate(_LOWER)),
    overload("<string>.upperAscii() -> string", lambda text: text.translate(_UPPER)),
    overload("<string>.replace(string, string) -> string", _replace),
    overload("<string>.replace(string, string, int) -> string", _replace),
    overload("<string>.split(string) -> list(string)", _split),
    overload("<string>.split(string, int) -> list(string)", _split),
    overload("<string>.substring(int) -> string", _substring),
    overload("<string>.substring(int, int) -> string", _substring),
    overload("<string>.trim() -> string", lambda text: text.strip(_SPACES)),
    overload("<list(string)>.join() -> string", _join),
    overload("<list(string)>.join(string) -> string", _join),
    overload("<string>.format(list(dyn)) -> string", format_text),
    overload("strings.quote(string) -> string", quote),
)

# --- lists -------------------------------------------------------------------------------------------------------------------------

_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")


def _slice(items: Sequence[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if len(items) < end:
        raise CelError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return list(items[start:end])


def _flatten(items: Sequence[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise CelError("level must be non-negative")
    made: list[Any] = []
    for item in items:
        if isinstance(item, list | tuple) and depth > 0:
            made += _flatten(item, depth - 1)
        else:
            made.append(item)
    return made


def sort_by_keys(items: Sequence[Any], keys: Sequence[Any]) -> list[Any]:
    """``sort()`` and ``sortBy()``: the items in the order of their keys, which must be comparable and of one type."""
    if not items:
        return list(items)
    kinds = {type(key) for key in keys}
    if len(kinds) > 1:
        raise CelError("list elements must have the same type")
    try:
        order(keys[0], keys[0])
    except CelError as error:
        raise CelError("list elements must be comparable") from error

    def compare(one: int, two: int) -> int:
        return order(keys[one], keys[two])

    indices = sorted(range(len(items)), key=functools.cmp_to_key(compare))
    return [items[index] for index in indices]


def _range(count: int) -> list[int]:
    if count > 1_000_000:
        raise UnsupportedError("a range of more than a million items is not evaluated")
    return list(range(count))


def _distinct(items: Sequence[Any]) -> list[Any]:
    made: list[Any] = []
    if len(items) > 5_000:
        raise UnsupportedError("distinct() of more than 5,000 items is not evaluated")
    for item in items:
        if not any(equal(item, other) for other in made):
            made.append(item)
    return made


_LISTS = (
    overload("<list(A)>.slice(int, int) -> list(A)", _slice),
    overload("<list(list(A))>.flatten() -> list(A)", _flatten),
    overload("<list(dyn)>.flatten(int) -> list(dyn)", _flatten),
    *(overload(f"<list({kind})>.sort() -> list({kind})", lambda items: sort_by_keys(items, items)) for kind in _COMPARABLE),
    overload("lists.range(int) -> list(int)", _range),
    overload("<list(A)>.reverse() -> list(A)", lambda items: list(items)[::-1]),
    overload("<list(A)>.distinct() -> list(A)", _distinct),
)

# --- sets --------------------------------------------------------------------------------------------------------------------------


def _within(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Whether every item of ``two`` is in ``one``."""
    return all(any(equal(item, other) for other in one) for item in two)


_SETS = (
    overload("sets.contains(list(A), list(A)) -> bool", _within),
    overload("sets.equivalent(list(A), list(A)) -> bool", lambda one, two: _within(one, two) and _within(two, one)),
    overload("sets.intersects(list(A), list(A)) -> bool", lambda one, two: any(any(equal(item, other) for other in two) for item in one)),
)

# --- math --------------------------------------------------------------------------------------------------------------------------


def _extreme(way: int, name: str) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        items = values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values
        if not items:
            raise CelError(f"math.@{name}(list) argument must not be empty")
        best = items[0]
        for item in items:
            if isinstance(item, bool) or not isinstance(item, int | float):
                raise no_overload(f"math.@{name}")
            if order(item, best) * way > 0:
                best = item
        return best

    return run


def _extremes(name: str, way: int) -> list[Overload]:
    call, kinds = _extreme(way, name), ("int", "uint", "double")
    made = [overload(f"math.@{name}({kind}) -> {kind}", call) for kind in kinds]
    made += [overload(f"math.@{name}({one}, {two}) -> {one if one == two else 'dyn'}", call) for one in kinds for two in kinds]
    return made + [overload(f"math.@{name}(list({kind})) -> {kind}", call) for kind in kinds]


def _rounded(call: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: value if math.isnan(value) or math.isinf(value) else float(call(value))


def _half_away(value: float) -> float:
    whole = math.trunc(value)
    return whole + math.copysign(1, value) if abs(value - whole) >= 0.5 else whole


def _wrap(value: int) -> int:
    """The 64 bits of an integer, as a signed one."""
    return (value + 2**63) % 2**64 - 2**63


def _shift(left: bool, unsigned: bool) -> Callable[[int, int], int]:
    def run(value: int, count: int) -> int:
        if count < 0:
            raise CelError(f"math.bitShift{'Left' if left else 'Right'}() negative offset: {count}")
        bits = int(value) % 2**64
        moved = 0 if count >= 64 else (bits << count) % 2**64 if left else bits >> count
        return UInt(moved) if unsigned else _wrap(moved)

    return run


def _bits(name: str, call: Callable[[int, int], int]) -> list[Overload]:
    return [
        overload(f"math.{name}(int, int) -> int", lambda one, two: _wrap(call(one, two))),
        overload(f"math.{name}(uint, uint) -> uint", lambda one, two: UInt(call(int(one), int(two)))),
    ]


def _absolute(value: int) -> int:
    if value == INT_MIN:
        raise CelError("integer overflow")
    return abs(value)


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


_MATH = (
    *_extremes("max", 1),
    *_extremes("min", -1),
    overload("math.ceil(double) -> double", _rounded(math.ceil)),
    overload("math.floor(double) -> double", _rounded(math.floor)),
    overload("math.round(double) -> double", _rounded(_half_away)),
    overload("math.trunc(double) -> double", _rounded(math.trunc)),
    overload("math.isInf(double) -> bool", math.isinf),
    overload("math.isNaN(double) -> bool", math.isnan),
    overload("math.isFinite(double) -> bool", math.isfinite),
    overload("math.abs(double) -> double", abs),
    overload("math.abs(int) -> int", _absolute),
    overload("math.abs(uint) -> uint", lambda value: value),
    overload("math.sign(double) -> double", lambda value: value if math.isnan(value) else float((value > 0) - (value < 0))),
    overload("math.sign(int) -> int", lambda value: (value > 0) - (value < 0)),
    overload("math.sign(uint) -> uint", lambda value: UInt(value > 0)),
    *_bits("bitAnd", lambda one, two: one & two),
    *_bits("bitOr", lambda one, two: one | two),
    *_bits("bitXor", lambda one, two: one ^ two),
    overload("math.bitNot(int) -> int", lambda value: ~value),
    overload("math.bitNot(uint) -> uint", lambda value: UInt(2**64 - 1 - int(value))),
    *(
        overload(f"math.bitShift{'Left' if left else 'Right'}({kind}, int) -> {kind}", _shift(left, kind == "uint"))
        for left in (True, False)
        for kind in ("int", "uint")
    ),
    *(overload(f"math.sqrt({kind}) -> double", _root) for kind in ("double", "int", "uint")),
)

# --- encoders ----------------------------------------------------------------------------------------------------------------------


def _decode(text: str) -> bytes:
    for candidate in (text, text + "=" * (-len(text) % 4)):
        try:
            return base64.b64decode(candidate.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            continue
    raise CelError("illegal base64 data")


_ENCODERS = (
    overload("base64.decode(string) -> bytes", _decode),
    overload("base64.encode(bytes) -> string", lambda data: base64.b64encode(data).decode()),
)

# --- optional values ---------------------------------------------------------------------------------------------------------------


def _is_zero(value: Any) -> bool:
    if value is None:
        return True
    nanos = getattr(value, "nanos", None)
    if nanos is not None:
        return bool(nanos == 0)
    if isinstance(value, Optional):
        return not value.present
    fields = getattr(value, "fields", value)
    return isinstance(fields, bool | int | float | str | bytes | list | tuple | dict) and not fields


def _value(optional: Optional) -> Any:
    if not optional.present:
        raise CelError("optional.none() dereference")
    return optional.value


def _unwrap(items: Sequence[Any]) -> list[Any]:
    for item in items:
        if not isinstance(item, Optional):
            raise CelError(f"value {item} is not optional")
    return [item.value for item in items if item.present]


_OPTIONAL = (
    overload("optional.of(A) -> optional(A)", Optional),
    overload("optional.ofNonZeroValue(A) -> optional(A)", lambda value: NONE if _is_zero(value) else Optional(value)),
    overload("optional.none() -> optional(A)", lambda: NONE),
    overload("optional.unwrap(list(optional(A))) -> list(A)", _unwrap),
    overload("<list(optional(A))>.unwrapOpt() -> list(A)", _unwrap),
    overload("<optional(A)>.value() -> A", _value),
    overload("<optional(A)>.hasValue() -> bool", lambda optional: optional.present),
    overload("<optional(A)>.or(optional(A)) -> optional(A)", lambda one, two: one if one.present else two),
    overload("<optional(A)>.orValue(A) -> A", lambda one, two: one.value if one.present else two),
    overload("<list(A)>.first() -> optional(A)", lambda items: Optional(items[0]) if items else NONE),
    overload("<list(A)>.last() -> optional(A)", lambda items: Optional(items[-1]) if items else NONE),
)

# --- regular expressions -----------------------------------------------------------------------------------------------------------


def _one_group(expression: str) -> Any:
    compiled = pattern.compile_any(expression)
    if compiled.groups > 1:
        raise CelError(f"regular expression has more than one capturing group: {expression!r}")
    return compiled


def _extract(text: str, expression: str) -> Optional:
    compiled = _one_group(expression)
    match = compiled.search(text)
    if match is None or match[compiled.groups] is None:
        return NONE
    return Optional(match[compiled.groups])


def _extract_all(text: str, expression: str) -> list[str]:
    compiled = _one_group(expression)
    found = (match[compiled.groups] for match in pattern.spans(text, expression))
    return [part for part in found if part is not None and (part or not compiled.groups)]


def _substitute(text: str, expression: str, replacement: str, count: int = -1) -> str:
    compiled = pattern.compile_any(expression)
    pieces = re.split(r"\\(.?)", replacement, flags=re.DOTALL)
    for mark in pieces[1::2]:
        if mark != "\\" and not (mark.isascii() and mark.isdigit() and int(mark) <= compiled.groups):
            raise CelError(f"invalid replacement string: {replacement!r}")

    def expand(match: Any) -> str:
        return "".join(piece if index % 2 == 0 else "\\" if piece == "\\" else (match[int(piece)] or "") for index, piece in enumerate(pieces))

    return pattern.replaced(text, expression, expand, count)


_REGEX = (
    overload("regex.replace(string, string, string) -> string", _substitute),
    overload("regex.replace(string, string, string, int) -> string", _substitute),
    overload("regex.extract(string, string) -> optional(string)", _extract),
    overload("regex.extractAll(string, string) -> list(string)", _extract_all),
)

OVERLOADS: tuple[Overload, ...] = (*_STRINGS, *_LISTS, *_SETS, *_MATH, *_ENCODERS, *_OPTIONAL, *_REGEX)

__all__ = ["OVERLOADS", "sort_by_keys"]
