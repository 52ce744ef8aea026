"""String formats that the API server checks in custom resources and in its own types.

Source: ``k8s.io/kube-openapi/pkg/validation/strfmt`` and ``k8s.io/apiextensions-apiserver/pkg/apiserver/validation/formats.go``, v0.34.
A format that is not listed here is not checked: by the API server when it does not know it, by us when it is one of the rare ones
(isbn, creditcard, ssn, bsonobjectid, colours).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from datetime import date
from typing import TYPE_CHECKING

from harness.engines import network

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))", re.ASCII)
_GO_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})([.,][0-9]+)?(Z|[+-]([0-9]{2}):([0-9]{2}))", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_HOSTNAME = re.compile(r"[^\s\x00-\x1f/:@?#\[\]]+")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})", re.ASCII)
_GO_DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_LOOSE_DURATION = re.compile(r"(?<![0-9])[0-9]+\s*([A-Za-zµ]+)", re.ASCII)
_LOOSE_UNITS = (("ns", "nano"), ("us", "µs", "micro"), ("ms", "milli"), ("s", "sec"), ("m", "min"), ("h", "hr", "hour"), ("d", "day"), ("w", "wk", "week"))
_SHORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)


def is_date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    year, month, day = (int(part) for part in match.groups())
    try:
        date(year or 4, month, day)  # Go has a year 0, Python none; both are leap years
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    """``strfmt.IsDateTime``: RFC 3339 with any letter case."""
    parts = text.lower().split("t")
    if len(text) < 4 or len(parts) < 2 or not is_date(parts[0]):
        return False
    match = _TIME.fullmatch(parts[1])
    return match is not None and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def is_go_time(text: str) -> bool:
    """``time.Parse(time.RFC3339, …)``, which decodes ``metav1.Time``."""
    match = _GO_TIME.fullmatch(text)
    if match is None or not is_date(match[1]) or match[2] > "23" or match[3] > "59" or match[4] > "59":
        return False
    return match[7] is None or (match[7] <= "24" and match[8] <= "60")


def is_go_duration(text: str) -> bool:
    """``time.ParseDuration``."""
    return _GO_DURATION.fullmatch(text) is not None


def is_duration(text: str) -> bool:
    """``strfmt.ParseDuration``: Go's syntax, or anywhere in the text a number and a unit such as ``2 days``."""
    if is_go_duration(text):
        return True
    for unit in _LOOSE_DURATION.findall(text):
        lowered = unit.lower()
        if any(lowered in variants or lowered.startswith(variants[-1]) for variants in _LOOSE_UNITS):
            return True
    return False


def is_base64(text: str) -> bool:
    """``govalidator.IsBase64``: padded, not empty."""
    return _BASE64.fullmatch(text) is not None


def is_go_base64(text: str) -> bool:
    """What decodes into a Go ``[]byte``: standard base64 with padding, line breaks ignored, empty allowed."""
    try:
        base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text.partition("%")[0] if version == 6 else text).version == version
        except ValueError:
            return False

    return check


def is_cidr(text: str) -> bool:
    """Go's ``net.ParseCIDR`` (it accepts leading zeros in no octet, host bits are fine)."""
    return network.is_valid(network.parse_cidr, text)


def is_uri(text: str) -> bool:
    return network.is_valid(network.URL, text)


def is_hostname(text: str) -> bool:
    """A coarse form of the server's pattern, which admits letters and symbols of every script."""
    return 0 < len(text) <= 255 and _HOSTNAME.fullmatch(text) is not None and all(len(part) <= 63 for part in text.split("."))


def is_email(text: str) -> bool:
    """A coarse form of Go's ``mail.ParseAddress``: refuses only what has no mailbox at all."""
    name, at, domain = text.strip().rpartition("@")
    return bool(name and at and domain)


def is_short_name(text: str) -> bool:
    return len(text) <= 63 and _SHORT_NAME.fullmatch(text) is not None


def is_long_name(text: str) -> bool:
    return len(text) <= 253 and all(_SHORT_NAME.fullmatch(part) for part in text.split("."))


#: By the API server's normalised name: without dashes. All but the last two since 1.0; those since 1.34.
CHECKS: dict[str, Callable[[str], bool]] = {
    "byte": is_base64,
    "cidr": is_cidr,
    "date": is_date,
    "datetime": is_date_time,
    "duration": is_duration,
    "email": is_email,
    "hostname": is_hostname,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
    "uri": is_uri,
    "uuid": lambda text: _UUID.fullmatch(text) is not None,
    "k8sshortname": is_short_name,
    "k8slongname": is_long_name,
}


def is_valid(name: str, text: str) -> bool:
    """Whether a text has a format; true for formats that are not checked."""
    check = CHECKS.get(name.replace("-", ""))
    return check is None or check(text)
