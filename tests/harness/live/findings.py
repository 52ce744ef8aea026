"""Live results as findings: the same block, the same properties in JUnit, the same ledger as the static tier's.

A live rule is data, like a static one; what it is held against is a running cluster. A test raises :class:`LiveError` with a finding, or
:class:`NotEvaluatedError` with a reason. Where model and cluster disagree, the finding names both sides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.model import Finding, Location, NotEvaluated, Object, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ID: Final = re.compile(r"^LIV[1-9][0-9]{2}$")
#: Where a finding points when no line of the repository has anything to do with it.
CLUSTER: Final = Location("the running cluster")


@dataclass(frozen=True, slots=True)
class LiveRule:
    """One thing that must hold of a running cluster. ``title`` completes the sentence "It must hold that ..."."""

    id: str
    title: str
    why: str
    fix: str
    controls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.match(self.id):
            raise ValueError(f"{self.id}: the id of a live rule is LIV and three digits")
        if not (self.title and self.why and self.fix):
            raise ValueError(f"{self.id}: title, why and fix are mandatory")

    def finding(self, subject: Object | str, found: str, expect: str, *, location: Location | None = None, fix: str = "") -> Finding:
        """A violation. The subject of an object that is in Git is located at its line, so that static and live findings of it join."""
        where = location or (subject.locate() if isinstance(subject, Object) else CLUSTER)
        return Finding(self.id, str(subject.id) if isinstance(subject, Object) else subject, where, found, expect, self.why, fix or self.fix, Severity.ERROR)


class LiveError(AssertionError):
    """Something that must hold of the cluster does not."""

    def __init__(self, *findings: Finding, controls: Iterable[str] = ()) -> None:
        super().__init__("; ".join(f"{item.rule} {item.subject}: {item.found}" for item in findings))
        self.findings = findings
        self.controls = tuple(controls)


class NotEvaluatedError(Exception):
    """Something could not be looked at in this run. It goes to the ledger with its reason, and is never a pass."""

    def __init__(self, subject: str, what: str, why: str) -> None:
        super().__init__(f"not evaluated: {subject}: {what}: {why}")
        self.entry = NotEvaluated(subject, what, why)


def expect(rule: LiveRule, subject: Object | str, holds: bool, *, found: str, expected: str, location: Location | None = None) -> None:
    """Raise a finding of a rule unless it holds."""
    if not holds:
        raise LiveError(rule.finding(subject, found, expected, location=location), controls=rule.controls)


def properties(error: LiveError) -> Iterator[tuple[str, object]]:
    """What JUnit's readers get besides the block, as for the cases of the static tier."""
    for finding in error.findings:
        yield "rule", finding.rule
        yield "subject", finding.subject
        yield "location", str(finding.location)
        yield "severity", str(finding.severity)
    yield from (("control", control) for control in error.controls)
