from __future__ import annotations

import pytest
from harness.flux.semver import is_exact, parse, parse_range
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "version", "holds"),
    [
        ("1.x", "1.2.3", True),
        ("1.x", "2.0.0", False),
        ("^1.2", "1.9.0", True),
        ("^1.2", "2.0.0", False),
        ("^0.2.3", "0.2.9", True),
        ("^0.2.3", "0.3.0", False),
        ("^0.0.3", "0.0.4", False),
        ("~1.2.3", "1.2.9", True),
        ("~1.2.3", "1.3.0", False),
        ("~1", "1.9.9", True),
        ("~> 1.2", "1.3.0", False),
        (">=1.0 <2.0", "1.5.0", True),
        (">= 1.0, < 2.0 || 3.x", "3.4.5", True),
        ("1.2 - 1.4.5", "1.4.5", True),
        ("1.2 - 1.4.5", "1.4.6", False),
        ("*", "7.0.0", True),
        ("", "7.0.0", True),
        ("!=1.2.3", "1.2.3", False),
        ("!=1.2", "1.2.9", False),
        ("!=1.2", "1.3.0", True),
        ("v1.2.3", "1.2.3", True),
        ("=1.2", "1.2.9", True),
        ("<=1.2", "1.2.9", True),
        ("<1.2", "1.2.0", False),
        (">1.2", "1.2.9", False),
        (">1.2", "1.3.0", True),
        (">1.2.3", "1.2.3", False),
        # Pre-releases only where the constraint names one.
        ("*", "1.0.0-rc.1", False),
        (">=1.0.0", "1.1.0-rc.1", False),
        (">=1.0.0-0", "1.1.0-rc.1", True),
        (">=1.25.0-0", "1.36.0", True),
        # Build metadata takes no part.
        ("1.2.3", "v1.2.3+build", True),
    ],
)
def test_ranges(text: str, version: str, holds: bool) -> None:
    limits, actual = parse_range(text), parse(version)
    assert limits is not None
    assert actual is not None
    assert limits.holds(actual) is holds


@pytest.mark.parametrize("text", ["foo", ">=1.0 foo", "1.2.3.4", ">>1", "1..2", "||"])
def test_what_is_no_range(text: str) -> None:
    assert parse_range(text) is None


def test_the_best_version_is_the_highest_released_one() -> None:
    limits = parse_range("1.x")
    assert limits is not None
    assert limits.best(["1.0.0", "v1.10.0", "1.9.0", "2.0.0", "no-version", "1.11.0-rc.1"]) == "v1.10.0"
    assert limits.best(["2.0.0"]) is None


@pytest.mark.parametrize(("text", "exact"), [("1.2.3", True), ("v1.2.3-rc.1+b", True), ("1.2", False), ("1.x", False), ("^1.2.3", False), ("latest", False)])
def test_exact_versions(text: str, exact: bool) -> None:
    assert is_exact(text) is exact


def test_order_of_the_specification() -> None:
    # semver.org 2.0.0, item 11.
    texts = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"]
    versions = [version for version in map(parse, texts) if version is not None]
    assert [version.text for version in sorted(set(versions))] == texts


NUMBERS = st.tuples(*[st.integers(0, 4)] * 3)


@settings(max_examples=60)
@given(NUMBERS, NUMBERS)
def test_comparisons_agree_with_those_of_tuples(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    version = parse(".".join(map(str, left)))
    assert version is not None
    expected = {"=": left == right, "!=": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    expected["~"] = left >= right and left[:2] == right[:2]
    same = next((index + 1 for index, number in enumerate(right) if number), 3)
    expected["^"] = left >= right and left[:same] == right[:same]
    for operator, holds in expected.items():
        limits = parse_range(operator + ".".join(map(str, right)))
        assert limits is not None
        assert limits.holds(version) is holds, operator
