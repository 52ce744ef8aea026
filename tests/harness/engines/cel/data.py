"""The values of CEL that JSON lacks, and equality and order over all values.

Plain Python stands for what JSON has: None, bool, int (64 bits), float, str, list, dict; bytes are bytes. Source: ``common/types`` of
cel-go (v0.26) for the standard types, ``k8s.io/apiserver/pkg/cel`` (v0.34) for quantities, addresses, URLs, versions and formats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from harness.engines import network, quantity
from harness.engines.cel.semver import Semver

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1
_NANO: Final = 10**9
#: 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z, in nanoseconds since 1970.
_FIRST: Final = -62_135_596_800 * _NANO
_LAST: Final = 253_402_300_800 * _NANO - 1


class CelError(Exception):
    """An evaluation that has no value; the message is cel-go's."""


class UnsupportedError(CelError):
    """An evaluation that an API server may well finish, and this engine does not."""


def no_overload(name: str = "") -> CelError:
    return CelError(f"no such overload: {name}" if name else "no such overload")


class UInt(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


class BoolKey:
    """A boolean as the key of a map: Python takes True and 1 for the same key, CEL does not."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value


TRUE_KEY: Final = BoolKey(True)
FALSE_KEY: Final = BoolKey(False)


class Timestamp:
    """A point in time: ``nanos`` since 1970 in UTC, and the ``offset`` in minutes that it was written with."""

    __slots__ = ("nanos", "offset")

    def __init__(self, nanos: int, offset: int = 0) -> None:
        if not _FIRST <= nanos <= _LAST:
            raise CelError("timestamp overflow")
        self.nanos = nanos
        self.offset = offset

    def at(self, zone: tzinfo = UTC) -> datetime:
        """The calendar fields in a time zone; raises CelError where Python's calendar ends."""
        try:
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self.nanos // _NANO)).astimezone(zone)
        except (OverflowError, ValueError) as error:
            raise CelError("timestamp out of range") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __str__(self) -> str:
        seconds, nanos = divmod(self.nanos, _NANO)
        fraction = f".{nanos:09}".rstrip("0") if nanos else ""
        try:
            when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds + self.offset * 60)
        except OverflowError as error:
            raise CelError("timestamp out of range") from error
        hours, minutes = divmod(abs(self.offset), 60)
        zone = f"{'-' if self.offset < 0 else '+'}{hours:02}:{minutes:02}" if self.offset else "Z"
        return f"{when.year:04}-{when:%m-%dT%H:%M:%S}{fraction}{zone}"


class Duration:
    """A span of time in nanoseconds, 64 bits."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        if not INT_MIN <= nanos <= INT_MAX:
            raise CelError("duration overflow")
        self.nanos = nanos

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __str__(self) -> str:
        # Go's Duration.Seconds() is a float64 sum of whole seconds and the rest.
        whole = int(math.fabs(self.nanos)) // _NANO if self.nanos < 0 else self.nanos // _NANO
        seconds = float(whole) + float(abs(self.nanos) % _NANO) / 1e9
        text = _plain(seconds)
        return f"-{text}s" if self.nanos < 0 else f"{text}s"


def _plain(number: float) -> str:
    """A finite float in its shortest form without an exponent."""
    text = repr(number)
    if "e" in text:
        digits, _, power = text.partition("e")
        whole, _, fraction = digits.partition(".")
        exponent = int(power)
        fraction = fraction if fraction != "0" else ""
        if exponent >= 0:
            return (whole + fraction).ljust(len(whole) + exponent, "0")
        return "0." + "0" * (-exponent - 1) + whole + fraction
    return text.removesuffix(".0")


class Optional:
    """A value or none; ``NONE`` is the empty one."""

    __slots__ = ("present", "value")

    def __init__(self, value: Any = None, present: bool = True) -> None:
        self.value = value
        self.present = present


NONE: Final = Optional(present=False)


class TypeValue:
    """A type as a value, known by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeValue) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


class Message:
    """A message that an expression builds, such as ``Object.spec{replicas: 1}``: its type's name and the fields that are set."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields


class Opaque:
    """A value of a Kubernetes type that only functions look into. ``TYPE`` is its name in CEL."""

    __slots__ = ("value",)
    TYPE = ""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return str(self.value)


class Quantity(Opaque):
    """``value`` is a Fraction."""

    __slots__ = ()
    TYPE = "kubernetes.Quantity"

    @classmethod
    def parse(cls, text: str) -> Quantity:
        return cls(quantity.parse_text(text))


class QuantitySum(Quantity):
    """What ``add`` and ``sub`` give: the library returns a pointer there, and nothing equals a pointer."""

    __slots__ = ()


class IP(Opaque):
    __slots__ = ()
    TYPE = "net.IP"

    @classmethod
    def parse(cls, text: str) -> IP:
        return cls(network.parse_ip(text))


class CIDR(Opaque):
    __slots__ = ()
    TYPE = "net.CIDR"

    @classmethod
    def parse(cls, text: str) -> CIDR:
        return cls(network.parse_cidr(text))

    def __str__(self) -> str:
        return f"{self.value.ip}/{self.value.network.prefixlen}"


class Url(Opaque):
    """``value`` is a network.URL; equality is that of the texts."""

    __slots__ = ()
    TYPE = "kubernetes.URL"

    @classmethod
    def parse(cls, text: str) -> Url:
        return cls(network.URL(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self.value.text == other.value.text

    def __hash__(self) -> int:
        return hash(self.value.text)

    def __str__(self) -> str:
        return str(self.value.text)


class Version(Opaque):
    """``value`` is a Semver."""

    __slots__ = ()
    TYPE = "kubernetes.Semver"

    @classmethod
    def parse(cls, text: str) -> Version:
        return cls(Semver(text))

    def __str__(self) -> str:
        return str(self.value.text)


class Format(Opaque):
    """A named format: its name, and what is wrong with a text."""

    __slots__ = ("check",)
    TYPE = "kubernetes.NamedFormat"

    def __init__(self, name: str, check: Callable[[str], list[str]]) -> None:
        super().__init__(name)
        self.check = check


_NAMES: Final[dict[type, str]] = {
    type(None): "null_type", bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", list: "list", dict: "map",
    Timestamp: "google.protobuf.Timestamp", Duration: "google.protobuf.Duration", Optional: "optional_type", TypeValue: "type",
}  # fmt: skip


def type_name(value: Any) -> str:
    """The name of a value's type, as ``type(value)`` gives it."""
    name = _NAMES.get(type(value))
    if name is not None:
        return name
    if isinstance(value, Opaque):
        return value.TYPE
    if isinstance(value, Message):
        return value.name
    for kind, known in ((Mapping, "map"), (list, "list"), (tuple, "list"), (str, "string"), (float, "double"), (int, "int")):
        if isinstance(value, kind):
            return known
    return type(value).__name__


