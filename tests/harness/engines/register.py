"""A register of lifecycles: which release lines of a component exist, when they end, and what that says of a version.

Pure functions. A *line* is the leading part of versions: ``1.36`` has ``1.36.4``, ``6`` has ``6.9.2``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import date

_VERSION: Final = re.compile(r"v?(\d+(?:\.\d+)*)")
#: How long before its end a line is to be left.
NOTICE_DAYS: Final = 90


class Line(NamedTuple):
    """A release line and its end; None while no end is announced."""

    name: str
    ends: date | None = None


class State(StrEnum):
    """What the register says of a version."""

    SUPPORTED = "supported"
    ENDING = "ending"
    OVER = "over"
    #: A version, but of no line on record and not older than all of them.
    UNKNOWN = "unknown"
    #: No version at all: a digest, ``latest``, a date of a build.
    UNREADABLE = "unreadable"


class Verdict(NamedTuple):
    """A state, with the reason in words (empty when supported)."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """What is known of a component.

    ``lines`` in any order. Of those without an announced end, the ``newest`` ones count as supported: most projects end a line by releasing the next.
    """

    name: str
    lines: tuple[Line, ...]
    newest: int = 1


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version (``v1.36.4-rc.1`` is 1, 36, 4), by which versions are ordered; nothing for what is no version."""
    match = _VERSION.match(version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def line_of(component: Component, version: str) -> Line | None:
    """The line a version is of: the longest that its numbers start with."""
    have = numbers(version)
    fitting = [line for line in component.lines if numbers(line.name) == have[: len(numbers(line.name))]]
    return max(fitting, key=lambda line: len(numbers(line.name)), default=None)


def judge(component: Component, version: str, today: date) -> Verdict:
    """What the register says of a version on a day. The day of the end is over."""
    have = numbers(version)
    if not have:
        return Verdict(State.UNREADABLE, f"{version or 'nothing'} is no version")
    if not component.lines:
        return Verdict(State.UNKNOWN, f"{component.name} has no release line on record")
    line = line_of(component, version)
    if line is None:
        return _unlisted(component, have, version)
    if line.ends is None:
        return _undated(component, line)
    left = (line.ends - today).days
    if left <= 0:
        return Verdict(State.OVER, f"{component.name} {line.name} ended on {line.ends.isoformat()}")
    if left <= NOTICE_DAYS:
        return Verdict(State.ENDING, f"{component.name} {line.name} ends on {line.ends.isoformat()}, in {left} days")
    return Verdict(State.SUPPORTED)


def _undated(component: Component, line: Line) -> Verdict:
    undated = sorted((numbers(each.name), each.name) for each in component.lines if each.ends is None)[::-1]
    accepted = [name for _, name in undated[: component.newest]]
    if line.name in accepted:
        return Verdict(State.SUPPORTED)
    are = "line is" if component.newest == 1 else "lines are"
    count = "" if component.newest == 1 else f"{component.newest} "
    return Verdict(State.OVER, f"{component.name} {line.name} is followed by {undated[0][1]}, and only the newest {count}{are} supported")


def _unlisted(component: Component, have: tuple[int, ...], version: str) -> Verdict:
    oldest = min(component.lines, key=lambda line: numbers(line.name))
    if have < numbers(oldest.name):
        return Verdict(State.OVER, f"{component.name} {version} is older than {oldest.name}, the oldest release line on record")
    return Verdict(State.UNKNOWN, f"{component.name} {version} is of no release line on record ({', '.join(line.name for line in component.lines)})")
