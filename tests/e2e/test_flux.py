"""Flux: everything Ready, at exactly what was pushed, and exactly what the offline build predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.live.faults import LABEL
from harness.live.findings import NotEvaluatedError, expect
from harness.live.plugin import needs
from harness.live.rules.sync import INVENTORY, RECONCILED, REVISION
from harness.live.sync.readiness import KINDS, Key, State, Tree

if TYPE_CHECKING:
    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl

#: What looks at the cluster as it is now must not do so while a proof publishes another tree.
NOW = pytest.mark.proof(uses=("flux",))


def subject(platform: Platform, key: Key) -> str:
    return f"{platform.world.cluster.name}/{key}"


def test_flux_gets_ready_in_time(platform: Platform) -> None:
    needs(platform, "ready")
    expect(RECONCILED, platform.world.cluster.name, not platform.failure, found=platform.failure, expected="everything Ready in time (--ready-timeout)")


def test_flux_reconciles(platform: Platform, kubectl: Kubectl, reconciled: Key) -> None:
    needs(platform, "ready")
    # As it was when the wait for Flux ended: since then proofs suspend things and break them.
    tree = platform.tree or Tree(kubectl.list(*KINDS), platform.expected)
    status = tree.statuses[reconciled]
    causes = "; ".join(str(cause) for cause in tree.causes()[:3])
    expect(RECONCILED, subject(platform, reconciled), status.state is State.READY, found=f"{status} (root cause: {causes})", expected="Ready")


@NOW
def test_revision_is_the_pushed_one(platform: Platform, kubectl: Kubectl) -> None:
    needs(platform, "ready")
    if platform.beside is None:
        raise NotEvaluatedError(platform.world.cluster.name, "revision", "this run did not push what the cluster holds")
    pushed = platform.beside.tree
    tree = Tree(kubectl.list(*KINDS), platform.expected)
    sources = {key for key in tree.statuses if key.kind == "OCIRepository" and _is_tree(platform, key)}
    expect(REVISION, subject(platform, Key("OCIRepository", "", "")), bool(sources), found="no source of the pushed artifact", expected="the sync's source")
    for key in sorted(sources):
        revision = tree.statuses[key].revision
        expect(REVISION, subject(platform, key), revision == pushed.revision, found=f"holds {revision}", expected=pushed.revision)
    for status in tree:
        source = next((need for need in status.needs if need in sources), None)
        if status.key.kind == "Kustomization" and source is not None:
            expect(REVISION, subject(platform, status.key), status.revision == pushed.revision, found=f"applied {status.revision}", expected=pushed.revision)


@NOW
def test_charts_are_the_ones_that_were_verified(platform: Platform, kubectl: Kubectl) -> None:
    needs(platform, "ready")
    if platform.beside is None:
        raise NotEvaluatedError(platform.world.cluster.name, "charts", "this run did not push what the cluster holds")
    tree = Tree(kubectl.list(*KINDS), platform.expected)
    for name, pushed in platform.beside.images.items():
        key = Key(*name.split("/")[1:])
        if key not in platform.expected:
            continue
        revision = tree.statuses[key].revision
        expect(REVISION, name, revision.endswith(pushed.digest), found=f"holds {revision or 'nothing'}", expected=pushed.digest)
    charts = {digest for digests in platform.beside.charts.values() for digest in digests}
    for item in kubectl.list("helmcharts.source.toolkit.fluxcd.io"):
        metadata, artifact = item["metadata"], item.get("status", {}).get("artifact", {})
        known = subject(platform, Key("HelmChart", metadata["namespace"], metadata["name"]))
        expect(REVISION, known, artifact.get("digest") in charts, found=f"holds {artifact.get('digest')}", expected="the package that the static tier rendered")


@NOW
def test_nothing_else_is_reconciled(platform: Platform, kubectl: Kubectl) -> None:
    needs(platform, "ready")
    there = {status.key for status in Tree(kubectl.list(*KINDS, selector=f"!{LABEL}")) if status.key.kind != "HelmChart"}
    predicted = set(platform.expected)
    expect(INVENTORY, platform.world.cluster.name, there == predicted, found=_difference(there, predicted), expected="what the offline build predicts")


def _difference(there: set[Key], predicted: set[Key]) -> str:
    more, fewer = ", ".join(map(str, sorted(there - predicted))), ", ".join(map(str, sorted(predicted - there)))
    return f"only in the cluster: {more or 'nothing'}; only in the model: {fewer or 'nothing'}"


def _is_tree(platform: Platform, key: Key) -> bool:
    source = platform.world.find("OCIRepository.source.toolkit.fluxcd.io", key.namespace, key.name)
    return source is not None and platform.beside is not None and str(source.get("spec", "url")).endswith(f"/{platform.beside.tree.repository}")
