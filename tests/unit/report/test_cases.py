"""The cases as pytest shows them: ids, blocks, counts, waivers, JUnit, exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[3]
SYNC = """\
    apiVersion: kustomize.toolkit.fluxcd.io/v1
    kind: Kustomization
    metadata: {name: flux-system, namespace: flux-system}
    spec:
      interval: 10m
      path: ./clusters/test
      prune: true
      sourceRef: {kind: GitRepository, name: flux-system}
      wait: true
      healthChecks:
        - {apiVersion: apps/v1, kind: Deployment, name: web, namespace: web}
    """


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    target = tmp_path / "repo" / "clusters" / "test" / "sync.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(dedent(SYNC))
    return tmp_path / "repo"


def run(repo: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "tests/static/test_flux.py", "--repo", str(repo), "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "XDG_CACHE_HOME": str(repo.parent / "cache"), "COLUMNS": "200", **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def outcome(output: str) -> dict[str, int]:
    """``{"passed": 3, "failed": 1}`` of pytest's last line."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|xfailed)", output.strip().splitlines()[-1])}


def test_finding_fails_its_case_with_the_block(repo: Path) -> None:
    result = run(repo)
    assert result.returncode == 1
    assert "test_rule[FLX104-test/Kustomization/flux-system/flux-system]" in result.stdout
    block = result.stdout[result.stdout.index("FLX104 test/Kustomization/flux-system/flux-system") :].splitlines()[:6]
    assert [line[2:10].strip() for line in block[1:]] == ["at", "found", "expect", "why", "fix"]
    assert block[1].endswith("clusters/test/sync.yaml:10")


def test_cases_that_hold_are_counted_whether_or_not_they_are_shown(repo: Path) -> None:
    counted, shown = outcome(run(repo).stdout), outcome(run(repo, "-v").stdout)
    assert counted == shown
    assert counted["passed"] > 10


def test_one_case_can_be_chosen_by_its_id(repo: Path) -> None:
    result = run(repo, "-k", "FLX104 and test/Kustomization/flux-system/flux-system")
    assert outcome(result.stdout) == {"failed": 1}


def test_junit_carries_rule_subject_and_place(repo: Path) -> None:
    report = repo.parent / "report.xml"
    run(repo, f"--junitxml={report}", "-k", "FLX104")
    (case,) = ET.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it a moment ago
    properties = {item.get("name"): item.get("value") for item in case.iter("property")}
    assert properties["rule"] == "FLX104"
    assert properties["subject"] == "test/Kustomization/flux-system/flux-system"
    assert properties["location"] == "clusters/test/sync.yaml:10"


def test_waived_case_is_an_expected_failure_with_its_reason(repo: Path) -> None:
    waiver = """\
        waivers:
          - rule: FLX104
            object: test/Kustomization/flux-system/flux-system
            owner: platform-team
            reason: The list is read by another tool until it is retired.
            expires: "2027-01-15"
        """
    target = repo / "tests" / "intent" / "waivers.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(dedent(waiver))
    result = run(repo, "-k", "FLX104", SOURCE_DATE_EPOCH="1795392000")  # 2026-11-23
    assert outcome(result.stdout) == {"xfailed": 1}
    assert "waived: The list is read by another tool until it is retired." in result.stdout


def test_nothing_to_check_is_no_success(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.returncode == 2
    assert "could not check: no cluster to look at" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_summary_says_what_was_not_evaluated(repo: Path) -> None:
    assert re.search(r"^not evaluated: .+: nothing here is of kind", run(repo).stdout, re.MULTILINE)
