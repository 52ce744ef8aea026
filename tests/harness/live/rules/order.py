"""What must hold of the order in which a cluster came up from empty."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

THERE: Final = LiveRule(
    id="LIV221",
    title="on the way up from empty nothing was missing that the order proof says was there",
    why="the offline proof (FLX2xx) is what spares a new cluster its retries and deadlocks; where it was wrong once, all its other claims are in doubt",
    fix="see in the log of what makes the missing thing when it was there; then correct the order (tests/harness/flux/order.py) or its finder of needs",
    controls=("NIST-CP-10",),
)
WAITED: Final = LiveRule(
    id="LIV222",
    title="every Kustomization began after all that it depends on was ready",
    why="the whole order proof stands on kustomize-controller keeping dependsOn",
    fix="see the log of kustomize-controller; somebody may have taken dependsOn away while the cluster came up",
    controls=("NIST-CP-10",),
)
RULES: Final = (THERE, WAITED)
