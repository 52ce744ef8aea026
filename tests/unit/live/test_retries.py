"""Complaints held against the order proof of this repository's own kind cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness.flux.workspace import Options, Workspace
from harness.live.sync.record import Complaint, Record, Step
from harness.live.sync.retries import Missing, claimed, consumer_of, missing_of, out_of_order, refuted, times

if TYPE_CHECKING:
    from harness.flux.world import World

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def world() -> World:
    workspace = Workspace(ROOT, Options(clusters=("kind",)))
    return workspace.world(workspace.selected[0])


def complaint(kind: str, namespace: str, name: str, message: str) -> Complaint:
    return Complaint(kind, namespace, name, "FailedMount", message, "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        ('MountVolume.SetUp failed for volume "x" : secret "web-tls" not found', [Missing("secret", "apps", "web-tls")]),
        ('secrets "web" not found; configmaps "more" not found', [Missing("secret", "apps", "web"), Missing("configmap", "apps", "more")]),
        ('OCIRepository.source.toolkit.fluxcd.io "web" not found', [Missing("ocirepository", "apps", "web")]),
        ('namespaces "other" not found', [Missing("namespace", "apps", "other")]),
        ('no matches for kind "Certificate" in version "cert-manager.io/v1"', [Missing("definition", "cert-manager.io", "Certificate")]),
        ('failed calling webhook "mutate.x.svc-fail": no endpoints', [Missing("webhook", "", "mutate.x.svc-fail")]),
        ('Secret "other/web" not found', [Missing("secret", "other", "web")]),
        ("dependency 'flux-system/x' is not ready", []),
        ("timeout waiting for: [HelmRelease/x/y status: 'InProgress']", []),
    ],
)
def test_what_is_missing(message: str, missing: list[Missing]) -> None:
    assert missing_of(complaint("Pod", "apps", "web-1", message)) == missing


def test_whom_a_complaint_is_about(world: World) -> None:
    speaker = consumer_of(world, complaint("Pod", "metallb-system", "metallb-speaker-9br9s", ""))
    assert speaker is not None
    assert (speaker.kind, speaker.name) == ("DaemonSet", "metallb-speaker")
    issuer = consumer_of(world, complaint("ClusterIssuer", "default", "platform-ca", ""))
    assert issuer is not None
    assert issuer.name == "platform-ca"
    assert consumer_of(world, complaint("Pod", "kube-system", "coredns-1", "")) is None
    assert consumer_of(world, complaint("Kustomization", "default", "loki", "")) is None


def test_what_comes_in_the_same_go_may_be_tried_again(world: World) -> None:
    said = complaint("HelmRelease", "monitoring", "kube-prometheus-stack", 'OCIRepository.source.toolkit.fluxcd.io "kube-prometheus-stack" not found')
    member = complaint("Pod", "metallb-system", "metallb-speaker-9br9s", 'secret "metallb-memberlist" not found')
    assert refuted(world, [said, member]) == []


def test_what_was_said_to_be_there_may_not(world: World) -> None:
    late = complaint("Kustomization", "flux-system", "cert-manager-vault", 'no matches for kind "ClusterIssuer" in version "cert-manager.io/v1"')
    found = refuted(world, [late])
    assert [(item.consumer.name, str(item.missing), item.producer.kind) for item in found] == [
        ("cert-manager-vault", "definition cert-manager.io/ClusterIssuer", "CustomResourceDefinition")
    ]
    assert found[0].complaint is late


def test_the_proof_makes_claims(world: World) -> None:
    claims = claimed(world)
    assert len(claims) > 200
    assert {claim[1].kind for claim in claims} >= {"secret", "definition", "serviceaccount"}


def steps(**ready: str) -> Record:
    return Record("uid", steps={f"flux-system/{name.replace('_', '-')}": Step("2026-01-01T00:00:00Z", *times.split()) for name, times in ready.items()})


EARLY, LATE, LAST = "2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z", "2026-01-01T00:00:30Z"


def test_dependencies_kept_and_broken(world: World) -> None:
    kept = steps(kyverno=f"{EARLY} {LATE}", kyverno_config=f"{LAST} {LAST}", prometheus_operator_crds=f"{EARLY} {EARLY}", cluster_baseline=f"{EARLY} {EARLY}")
    assert [line for line in out_of_order(world, kept) if "kyverno-config began" in line] == []
    broken = steps(kyverno=f"{EARLY} {LAST}", kyverno_config=f"{LATE} {LAST}", prometheus_operator_crds=f"{EARLY} {EARLY}")
    assert f"flux-system/kyverno-config began at {LATE}, flux-system/kyverno was ready at {LAST}" in out_of_order(world, broken)
    never = steps(kyverno_config=f"{LATE} {LAST}")
    assert any(line.endswith("flux-system/kyverno was ready at no time") for line in out_of_order(world, never))


def test_times_name_the_slowest_first() -> None:
    record = steps(fast=f"{EARLY} {LATE}", slow=f"{EARLY} {LAST}", never=EARLY)
    assert times(record) == [
        "flux-system/slow: 20 s, after 10 s of waiting for others",
        "flux-system/fast: 10 s, after 10 s of waiting for others",
    ]
