"""The platform's policies let through and refuse what their cases say, and hold for everything the clusters get."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness.report.cases import Family
from harness.rules.pol_cases import Bench
from harness.source.repository import Repository

if TYPE_CHECKING:
    from harness.source.policycases import PolicyCase

test_rule = Family("POL")

BENCH = Bench.of_repository(Repository(Path(__file__).parents[2]))


def cases(outcome: str) -> list[object]:
    return [pytest.param(case, id=case.id) for case in BENCH.cases if case.outcome == outcome]


@pytest.mark.parametrize("case", cases("denied"))
def test_denied(case: PolicyCase) -> None:
    """The request is refused by the validation that the case names, and by no other."""
    assert BENCH.complaint(case) == ""


@pytest.mark.parametrize("case", cases("allowed"))
def test_allowed(case: PolicyCase) -> None:
    """The request passes every validation, or the policy leaves it alone for the reason the case gives."""
    assert BENCH.complaint(case) == ""
