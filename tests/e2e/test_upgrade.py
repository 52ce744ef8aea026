"""The way from an earlier commit to the working tree, as users of the platform see it."""

from __future__ import annotations

import pytest
from harness.live.bringup import Choice, Platform, bring_up
from harness.live.chaos import settle
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ingress.entry import entry_of
from harness.live.ingress.load import Load
from harness.live.rules.chaos import CLEAN, SERVED, UPGRADED
from harness.live.sync.readiness import KINDS
from harness.live.sync.upgrade import before, earlier, left_behind

#: The part of the requests that may fail, and the seconds between two right answers.
BUDGET, GAP = 0.005, 5.0


@pytest.mark.proof(breaks=("*",), seconds=1800, long=True)
def test_upgrade(platform: Platform) -> None:
    if platform.beside is None:
        raise NotEvaluatedError("upgrade", "live proof", "this run has no registry beside the cluster, so it cannot push another commit")
    start, workspace = earlier(platform.workspace, platform.choice.upgrade_from), platform.workspace
    choice = Choice(platform.choice.only, platform.choice.without, "ready", 900, platform.choice.registry_image)
    name = platform.world.cluster.name
    with before(platform, start, workspace.options) as old:
        bring_up(old, choice)
        failed = old.failure
        target = Platform(platform.cluster, workspace.world(workspace.selected[0]), workspace, journal=platform.journal)
        entry = None if failed else entry_of(platform)
        with Load(entry.wrong if entry is not None else lambda: "") as load:
            bring_up(target, choice)
    platform.beside, platform.overlay, platform.tree = target.beside, target.overlay, target.tree
    platform.notes.append(f"upgrade from {start[:12]}: {load}")
    expect(UPGRADED, name, not target.failure, found=target.failure, expected="everything ready at the pushed revision")
    if failed:
        raise NotEvaluatedError(
            "upgrade", "live proof", f"commit {start[:12]} does not get ready here, so nothing can be upgraded from it: {failed.splitlines()[0]}"
        )
    expect(
        SERVED,
        entry.host if entry is not None else name,
        load.share <= BUDGET and load.longest <= GAP,
        found=str(load),
        expected=f"at most {BUDGET:.1%}, no gap over {GAP:g} s",
    )
    settle(platform, 300)
    kubectl = platform.cluster.kubectl
    kinds = kubectl("api-resources", "--verbs=list,delete", "--output=name").split()
    labelled = kubectl.list(*kinds, selector="kustomize.toolkit.fluxcd.io/name")
    kustomizations = [item for item in kubectl.list(*KINDS) if item["kind"] == "Kustomization"]
    expect(UPGRADED, name, len(labelled) > len(kustomizations), found="no object carries Flux's labels", expected="the platform's objects")
    left = left_behind(platform.world, kustomizations, labelled)
    expect(CLEAN, name, not left, found="; ".join(left[:10]), expected="nothing")
