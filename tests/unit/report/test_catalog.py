"""The catalogue says of every rule what it demands."""

from __future__ import annotations

from harness.model import Severity
from harness.report.catalog import FAMILIES, catalog, scope
from harness.rules import all_rules
from harness.rules.base import Clusters, Files, Objects, Rule, WholeRepository


def rule(id: str = "FLX104", **data: object) -> Rule:
    defaults: dict[str, object] = {"title": "it holds", "why": "because", "fix": "mend it", "scope": Objects(("Secret",)), "check": lambda *_: ()}
    return Rule(id, **{**defaults, **data})  # type: ignore[arg-type]


def test_an_entry_holds_every_field() -> None:
    text = catalog([rule(severity=Severity.WARNING, controls=("NIST-CM-6",), claims=("b-code", "a-code"), why="a < b | c")])
    expected = (
        "### FLX104: it holds\n\n* severity: warning\n* scope: `Secret`\n* why: a &lt; b \\| c\n* fix: mend it\n"
        "* controls: NIST-CM-6\n* reports: `a-code`, `b-code`\n"
    )
    assert text.endswith(expected)


def test_families_come_in_the_order_of_the_design_and_rules_by_id() -> None:
    text = catalog([rule("HLM101"), rule("FLX105"), rule("YML101"), rule("FLX104")])
    headings = [line for line in text.splitlines() if line.startswith("##")]
    assert headings == ["## YML", "### YML101: it holds", "## FLX", "### FLX104: it holds", "### FLX105: it holds", "## HLM", "### HLM101: it holds"]


def test_scopes_are_words() -> None:
    assert scope(rule(scope=Objects())) == "every object"
    assert scope(rule(scope=Objects(("A", "B.g"), where=lambda _: True))) == "`A`, `B.g`, where the rule applies"
    assert scope(rule(scope=Files())) == "every YAML file Flux could apply"
    assert scope(rule(scope=Clusters(), own_only=True)) == "each cluster (this project only)"
    assert scope(rule(scope=WholeRepository(own_only=True))) == "the repository (this project only)"


def test_every_rule_is_in_the_catalogue_once() -> None:
    rules = all_rules()
    headings = [line.split(":")[0].removeprefix("### ") for line in catalog(rules).splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted(item.id for item in rules)
    assert len(set(headings)) == len(headings)


def test_every_family_has_a_word() -> None:
    assert {item.family for item in all_rules()} <= set(FAMILIES)
