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


NODES_READY: Final = LiveRule(
    id="LIV101",
    title="every node of the cluster is Ready",
    why="nothing that is proven on a cluster with a broken node says anything about the platform",
    fix="read the node's conditions in the diagnostics bundle",
)
SYSTEM_READY: Final = LiveRule(
    id="LIV102",
    title="every pod of the control plane is Ready, and the endpoints that Prometheus scrapes listen where it can reach them",
    why="rules and dashboards stand on the metrics of scheduler, controller manager, etcd and kube-proxy",
    fix="correct the cluster's configuration (tests/harness/live/kindconfig.py)",
)
AUDITED: Final = LiveRule(
    id="LIV103",
    title="the API server writes an audit log that never holds the content of a Secret",
    why="who did what can be shown afterwards only from the audit log",
    fix="correct the audit policy (tests/harness/live/kindconfig.py)",
    controls=("CIS-3.2.1", "NIST-AU-2"),
)
RECONCILED: Final = LiveRule(
    id="LIV201",
    title="Flux reports every Kustomization, HelmRelease and source of the cluster Ready",
    why="the offline build says what the cluster will get; only Flux's own status says that it got it",
    fix="follow the root cause that is named; the diagnostics bundle has its events and logs",
)
REVISION: Final = LiveRule(
    id="LIV202",
    title="what runs is exactly what was pushed: the artifact's and the charts' digests",
    why="a result that holds for another revision than the one under test is no result",
    fix="see whether the source fetched the pushed digest, and whether something suspended it",
)
INVENTORY: Final = LiveRule(
    id="LIV203",
    title="Flux reconciles in the cluster exactly the objects that the offline build predicts",
    why="an object that the model does not know is proven by no static rule; one that is missing was proven in vain",
    fix="if the cluster is right, the build of the harness is wrong: reduce it to a test of tests/unit/flux",
)

RULES: Final = (NODES_READY, SYSTEM_READY, AUDITED, RECONCILED, REVISION, INVENTORY)
