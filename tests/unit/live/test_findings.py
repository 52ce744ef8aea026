"""Live results look like static ones: ids, block, properties."""

from __future__ import annotations

import pytest
from harness.live.catalog import live_rules
from harness.live.findings import CLUSTER, LiveError, LiveRule, NotEvaluatedError, expect, properties
from harness.model import Location, NotEvaluated, Object, ObjectId, Origin, fixed
from harness.report.terminal import block
from harness.rules.base import Rule, WholeRepository

RULE = LiveRule("LIV901", "it works", "it must", "mend it", ("CIS-1.2.3",))
ITEM = Object(ObjectId("kind", "", "Pod", "apps", "web"), {}, Origin(fixed(Location("clusters/base/web.yaml", 7))))


def test_a_rule_that_holds_raises_nothing() -> None:
    expect(RULE, ITEM, True, found="", expected="")


def test_the_block_is_that_of_the_static_tier_and_points_into_git() -> None:
    with pytest.raises(LiveError) as caught:
        expect(RULE, ITEM, False, found="no answer", expected="200")
    assert block(caught.value.findings[0]).splitlines() == [
        "LIV901 kind/Pod/apps/web",
        "  at      clusters/base/web.yaml:7",
        "  found   no answer",
        "  expect  200",
        "  why     it must",
        "  fix     mend it",
    ]
    assert str(caught.value) == "LIV901 kind/Pod/apps/web: no answer"


def test_properties_are_those_of_the_static_tier() -> None:
    error = LiveError(RULE.finding(ITEM, "a", "b"), controls=RULE.controls)
    assert list(properties(error)) == [
        ("rule", "LIV901"),
        ("subject", "kind/Pod/apps/web"),
        ("location", "clusters/base/web.yaml:7"),
        ("severity", "error"),
        ("control", "CIS-1.2.3"),
    ]


def test_a_subject_without_a_line_points_to_the_cluster() -> None:
    assert RULE.finding("nodes", "a", "b").location == CLUSTER
    assert RULE.finding("nodes", "a", "b", fix="other").fix == "other"


def test_what_was_not_evaluated_has_a_reason() -> None:
    error = NotEvaluatedError("grafana", "data sources", "there is no image of it here")
    assert error.entry == NotEvaluated("grafana", "data sources", "there is no image of it here")
    assert str(error) == "not evaluated: grafana: data sources: there is no image of it here"


def test_every_live_rule_could_stand_in_the_catalogue() -> None:
    assert live_rules()
    for rule in live_rules():
        Rule(rule.id, rule.title, rule.why, rule.fix, WholeRepository(), lambda _context: ())


@pytest.mark.parametrize("id", ["NET101", "LIV1", "LIV001", "liv101"])
def test_ids_of_other_families_are_refused(id: str) -> None:
    with pytest.raises(ValueError, match="LIV and three digits"):
        LiveRule(id, "t", "w", "f")


def test_every_text_is_mandatory() -> None:
    with pytest.raises(ValueError, match="mandatory"):
        LiveRule("LIV901", "t", "", "f")
