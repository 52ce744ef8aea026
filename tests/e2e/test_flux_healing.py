"""Self-healing: what is deleted or changed by hand comes back, whether a Kustomization or a Helm release made it, unless it is suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.live.faults import suspended
from harness.live.findings import NotEvaluatedError, expect
from harness.live.rules.changes import HEALED
from harness.live.sync.healing import applier_of, comes_back_changed, comes_back_deleted

if TYPE_CHECKING:
    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl

#: Seconds in which a mended object must be seen: one reconciliation, on a machine that has much else to do.
_PATIENCE = 45.0
#: One object of each way in which Flux applies things, none of which anybody misses for a moment, by what has to be left alone meanwhile.
OBJECTS = [
    pytest.param("ConfigMap", "tenant-b", "team", marks=pytest.mark.proof(breaks=("tenant-b",)), id="tenant"),
    pytest.param("ResourceQuota", "kube-public", "counts", marks=pytest.mark.proof(breaks=("cluster-baseline",)), id="platform"),
    pytest.param("Service", "sealed-secrets", "sealed-secrets-controller-metrics", marks=pytest.mark.proof(breaks=("sealed-secrets",)), id="release"),
]


@pytest.mark.proof(uses=("flux",))
@pytest.mark.parametrize(("kind", "namespace", "name"), OBJECTS)
def test_objects_come_back(platform: Platform, kubectl: Kubectl, kind: str, namespace: str, name: str) -> None:
    item = platform.world.find(kind, namespace, name)
    if item is None:
        raise NotEvaluatedError(f"{kind}/{namespace}/{name}", "self-healing", "this cluster has no such object")
    # The interval is 10 minutes or an hour: Flux is asked to look, as it would then.
    seen = comes_back_deleted(kubectl, item, patience=_PATIENCE)
    expect(HEALED, item, not seen, found=f"deleted by hand: {seen}", expected=f"{applier_of(item)} makes it again")
    seen = comes_back_changed(kubectl, item, patience=_PATIENCE)
    expect(HEALED, item, not seen, found=f"changed by hand: {seen}", expected=f"{applier_of(item)} takes the change back")
    maker = applier_of(item)
    platform.red(
        f"{maker} -> {item.kind} {item.namespace}/{item.name}",
        f"{maker.kind} suspended, the object changed by hand",
        suspended(kubectl, maker),
        lambda: comes_back_changed(kubectl, item, patience=10),
        mended_within=_PATIENCE,
    )
