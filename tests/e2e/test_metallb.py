"""MetalLB: addresses of the pools in Git, found on the network at the node that announces them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.live.faults import deleted, maker, patched
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ingress.announced import announcer, misplaced, pools_of, unannounced
from harness.live.ingress.edge import Edge, load_balancers
from harness.live.reach.outside import hardware, outside
from harness.live.reach.wait import Waiter, WaitError
from harness.live.rules.ingress import ANNOUNCED, FAILS_OVER, POOLED

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Object

pytestmark = pytest.mark.proof(uses=("metallb", "metallb-config", "ingress-nginx"))

ADVERTISEMENT = "L2Advertisement.metallb.io"
#: A node with this label announces nothing.
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
#: Seconds in which another node must have taken over.
TAKEOVER = 15


def services(world: World) -> dict[str, Object]:
    return {f"{item.namespace}/{item.name}": item for item in load_balancers(world)}


def node_addresses(cluster: Cluster, kubectl: Kubectl) -> dict[str, str]:
    return {node["metadata"]["name"]: hardware(cluster, node["metadata"]["name"]) for node in kubectl.list("nodes")}


@pytest.mark.each(service=services)
def test_address_is_of_the_pool_in_git(platform: Platform, kubectl: Kubectl, service: Object) -> None:
    found = misplaced(kubectl, platform.world, service)
    expect(POOLED, service, not found, found=found, expected="an address of a pool whose serviceAllocation names the namespace")


@pytest.mark.proof(breaks=("metallb-config", "ingress-nginx"))
def test_lost_address_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    service = Edge.of(platform).service
    pool = next(iter(pools_of(platform.world, service.namespace)), None)
    if pool is None:
        raise NotEvaluatedError(str(service.id), "red proof", "no pool in Git gives its namespace an address")
    elsewhere = {"spec": {"serviceAllocation": {"namespaces": ["nobody"]}}}
    platform.red(
        f"{service.name} -> IPAddressPool {pool.name}",
        "the pool is another namespace's",
        patched(kubectl, "ipaddresspools.metallb.io", pool.name, pool.namespace, elsewhere, suspending=maker(pool)),
        lambda: misplaced(kubectl, platform.world, service),
    )


@pytest.mark.proof(breaks=("metallb-config", "ingress-nginx"))
def test_address_is_announced(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    service = Edge.of(platform).service
    advertisements = platform.world.of(ADVERTISEMENT)
    expect(ANNOUNCED, service, len(advertisements) == 1, found=f"{len(advertisements)} L2Advertisements in Git", expected="the one that is broken here")
    with outside(cluster) as machine:
        nodes = node_addresses(cluster, kubectl)
        item = advertisements[0]
        platform.red(
            f"{service.name} -> L2Advertisement {item.name}",
            "the L2Advertisement is deleted",
            deleted(kubectl, "l2advertisements.metallb.io", item.name, item.namespace, suspending=maker(item)),
            lambda: unannounced(machine, kubectl, service, nodes),
        )
        found = unannounced(machine, kubectl, service, nodes)
    expect(ANNOUNCED, service, not found, found=found, expected="the announcing node's hardware address, and an answer behind it")


@pytest.mark.proof(breaks=("metallb", "ingress-nginx"), seconds=400)
def test_another_node_takes_over(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    service = Edge.of(platform).service
    excluded = {node["metadata"]["name"] for node in kubectl.list("nodes") if EXCLUDED in (node["metadata"].get("labels") or {})}
    able = [node["metadata"]["name"] for node in kubectl.list("nodes") if node["metadata"]["name"] not in excluded]
    if len(able) < 2:
        raise NotEvaluatedError(str(service.id), "fail-over of the announcing node", f"{len(able)} node may announce addresses (--workers 2 makes more)")
    workload = next(item for item in platform.world.of("Deployment.apps") if item.namespace == service.namespace)
    with (
        outside(cluster) as machine,
        patched(kubectl, "deployments.apps", workload.name, workload.namespace, {"spec": {"replicas": len(able)}}, suspending=maker(workload)),
    ):
        nodes = node_addresses(cluster, kubectl)

        def pods() -> int:
            body = kubectl.json("get", "deployments.apps", workload.name, f"--namespace={workload.namespace}")
            return int(body["status"].get("readyReplicas") or 0)

        status: Waiter[int] = Waiter(pods)
        status.wait(lambda ready: ready == len(able), successes=1, timeout=120, what=f"{len(able)} pods of {workload.name}")
        before = announcer(kubectl, service)
        with patched(kubectl, "nodes", before, "", {"metadata": {"labels": {EXCLUDED: "true"}}}):
            look: Waiter[str] = Waiter(lambda: announcer(kubectl, service) if not unannounced(machine, kubectl, service, nodes) else "")
            try:
                after = look.wait(lambda node: node not in ("", before), successes=1, timeout=TAKEOVER)
            except WaitError as error:
                after = error.status
        expect(
            FAILS_OVER,
            service,
            after in nodes and after != before,
            found=f"{before} is out of service, {after or 'nobody'} announces",
            expected=f"another of {', '.join(able)} within {TAKEOVER} s",
        )
