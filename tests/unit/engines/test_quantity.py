"""Quantities: what the API server reads them as, against a slow parser written down from its grammar."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from harness.engines.quantity import QuantityError, parse, parse_or_none, parse_text
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("0", 0), ("1", 1), ("100m", Fraction(1, 10)), ("1.5Gi", 3 * 2**29), ("1e3", 1000), ("1E3", 1000), ("1E", 10**18), ("12e6", 12 * 10**6),
        ("-1Ki", -1024), ("+5", 5), (".5", Fraction(1, 2)), ("5.", 5), ("1n", Fraction(1, 10**9)), ("1e-3", Fraction(1, 1000)),
        ("0.0000000001", Fraction(1, 10**9)), (2, 2), (0.25, Fraction(1, 4)), (1e3, 1000), ("8Ei", 2**63 - 1), ("9E", 9 * 10**18),
    ],
)  # fmt: skip
def test_value(value: str | float, amount: Fraction | int) -> None:
    assert parse(value) == amount


@pytest.mark.parametrize(
    "value",
    ["", " 1", "1 ", "1mm", "1Mib", "1kI", "one", "1,5", "0x10", "1.2.3", "1e", "1e1.5", "\uff11", "1" * 200, True, None, [], float("nan"), float("inf")],
)
def test_what_is_no_quantity(value: object) -> None:
    assert parse_or_none(value) is None
    with pytest.raises(QuantityError, match=r"quantities must match|unable to parse"):
        parse(value)


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "9" * 128, "1e4097"])
def test_a_huge_quantity_costs_nothing(text: str) -> None:
    parse_or_none(text)


SUFFIXES = {
    "": 1,
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
}


@given(sign=st.sampled_from(["", "-", "+"]), whole=st.integers(0, 10**6), digits=st.text("0123456789", max_size=6), suffix=st.sampled_from(sorted(SUFFIXES)))
@settings(max_examples=60)
def test_against_the_grammar(sign: str, whole: int, digits: str, suffix: str) -> None:
    exact = (Fraction(whole) + (Fraction(int(digits), 10 ** len(digits)) if digits else 0)) * SUFFIXES[suffix]
    rounded = Fraction(-(-exact * 10**9 // 1), 10**9)  # up, to a nano
    assert parse_text(f"{sign}{whole}{'.' + digits if digits else ''}{suffix}") == (-rounded if sign == "-" else rounded)


@given(text=st.text("0123456789.eEinumkKMGTP+- ", max_size=8))
@settings(max_examples=60)
def test_only_what_the_message_says(text: str) -> None:
    if parse_or_none(text) is not None:
        assert re.fullmatch(r"([+-]?[0-9.]*)([eEinumkKMGTP]*[-+]?[0-9]*)", text)
