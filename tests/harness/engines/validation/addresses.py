"""IP addresses and networks in the API server's own fields.

Source: ``IsValidIPForLegacyField`` and ``IsValidCIDRForLegacyField`` in ``k8s.io/apimachinery/pkg/util/validation/ip.go``, v1.34: these
fields accept leading zeros in IPv4 octets and host bits in networks (``net/utils`` "sloppy" parsing).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from harness.engines.network import is_link_local_multicast

if TYPE_CHECKING:
    from harness.engines.validation.context import Check
    from harness.model import Pointer

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LEADING_ZEROS = re.compile(r"(?<![0-9a-fA-F:])0+(?=[0-9])")
_BITS = re.compile(r"[0-9]{1,3}", re.ASCII)


def parse_ip(value: str) -> Address | None:
    """An address, or None."""
    try:
        if "%" in value:
            return None
        return ipaddress.ip_address(value if ":" in value and "." not in value else _LEADING_ZEROS.sub("", value))
    except ValueError:
        return None


def parse_cidr(value: str) -> Network | None:
    """A network, with host bits ignored, or None."""
    address, slash, bits = value.rpartition("/")
    parsed = parse_ip(address)
    if not slash or parsed is None or not _BITS.fullmatch(bits) or int(bits) > parsed.max_prefixlen:
        return None
    return ipaddress.ip_network((parsed, int(bits)), strict=False)


def legacy_ip(value: Any, check: Check, at: Pointer) -> None:
    """Adds an error for a string that is no address."""
    if isinstance(value, str) and parse_ip(value) is None:
        check.error(at, f"must be a valid IP address (e.g. 10.9.8.7 or 2001:db8::ffff), not {value!r}", "address", value)


def ordinary_ip(value: Any, check: Check, at: Pointer) -> None:
    """``ValidateNonSpecialIP``: an address that another host could have."""
    legacy_ip(value, check, at)
    parsed = parse_ip(value) if isinstance(value, str) else None
    if parsed is not None and (parsed.is_unspecified or parsed.is_loopback or parsed.is_link_local or is_link_local_multicast(parsed)):
        check.error(at, f"may not be an unspecified, loopback or link-local address, not {value!r}", "address", value)


def legacy_cidr(value: Any, check: Check, at: Pointer) -> None:
    """Adds an error for a string that is no network."""
    if isinstance(value, str) and parse_cidr(value) is None:
        check.error(at, f"must be a valid CIDR value (e.g. 10.9.8.0/24 or 2001:db8::/64), not {value!r}", "address", value)
