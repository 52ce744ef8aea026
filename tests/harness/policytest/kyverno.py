"""The real command line of Kyverno beside the engine: what it says of a test file, row by row."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.model.shapes import mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.policytest.rows import RowResult

_NAMES = ("kyverno", "kubectl-kyverno")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TIMEOUT = 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of Kyverno's table: the policy as the test names it, the object's name, and whether the expectation held."""

    policy: str
    name: str
    held: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A policy and an object on which the two differ."""

    policy: str
    subject: str
    ours: str
    theirs: str


def executable() -> str | None:
    """The path of Kyverno's command line, or None when it is not installed."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def verdicts(program: str, path: Path) -> list[Verdict] | str:
    """What ``kyverno test`` says of a file, or why it says nothing."""
    command = [program, "test", str(path.parent), "--file-name", path.name, "--output-format", "json", "--remove-color"]
    try:
        # The program is the one on PATH; the arguments are paths.
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    found: list[Verdict] = []
    for entry in _tables(_ANSI.sub("", done.stdout)):
        resource = text(entry.get("RESOURCE"))
        found.append(Verdict(text(entry.get("POLICY")), resource.rpartition("/")[2], text(entry.get("RESULT")) == "Pass", text(entry.get("REASON"))))
    return found or (done.stderr.strip().rpartition("\n")[2] or f"no rows (exit code {done.returncode})")


def _tables(output: str) -> Iterable[dict[str, Any]]:
    """The JSON lists among the lines that the command prints."""
    decoder, index = json.JSONDecoder(), 0
    while (start := output.find("\n[", index)) >= 0:
        try:
            value, index = decoder.raw_decode(output, start + 1)
        except ValueError:
            index = start + 2
            continue
        yield from (mapping(entry) for entry in value)


def disagreements(results: Iterable[RowResult], theirs: Iterable[Verdict]) -> list[Disagreement]:
    """Where both said something of a policy and an object, and not the same. What is not evaluated here is left out."""
    held: dict[tuple[str, str], tuple[bool, str]] = {}
    for verdict in theirs:
        before = held.get((verdict.policy, verdict.name), (True, ""))
        held[verdict.policy, verdict.name] = (before[0] and verdict.held, verdict.reason if not verdict.held or not before[1] else before[1])
    ours: dict[tuple[str, str], tuple[bool, str]] = {}
    for result in results:
        if result.outcome == "not evaluated":
            ours[result.row.policy, result.subject] = (True, "")
            continue
        key = (result.row.policy, result.subject)
        known = ours.get(key)
        if known is None or (known[1] and known[0]):
            ours[key] = (result.outcome == "ok", result.message or result.got or "ok")
    found: list[Disagreement] = []
    for (policy, subject), (ok, message) in ours.items():
        answer = held.get((policy, subject.rpartition("/")[2]))
        if answer is not None and message and answer[0] != ok:
            found.append(Disagreement(policy, subject, f"{'ok' if ok else 'FAIL'} ({message})", f"{'Pass' if answer[0] else 'Fail'} ({answer[1]})"))
    return found
