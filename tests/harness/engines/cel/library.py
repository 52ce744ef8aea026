"""The functions that Kubernetes adds to CEL and cel-cpp lacks.

Source: ``k8s.io/apiserver/pkg/cel/library`` (lists, regex, urls, quantity, ip, cidr, format, semver), v0.34, and
``pkg/cel/environment/base.go`` for which of them an API server has.

Opaque values (a quantity, an address, a version …) stand as ``bytes`` inside CEL: they compare equal when Kubernetes says so, no JSON
value is ever mistaken for one, and ``string(ip(x))`` is the built-in conversion. Parameters are declared with concrete types only:
an optional value that reached a Python function would end the process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Any

from cel_expr_python import cel

from harness.engines import formats, names, network, quantity
from harness.engines.cel.pattern import compile_re2
from harness.engines.cel.semver import Semver, normalise

T = cel.Type
_LIST = T.List(T.DYN)


# --- opaque values -----------------------------------------------------------------------------------------------------------------


def _pack_quantity(value: Fraction) -> bytes:
    return f"q{value.numerator}/{value.denominator}".encode()


def _pack_semver(version: Semver) -> bytes:
    return b"v" + version.text.partition("+")[0].encode()


def _unpack(value: bytes) -> Fraction | Semver:
    text = value.decode("utf-8", "replace")
    if text.startswith("q"):
        numerator, _, denominator = text[1:].partition("/")
        return Fraction(int(numerator), int(denominator))
    if text.startswith("v"):
        return Semver(text[1:])
    raise ValueError("no such overload")


def _quantity(value: bytes) -> Fraction:
    unpacked = _unpack(value)
    if not isinstance(unpacked, Fraction):
        raise TypeError("no such overload")
    return unpacked


def _semver(value: bytes) -> Semver:
    unpacked = _unpack(value)
    if not isinstance(unpacked, Semver):
        raise TypeError("no such overload")
    return unpacked


def _compare(left: bytes, right: bytes) -> int:
    one, two = _unpack(left), _unpack(right)
    if isinstance(one, Fraction) and isinstance(two, Fraction):
        return (one > two) - (one < two)
    if isinstance(one, Semver) and isinstance(two, Semver):
        return (two < one) - (one < two)
    raise TypeError("no such overload")


def _ip(value: bytes) -> network.Address:
    return network.parse_ip(value.decode("utf-8", "replace"))


def _cidr(value: bytes) -> network.Network:
    return network.parse_cidr(value.decode("utf-8", "replace"))


def _url(value: bytes) -> network.URL:
    return network.URL(value.decode("utf-8", "replace"))


def _as_integer(value: bytes) -> int:
    number = _quantity(value)
    if number.denominator != 1 or not -(2**63) <= number < 2**63:
        raise ValueError("cannot convert value to integer")
    return number.numerator


def _is_integer(value: bytes) -> bool:
    number = _quantity(value)
    return number.denominator == 1 and -(2**63) <= number < 2**63


def _pack_network(value: network.Network) -> bytes:
    return f"{value.ip}/{value.network.prefixlen}".encode()


# --- lists -------------------------------------------------------------------------------------------------------------------------


def _comparable(items: Sequence[Any]) -> Sequence[Any]:
    kinds = {bool if isinstance(item, bool) else float if isinstance(item, int | float) else type(item) for item in items}
    if len(kinds) > 1 or kinds & {dict, list, type(None)}:
        raise TypeError("no such overload")
    return items


def _sum(items: Sequence[Any]) -> Any:
    for item in _comparable(items):
        if isinstance(item, bool) or not isinstance(item, int | float | timedelta):
            raise TypeError("no such overload")
    if items and isinstance(items[0], timedelta):
        return sum(items, timedelta())
    total = sum(items)
    if isinstance(total, int) and not -(2**63) <= total < 2**63:
        raise OverflowError("integer overflow")
    return total


def _extreme(name: str, pick: Callable[[Sequence[Any]], Any]) -> Callable[[Sequence[Any]], Any]:
    def run(items: Sequence[Any]) -> Any:
        if not items:
            raise ValueError(f"{name} called on empty list")
        return pick(_comparable(items))

    return run


def _is_sorted(items: Sequence[Any]) -> bool:
    values = _comparable(items)
    return all(one <= two for one, two in itertools.pairwise(values))


def _same(one: Any, two: Any) -> bool:
    return isinstance(one, bool) == isinstance(two, bool) and bool(one == two)


def _index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if _same(item, wanted)), -1)


def _last_index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if _same(items[index], wanted)), -1)


# --- text --------------------------------------------------------------------------------------------------------------------------


def _find(text: str, pattern: str) -> str:
    match = compile_re2(pattern).search(text)
    return match[0] if match else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    for match in compile_re2(pattern).finditer(text):
        if 0 <= limit <= len(found):
            break
        found.append(match[0])
    return found


def _ends_dash(check: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    return lambda text: check(names.mask_trailing_dash(text))


def _format_check(name: str, message: str) -> Callable[[str], list[str]]:
    return lambda text: [] if formats.is_valid(name, text) else [message]


#: ``ConstantFormats`` of format.go: what each named format accepts.
FORMATS: dict[str, Callable[[str], list[str]]] = {
    "dns1123Label": names.dns1123_label,
    "dns1123Subdomain": names.dns1123_subdomain,
    "dns1035Label": names.dns1035_label,
    "qualifiedName": names.qualified_name,
    "dns1123LabelPrefix": _ends_dash(names.dns1123_label),
    "dns1123SubdomainPrefix": _ends_dash(names.dns1123_subdomain),
    "dns1035LabelPrefix": _ends_dash(names.dns1035_label),
    "labelValue": names.label_value,
    "uri": _format_check("uri", "invalid URI"),
    "uuid": _format_check("uuid", "does not match the UUID format"),
    "byte": _format_check("byte", "invalid base64"),
    "date": _format_check("date", "invalid date"),
    "datetime": _format_check("date-time", "invalid datetime"),
}


def _validate(packed: bytes, text: str) -> list[str]:
    check = FORMATS.get(packed[1:].decode("utf-8", "replace"))
    if check is None:
        raise ValueError("no such overload")
    return check(text)


# --- declarations ------------------------------------------------------------------------------------------------------------------

_Overload = tuple[Any, list[Any], bool, Callable[..., Any]]


def _declare(name: str, *overloads: _Overload) -> cel.FunctionDecl:
    return cel.FunctionDecl(
        name,
        [
            cel.Overload(f"k8s_{name.replace('.', '_')}_{index}", result, parameters, member, call)
            for index, (result, parameters, member, call) in enumerate(overloads)
        ],
    )


def _function(result: Any, parameters: list[Any], call: Callable[..., Any]) -> _Overload:
    return (result, parameters, False, call)


def _member(result: Any, parameters: list[Any], call: Callable[..., Any]) -> _Overload:
    return (result, parameters, True, call)


def scalar_functions() -> list[cel.FunctionDecl]:
    """Everything except the functions on lists."""
    declared = [
        _declare("find", _member(T.STRING, [T.STRING, T.STRING], _find)),
        _declare("findAll", _member(T.List(T.STRING), [T.STRING, T.STRING], _find_all), _member(T.List(T.STRING), [T.STRING, T.STRING, T.INT], _find_all)),
        # quantities and versions
        _declare("quantity", _function(T.BYTES, [T.STRING], lambda text: _pack_quantity(quantity.parse_text(text)))),
        _declare("isQuantity", _function(T.BOOL, [T.STRING], lambda text: quantity.parse_or_none(text) is not None)),
        _declare("sign", _member(T.INT, [T.BYTES], lambda value: (_quantity(value) > 0) - (_quantity(value) < 0))),
        _declare("asInteger", _member(T.INT, [T.BYTES], _as_integer)),
        _declare("isInteger", _member(T.BOOL, [T.BYTES], _is_integer)),
        _declare("asApproximateFloat", _member(T.DOUBLE, [T.BYTES], lambda value: float(_quantity(value)))),
        _declare(
            "add",
            _member(T.BYTES, [T.BYTES, T.BYTES], lambda one, two: _pack_quantity(_quantity(one) + _quantity(two))),
            _member(T.BYTES, [T.BYTES, T.INT], lambda one, two: _pack_quantity(_quantity(one) + two)),
        ),
        _declare(
            "sub",
            _member(T.BYTES, [T.BYTES, T.BYTES], lambda one, two: _pack_quantity(_quantity(one) - _quantity(two))),
            _member(T.BYTES, [T.BYTES, T.INT], lambda one, two: _pack_quantity(_quantity(one) - two)),
        ),
        _declare("compareTo", _member(T.INT, [T.BYTES, T.BYTES], _compare)),
        _declare("isLessThan", _member(T.BOOL, [T.BYTES, T.BYTES], lambda one, two: _compare(one, two) < 0)),
        _declare("isGreaterThan", _member(T.BOOL, [T.BYTES, T.BYTES], lambda one, two: _compare(one, two) > 0)),
        _declare(
            "semver",
            _function(T.BYTES, [T.STRING], lambda text: _pack_semver(Semver(text))),
            _function(T.BYTES, [T.STRING, T.BOOL], lambda text, loose: _pack_semver(Semver(normalise(text) if loose else text))),
        ),
        _declare(
            "isSemver",
            _function(T.BOOL, [T.STRING], lambda text: network.is_valid(Semver, text)),
            _function(T.BOOL, [T.STRING, T.BOOL], lambda text, loose: network.is_valid(lambda value: Semver(normalise(value) if loose else value), text)),
        ),
        *(_declare(part, _member(T.INT, [T.BYTES], lambda value, part=part: getattr(_semver(value), part))) for part in ("major", "minor", "patch")),
        # addresses
        _declare(
            "ip",
            _function(T.BYTES, [T.STRING], lambda text: str(network.parse_ip(text)).encode()),
            _member(T.BYTES, [T.BYTES], lambda value: str(_cidr(value).ip).encode()),
        ),
        _declare("isIP", _function(T.BOOL, [T.STRING], lambda text: network.is_valid(network.parse_ip, text))),
        _declare("ip.isCanonical", _function(T.BOOL, [T.STRING], lambda text: str(network.parse_ip(text)) == text)),
        _declare("family", _member(T.INT, [T.BYTES], lambda value: _ip(value).version)),
        _declare("isUnspecified", _member(T.BOOL, [T.BYTES], lambda value: _ip(value).is_unspecified)),
        _declare("isLoopback", _member(T.BOOL, [T.BYTES], lambda value: _ip(value).is_loopback)),
        _declare("isLinkLocalMulticast", _member(T.BOOL, [T.BYTES], lambda value: network.is_link_local_multicast(_ip(value)))),
        _declare("isLinkLocalUnicast", _member(T.BOOL, [T.BYTES], lambda value: _ip(value).is_link_local)),
        _declare("isGlobalUnicast", _member(T.BOOL, [T.BYTES], lambda value: network.is_global_unicast(_ip(value)))),
        _declare("cidr", _function(T.BYTES, [T.STRING], lambda text: _pack_network(network.parse_cidr(text)))),
        _declare("isCIDR", _function(T.BOOL, [T.STRING], lambda text: network.is_valid(network.parse_cidr, text))),
        _declare(
            "containsIP",
            _member(T.BOOL, [T.BYTES, T.STRING], lambda value, text: network.parse_ip(text) in _cidr(value).network),
            _member(T.BOOL, [T.BYTES, T.BYTES], lambda value, other: _ip(other) in _cidr(value).network),
        ),
        _declare(
            "containsCIDR",
            _member(T.BOOL, [T.BYTES, T.STRING], lambda value, text: network.contains_network(_cidr(value), network.parse_cidr(text))),
            _member(T.BOOL, [T.BYTES, T.BYTES], lambda value, other: network.contains_network(_cidr(value), _cidr(other))),
        ),
        _declare("prefixLength", _member(T.INT, [T.BYTES], lambda value: _cidr(value).network.prefixlen)),
        _declare("masked", _member(T.BYTES, [T.BYTES], lambda value: str(_cidr(value).network).encode())),
        # URLs
        _declare("url", _function(T.BYTES, [T.STRING], lambda text: network.URL(text).text.encode())),
        _declare("isURL", _function(T.BOOL, [T.STRING], lambda text: network.is_valid(network.URL, text))),
        _declare("getScheme", _member(T.STRING, [T.BYTES], lambda value: _url(value).scheme)),
        _declare("getHost", _member(T.STRING, [T.BYTES], lambda value: _url(value).host)),
        _declare("getHostname", _member(T.STRING, [T.BYTES], lambda value: _url(value).hostname)),
        _declare("getPort", _member(T.STRING, [T.BYTES], lambda value: _url(value).port)),
        _declare("getEscapedPath", _member(T.STRING, [T.BYTES], lambda value: _url(value).path)),
        _declare("getQuery", _member(T.Map(T.STRING, T.List(T.STRING)), [T.BYTES], lambda value: _url(value).query_values())),
        # named formats
        _declare("k8sValidate", _member(T.List(T.STRING), [T.BYTES, T.STRING], _validate)),
        _declare("format.k8sFind", _function(T.BYTES, [T.STRING], lambda name: f"f{name}".encode() if name in FORMATS else b"")),
    ]
    declared += [_declare(f"format.{name}", _function(T.BYTES, [], lambda name=name: f"f{name}".encode())) for name in FORMATS]
    return declared


def list_functions() -> list[cel.FunctionDecl]:
    """The functions on lists. An environment that has them must not be given expressions that build optional values inside lists."""
    return [
        _declare("sum", _member(T.DYN, [_LIST], _sum)),
        _declare("min", _member(T.DYN, [_LIST], _extreme("min", min))),
        _declare("max", _member(T.DYN, [_LIST], _extreme("max", max))),
        _declare("isSorted", _member(T.BOOL, [_LIST], _is_sorted)),
        _declare("indexOf", *(_member(T.INT, [_LIST, kind], _index_of) for kind in (T.STRING, T.INT, T.BOOL, T.DOUBLE))),
        _declare("lastIndexOf", *(_member(T.INT, [_LIST, kind], _last_index_of) for kind in (T.STRING, T.INT, T.BOOL, T.DOUBLE))),
    ]


__all__ = ["FORMATS", "list_functions", "scalar_functions"]
