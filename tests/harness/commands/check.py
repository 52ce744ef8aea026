"""Hold every rule against the repository and print what is wrong, each finding with file, line, reason and fix.

The same as `nox -s static`, without pytest: made for repositories that are not this one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.common import CommandError, bold, clusters_of, note, out
from harness.report.terminal import block, ledger
from harness.rules import all_rules
from harness.suite import prove

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.model import Finding

HELP = "hold every rule against the repository"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cluster", action="append", default=[], metavar="NAME", help="look at this cluster only; may be given several times")
    parser.add_argument("--rule", action="append", default=[], metavar="ID", help="print findings of this rule or family only; may be given several times")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    parser.add_argument("--ledger", action="store_true", help="list every subject that was not evaluated, not only counts")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    for word in options.rule:
        if not any(rule.id.startswith(word.upper()) for rule in all_rules()):
            raise CommandError(f"there is no rule or family {word}: `explain` lists them")
    clusters_of(workspace, options.cluster)
    workspace.options.clusters = tuple(options.cluster)
    verdict = prove(workspace, progress=note)
    wanted = tuple(word.upper() for word in options.rule)
    findings = [finding for finding in verdict.findings if not wanted or finding.rule.startswith(wanted)]
    if options.format == "json":
        entries = [_entry(finding) for finding in findings]
        missed = [{"subject": entry.subject, "what": entry.what, "why": entry.why} for entry in verdict.ledger]
        out(json.dumps({"cases": len(verdict.cases), "findings": entries, "waived": len(verdict.waived), "notEvaluated": missed}, indent=2))
        return 1 if findings else 0
    for finding in findings:
        out(block(finding) + "\n")
    for line in ledger(verdict.ledger, full=options.ledger):
        out(f"not evaluated: {line}")
    out(bold(f"{len(verdict.cases)} cases over {sum(verdict.objects.values())} objects: {len(findings)} findings, {len(verdict.waived)} waived"))
    return 1 if findings else 0


def _entry(finding: Finding) -> dict[str, str | int]:
    texts = {key: str(getattr(finding, key)) for key in ("rule", "subject", "severity", "found", "expect", "why", "fix")}
    return {**texts, "path": finding.location.path, "line": finding.location.line}
