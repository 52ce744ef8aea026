"""The cluster's own tree, published anew: a change arrives by itself within the interval, what is broken in it stays as it was, and all of it goes back."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import pytest
from harness.flux.kinds import source_kind
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ground.oci import push_flux
from harness.live.ground.tree import admitted
from harness.live.jobs import ALL
from harness.live.reach.forwards import Client
from harness.live.reach.wait import Waiter, WaitError, WaitTimeoutError, wait
from harness.live.rules.changes import APPEARS, KEPT, REPORTED, TRAIL
from harness.live.sync.edits import broken, leaf, with_object
from harness.live.sync.readiness import KINDS, Key, State, Tree
from harness.live.sync.reconcile import ask, attempted, condition, history, look, said, seconds
from harness.live.sync.scratch import config_map, registry_of
from harness.live.sync.trail import told

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl

#: Seconds from a new artifact until the root has applied it, beyond the interval.
_WORK = 90.0
#: Seconds in which all Kustomizations have gone through a new revision, one after the other as they depend on each other.
_ALL = 420.0


def holds(ready: Callable[[], bool], timeout: float) -> bool:
    """Whether something comes to hold in time."""
    try:
        wait(ready, timeout=timeout)
    except WaitTimeoutError:
        return False
    return True


# Every Kustomization goes through both revisions, one after the other: what another proof mends meanwhile would wait for them.
@pytest.mark.proof(breaks=(ALL,), uses=("flux", "kube-prometheus-stack"), seconds=1200, long=True)
def test_published_tree_arrives_and_its_broken_part_is_kept_out(platform: Platform, kubectl: Kubectl) -> None:
    sync = platform.world.cluster.sync
    if platform.beside is None or sync is None:
        raise NotEvaluatedError(platform.world.cluster.name, "publication", "this run did not push what the cluster holds")
    world, pushed, registry = platform.world, platform.beside.tree, registry_of(platform)
    if registry.digest(pushed.repository, pushed.tag) != pushed.digest:
        raise NotEvaluatedError(world.cluster.name, "publication", "somebody has published another tree in the meantime")
    part = leaf(world)
    root, source = Key("Kustomization", sync.namespace, sync.name), Key("OCIRepository", world.cluster.source.namespace, world.cluster.source.name)
    own = world.find(source_kind("OCIRepository"), source.namespace, source.name)
    interval = seconds(str(own.get("spec", "interval"))) if own is not None else 60.0
    alertmanager = Client(platform.forwards, "svc/kube-prometheus-stack-alertmanager", 9093, "monitoring")
    name, target = f"proof-{secrets.token_hex(3)}", Key("Kustomization", part.namespace, part.name)
    files = with_object(admitted(platform.workspace.repository), world.cluster.path, f"{name}.yaml", config_map(name, root.namespace, version="1"))
    files = broken(files, str(part.get("spec", "path")), f"{name}-is-not-there.yaml")
    sample = world.kustomizations[part.namespace, part.name].built[0]
    kind = f"{sample.kind}.{sample.group}" if sample.group else sample.kind
    before = (kubectl.get(kind, sample.name, sample.namespace) or {}).get("metadata")
    ready = {status.key for status in Tree(kubectl.list(*KINDS)) if status.key.kind == "Kustomization" and status.state is State.READY}
    try:
        origin = f"proof@sha1:{secrets.token_hex(20)}"
        new = push_flux(registry, pushed.repository, pushed.tag, files, source="a live proof", revision=origin, created="1970-01-01T00:00:00Z")
        started = time.monotonic()
        arrived = holds(lambda: kubectl.get("configmaps", name, root.namespace) is not None, interval + _WORK)
        took = time.monotonic() - started
        expect(
            APPEARS, sync, arrived, found=f"nothing of it after {took:.0f} s: {said(look(kubectl, source))}", expected=f"within {interval:.0f} s and its work"
        )
        platform.notes.append(f"flux: a change of the cluster's tree was applied {took:.0f} s after it was pushed, with an interval of {interval:.0f} s")
        # The status follows what was applied.
        trail = holds(lambda: (new.revision, origin) in [(entry.revision, entry.origin) for entry in history(look(kubectl, root))], _WORK)
        expect(TRAIL, sync, trail, found=f"its history has {history(look(kubectl, root))}", expected=f"{new.revision} of {origin}")
        met: Waiter[dict[str, object]] = Waiter(lambda: look(kubectl, target), said)
        met.wait(lambda body: attempted(body) == new.revision and not _ready(body), successes=1, timeout=_ALL, what=f"{target} to meet what is broken")
        reason = str(condition(look(kubectl, target), "Ready").get("reason"))
        expect(KEPT, part, reason == "BuildFailed", found=f"Ready: False for the reason {reason}", expected="BuildFailed")
        after = (kubectl.get(kind, sample.name, sample.namespace) or {}).get("metadata")
        expect(KEPT, sample, after == before, found=f"changed by the broken revision: {after}", expected="as the last good one left it")
        labels = {"kind": "Kustomization", "namespace": part.namespace, "name": part.name}
        is_told = holds(lambda: any(new.revision in str(alert) for alert in told(alertmanager, **labels)), 60)
        expect(REPORTED, part, is_told, found=f"no alert in Alertmanager names {new.revision}", expected="an alert with the object and the revision")
    finally:
        registry.tag(pushed.repository, pushed.digest, pushed.tag)
        for key in platform.revisions:
            if key.kind == "OCIRepository":
                ask(kubectl, key)

    def back() -> str:
        tree = Tree(kubectl.list(*KINDS), None, platform.revisions)
        return ", ".join(f"{key} {tree.statuses[key].state}" for key in sorted(ready & tree.statuses.keys()) if tree.statuses[key].state is not State.READY)

    def other(_text: str) -> str:
        return "" if registry.digest(pushed.repository, pushed.tag) == pushed.digest else "somebody has published another tree in the meantime"

    waiter: Waiter[str] = Waiter(back)
    try:
        waiter.wait(lambda text: not text, error=other, successes=1, timeout=_ALL, delay=3)
        left = ""
    except WaitTimeoutError as error:
        left = error.status
    except WaitError as error:
        raise NotEvaluatedError(world.cluster.name, "publication", str(error).splitlines()[0]) from error
    expect(KEPT, sync, not left, found=f"{_ALL:.0f} s after the tree was taken back: {left}", expected=f"all of it at {pushed.revision} again")
    gone = holds(lambda: kubectl.get("configmaps", name, root.namespace) is None, _WORK)
    expect(APPEARS, sync, gone, found=f"ConfigMap {name} is still there", expected="what is no longer published is gone")


def _ready(body: dict[str, object]) -> bool:
    return condition(body, "Ready").get("status") != "False"
