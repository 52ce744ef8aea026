"""Schemas: a real API server accepts every rendered object of every cluster, and says the same as the offline engine of sound and of spoilt ones."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from harness.live.admission.dryrun import FLAWS, DryRun, Said, left, offline_verdict, one_of_each, opinion_findings
from harness.live.findings import LiveError
from harness.live.plugin import needs
from harness.live.reach.api import serving
from harness.live.rules.schemas import ACCEPTED, ADMITTED, AGREED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl

# The systems whose webhooks the API server asks, and without which it refuses.
pytestmark = pytest.mark.proof(uses=("cert-manager", "kube-prometheus-stack", "kyverno", "metallb"))


def test_every_rendered_object_is_accepted(platform: Platform, kubectl: Kubectl) -> None:
    needs(platform, "ready")
    others = [platform.workspace.world(root) for root in platform.workspace.clusters if root.name != platform.world.cluster.name]
    findings = []
    with serving(kubectl) as api:
        server = DryRun.of(api)
        for world in (platform.world, *others):
            opinions = server.opinions(world)
            findings += opinion_findings(opinions, ACCEPTED)
            if world is platform.world:
                # The policies that answer are this cluster's, and say nothing about the objects of another one.
                findings += [ADMITTED.finding(item, message, "it is let in, as it is in Git") for item, message in opinions.denied]
            for entry in left(world):
                platform.left_open(entry.subject, entry.what, entry.why)
            for kind, items in sorted(opinions.unknown.items()):
                platform.left_open(f"{world.cluster.name}/{kind}", "dry run", f"this cluster does not know the kind: {len(items)} objects")
            platform.notes.append(
                f"schemas: {world.cluster.name}: {opinions.asked} objects asked, {len(opinions.refused)} refused, {len(opinions.denied)} denied by admission"
            )
    if findings:
        raise LiveError(*findings, controls=ACCEPTED.controls)


@pytest.mark.parametrize("flaw", FLAWS)
def test_spoilt_objects_are_refused_by_both(platform: Platform, kubectl: Kubectl, flaw: str) -> None:
    needs(platform, "ready")
    spoil, samples = FLAWS[flaw], one_of_each(platform.world)
    with serving(kubectl) as api:
        server = DryRun.of(api)
        bodies = [spoil(item.body) for item in samples]
        findings = []
        for item, body, (said, message) in zip(samples, bodies, server.answers(bodies), strict=True):
            offline = offline_verdict(platform.world, body)
            if said is not Said.UNKNOWN and (said is Said.REFUSED) != bool(offline):
                findings.append(AGREED.finding(item, f"the API server: {said} {message}; the offline engine: {offline or 'accepted'}", "both refuse it"))
        if findings:
            raise LiveError(*findings)

        sound, spoilt = samples[0], [False]

        @contextmanager
        def fault() -> Iterator[None]:
            spoilt[0] = True
            try:
                yield
            finally:
                spoilt[0] = False

        def probe() -> str:
            said, message = server.answer(spoil(sound.body) if spoilt[0] else sound.body)
            return "" if said is Said.ACCEPTED else message

        platform.red("validation by the API server", f"{flaw}, in {sound.kind} {sound.namespace}/{sound.name}", fault(), probe)
