"""Keeps the verdict of a run, so that the next one over the very same input need not come to it again.

The key is a digest of everything a verdict depends on: every file of the repository by content, the harness itself, its libraries and
programs, the chart packages at hand, the day, and what was asked. One changed byte makes another key; what engines keep by the content of
single objects is then still there.
"""

from __future__ import annotations

import shutil
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import harness
from harness.compliance.verdict import Check, Verdict
from harness.flux.cache import digest
from harness.model import Finding, Location, NotEvaluated, Severity
from harness.rules import all_rules
from harness.rules.engine import Case
from harness.source.repository import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.flux.workspace import Workspace
    from harness.source.repository import Repository

_KIND: Final = "verdict"
_FORMAT: Final = 2


def key_of(workspace: Workspace) -> str | None:
    """The key of a workspace's verdict; None when it may depend on more than can be told (charts that may be fetched)."""
    options = workspace.options
    if options.pull or not options.cache:
        return None
    return digest(
        _FORMAT,
        _code(),
        sorted(_files(workspace.repository)),
        _stats([options.charts] if options.charts else []),
        _stats([workspace.cache.root / "package"] if workspace.cache.root else []),
        _programs(),
        workspace.today.isoformat(),
        options.kubernetes_version or "",
        list(options.clusters),
    )


def recall(workspace: Workspace, key: str) -> Verdict | None:
    """The verdict kept under a key, or None."""
    data = workspace.cache.get_json(_KIND, key)
    if not isinstance(data, dict):
        return None
    rules = {rule.id: rule for rule in all_rules()}
    findings = [_finding(*entry) for entry in data["findings"]]
    verdict = Verdict(ledger=[NotEvaluated(*entry) for entry in data["ledger"]], objects=data["objects"], own=data["own"])
    verdict.checks = [Check(*entry) for entry in data["checks"]]
    for rule_id, subjects in data["cases"]:
        rule = rules[rule_id]
        verdict.cases += [Case(rule, subject) for subject in subjects]
    for index, numbers in data["found"]:
        clean = verdict.cases[index]
        verdict.cases[index] = Case(clean.rule, clean.subject, tuple(findings[number] for number in numbers))
    verdict.waived = {findings[number]: reason for number, reason in data["waived"]}
    return verdict


def keep(workspace: Workspace, key: str, verdict: Verdict) -> None:
    """Keep a verdict under a key."""
    numbers: dict[Finding, int] = {}
    found = []
    cases: list[tuple[str, list[str]]] = []
    for index, case in enumerate(verdict.cases):
        if not cases or cases[-1][0] != case.rule.id:
            cases.append((case.rule.id, []))
        cases[-1][1].append(case.subject)
        if case.findings:
            found.append((index, [numbers.setdefault(finding, len(numbers)) for finding in case.findings]))
    workspace.cache.put_json(
        _KIND,
        key,
        {
            "cases": cases,
            "found": found,
            "findings": [_flat(finding) for finding in numbers],
            "waived": [(numbers[finding], reason) for finding, reason in verdict.waived.items()],
            "ledger": [(entry.subject, entry.what, entry.why) for entry in verdict.ledger],
            "objects": verdict.objects,
            "own": verdict.own,
            "checks": verdict.checks,
        },
    )


def _finding(rule: str, subject: str, path: str, line: int, *texts: str) -> Finding:
    found, expect, why, fix, severity = texts
    return Finding(rule, subject, Location(path, line), found, expect, why, fix, Severity(severity))


def _flat(finding: Finding) -> list[Any]:
    texts = (finding.found, finding.expect, finding.why, finding.fix, str(finding.severity))
    return [finding.rule, finding.subject, finding.location.path, finding.location.line, *texts]


@cache
def _code() -> str:
    """The harness, the interpreter and everything installed beside it."""
    folder = Path(harness.__file__).parent
    sources = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    installed = sorted(Path(str(getattr(each, "_path", ""))).name for each in distributions())
    return digest(sys.version, installed, *(part for source in sources for part in source))


def _files(repository: Repository) -> Iterator[tuple[str, str]]:
    for path in repository.files():
        try:
            yield path, repository.digest(path)
        except UnreadableError as error:
            yield path, error.problem.message


def _stats(folders: Iterable[Path]) -> list[tuple[str, int, int]]:
    """The files below some folders by name, size and time of change: packages are large, and are read by whoever needs them."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                status = path.stat()
                found.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return found


def _programs() -> list[tuple[str, int, int]]:
    """The programs on PATH by size and time of change; those in wheels are among what is installed."""
    found = [shutil.which(name) for name in ("kubectl", "helm")]
    return [(path, Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in found if path is not None]
