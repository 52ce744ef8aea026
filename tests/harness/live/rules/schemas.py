"""What must hold of the API server and the offline engine, about rendered objects."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

ACCEPTED: Final = LiveRule(
    id="LIV241",
    title="the API server accepts, with strict validation, every rendered object that the offline engine accepts",
    why="an object that only the server refuses stops its whole Kustomization or release after the merge, where no check sees it any more",
    fix="reduce the object to a case of tests/unit/engines and mend the engine; then mend the object, which the static tier will name",
    controls=("NIST-CM-6", "NIST-SI-10"),
)
AGREED: Final = LiveRule(
    id="LIV242",
    title="API server and offline engine both refuse an object of any kind that was spoilt",
    why="a server that lets a spoilt object through proves nothing with what it accepts; an engine that does misses it in Git",
    fix="see whether the kind keeps unknown fields (x-kubernetes-preserve-unknown-fields); otherwise reduce it to a case of tests/unit/engines",
)
ADMITTED: Final = LiveRule(
    id="LIV243",
    title="every object that Git and charts hold for this cluster passes the cluster's own admission",
    why="what a policy refuses stops its Kustomization at the next interval, also where it was let in before the policy was there",
    fix="change the object, or the policy and its cases (tests/data/policies)",
    controls=("NIST-CM-3",),
)

RULES: Final = (ACCEPTED, AGREED, ADMITTED)
