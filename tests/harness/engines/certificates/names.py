"""Names in certificates and the hosts they cover (RFC 6125 section 6.4, RFC 9525; Go ``crypto/x509`` ``matchHostnames``)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


def is_host(name: str) -> bool:
    """Whether a text is a host name, or a wildcard: ``*`` as the whole first of at least two labels."""
    labels = name.lower().removesuffix(".").split(".")
    if len(labels) > 1 and labels[0] == "*":
        labels = labels[1:]
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def covers(name: str, host: str) -> bool:
    """Whether a DNS name of a certificate covers a host. ``*`` stands for exactly one whole label, the first; a wildcard host is covered by itself only."""
    left, right = name.lower().removesuffix("."), host.lower().removesuffix(".")
    if not left or not right or _is_address(right):
        return False
    if left == right:
        return True
    first, dot, rest = left.partition(".")
    host_first, host_dot, host_rest = right.partition(".")
    return first == "*" and bool(dot) and bool(host_dot) and host_first not in ("", "*") and rest == host_rest and "*" not in rest


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
