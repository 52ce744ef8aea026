"""Semantic versions as CEL's ``semver()`` reads them.

Source: ``k8s.io/apiserver/pkg/cel/library/semverlib.go`` (v0.34), which is ``github.com/blang/semver/v4``.
"""

from __future__ import annotations

import re
from functools import total_ordering

_NUMBER = r"(?:0|[1-9][0-9]*)"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", re.ASCII)
_IDENTIFIER = re.compile(r"[0-9A-Za-z-]+", re.ASCII)
_LIMIT = 2**64


@total_ordering
class Semver:
    """One version. Equality and order ignore build metadata, as the specification (§10, §11) says. Raises ValueError."""

    __slots__ = ("major", "minor", "patch", "pre", "text")

    def __init__(self, text: str) -> None:
        match = _VERSION.fullmatch(text) if len(text) <= 256 else None
        if match is None:
            raise ValueError(f'"{text}" is not a semantic version')
        self.major, self.minor, self.patch = (int(number) for number in match.groups()[:3])
        if max(self.major, self.minor, self.patch) >= _LIMIT:
            raise ValueError(f'"{text}" has a number out of range')
        self.pre = tuple(match[4].split(".")) if match[4] else ()
        for identifier in (*self.pre, *(match[5].split(".") if match[5] else ())):
            if not _IDENTIFIER.fullmatch(identifier):
                raise ValueError(f'"{text}" has an empty identifier')
        if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in self.pre):
            raise ValueError(f'"{text}" has a numeric identifier with leading zeroes')
        self.text = text

    def _key(self) -> tuple[object, ...]:
        # Numeric identifiers sort below alphanumeric ones; a version without pre-release above all of its pre-releases.
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (self.major, self.minor, self.patch, not self.pre, parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self._key() == other._key()

    def __lt__(self, other: Semver) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def normalise(text: str) -> str:
    """``semver(text, true)``: drops a leading ``v`` and leading zeroes, fills up short versions. Raises ValueError."""
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[index] = stripped if stripped and stripped[0].isdigit() else f"0{stripped}"
    if len(parts) < 3 and any(mark in parts[-1] for mark in "+-"):
        raise ValueError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, "0", "0"][: max(3, len(parts))])
