"""The standard functions and operators of CEL. Source: ``common/stdlib`` and ``common/types`` of cel-go, v0.26."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from harness.engines.cel.data import (
    INT_MAX,
    INT_MIN,
    UINT_MAX,
    CelError,
    Duration,
    Timestamp,
    TypeValue,
    UInt,
    UnsupportedError,
    equal,
    fixed_zone,
    key_of,
    no_overload,
    order,
    type_name,
)
from harness.engines.cel.functions import Overload, overload
from harness.engines.cel.pattern import matches

_NANO = 10**9
#: Strings, lists and bytes above this many items are not built.
MAX_SIZE = 10_000_000


def int_in_range(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise CelError("integer overflow")
    return value


def uint_in_range(value: int) -> UInt:
    if not 0 <= value <= UINT_MAX:
        raise CelError("unsigned integer overflow")
    return UInt(value)


# --- arithmetic --------------------------------------------------------------------------------------------------------------------


def add(one: Any, two: Any) -> Any:
    first, second = type(one), type(two)
    if first is int and second is int:
        return int_in_range(one + two)
    if isinstance(one, str) and isinstance(two, str):
        return _sized(one, two)
    if first is float and second is float:
        return one + two
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return _sized(list(one), list(two))
    if first is UInt and second is UInt:
        return uint_in_range(int(one) + int(two))
    if first is bytes and second is bytes:
        return _sized(one, two)
    if first is Duration and second is Duration:
        return Duration(one.nanos + two.nanos)
    if {first, second} == {Timestamp, Duration}:
        return Timestamp(one.nanos + two.nanos, one.offset if first is Timestamp else two.offset)
    raise no_overload()


def _sized(one: Any, two: Any) -> Any:
    if len(one) + len(two) > MAX_SIZE:
        raise UnsupportedError(f"a value of more than {MAX_SIZE} items is not evaluated")
    return one + two


def subtract(one: Any, two: Any) -> Any:
    first, second = type(one), type(two)
    if first is second:
        if first is int:
            return int_in_range(one - two)
        if first is float:
            return one - two
        if first is UInt:
            return uint_in_range(int(one) - int(two))
        if first in (Duration, Timestamp):
            return Duration(one.nanos - two.nanos)
    if first is Timestamp and second is Duration:
        return Timestamp(one.nanos - two.nanos, one.offset)
    raise no_overload()


def multiply(one: Any, two: Any) -> Any:
    first = type(one)
    if first is type(two):
        if first is int:
            return int_in_range(one * two)
        if first is float:
            return one * two
        if first is UInt:
            return uint_in_range(int(one) * int(two))
    raise no_overload()


def divide(one: Any, two: Any) -> Any:
    first = type(one)
    if first is type(two):
        if first is float:
            if two == 0.0:
                return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one) * math.copysign(1.0, two)
            return one / two
        if first in (int, UInt):
            if two == 0:
                raise CelError("division by zero")
            quotient = abs(int(one)) // abs(int(two))
            return int_in_range(quotient if (one < 0) == (two < 0) else -quotient) if first is int else UInt(quotient)
    raise no_overload()


def modulo(one: Any, two: Any) -> Any:
    first = type(one)
    if first is type(two) and first in (int, UInt):
        if two == 0:
            raise CelError("modulus by zero")
        if one == INT_MIN and two == -1:
            raise CelError("integer overflow")
        rest = abs(int(one)) % abs(int(two))
        return (-rest if one < 0 else rest) if first is int else UInt(rest)
    raise no_overload()


def negate(value: Any) -> Any:
    if type(value) is int:
        return int_in_range(-value)
    if type(value) is float:
        return -value
    raise no_overload()


def invert(value: Any) -> bool:
    if type(value) is not bool:
        raise no_overload()
    return not value


def contained(one: Any, two: Any) -> bool:
    """The ``in`` operator."""
    if isinstance(two, Mapping):
        try:
            return key_of(one) in two
        except TypeError:
            return False
    if isinstance(two, list | tuple):
        return any(equal(one, item) for item in two)
    raise no_overload()


# --- conversions -------------------------------------------------------------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|infinity)|nan", re.ASCII | re.IGNORECASE)
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+", re.ASCII)
_TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": _NANO, "m": 60 * _NANO, "h": 3600 * _NANO}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def int_of(text: str) -> int:
    if not _INTEGER.fullmatch(text) or len(text) > 40 or not INT_MIN <= int(text) <= INT_MAX:
        raise CelError(f'strconv.ParseInt: parsing "{text}": {"value out of range" if _INTEGER.fullmatch(text) else "invalid syntax"}')
    return int(text)


def uint_of(text: str) -> UInt:
    if not (text.isascii() and text.isdigit()) or len(text) > 40 or int(text) > UINT_MAX:
        raise CelError(f'strconv.ParseUint: parsing "{text}": {"value out of range" if text.isdigit() else "invalid syntax"}')
    return UInt(text)


def double_of(text: str) -> float:
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number) and "n" not in text.lower():
            raise CelError(f'strconv.ParseFloat: parsing "{text}": value out of range')
        return number
    if _HEX_FLOAT.fullmatch(text):
        return float.fromhex(text)
    raise CelError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')


def _int_of_double(value: float) -> int:
    if math.isnan(value) or not -(2.0**63) < value < 2.0**63:
        raise CelError("integer overflow")
    return int(value)


def _uint_of_double(value: float) -> UInt:
    if math.isnan(value) or not 0.0 <= value < 2.0**64:
        raise CelError("unsigned integer overflow")
    return UInt(value)


def bool_of(text: str) -> bool:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise CelError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def text_of_double(value: float) -> str:
    """Go's ``%g``: the shortest digits, with an exponent below 1e-4 and from 1e6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, _, exponent = f"{value!r}".partition("e")
    sign = "-" if digits.startswith("-") else ""
    whole, _, fraction = digits.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    mantissa = (whole + fraction).lstrip("0") or "0"
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len((whole + fraction).lstrip("0"))) if mantissa != "0" else 1
    mantissa = mantissa.rstrip("0") or "0"
    power = point - 1
    if power < -4 or power >= 6:
        rest = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
        return f"{sign}{mantissa[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{mantissa}"
    if len(mantissa) <= point:
        return f"{sign}{mantissa.ljust(point, '0')}"
    return f"{sign}{mantissa[:point]}.{mantissa[point:]}"


