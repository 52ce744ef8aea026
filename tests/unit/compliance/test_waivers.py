"""Waivers silence what they name, for as long as they say, and nothing else."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from harness.compliance.waivers import MOST, Waivers, load_waivers
from harness.model import Finding, Location
from harness.rules import rule_of
from harness.rules.engine import Case
from harness.rules.rep_waivers import LIMIT, RULES, pattern
from harness.source.repository import Repository
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 23)
PATH = "tests/intent/waivers.yaml"
HEAD = "---\nwaivers:\n"
GOOD = """\
  - rule: HLM101
    object: production/HelmRelease/vault/vault
    owner: platform
    reason: Upstream publishes the chart over HTTP only and signs nothing.
    expires: 2027-03-01
"""


def load(tmp_path: Path, text: str) -> Waivers:
    target = tmp_path / PATH
    target.parent.mkdir(parents=True)
    target.write_text(text, encoding="utf-8")
    return load_waivers(Repository(tmp_path), PATH, today=TODAY)


def case(rule: str, subject: str) -> Case:
    known = rule_of(rule)
    assert known is not None
    finding = Finding(rule, subject, Location("clusters/x.yaml", 3), "found", "expect", known.why, known.fix)
    return Case(known, subject, (finding,))


def judged(waivers: Waivers, *cases: Case, complete: bool = True) -> list[tuple[str, str, str]]:
    """What is wrong with the file itself, and what applying it to some cases shows."""
    waivers.apply(cases)
    faults = [(fault.rule, str(fault.violation.location), fault.violation.found) for fault in waivers.file.faults]
    return faults + [(finding.rule, str(finding.location), finding.found) for item in waivers.judge(complete=complete) for finding in item.findings]


def test_no_file_means_no_waivers(tmp_path: Path) -> None:
    waivers = load_waivers(Repository(tmp_path), PATH, today=TODAY)
    assert waivers.entries == ()
    assert judged(waivers) == []


def test_a_covered_finding_is_waived_with_reason_owner_and_end(tmp_path: Path) -> None:
    waivers = load(tmp_path, HEAD + GOOD)
    wanted, other = case("HLM101", "production/HelmRelease/vault/vault"), case("HLM101", "staging/HelmRelease/vault/vault")
    another_rule = case("HLM102", "production/HelmRelease/vault/vault")
    assert waivers.apply([wanted, other, another_rule]) == {
        wanted.findings[0]: "Upstream publishes the chart over HTTP only and signs nothing. (platform, until 2027-03-01)"
    }
    assert [item.findings for item in waivers.judge(complete=True)] == [(), ()]


def test_an_entry_with_words_covers_only_what_was_found_in_them(tmp_path: Path) -> None:
    waivers = load(tmp_path, HEAD + GOOD + "    found: has no spec.verify\n")
    known = rule_of("HLM101")
    assert known is not None
    unsigned, moving = (
        Finding("HLM101", "production/HelmRelease/vault/vault", Location("clusters/x.yaml", line), found, "expect", known.why, known.fix)
        for line, found in ((3, "OCIRepository vault/vault has no spec.verify"), (5, "ref.tag: latest"))
    )
    assert list(waivers.apply([Case(known, unsigned.subject, (unsigned, moving))])) == [unsigned]


def test_the_file_of_an_empty_list_is_clean(tmp_path: Path) -> None:
    assert judged(load(tmp_path, "---\nwaivers: []\n")) == []


def test_an_unused_waiver_is_found_only_when_everything_was_looked_at(tmp_path: Path) -> None:
    waivers = load(tmp_path, HEAD + GOOD)
    assert judged(waivers, complete=False) == []
    assert judged(waivers) == [("REP203", f"{PATH}:4", "HLM101 has no finding for production/HelmRelease/vault/vault")]


@pytest.mark.parametrize(
    ("expires", "found"),
    [
        pytest.param("2026-11-22", "expired on 2026-11-22", id="yesterday"),
        pytest.param("2026-11-23", "expired on 2026-11-23", id="today"),
        pytest.param("2027-05-23", "expires on 2027-05-23, in 181 days", id="too-far"),
    ],
)
def test_an_end_that_is_over_or_too_far_silences_nothing(tmp_path: Path, expires: str, found: str) -> None:
    waivers = load(tmp_path, HEAD + GOOD.replace("2027-03-01", expires))
    covered = case("HLM101", "production/HelmRelease/vault/vault")
    assert waivers.apply([covered]) == {}
    assert judged(waivers, covered) == [("REP202", f"{PATH}:7", found)]


@pytest.mark.parametrize("days", [1, LIMIT.days])
def test_the_first_and_the_last_day_that_may_be_named(tmp_path: Path, days: int) -> None:
    waivers = load(tmp_path, HEAD + GOOD.replace("2027-03-01", (TODAY + timedelta(days=days)).isoformat()))
    assert len(waivers.entries) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(HEAD + GOOD.replace("    owner: platform\n", ""), (f"{PATH}:3", '"owner" is a required property'), id="no-owner"),
        pytest.param(HEAD + GOOD.replace("HLM101", "HLM1"), (f"{PATH}:3", "waivers[0].rule"), id="no-rule-id"),
        pytest.param(HEAD + re.sub("reason: .*", "reason: later", GOOD), (f"{PATH}:6", "waivers[0].reason"), id="short-reason"),
        pytest.param(HEAD + GOOD + "    note: x\n", (f"{PATH}:3", "'note' was unexpected"), id="unknown-field"),
        pytest.param(HEAD + GOOD.replace("2027-03-01", "2027-02-30"), (f"{PATH}:7", "expires: 2027-02-30 is no day"), id="no-such-day"),
        pytest.param(HEAD + GOOD.replace("2027-03-01", "next week"), (f"{PATH}:7", "waivers[0].expires"), id="no-date"),
        pytest.param("---\nwaivers: none\n", (f"{PATH}:2", 'waivers: "none" is not of type "array"'), id="no-list"),
        pytest.param("---\nexceptions: []\n", (f"{PATH}:2", "waivers"), id="no-waivers"),
        pytest.param("", (PATH, "0 documents"), id="empty"),
        pytest.param("---\nwaivers: []\n---\nwaivers: []\n", (PATH, "2 documents"), id="two-documents"),
        pytest.param("waivers: [\n", (f"{PATH}:", ""), id="no-yaml"),
        pytest.param("- a\n", (f"{PATH}:1", ""), id="root-is-a-list"),
    ],
)
def test_a_malformed_file_is_found_with_its_line(tmp_path: Path, text: str, found: tuple[str, str]) -> None:
    waivers = load(tmp_path, text)
    covered = case("HLM101", "production/HelmRelease/vault/vault")
    assert waivers.apply([covered]) == {}
    result = judged(waivers, covered)
    assert [rule for rule, _, _ in result if rule != "REP201"] == []
    assert any(location.startswith(found[0]) and found[1] in message for _, location, message in result), result


@pytest.mark.parametrize(
    ("rule", "found"), [("HLM199", "there is no rule HLM199"), ("REP203", "REP203 is a rule about waivers"), ("LIV901", "there is no rule LIV901")]
)
def test_a_waiver_names_a_rule_that_can_be_waived(tmp_path: Path, rule: str, found: str) -> None:
    waivers = load(tmp_path, HEAD + GOOD.replace("HLM101", rule))
    assert waivers.entries == ()
    assert judged(waivers) == [("REP205", f"{PATH}:3", found)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("'*'", "* leaves the name open"),
        ("'**'", "** leaves the name open"),
        ("production/HelmRelease/vault/*", "production/HelmRelease/vault/* leaves the name open"),
        ("'*/HelmRelease/vault/vault'", "*/HelmRelease/vault/vault fits every cluster"),
        ("'**/vault'", "**/vault fits every cluster"),
    ],
)
def test_a_broad_pattern_silences_nothing(tmp_path: Path, text: str, found: str) -> None:
    waivers = load(tmp_path, HEAD + GOOD.replace("production/HelmRelease/vault/vault", text))
    covered = case("HLM101", "production/HelmRelease/vault/vault")
    assert waivers.apply([covered]) == {}
    assert judged(waivers, covered) == [("REP204", f"{PATH}:4", found)]


def test_every_cluster_may_be_meant_when_the_entry_says_so(tmp_path: Path) -> None:
    text = GOOD.replace("production/HelmRelease/vault/vault", "'*/HelmRelease/vault/vault'") + "    clusters: all\n"
    waivers = load(tmp_path, HEAD + text)
    cases = [case("HLM101", f"{name}/HelmRelease/vault/vault") for name in ("kind", "production", "staging")]
    assert len(waivers.apply(cases)) == 3
    assert judged(waivers, *cases) == []


def test_more_than_twenty_cases_are_too_many(tmp_path: Path) -> None:
    text = GOOD.replace("production/HelmRelease/vault/vault", "production/HelmRelease/apps/app-*")
    waivers = load(tmp_path, HEAD + text)
    cases = [case("HLM101", f"production/HelmRelease/apps/app-{index}") for index in range(MOST + 1)]
    assert len(waivers.apply(cases[:MOST])) == MOST
    assert waivers.apply(cases) == {}
    assert judged(waivers, *cases) == [("REP204", f"{PATH}:4", "production/HelmRelease/apps/app-* covers 21 cases of HLM101")]


def test_what_applying_shows_is_a_case_of_its_rule(tmp_path: Path) -> None:
    cases = load(tmp_path, HEAD + GOOD).judge(complete=False)
    assert [item.id for item in cases] == [f"REP203-{PATH}", f"REP204-{PATH}"]
    assert [rule.id for rule in RULES] == ["REP201", "REP202", "REP203", "REP204", "REP205"]


def test_an_entry_that_repeats_another_is_not_needed(tmp_path: Path) -> None:
    waivers = load(tmp_path, HEAD + GOOD + GOOD)
    covered = case("HLM101", "production/HelmRelease/vault/vault")
    assert judged(waivers, covered) == [("REP203", f"{PATH}:9", "entry 1 waives HLM101 for production/HelmRelease/vault/vault already")]


@pytest.mark.parametrize(
    ("glob", "subject", "fits"),
    [
        ("production/HelmRelease/vault/vault", "production/HelmRelease/vault/vault", True),
        ("production/HelmRelease/vault/vault", "production/HelmRelease/vault/vault-2", False),
        ("production/HelmRelease/*/vault", "production/HelmRelease/vault/vault", True),
        ("production/*/vault", "production/HelmRelease/vault/vault", False),
        ("production/**/vault", "production/HelmRelease/vault/vault", True),
        ("clusters/base/**.yaml", "clusters/base/a/b.yaml", True),
        ("production/ConfigMap/x/a?", "production/ConfigMap/x/ab", True),
        ("production/ConfigMap/x/a?", "production/ConfigMap/x/a/b", False),
        ("production/ConfigMap/x/a.b", "production/ConfigMap/x/a-b", False),
    ],
)
def test_wildcards_stay_within_a_part_unless_doubled(glob: str, subject: str, fits: bool) -> None:
    assert (pattern(glob).fullmatch(subject) is not None) is fits


def _matches(glob: list[str], text: str) -> bool:
    """The oracle: try every split."""
    if not glob:
        return not text
    head, rest = glob[0], glob[1:]
    if head == "**":
        return any(_matches(rest, text[index:]) for index in range(len(text) + 1))
    if head == "*":
        limit = text.index("/") if "/" in text else len(text)
        return any(_matches(rest, text[index:]) for index in range(limit + 1))
    if head == "?":
        return bool(text) and text[0] != "/" and _matches(rest, text[1:])
    return text.startswith(head) and _matches(rest, text[len(head) :])


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["**", "*", "?", "a", "b", "/", "."]), max_size=6), st.text(alphabet="ab/.", max_size=8))
def test_the_pattern_agrees_with_a_slow_matcher(parts: list[str], text: str) -> None:
    glob = re.sub(r"\*{3,}", "**", "".join(parts))
    tokens = re.findall(r"\*\*|.", glob)
    assert (pattern(glob).fullmatch(text) is not None) is _matches(tokens, text)
