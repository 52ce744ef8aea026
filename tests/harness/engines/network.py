"""CEL's ``ip()``, ``cidr()`` and ``url()`` families, on plain text.

Source: ``k8s.io/apiserver/pkg/cel/library`` (ip.go, cidr.go, urls.go), v0.34. Values stay text here; the environment decides how they
cross into CEL. Every function raises ValueError with the API server's reason when the text is not what it should be.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_BITS = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)


def parse_ip(text: str) -> Address:
    """Go's ``netip.ParseAddr`` without zones and IPv4-mapped IPv6 addresses, which the library refuses."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f'IP Address "{text}" parse error during conversion from string') from error
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            raise ValueError(f'IP address "{text}" with zone value is not allowed')
        if address.ipv4_mapped is not None:
            raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return address


def parse_cidr(text: str) -> Network:
    """Go's ``netip.ParsePrefix``: an address, a slash and a number of bits. The address may have host bits set."""
    address, slash, bits = text.rpartition("/")
    if not slash or not _BITS.fullmatch(bits):
        raise ValueError(f'network address parse error during conversion from string: "{text}"')
    parsed = parse_ip(address)
    if int(bits) > parsed.max_prefixlen:
        raise ValueError(f'network address parse error during conversion from string: "{text}"')
    return ipaddress.ip_interface(f"{address}/{bits}")


def is_global_unicast(address: Address) -> bool:
    """``netip.Addr.IsGlobalUnicast``: private ranges count as global."""
    if address == ipaddress.IPv4Address("255.255.255.255"):
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)


def is_link_local_multicast(address: Address) -> bool:
    """224.0.0.0/24, or an IPv6 multicast address of link-local scope."""
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.IPv4Network("224.0.0.0/24")
    return address.is_multicast and address.packed[1] & 0x0F == 2


def contains_network(outer: Network, inner: Network) -> bool:
    """Whether every address of ``inner`` is in ``outer``."""
    return outer.version == inner.version and outer.network.prefixlen <= inner.network.prefixlen and inner.ip in outer.network


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"[^\s\x00-\x20\x7f<>\"^`{}|\\]*")


class URL:
    """The parts of a URL that CEL gives access to.

    Follows ``url.ParseRequestURI``: an absolute URI or an absolute path, no fragment.
    """

    __slots__ = ("host", "path", "query", "scheme", "text")

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("URL parse error during conversion from string: empty url")
        if any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
            raise ValueError(f'URL parse error during conversion from string: parse "{text!r}": invalid control character in URL')
        self.text = text
        self.scheme, rest = _split_scheme(text)
        rest = rest.partition("#")[0]
        rest, _, self.query = rest.partition("?")
        if not rest.startswith("/"):
            # An opaque URI (mailto:x) is absolute; anything else without a leading slash is a relative reference.
            if not self.scheme:
                raise ValueError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
            self.host, self.path = "", ""
            return
        self.host = ""
        if rest.startswith("//") and (self.scheme or not rest.startswith("///")) and self.scheme:
            authority, slash, path = rest[2:].partition("/")
            self.host, rest = _host(text, authority), slash + path
        if _ESCAPE.search(rest):
            raise ValueError(f'URL parse error during conversion from string: parse "{text}": invalid URL escape')
        self.path = rest

    @property
    def hostname(self) -> str:
        host = self.host
        if host.startswith("["):
            return host[1 : host.index("]")]
        return host.partition(":")[0]

    @property
    def port(self) -> str:
        tail = self.host.rpartition("]")[2] if self.host.startswith("[") else self.host
        return tail.partition(":")[2]

    def query_values(self) -> dict[str, list[str]]:
        """``url.Query()``: the decoded parameters; malformed ones are dropped, as Go does."""
        values: dict[str, list[str]] = {}
        for part in self.query.split("&"):
            if not part or ";" in part or _ESCAPE.search(part):
                continue
            key, _, value = part.partition("=")
            values.setdefault(_decode(key), []).append(_decode(value))
        return values


def _decode(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _split_scheme(text: str) -> tuple[str, str]:
    scheme, colon, rest = text.partition(":")
    if colon and _SCHEME.fullmatch(scheme):
        return scheme.lower(), rest
    if colon and not scheme:
        raise ValueError(f'URL parse error during conversion from string: parse "{text}": missing protocol scheme')
    if colon and "/" not in scheme and "?" not in scheme:
        raise ValueError(f'URL parse error during conversion from string: parse "{text}": first path segment in URL cannot contain colon')
    return "", text


def _host(text: str, authority: str) -> str:
    host = authority.rpartition("@")[2]
    tail = host
    if host.startswith("["):
        address, bracket, tail = host.partition("]")
        if not bracket:
            raise ValueError(f"URL parse error during conversion from string: parse \"{text}\": missing ']' in host")
        parse_ip(address[1:].partition("%25")[0])
    port = tail.rpartition(":")[2] if ":" in tail else ""
    if not all("0" <= digit <= "9" for digit in port) or (host.startswith("[") and tail and not tail.startswith(":")):
        raise ValueError(f'URL parse error during conversion from string: parse "{text}": invalid port "{tail}" after host')
    if not _HOST.fullmatch(host) or _ESCAPE.search(host):
        raise ValueError(f'URL parse error during conversion from string: parse "{text}": invalid character in host name')
    return host


def is_valid(parse: Callable[[str], object], text: str) -> bool:
    """Whether ``parse(text)`` succeeds."""
    try:
        parse(text)
    except ValueError:
        return False
    return True