def key_of(value: Any) -> Any:
    """A map key as it stands in a dict. Raises TypeError for what cannot be looked up at all."""
    if value is True:
        return TRUE_KEY
    if value is False:
        return FALSE_KEY
    return value


def key_value(key: Any) -> Any:
    """The inverse of ``key_of``."""
    return key.value if type(key) is BoolKey else key


_NUMBERS: Final = (int, UInt, float)
_PLAIN: Final = frozenset({str, int, bool, UInt, bytes, type(None)})


def equal(one: Any, two: Any) -> bool:
    """CEL's ``==``: values of different types differ, numbers compare by value."""
    first, second = type(one), type(two)
    if first is second and first in _PLAIN:
        return bool(one == two)
    if first in _NUMBERS:
        if second in _NUMBERS:
            return _number_equal(one, two)
        return isinstance(two, int | float) and not isinstance(two, bool) and _number_equal(one, two)
    if isinstance(one, list | tuple):
        return isinstance(two, list | tuple) and len(one) == len(two) and all(equal(left, right) for left, right in zip(one, two, strict=True))
    if isinstance(one, Mapping):
        return isinstance(two, Mapping) and len(one) == len(two) and all(key in two and equal(value, two[key]) for key, value in one.items())
    if first is Optional:
        return second is Optional and one.present == two.present and (not one.present or equal(one.value, two.value))
    if first is Message:
        return second is Message and one.name == two.name and equal(one.fields, two.fields)
    if isinstance(one, bool) or isinstance(two, bool):
        return first is second and bool(one == two)
    if isinstance(one, Opaque):
        if second is QuantitySum or not (first is second or (isinstance(one, Quantity) and isinstance(two, Quantity))):
            raise no_overload()
        return bool(one.value == two.value) if isinstance(one, Quantity) else bool(one == two)
    if first not in _NAMES and not isinstance(one, str | bool | int | float | bytes):
        raise UnsupportedError(f"a value of type {first.__name__} is not evaluated")
    return bool(one == two)


def _number_equal(one: Any, two: Any) -> bool:
    if isinstance(one, float) or isinstance(two, float):
        return _order_with_float(one, two) == 0 if one == one and two == two else False
    return bool(one == two)


def _order_with_float(one: Any, two: Any) -> int:
    # cel-go settles what is out of the integer's range first, and compares the rest as doubles.
    left, right = (math.inf * (1 if value > 0 else -1) if isinstance(value, int) and abs(value) > 2**70 else float(value) for value in (one, two))
    return (left > right) - (left < right)


def order(one: Any, two: Any) -> int:
    """-1, 0 or 1. Raises CelError for values that have no order."""
    first, second = type(one), type(two)
    if first is second and first in (str, int, UInt, bytes, bool):
        return int(one > two) - int(one < two)
    if first is bool or second is bool:
        raise no_overload()
    if isinstance(one, int | float) and isinstance(two, int | float):
        if one != one or two != two:
            raise CelError("NaN values cannot be ordered")
        if isinstance(one, float) or isinstance(two, float):
            return _order_with_float(one, two)
        return (one > two) - (one < two)
    if first is second and first in (Timestamp, Duration):
        return int(one.nanos > two.nanos) - int(one.nanos < two.nanos)
    if isinstance(one, str) and isinstance(two, str):
        return (one > two) - (one < two)
    raise no_overload()


def plain(value: Any) -> Any:
    """A value as plain data: times, types and opaque values as text, keys as they are. Raises CelError for optional values that are none."""
    kind = type(value)
    if kind in (str, bool, int, float, bytes) or value is None:
        return value
    if kind is UInt:
        return int(value)
    if isinstance(value, Mapping):
        return {key_value(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if kind is Message:
        return {key: plain(item) for key, item in value.fields.items()}
    if kind is Optional:
        if not value.present:
            raise CelError("optional.none() dereference")
        return plain(value.value)
    if isinstance(value, Timestamp | Duration | TypeValue | Opaque):
        return str(value)
    return value


def fixed_zone(minutes: int) -> tzinfo:
    """A zone that many minutes east of UTC. Raises CelError beyond a day."""
    try:
        return timezone(timedelta(minutes=minutes))
    except ValueError as error:
        raise CelError("time zone offset out of range") from error
