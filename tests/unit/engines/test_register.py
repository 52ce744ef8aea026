"""A register of lifecycles: versions are of the longest line they start with, and every day has one answer; against an oracle that walks the lines."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from harness.engines.register import NOTICE_DAYS, Component, Line, State, judge, line_of, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

TODAY = date(2026, 11, 23)
SHIP = Component("Ship", (Line("2.1", date(2027, 11, 1)), Line("2.0", date(2027, 1, 15)), Line("1.10", date(2026, 11, 23)), Line("1.9", date(2026, 1, 1))))
ANCHOR = Component("Anchor", (Line("2"), Line("10"), Line("9"), Line("1", date(2027, 5, 1))), newest=2)


@pytest.mark.parametrize(
    ("component", "version", "state", "reason"),
    [
        (SHIP, "v2.1.0", State.SUPPORTED, ""),
        (SHIP, "2.1", State.SUPPORTED, ""),
        (SHIP, "2.0.4-distroless", State.ENDING, "Ship 2.0 ends on 2027-01-15, in 53 days"),
        (SHIP, "1.10.0", State.OVER, "Ship 1.10 ended on 2026-11-23"),
        (SHIP, "1.8.9", State.OVER, "Ship 1.8.9 is older than 1.9, the oldest release line on record"),
        (SHIP, "2.2.0", State.UNKNOWN, "Ship 2.2.0 is of no release line on record (2.1, 2.0, 1.10, 1.9)"),
        (SHIP, "1.11.0", State.UNKNOWN, "Ship 1.11.0 is of no release line on record (2.1, 2.0, 1.10, 1.9)"),
        (SHIP, "latest", State.UNREADABLE, "latest is no version"),
        (SHIP, "", State.UNREADABLE, "nothing is no version"),
        (ANCHOR, "10.0.1", State.SUPPORTED, ""),
        (ANCHOR, "9.9", State.SUPPORTED, ""),
        (ANCHOR, "2.9", State.OVER, "Anchor 2 is followed by 10, and only the newest 2 lines are supported"),
        (ANCHOR, "1.0", State.SUPPORTED, ""),
        (Component("Bare", ()), "1.0", State.UNKNOWN, "Bare has no release line on record"),
        (Component("One", (Line("2.1"), Line("2.0"))), "2.0.4", State.OVER, "One 2.0 is followed by 2.1, and only the newest line is supported"),
    ],
)
def test_verdicts(component: Component, version: str, state: State, reason: str) -> None:
    assert judge(component, version, TODAY) == (state, reason)


def test_the_longest_line_wins() -> None:
    both = Component("Both", (Line("1", date(2020, 1, 1)), Line("1.36", date(2030, 1, 1))))
    found = line_of(both, "1.36.4")
    assert found is not None
    assert found.name == "1.36"
    assert line_of(both, "13.6") is None


def test_numbers() -> None:
    assert [numbers(text) for text in ("v1.36.4", "1.36-rc.1", "20261123", "x1")] == [(1, 36, 4), (1, 36), (20261123,), ()]


VERSIONS = st.lists(st.integers(0, 12), min_size=1, max_size=3)
DAYS = st.none() | st.integers(-200, 400).map(lambda days: TODAY + timedelta(days=days))
COMPONENTS = st.builds(
    lambda lines, newest: Component("Any", tuple(Line(".".join(map(str, name)), ends) for name, ends in lines.items()), newest),
    st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 12)), DAYS, min_size=1, max_size=6),
    st.integers(1, 3),
)


def oracle(component: Component, version: list[int]) -> State:
    """Walks the lines, of two numbers each, one by one."""
    if len(version) < 2:
        lowest = min(tuple(map(int, line.name.split("."))) for line in component.lines)
        return State.OVER if tuple(version) < lowest else State.UNKNOWN
    key = f"{version[0]}.{version[1]}"
    for line in component.lines:
        if line.name != key:
            continue
        if line.ends is None:
            newer = [other for other in component.lines if other.ends is None and [*map(int, other.name.split("."))] > version[:2]]
            return State.SUPPORTED if len(newer) < component.newest else State.OVER
        if line.ends <= TODAY:
            return State.OVER
        return State.ENDING if line.ends <= TODAY + timedelta(days=NOTICE_DAYS) else State.SUPPORTED
    older = [line for line in component.lines if [*map(int, line.name.split("."))] <= version[:2]]
    return State.UNKNOWN if older else State.OVER


@settings(max_examples=100, deadline=None)
@given(COMPONENTS, VERSIONS)
def test_states_are_what_the_oracle_says(component: Component, version: list[int]) -> None:
    assert judge(component, ".".join(map(str, version)), TODAY).state is oracle(component, version)


RANK = {State.SUPPORTED: 0, State.ENDING: 1, State.OVER: 2}


@settings(max_examples=60, deadline=None)
@given(COMPONENTS, VERSIONS, st.integers(0, 500))
def test_time_and_new_lines_never_mend_a_version(component: Component, version: list[int], days: int) -> None:
    text = ".".join(map(str, version))
    now, later = judge(component, text, TODAY).state, judge(component, text, TODAY + timedelta(days=days)).state
    if now in RANK:
        assert RANK[later] >= RANK[now]
        newer = Component("Any", (*component.lines, Line("99.0")), component.newest)
        assert RANK[judge(newer, text, TODAY).state] >= RANK[now]
    else:
        assert later is now


@settings(max_examples=60, deadline=None)
@given(st.lists(VERSIONS, min_size=2, max_size=6))
def test_versions_are_ordered_by_their_numbers(versions: list[list[int]]) -> None:
    texts = ["v" + ".".join(map(str, version)) for version in versions]
    assert [list(numbers(text)) for text in sorted(texts, key=numbers)] == sorted(versions)
