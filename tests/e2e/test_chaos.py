"""Bad days: what docs/operations.md promises of them is what happens."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from harness.live.chaos import (
    WORKLOADS,
    Small,
    all_of,
    expired,
    nodes_of,
    opened,
    refused,
    restart,
    settle,
    unseal,
    volume_path,
    with_value,
    workloads_unready,
)
from harness.live.faults import maker, scaled, stopped, suspended
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ingress.entry import entry_of
from harness.live.ingress.load import Load
from harness.live.reach.forwards import Client
from harness.live.reach.wait import WaitError, wait
from harness.live.rules.chaos import HELD, KEPT, KILLED, RECOVERS
from harness.live.sync.readiness import KINDS, Key, Tree
from harness.live.sync.reconcile import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl

pytestmark = pytest.mark.proof(long=True)
#: Pods that control something and that no request goes through.
CONTROLLERS = {
    "flux-system": "",
    "cert-manager": "",
    "kyverno": "",
    "sealed-secrets": "",
    "vault-secrets-operator": "",
    "monitoring": "app=kube-prometheus-stack-operator",
    "metallb-system": "app.kubernetes.io/component=controller",
}


@pytest.mark.proof(breaks=("*",), seconds=1200)
def test_a_restarted_node_comes_back(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    entry = entry_of(platform)
    (node, *_others) = nodes_of(cluster)

    @contextmanager
    def restarting() -> Iterator[None]:
        restart(cluster, node)
        yield

    try:
        # Nothing answers while the ingress starts again, and what answers then is the platform without any hand but a keeper's.
        platform.red("node -> ingress", f"node {node} restarts", restarting(), entry.wrong, broken_within=30, mended_within=600, delay=2)
    finally:
        unseal(platform, 300)
    try:
        settle(platform, 600)
    except WaitError as error:
        expect(RECOVERS, f"Node/{node}", False, found=error.status, expected="everything ready, after Vault was unsealed")


@pytest.mark.proof(breaks=("*",), seconds=600)
def test_killed_controllers_are_no_outage(platform: Platform, kubectl: Kubectl) -> None:
    entry = entry_of(platform)
    killed = 0
    with Load(entry.wrong, pace=10) as load:
        for namespace, selector in CONTROLLERS.items():
            pods = [item["metadata"]["name"] for item in kubectl.list("pods", namespace=namespace, selector=selector)]
            killed += len(pods)
            if pods:
                kubectl("delete", "pods", *pods, f"--namespace={namespace}", "--grace-period=0", "--force", "--wait=false")
        short = workloads_unready(kubectl.list(*WORKLOADS))
        try:
            settle(platform, 400)
        except WaitError as error:
            expect(KILLED, platform.world.cluster.name, False, found=error.status, expected="every controller back")
    # The positive control: they were away.
    expect(KILLED, "controllers", bool(killed and short), found=f"{killed} pods killed, nothing was short of pods", expected="controllers that are away")
    expect(KILLED, entry.host, not load.failures, found=str(load), expected="no failed request")


@pytest.mark.proof(breaks=("flux",), seconds=400)
def test_an_unreachable_registry_changes_nothing(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    if platform.beside is None:
        raise NotEvaluatedError(platform.world.cluster.name, "unreachable registry", "this run has no registry beside the cluster")
    source = platform.world.cluster.source
    key = Key(source.kind, source.namespace, source.name)

    def asked() -> str:
        ask(kubectl, key)
        status = Tree(kubectl.list(*KINDS)).statuses[key]
        return "" if status.state == "ready" else f"{key}: {status.message or status.state}"

    container = platform.beside.host.rpartition(":")[0]
    before = {item["metadata"]["uid"] for item in kubectl.list(*WORKLOADS)}
    kept: list[str] = []

    def probe() -> str:
        text = asked()
        if text:
            # What Flux built of the last good artifact is there, and ready.
            there = Tree(item for item in kubectl.list(*KINDS) if item["kind"] == "Kustomization")
            kept[:] = [str(status) for status in there.unready if status.state == "failed"]
        return text

    platform.red(
        f"registry -> {key}", f"the nodes refuse connections to {container}", refused(cluster, container), probe, broken_within=120, mended_within=180, delay=5
    )
    expect(KEPT, str(key), not kept, found="; ".join(kept), expected="every Kustomization as it was")
    after = {item["metadata"]["uid"] for item in kubectl.list(*WORKLOADS)}
    expect(KEPT, platform.world.cluster.name, before <= after, found=f"{len(before - after)} workloads are gone", expected="every workload as it was")


@pytest.mark.proof(breaks=("ingress-nginx", "cert-manager"), uses=("tenant-a",), seconds=400)
def test_an_expired_certificate_is_renewed_once_cert_manager_is_back(platform: Platform, kubectl: Kubectl) -> None:
    entry = entry_of(platform)
    issuer = next((item for item in platform.world.of("ClusterIssuer.cert-manager.io") if item.get("spec", "ca", "secretName")), None)
    controller = platform.world.find("Deployment.apps", "cert-manager", "cert-manager")
    if issuer is None or controller is None:
        raise NotEvaluatedError(entry.host, "expired certificate", "no issuer of the cluster has an authority in a Secret")
    signer = opened(kubectl.json("get", "secret", str(issuer.get("spec", "ca", "secretName")), "--namespace=cert-manager"))
    there = opened(kubectl.json("get", "secret", entry.secret, f"--namespace={entry.namespace}"))
    over = expired(there["tls.crt"], signer["tls.crt"], signer["tls.key"], datetime.now(UTC))
    away = scaled(kubectl, "deployments.apps", controller.name, controller.namespace, suspending=maker(controller))
    value = with_value(platform, entry.namespace, entry.secret, {"tls.crt": over})
    platform.red(f"cert-manager -> {entry.host}", "cert-manager is away and the certificate ends", all_of(away, value), entry.wrong, mended_within=240)


@pytest.mark.proof(breaks=("loki",), seconds=600)
def test_a_full_log_volume_loses_nothing_that_was_accepted(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    name, space = "loki", "loki"
    made = platform.world.find("StatefulSet.apps", space, name)
    if made is None:
        raise NotEvaluatedError("Loki", "full volume", "this cluster has no StatefulSet loki")
    (node, *_others) = nodes_of(cluster)
    volume = Small(cluster, node, volume_path(platform, space, f"storage-{name}-0"))
    loki = Client(platform.forwards, "svc/loki", 3100, space)
    unique = f"plimsoll-{time.time_ns()}"

    def push(line: str) -> str:
        stream = {"stream": {"job": "plimsoll-proof", "run": unique}, "values": [[str(time.time_ns()), line]]}
        answer = loki.ask("/loki/api/v1/push", method="POST", headers={"Content-Type": "application/json"}, body=json.dumps({"streams": [stream]}).encode())
        return "" if answer.status == 204 else f"status {answer.status}: {answer.text[:200]}"

    def lines() -> list[str]:
        found = loki.json("/loki/api/v1/query_range", {"query": f'{{run="{unique}"}}', "since": "1h", "limit": "5000"})["data"]["result"]
        return sorted(value[1] for stream in found for value in stream["values"])

    accepted: list[str] = []

    def written() -> str:
        """Empty when what is accepted is also written ahead."""
        line = f"line {len(accepted)}"
        refused = push(line + " " + "x" * 200_000)
        if not refused:
            accepted.append(line)
        failures = [text for text in loki.ask("/metrics").text.splitlines() if text.startswith("loki_ingester_wal_disk_full_failures_total")]
        lost = float(failures[0].split()[-1]) if failures else 0.0
        seen, counted[0] = lost - counted[0], lost
        return refused or (f"{seen:g} writes ahead failed: the disk is full" if seen else "")

    counted = [0.0]

    @contextmanager
    def small() -> Iterator[None]:
        try:
            with stopped(kubectl, "statefulsets.apps", name, space):
                volume.shrink()
            yield
        finally:
            with stopped(kubectl, "statefulsets.apps", name, space):
                volume.restore()

    @contextmanager
    def full() -> Iterator[None]:
        volume.fill()
        try:
            yield
            answered = lines()
            expect(HELD, made, bool(answered), found="Loki answers with nothing", expected="what it accepted, while the volume is full")
        finally:
            volume.free()

    with suspended(kubectl, *maker(made)), small():
        platform.red("Loki -> its volume", "the volume is filled to the last byte", full(), written, broken_within=120, mended_within=120, delay=1)
    wait(lambda: len(lines()) >= len(accepted), what="every accepted line", status=lambda: f"{len(lines())} of {len(accepted)}", timeout=60)
    kept = {" ".join(line.split()[:2]) for line in lines()}
    missing = [line for line in accepted if line not in kept]
    expect(HELD, made, not missing, found=f"{len(missing)} of {len(accepted)} accepted lines are gone: {', '.join(missing[:5])}", expected="all of them")
