"""Semantic versions and their ranges, as Helm and source-controller read them (Masterminds/semver v3, lenient parsing)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION: Final = re.compile(
    r"v?(?P<major>\d{1,18})(?:\.(?P<minor>\d{1,18}))?(?:\.(?P<patch>\d{1,18}))?"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+(?P<meta>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_WILD: Final = r"(?:\d{1,18}|[xX*])"
_CONSTRAINT: Final = re.compile(
    rf"\s*(?P<op>=>|=<|!=|>=|<=|~>|[=<>~^])?\s*v?(?P<major>{_WILD})(?:\.(?P<minor>{_WILD}))?(?:\.(?P<patch>{_WILD}))?"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?\s*"
)
_HYPHEN: Final = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A version. Build metadata takes no part in the order (semver.org 2.0.0, items 10 and 11)."""

    text: str
    release: tuple[int, int, int]
    pre: tuple[str, ...] = ()

    def _key(self) -> tuple[tuple[int, int, int], bool, list[tuple[bool, int, str]]]:
        return self.release, not self.pre, [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in self.pre]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key() == other._key()

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash((self.release, self.pre))


def parse(text: str) -> Version | None:
    """The version, with a leading ``v`` and missing minor and patch allowed; None when it is none."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    release = int(match["major"]), int(match["minor"] or 0), int(match["patch"] or 0)
    return Version(text, release, tuple(match["pre"].split(".")) if match["pre"] else ())


def is_exact(text: str) -> bool:
    """Whether the text names one version: all three numbers, and no range."""
    match = _VERSION.fullmatch(text)
    return match is not None and match["patch"] is not None


@dataclass(frozen=True, slots=True)
class _Bound:
    """One comparison: ``low <= version < high`` (either may be open), or its negation."""

    low: Version | None
    high: Version | None
    low_open: bool = False
    high_closed: bool = False
    negated: bool = False
    has_pre: bool = False

    def holds(self, version: Version, pre_allowed: bool) -> bool:
        # A pre-release is only ever matched by a constraint that names one (Masterminds/semver: "Working With Prerelease Versions").
        if version.pre and not (self.has_pre or pre_allowed):
            return False
        inside = True
        if self.low is not None:
            inside = version > self.low if self.low_open else version >= self.low
        if inside and self.high is not None:
            inside = version <= self.high if self.high_closed else version < self.high
        return inside != self.negated


def _version(*release: int, pre: tuple[str, ...] = ()) -> Version:
    return Version("", (release[0], release[1], release[2]), pre)


def _bound(text: str) -> _Bound | None:
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        return None
    operator = match["op"] or "="
    numbers = [None if part is None or part in "xX*" else int(part) for part in (match["major"], match["minor"], match["patch"])]
    pre = tuple(match["pre"].split(".")) if match["pre"] else ()
    major, minor, patch = numbers
    if major is None:
        # `*` alone accepts everything; `!=*` and `>*` nothing that exists is excluded by upstream either, except by "<" and "!=".
        return _Bound(None, None, negated=operator in ("!=", "<", ">"))
    low = _version(major, minor or 0, patch or 0 if minor is not None else 0, pre=pre)
    next_major, next_minor = _version(major + 1, 0, 0), _version(major, (minor or 0) + 1, 0)
    partial_end = next_major if minor is None else next_minor if patch is None else None
    has_pre = bool(pre)
    match operator:
        case "=" | "!=":
            if partial_end is not None:
                return _Bound(low, partial_end, negated=operator == "!=", has_pre=has_pre)
            return _Bound(low, low, high_closed=True, negated=operator == "!=", has_pre=has_pre)
        case ">":
            return _Bound(partial_end, None, has_pre=has_pre) if partial_end is not None else _Bound(low, None, low_open=True, has_pre=has_pre)
        case ">=" | "=>":
            return _Bound(low, None, has_pre=has_pre)
        case "<":
            return _Bound(None, low, has_pre=has_pre)
        case "<=" | "=<":
            return _Bound(None, partial_end, has_pre=has_pre) if partial_end is not None else _Bound(None, low, high_closed=True, has_pre=has_pre)
        case "~" | "~>":
            return _Bound(low, next_major if minor is None else next_minor, has_pre=has_pre)
        case _:
            # Caret: up to the next change of the leftmost number that is not zero.
            if major > 0 or minor is None:
                return _Bound(low, next_major, has_pre=has_pre)
            if minor > 0 or patch is None:
                return _Bound(low, next_minor, has_pre=has_pre)
            return _Bound(low, _version(0, 0, patch + 1), has_pre=has_pre)


@dataclass(frozen=True, slots=True)
class Range:
    """A constraint: alternatives of comparisons that must all hold."""

    text: str
    _alternatives: tuple[tuple[_Bound, ...], ...]

    def holds(self, version: Version) -> bool:
        return any(all(bound.holds(version, any(b.has_pre for b in bounds)) for bound in bounds) for bounds in self._alternatives)

    def best(self, versions: Iterable[str]) -> str | None:
        """The highest of the given versions that is in the range; texts that are no version are passed over."""
        found = [version for version in map(parse, versions) if version is not None and self.holds(version)]
        return max(found, key=lambda version: (version, version.text)).text if found else None


def parse_range(text: str) -> Range | None:
    """The range, or None when it is none. The empty text is every released version, as in ``spec.chart.spec.version``."""
    alternatives: list[tuple[_Bound, ...]] = []
    for alternative in (text.strip() or "*").split("||"):
        hyphen = _HYPHEN.fullmatch(alternative)
        if hyphen:
            alternative = f">={hyphen[1]} <={hyphen[2]}"
        bounds: list[_Bound] = []
        position = 0
        alternative = alternative.replace(",", " ").strip()
        while position < len(alternative):
            match = _CONSTRAINT.match(alternative, position)
            bound = _bound(match[0]) if match else None
            if match is None or bound is None or match.end() == position:
                return None
            bounds.append(bound)
            position = match.end()
        if not bounds:
            return None
        alternatives.append(tuple(bounds))
    return Range(text, tuple(alternatives))
