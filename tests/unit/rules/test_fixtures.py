"""Every rule fails for the stated reason on its bad fixtures, and is silent on its good ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from harness.flux.cache import Cache
from harness.rules import all_rules, rule_of

sys.path.insert(0, str(Path(__file__).parent))
from fixtures import ROOT, findings, read

GOOD = sorted(ROOT.glob("*/good-*.yaml"))
BAD = sorted(ROOT.glob("*/bad-*.yaml"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem.partition('-')[2]}"


@pytest.mark.parametrize("path", BAD, ids=_name)
def test_bad_fixture_is_reported(path: Path, tmp_path: Path, cache: Cache) -> None:
    fixture = read(path)
    rule = rule_of(fixture.rule)
    assert rule is not None, f"{path}: there is no rule {fixture.rule}"
    assert fixture.expected, f"{path}: a bad fixture says what is expected"
    found = sorted((str(finding.location), finding.found) for finding in findings(fixture, rule, tmp_path, cache))
    expected = sorted(fixture.expected)
    assert [where for where, _ in found] == [where for where, _ in expected], found
    for (_, text), (_, part) in zip(found, expected, strict=True):
        assert part in text


@pytest.mark.parametrize("path", GOOD, ids=_name)
def test_good_fixture_is_clean(path: Path, tmp_path: Path, cache: Cache) -> None:
    fixture = read(path)
    rule = rule_of(fixture.rule)
    assert rule is not None, f"{path}: there is no rule {fixture.rule}"
    assert not fixture.expected, f"{path}: a good fixture expects nothing"
    assert [f"{finding.location} {finding.found}" for finding in findings(fixture, rule, tmp_path, cache)] == []


@pytest.mark.parametrize("rule", [rule.id for rule in all_rules()])
def test_rule_has_a_bad_and_a_good_fixture(rule: str) -> None:
    assert list((ROOT / rule).glob("bad-*.yaml")), f"{rule} was never seen to fail"
    assert list((ROOT / rule).glob("good-*.yaml")), f"{rule} was never seen to pass"


def test_every_fixture_belongs_to_a_rule() -> None:
    known = {rule.id for rule in all_rules()}
    assert sorted(path.name for path in ROOT.iterdir() if path.name not in known) == []