def text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise CelError("invalid UTF-8 in bytes, cannot convert to string") from error


def timestamp_of(text: str) -> Timestamp:
    """RFC 3339, as Go's ``time.Parse`` reads it."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse')
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset = (int(match[9]) * 60 + int(match[10])) * (-1 if match[8] == "-" else 1) if match[8] else 0
    if match[8] and (int(match[9]) > 24 or int(match[10]) > 59):
        raise CelError(f'parsing time "{text}": time zone offset out of range')
    try:
        when = datetime(max(year, 1), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise CelError(f'parsing time "{text}": {error}') from error
    if year == 0:
        raise CelError("timestamp overflow")
    seconds = (when - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400 + (when - datetime(1970, 1, 1, tzinfo=UTC)).seconds
    return Timestamp((seconds - offset * 60) * _NANO + int((match[7] or "")[:9].ljust(9, "0")), offset)


def duration_of(text: str) -> Duration:
    """Go's ``time.ParseDuration``."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return Duration(0)
    total, offset = 0, 0
    while offset < len(rest):
        match = _PART.match(rest, offset)
        if match is None or not (match[1] or match[2]):
            raise CelError(f'time: invalid duration "{text}"')
        unit = _UNITS[match[3]]
        total += int(match[1] or 0) * unit + (int(match[2]) * unit // 10 ** len(match[2]) if match[2] else 0)
        offset = match.end()
    if not rest or total > INT_MAX + (text[:1] == "-"):
        raise CelError(f'time: invalid duration "{text}"')
    return Duration(-total if text[:1] == "-" else total)


def _seconds(value: int) -> Timestamp:
    return Timestamp(value * _NANO)


# --- time --------------------------------------------------------------------------------------------------------------------------


def _zone(name: str) -> tzinfo:
    hours, colon, minutes = name.partition(":")
    if colon:
        hour, minute = int_of(hours), int_of(minutes)
        if not 0 <= minute <= 59:
            raise CelError(f"timezone offset minutes out of range [0, 59]: {name}")
        return fixed_zone(hour * 60 + (-minute if name.startswith("-") else minute))
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnsupportedError(f"time zone {name} is not evaluated: not known here") from error


_FIELDS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda when: when.year,
    "getMonth": lambda when: when.month - 1,
    "getDayOfYear": lambda when: when.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda when: when.day - 1,
    "getDate": lambda when: when.day,
    "getDayOfWeek": lambda when: when.isoweekday() % 7,
    "getHours": lambda when: when.hour,
    "getMinutes": lambda when: when.minute,
    "getSeconds": lambda when: when.second,
}


def _field(name: str) -> list[Overload]:
    read = _FIELDS[name]
    return [
        overload(f"<timestamp>.{name}() -> int", lambda when: read(when.at())),
        overload(f"<timestamp>.{name}(string) -> int", lambda when, zone: read(when.at(_zone(zone)))),
    ]


