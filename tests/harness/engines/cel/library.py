"""The functions that Kubernetes adds to CEL.

Source: ``k8s.io/apiserver/pkg/cel/library`` (lists, regex, urls, quantity, ip, cidr, format, semver, jsonpatch, authz), v0.34, and
``pkg/cel/environment/base.go`` for which of them an API server has. The authorizer's functions are declared: an expression that uses
them compiles, and is evaluated as far as none of them is reached.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from harness.engines import formats, names, network
from harness.engines.cel.data import (
    CIDR,
    INT_MAX,
    INT_MIN,
    IP,
    NONE,
    CelError,
    Duration,
    Format,
    Optional,
    Quantity,
    QuantitySum,
    UInt,
    UnsupportedError,
    Url,
    Version,
    equal,
    order,
)
from harness.engines.cel.functions import Overload, overload
from harness.engines.cel.pattern import compile_any, spans
from harness.engines.cel.semver import Semver, normalise
from harness.engines.cel.standard import add
from harness.engines.quantity import parse_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

_QUANTITY, _VERSION, _FORMAT = Quantity.TYPE, Version.TYPE, Format.TYPE
_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")


# --- lists -------------------------------------------------------------------------------------------------------------------------


def _sum(zero: Any) -> Callable[[Sequence[Any]], Any]:
    def run(items: Sequence[Any]) -> Any:
        # Without types the first overload answers: its zero is an integer's, and only integers add to it.
        total = zero if zero is not None else 0
        for index, item in enumerate(items):
            total = item if index == 0 and type(item) in (float, UInt, Duration) else add(total, item)
        return total

    return run


def _extreme(name: str, way: int) -> Callable[[Sequence[Any]], Any]:
    def run(items: Sequence[Any]) -> Any:
        if not items:
            raise CelError(f"{name} called on empty list")
        best = items[0]
        for item in items[1:]:
            if order(best, item) == way:
                best = item
        order(best, best)
        return best

    return run


def _is_sorted(items: Sequence[Any]) -> bool:
    return all(order(one, two) <= 0 for one, two in itertools.pairwise(items))


def _index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if equal(items[index], wanted)), -1)


_SUMS = {"int": 0, "uint": UInt(0), "double": 0.0, "duration": Duration(0)}
_LISTS = (
    *(overload(f"<list({kind})>.isSorted() -> bool", _is_sorted) for kind in _COMPARABLE),
    *(overload(f"<list({kind})>.sum() -> {kind}", _sum(zero)) for kind, zero in _SUMS.items()),
    *(overload(f"<list({kind})>.min() -> {kind}", _extreme("min", 1)) for kind in _COMPARABLE),
    *(overload(f"<list({kind})>.max() -> {kind}", _extreme("max", -1)) for kind in _COMPARABLE),
    overload("<list(A)>.indexOf(A) -> int", _index_of),
    overload("<list(A)>.lastIndexOf(A) -> int", _last_index_of),
)

# --- text --------------------------------------------------------------------------------------------------------------------------


def _find(text: str, pattern: str) -> str:
    match = compile_any(pattern).search(text)
    return str(match[0]) if match else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    for match in spans(text, pattern):
        if 0 <= limit <= len(found):
            break
        found.append(match[0])
    return found


_REGEX = (
    overload("<string>.find(string) -> string", _find),
    overload("<string>.findAll(string) -> list(string)", _find_all),
    overload("<string>.findAll(string, int) -> list(string)", _find_all),
)


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


def _named(name: str) -> Optional:
    check = FORMATS.get(name)
    return Optional(Format(name, check)) if check else NONE


def _validate(known: Format, text: str) -> Optional:
    problems = known.check(text)
    return Optional(problems) if problems else NONE


_FORMATS = (
    *(overload(f"format.{name}() -> {_FORMAT}", lambda name=name, check=check: Format(name, check)) for name, check in FORMATS.items()),
    overload(f"format.named(string) -> optional({_FORMAT})", _named),
    overload(f"<{_FORMAT}>.validate(string) -> optional(list(string))", _validate),
)

# --- quantities and versions -------------------------------------------------------------------------------------------------------


def _is_integer(value: Quantity) -> bool:
    number: Fraction = value.value
    return number.denominator == 1 and INT_MIN <= number <= INT_MAX


def _as_integer(value: Quantity) -> int:
    if not _is_integer(value):
        raise CelError("cannot convert value to integer")
    return int(value.value)


def _approximate(value: Quantity) -> float:
    try:
        return float(value.value)
    except OverflowError:
        return float("inf") if value.value > 0 else float("-inf")


def _compare(one: Any, two: Any) -> int:
    return int(one.value > two.value) - int(one.value < two.value)


def _version(text: str, loose: bool) -> Version:
    return Version(Semver(normalise(text) if loose else text))


_QUANTITIES = (
    overload(f"quantity(string) -> {_QUANTITY}", Quantity.parse),
    overload("isQuantity(string) -> bool", lambda text: parse_or_none(text) is not None),
    # Documented as a member, but declared as a function.
    overload(f"sign({_QUANTITY}) -> int", lambda value: (value.value > 0) - (value.value < 0)),
    overload(f"<{_QUANTITY}>.isInteger() -> bool", _is_integer),
    overload(f"<{_QUANTITY}>.asInteger() -> int", _as_integer),
    overload(f"<{_QUANTITY}>.asApproximateFloat() -> double", _approximate),
    overload(f"<{_QUANTITY}>.add({_QUANTITY}) -> {_QUANTITY}", lambda one, two: QuantitySum(one.value + two.value)),
    overload(f"<{_QUANTITY}>.add(int) -> {_QUANTITY}", lambda one, two: QuantitySum(one.value + two)),
    overload(f"<{_QUANTITY}>.sub({_QUANTITY}) -> {_QUANTITY}", lambda one, two: QuantitySum(one.value - two.value)),
    overload(f"<{_QUANTITY}>.sub(int) -> {_QUANTITY}", lambda one, two: QuantitySum(one.value - two)),
    *(
        made
        for kind in (_QUANTITY, _VERSION)
        for made in (
            overload(f"<{kind}>.compareTo({kind}) -> int", _compare),
            overload(f"<{kind}>.isLessThan({kind}) -> bool", lambda one, two: _compare(one, two) < 0),
            overload(f"<{kind}>.isGreaterThan({kind}) -> bool", lambda one, two: _compare(one, two) > 0),
        )
    ),
    overload(f"semver(string) -> {_VERSION}", Version.parse),
    overload(f"semver(string, bool) -> {_VERSION}", _version),
    overload("isSemver(string) -> bool", lambda text: network.is_valid(Semver, text)),
    overload("isSemver(string, bool) -> bool", lambda text, loose: network.is_valid(lambda value: _version(value, loose), text)),
    *(overload(f"<{_VERSION}>.{part}() -> int", lambda value, part=part: getattr(value.value, part)) for part in ("major", "minor", "patch")),
)

# --- addresses and URLs ------------------------------------------------------------------------------------------------------------

_IP, _CIDR, _URL = IP.TYPE, CIDR.TYPE, Url.TYPE
_ADDRESSES = (
    overload(f"ip(string) -> {_IP}", IP.parse),
    overload("isIP(string) -> bool", lambda text: network.is_valid(network.parse_ip, text)),
    overload("ip.isCanonical(string) -> bool", lambda text: str(network.parse_ip(text)) == text),
    overload(f"<{_IP}>.family() -> int", lambda address: address.value.version),
    overload(f"<{_IP}>.isUnspecified() -> bool", lambda address: address.value.is_unspecified),
    overload(f"<{_IP}>.isLoopback() -> bool", lambda address: address.value.is_loopback),
    overload(f"<{_IP}>.isLinkLocalMulticast() -> bool", lambda address: network.is_link_local_multicast(address.value)),
    overload(f"<{_IP}>.isLinkLocalUnicast() -> bool", lambda address: address.value.is_link_local),
    overload(f"<{_IP}>.isGlobalUnicast() -> bool", lambda address: network.is_global_unicast(address.value)),
    overload(f"string({_IP}) -> string", str),
    overload(f"cidr(string) -> {_CIDR}", CIDR.parse),
    overload("isCIDR(string) -> bool", lambda text: network.is_valid(network.parse_cidr, text)),
    overload(f"<{_CIDR}>.containsIP(string) -> bool", lambda outer, text: network.parse_ip(text) in outer.value.network),
    overload(f"<{_CIDR}>.containsIP({_IP}) -> bool", lambda outer, address: address.value in outer.value.network),
    overload(f"<{_CIDR}>.containsCIDR(string) -> bool", lambda outer, text: network.contains_network(outer.value, network.parse_cidr(text))),
    overload(f"<{_CIDR}>.containsCIDR({_CIDR}) -> bool", lambda outer, inner: network.contains_network(outer.value, inner.value)),
    overload(f"<{_CIDR}>.ip() -> {_IP}", lambda value: IP(value.value.ip)),
    overload(f"<{_CIDR}>.prefixLength() -> int", lambda value: value.value.network.prefixlen),
    overload(f"<{_CIDR}>.masked() -> {_CIDR}", lambda value: CIDR(network.parse_cidr(str(value.value.network)))),
    overload(f"string({_CIDR}) -> string", str),
    overload(f"url(string) -> {_URL}", Url.parse),
    overload("isURL(string) -> bool", lambda text: network.is_valid(network.URL, text)),
    overload(f"<{_URL}>.getScheme() -> string", lambda value: value.value.scheme),
    overload(f"<{_URL}>.getHost() -> string", lambda value: value.value.host),
    overload(f"<{_URL}>.getHostname() -> string", lambda value: value.value.hostname),
    overload(f"<{_URL}>.getPort() -> string", lambda value: value.value.port),
    overload(f"<{_URL}>.getEscapedPath() -> string", lambda value: value.value.path),
    overload(f"<{_URL}>.getQuery() -> map(string, list(string))", lambda value: value.value.query_values()),
)

# --- the rest ----------------------------------------------------------------------------------------------------------------------


def _escape_key(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


def _authorizer(*_values: Any) -> Any:
    raise UnsupportedError("the authorizer is not evaluated: it needs an API server")


_PREFIX = "kubernetes.authorization."
_AUTHORIZER, _DECISION, _RESOURCE, _PATH = f"{_PREFIX}Authorizer", f"{_PREFIX}Decision", f"{_PREFIX}ResourceCheck", f"{_PREFIX}PathCheck"
_ANSWERS = (("errored", "bool"), ("error", "string"), ("allowed", "bool"), ("reason", "string"))
_OTHERS = (
    overload(f"<{_AUTHORIZER}>.path(string) -> {_PATH}", _authorizer),
    overload(f"<{_AUTHORIZER}>.group(string) -> {_PREFIX}GroupCheck", _authorizer),
    overload(f"<{_AUTHORIZER}>.serviceAccount(string, string) -> {_AUTHORIZER}", _authorizer),
    overload(f"<{_PREFIX}GroupCheck>.resource(string) -> {_RESOURCE}", _authorizer),
    *(overload(f"<{_RESOURCE}>.{name}(string) -> {_RESOURCE}", _authorizer) for name in ("subresource", "namespace", "name", "fieldSelector", "labelSelector")),
    overload(f"<{_PATH}>.check(string) -> {_DECISION}", _authorizer),
    overload(f"<{_RESOURCE}>.check(string) -> {_DECISION}", _authorizer),
    *(overload(f"<{_DECISION}>.{name}() -> {kind}", _authorizer) for name, kind in _ANSWERS),
)  # fmt: skip

#: What only mutating policies have.
JSON_PATCH: tuple[Overload, ...] = (overload("jsonpatch.escapeKey(string) -> string", _escape_key),)
#: Functions of later Kubernetes versions (``includes``: 1.37) than the ones that most clusters run.
NEWER = frozenset({"includes"})
OVERLOADS: tuple[Overload, ...] = (*_LISTS, *_REGEX, *_FORMATS, *_QUANTITIES, *_ADDRESSES, *_OTHERS)

__all__ = ["FORMATS", "JSON_PATCH", "NEWER", "OVERLOADS"]
