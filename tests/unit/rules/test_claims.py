"""Every problem the build can find becomes a finding: some rule claims its code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness.rules import all_rules

FLUX = Path(__file__).parents[2] / "harness" / "flux"
CODE = re.compile(r"\"((?:chart|helm|lock|resourceset|values)-[a-z]+(?:-[a-z]+)*)\"")
#: Names that look like codes.
NAMES = {"helm-controller"}
CODES = sorted({code for path in FLUX.glob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))} - NAMES)


def test_there_are_codes() -> None:
    assert {"chart-missing", "helm-render", "lock-stale", "values-unreadable"} <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_rule_claims(code: str) -> None:
    assert len([rule.id for rule in all_rules() if code in rule.claims]) == 1


def test_no_rule_claims_a_code_that_nothing_finds() -> None:
    claimed = {code for rule in all_rules() if rule.family == "HLM" for code in rule.claims}
    assert sorted(claimed - set(CODES)) == []