def _toward_zero(value: int, unit: int) -> int:
    return -(-value // unit) if value < 0 else value // unit


def _span(name: str, unit: int) -> Overload:
    return overload(f"<duration>.{name}() -> int", lambda span: _toward_zero(span.nanos, unit))


def size(value: Any) -> int:
    return len(value)


def _same(value: Any) -> Any:
    return value


def _operators() -> list[Overload]:
    made = [overload("_==_(A, A) -> bool", equal), overload("_!=_(A, A) -> bool", lambda one, two: not equal(one, two))]
    tests: dict[str, Callable[[int], bool]] = {"<": lambda way: way < 0, "<=": lambda way: way <= 0, ">": lambda way: way > 0, ">=": lambda way: way >= 0}
    pairs = [(kind, kind) for kind in ("int", "uint", "double", "bool", "string", "bytes", "timestamp", "duration")]
    pairs += [(one, two) for one in ("int", "uint", "double") for two in ("int", "uint", "double") if one != two]
    for mark, test in tests.items():
        made += [overload(f"_{mark}_({one}, {two}) -> bool", lambda left, right, test=test: test(order(left, right))) for one, two in pairs]
    plus = [("int", "int", "int"), ("uint", "uint", "uint"), ("double", "double", "double"), ("string", "string", "string"), ("bytes", "bytes", "bytes")]
    plus += [("list(A)", "list(A)", "list(A)"), ("duration", "duration", "duration"), ("timestamp", "duration", "timestamp")]
    made += [overload(f"_+_({one}, {two}) -> {result}", add) for one, two, result in [*plus, ("duration", "timestamp", "timestamp")]]
    minus = [*plus[:3], ("duration", "duration", "duration"), ("timestamp", "duration", "timestamp"), ("timestamp", "timestamp", "duration")]
    made += [overload(f"_-_({one}, {two}) -> {result}", subtract) for one, two, result in minus]
    for mark, call in (("*", multiply), ("/", divide)):
        made += [overload(f"_{mark}_({kind}, {kind}) -> {kind}", call) for kind in ("int", "uint", "double")]
    made += [overload(f"_%_({kind}, {kind}) -> {kind}", modulo) for kind in ("int", "uint")]
    made += [overload(f"-_({kind}) -> {kind}", negate) for kind in ("int", "double")]
    made += [overload("!_(bool) -> bool", invert), overload("@in(A, list(A)) -> bool", contained), overload("@in(A, map(A, B)) -> bool", contained)]
    return made


_SIZED = ("string", "bytes", "list(A)", "map(A, B)")
OVERLOADS: tuple[Overload, ...] = (
    *_operators(),
    *(overload(f"size({kind}) -> int", size) for kind in _SIZED),
    *(overload(f"<{kind}>.size() -> int", size) for kind in _SIZED),
    overload("matches(string, string) -> bool", matches),
    overload("<string>.matches(string) -> bool", matches),
    overload("<string>.contains(string) -> bool", lambda text, part: part in text),
    overload("<string>.startsWith(string) -> bool", lambda text, part: text.startswith(part)),
    overload("<string>.endsWith(string) -> bool", lambda text, part: text.endswith(part)),
    overload("dyn(A) -> dyn", _same),
    overload("type(A) -> type(A)", lambda value: TypeValue(type_name(value))),
    overload("bool(bool) -> bool", _same),
    overload("bool(string) -> bool", bool_of),
    overload("bytes(bytes) -> bytes", _same),
    overload("bytes(string) -> bytes", lambda text: text.encode()),
    overload("int(int) -> int", _same),
    overload("int(uint) -> int", lambda value: int_in_range(int(value))),
    overload("int(double) -> int", _int_of_double),
    overload("int(string) -> int", int_of),
    overload("int(timestamp) -> int", lambda when: when.nanos // _NANO),
    overload("int(duration) -> int", lambda span: span.nanos),
    overload("uint(uint) -> uint", _same),
    overload("uint(int) -> uint", uint_in_range),
    overload("uint(double) -> uint", _uint_of_double),
    overload("uint(string) -> uint", uint_of),
    overload("double(double) -> double", _same),
    overload("double(int) -> double", float),
    overload("double(uint) -> double", float),
    overload("double(string) -> double", double_of),
    overload("string(string) -> string", _same),
    overload("string(bool) -> string", lambda value: "true" if value else "false"),
    overload("string(int) -> string", str),
    overload("string(uint) -> string", lambda value: str(int(value))),
    overload("string(double) -> string", text_of_double),
    overload("string(bytes) -> string", text_of_bytes),
    overload("string(timestamp) -> string", str),
    overload("string(duration) -> string", str),
    overload("timestamp(timestamp) -> timestamp", _same),
    overload("timestamp(string) -> timestamp", timestamp_of),
    overload("timestamp(int) -> timestamp", _seconds),
    overload("duration(duration) -> duration", _same),
    overload("duration(string) -> duration", duration_of),
    *(item for name in _FIELDS for item in _field(name)),
    overload("<timestamp>.getMilliseconds() -> int", lambda when: when.nanos % _NANO // 10**6),
    overload("<timestamp>.getMilliseconds(string) -> int", lambda when, zone: when.at(_zone(zone)) and when.nanos % _NANO // 10**6),
    _span("getHours", 3600 * _NANO),
    _span("getMinutes", 60 * _NANO),
    _span("getSeconds", _NANO),
    _span("getMilliseconds", 10**6),
)
