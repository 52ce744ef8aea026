"""The rules of what Flux made of what was pushed."""

from __future__ import annotations

from typing import Final

from harness.live.findings import LiveRule

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
