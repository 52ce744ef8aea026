"""The way up from empty: nothing was tried in vain that the order proof says could not be, and nothing began before its time."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from harness.live.faults import LABEL, applied
from harness.live.findings import LiveError, NotEvaluatedError, expect
from harness.live.rules.order import THERE, WAITED
from harness.live.sync.record import complaints_of, remembered
from harness.live.sync.retries import claimed, missing_of, out_of_order, refuted, times

if TYPE_CHECKING:
    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl
    from harness.live.sync.record import Record

pytestmark = pytest.mark.proof(uses=("flux",))


def record_of(platform: Platform) -> Record:
    record = remembered(platform.cluster)
    if record is None:
        raise NotEvaluatedError(platform.world.cluster.name, "order", "how this cluster came up was not kept: its bootstrap was interrupted, or it is not ours")
    return record


def test_nothing_was_missing_that_was_said_to_be_there(platform: Platform, kubectl: Kubectl) -> None:
    record, claims = record_of(platform), claimed(platform.world)
    vain = [complaint for complaint in record.complaints if missing_of(complaint)]
    platform.notes.append(
        f"order: {len(claims)} claims of the order proof, {len(record.complaints)} complaints on the way up, {len(vain)} of something missing"
    )
    platform.notes += [f"order: tried again, without a claim that it was there: {complaint}" for complaint in vain]
    found = refuted(platform.world, record.complaints)
    findings = [THERE.finding(item.consumer, f"{item.complaint}", f"{item.missing}, of {item.producer.applier}, is there: {item.reason}") for item in found]
    if findings:
        raise LiveError(*findings, controls=THERE.controls)
    consumer, missing, reason = next(claim for claim in claims if claim[0].namespace and claim[1].kind in ("secret", "configmap", "serviceaccount"))
    about = {"apiVersion": consumer.api_version, "kind": consumer.kind, "namespace": consumer.namespace, "name": consumer.name}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"proof-{secrets.token_hex(3)}", "namespace": consumer.namespace},
        "involvedObject": about,
        "type": "Warning",
        "reason": "FailedMount",
        "message": f'{missing.kind} "{missing.name}" not found',
        "source": {"component": "plimsoll"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    }

    def probe() -> str:
        now = complaints_of(kubectl.list("events", selector=LABEL))
        return "; ".join(f"{item.complaint}, of which the proof says: {item.reason}" for item in refuted(platform.world, now))

    platform.red(
        "events -> record -> order proof", f"an event that {consumer.kind} {consumer.name} missed {missing} ({reason})", applied(kubectl, event), probe
    )


def test_nothing_began_before_its_time(platform: Platform, cluster: Cluster) -> None:
    record = record_of(platform)
    expect(WAITED, cluster.wanted.name, bool(record.steps), found="no Kustomization in the log of the controllers", expected="all of them")
    early = out_of_order(platform.world, record)
    expect(WAITED, cluster.wanted.name, not early, found="; ".join(early), expected="dependsOn kept")
    platform.notes += [f"time of component: {line}" for line in times(record)]
