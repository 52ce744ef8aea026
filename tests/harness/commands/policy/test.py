"""Run Kyverno's own test files (kyverno-test.yaml) on the policies they name, without a cluster and without Kyverno.

Every row of results is checked for every object it is about: ok, FAIL (what was expected and what came), or not evaluated (why). Stricter than
Kyverno's command line: a row whose policy or object matches nothing fails. Rows about rules of ClusterPolicies that are no CEL are not evaluated;
they are counted, and fail only with --strict.

    python -m harness policy test policies/
    python -m harness policy test . --file-name kyverno-test.yml --format json
    python -m harness policy test policies/ --kyverno          also ask the real one, when it is on PATH

Exit codes: 0 when no row fails, 1 when one does, 2 when it could not be checked (no test file, or one that cannot be read).
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.common import CommandError, bold, out, warn
from harness.policytest import Outcome, RowResult, TestFile, find_tests, read_tests, run_test
from harness.policytest.files import DEFAULT_NAME, InputError

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.policytest.kyverno import Disagreement

HELP = "run Kyverno's own test files"
_REASONS = 10


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directories", metavar="DIR", nargs="+", type=Path, help="a folder that is searched for test files, or a test file")
    parser.add_argument("-f", "--file-name", default=DEFAULT_NAME, metavar="NAME", help="how test files are called (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="rows that are not evaluated fail")
    parser.add_argument(
        "--kyverno", action="store_true", help="also run Kyverno's command line (kyverno or kubectl-kyverno on PATH), and print where it disagrees"
    )
    parser.add_argument("--fail-only", action="store_true", help="print only rows that fail")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    del workspace  # the tests say themselves where everything is
    for directory in options.directories:
        if not directory.exists():
            raise CommandError(f"{directory} does not exist")
    paths = [path for directory in options.directories for path in find_tests(directory, options.file_name)]
    if not paths:
        raise CommandError(f"there is no {options.file_name} in {', '.join(map(str, options.directories))}")
    program = _program() if options.kyverno else None
    report = _Report(options)
    for number, path in enumerate(paths, 1):
        _progress(number, len(paths), path)
        for test in read_tests(path):
            try:
                report.add(test, run_test(test))
            except InputError as error:
                report.unreadable(test, str(error))
        if program is not None:
            report.ask(program, path)
    _progress(0, 0, Path())
    return report.finish()


def _program() -> str:
    from harness.policytest.kyverno import executable

    found = executable()
    if found is None:
        raise CommandError("neither kyverno nor kubectl-kyverno is on PATH")
    return found


def _progress(number: int, total: int, path: Path) -> None:
    """One line on a terminal that says how far the run is, and is wiped at its end."""
    if sys.stderr.isatty() and not os.environ.get("CI"):
        shown = f"{number}/{total} {path.parent}" if total else ""
        sys.stderr.write(f"\r\x1b[K{shown[:100]}")
        sys.stderr.flush()


class _Report:
    """What was found so far, printed as it comes (text), or at the end (JSON)."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._text = options.format == "text"
        self.counts: Counter[Outcome] = Counter()
        self.reasons: Counter[str] = Counter()
        self.broken: list[tuple[Path, str]] = []
        self.disagreements: list[tuple[Path, Disagreement]] = []
        self._silent: list[tuple[Path, str]] = []
        self._rows: list[dict[str, Any]] = []
        self._of_file: dict[Path, list[RowResult]] = {}
        self.tests = 0

    def add(self, test: TestFile, results: list[RowResult]) -> None:
        self.tests += 1
        self._of_file.setdefault(test.path, []).extend(results)
        shown = [result for result in results if not self._options.fail_only or result.outcome is Outcome.FAIL]
        if self._text and shown:
            out(bold(f"{test.name}  {test.path}"))
        for result in results:
            self.counts[result.outcome] += 1
            if result.outcome is Outcome.NOT_EVALUATED:
                self.reasons[result.message] += 1
            self._rows.append(_as_json(test, result))
            if self._text and result in shown:
                out(f"  {_line(result)}")
        if test.checks:
            self.counts[Outcome.NOT_EVALUATED] += test.checks
            self.reasons["checks (assertion trees) are not evaluated"] += test.checks
        if self._text and shown:
            out()

    def unreadable(self, test: TestFile, why: str) -> None:
        self.broken.append((test.path, why))
        if self._text:
            warn(f"{test.path}: {why}")

    def ask(self, program: str, path: Path) -> None:
        from harness.policytest.kyverno import disagreements, verdicts

        theirs = verdicts(program, path)
        if isinstance(theirs, str):
            self._silent.append((path, theirs))
            return
        for found in disagreements(self._of_file.get(path, ()), theirs):
            self.disagreements.append((path, found))
            if self._text:
                out(f"  Kyverno disagrees on {found.policy} and {found.subject}: {found.theirs}; here: {found.ours}")

    def finish(self) -> int:
        """Prints the end of the report and gives the exit code."""
        failed = self.counts[Outcome.FAIL] + (self.counts[Outcome.NOT_EVALUATED] if self._options.strict else 0)
        if self._text:
            self._summary()
        else:
            document = {
                "rows": self._rows,
                "counts": {str(outcome): self.counts[outcome] for outcome in Outcome},
                "notEvaluated": dict(self.reasons.most_common()),
                "unreadable": [{"file": str(path), "why": why} for path, why in self.broken],
            }
            if self._options.kyverno:
                document["disagreements"] = [
                    {"file": str(path), "policy": each.policy, "subject": each.subject, "kyverno": each.theirs, "here": each.ours}
                    for path, each in self.disagreements
                ]
            out(json.dumps(document, indent=2))
        if failed:
            return 1
        return 2 if self.broken else 0

    def _summary(self) -> None:
        for why, count in self.reasons.most_common(_REASONS):
            out(f"not evaluated {count} times: {why}")
        if self._options.kyverno:
            out(f"Kyverno disagrees on {len(self.disagreements)} pairs of policy and object, and says nothing of {len(self._silent)} files")
            for path, why in self._silent:
                out(f"  {path}: {why}")
        broken = f", {len(self.broken)} tests could not be read" if self.broken else ""
        ok, failed, skipped = (self.counts[outcome] for outcome in (Outcome.OK, Outcome.FAIL, Outcome.NOT_EVALUATED))
        out(bold(f"{self.tests} tests: {ok} rows ok, {failed} failed, {skipped} not evaluated{broken}"))


def _line(result: RowResult) -> str:
    row = result.row
    what = " ".join(part for part in (row.policy, row.rule, result.subject) if part)
    if result.outcome is Outcome.OK:
        return f"ok             {what}: {row.result}"
    if result.outcome is Outcome.NOT_EVALUATED:
        return f"not evaluated  {what} ({result.message})"
    got = f"expected {row.result}, got {result.got}" if result.got else f"expected {row.result}"
    return f"FAIL           {what} (line {row.line}): {got}{f': {result.message}' if result.message else ''}"


def _as_json(test: TestFile, result: RowResult) -> dict[str, Any]:
    row = result.row
    return {
        "test": test.name,
        "file": str(test.path),
        "line": row.line,
        "policy": row.policy,
        "rule": row.rule,
        "resource": result.subject,
        "expected": row.result,
        "got": result.got,
        "outcome": str(result.outcome),
        "message": result.message,
    }
