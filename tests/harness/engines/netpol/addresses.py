"""Sets of IP addresses, both families on one line of integers: IPv4 first, IPv6 behind it.

Blocks are read as the API server reads them (leading zeros and host bits are accepted: ``IsValidCIDRForLegacyField``).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.validation.addresses import parse_cidr, parse_ip

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where IPv6 starts on the line. The gap of one keeps the families from touching, so that no interval holds both.
_SIX: Final = (1 << 32) + 1
_V4_END: Final = (1 << 32) - 1
IPV4: Final = Intervals(((0, _V4_END),))
IPV6: Final = Intervals(((_SIX, _SIX + (1 << 128) - 1),))
EVERYWHERE: Final = Intervals((*IPV4.spans, *IPV6.spans))


def block(cidr: str, excepts: Iterable[str] = ()) -> Intervals | None:
    """The addresses of a block without its exceptions; None when one of them is no block."""
    found = _network(cidr)
    for each in excepts:
        gone = _network(each)
        if found is None or gone is None:
            return None
        found -= gone
    return found


@lru_cache(maxsize=4096)
def _network(cidr: str) -> Intervals | None:
    network = parse_cidr(cidr)
    if network is None:
        return None
    offset = 0 if network.version == 4 else _SIX
    return Intervals(((offset + int(network.network_address), offset + int(network.broadcast_address)),))


def address(words: str) -> Intervals | None:
    """One address, a block, or a range ``a-b``; None when it is none of them. IPv4 addresses mapped to IPv6 are IPv4."""
    if "/" in words:
        return block(words)
    first, dash, last = words.partition("-")
    ends = [parse_ip(first.strip()), parse_ip(last.strip() if dash else first.strip())]
    points = [point for end in ends if (point := _point(end)) is not None]
    if len(points) != 2 or (points[0] < _SIX) != (points[1] < _SIX) or points[0] > points[1]:
        return None
    return Intervals(((points[0], points[1]),))


def _point(found: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> int | None:
    if found is None:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return int(mapped) if mapped is not None else _SIX + int(found)
    return int(found)


def blocks(text: Iterable[str]) -> Intervals:
    """The union of addresses, blocks and ranges. Raises ValueError for what is none of them."""
    found = EMPTY
    for each in text:
        one = address(each)
        if one is None:
            raise ValueError(f"{each!r} is no address, block or range")
        found |= one
    return found


def describe(addresses: Intervals, limit: int = 6) -> str:
    """``0.0.0.0/0 except 10.0.0.0/8``, or the blocks and ranges of the set; at most ``limit`` of them."""
    if addresses == EVERYWHERE:
        return "any address"
    words: list[str] = []
    for family, everything in ((IPV4, "0.0.0.0/0"), (IPV6, "::/0")):
        part = addresses & family
        if not part:
            continue
        plain, gaps = _ranges(part), _ranges(family - part)
        if part == family:
            words.append(everything)
        elif len(gaps) + 1 < len(plain) or (part.size * 2 > family.size and len(gaps) <= len(plain) + 1):
            words.append(f"{everything} except {_some(gaps, limit)}")
        else:
            words.append(_some(plain, limit))
    return ", ".join(words) or "no address"


def _some(words: list[str], limit: int) -> str:
    return ", ".join(words[:limit]) + (f" and {len(words) - limit} more" if len(words) > limit else "")


def ranges(addresses: Intervals) -> list[str]:
    """The blocks of the set where a span is few of them, ``a-b`` elsewhere: the exact set, for machines."""
    return [*_ranges(addresses & IPV4), *_ranges(addresses & IPV6)]


def _ranges(part: Intervals) -> list[str]:
    words = []
    for start, end in part:
        first, last = _show(start), _show(end)
        networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [*ipaddress.summarize_address_range(first, last)]
        if len(networks) <= 4:
            words += [str(network if network.prefixlen < network.max_prefixlen else network.network_address) for network in networks]
        else:
            words.append(f"{first}-{last}")
    return words


def _show(point: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv4Address(point) if point < _SIX else ipaddress.IPv6Address(point - _SIX)
