"""Addresses of LoadBalancers: whose pool, which node, and what the network sees."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from harness.flux.world import World
from harness.live.findings import NotEvaluatedError
from harness.live.ground.cluster import Cluster, Wanted
from harness.live.ground.cluster import Programs as Tools
from harness.live.ingress.announced import announcer, holds, misplaced, pools_of, unannounced
from harness.live.ingress.edge import load_balancers
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.outside import Outside, hardware, outside
from harness.live.reach.run import RunError
from harness.source.repository import Repository

from .fakes import Programs

if TYPE_CHECKING:
    from harness.model import Object

KC = ("kubectl", "--kubeconfig=/k")
MANIFESTS = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: apps}
spec: {type: LoadBalancer}
---
apiVersion: v1
kind: Service
metadata: {name: inner, namespace: apps}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: apps, namespace: metallb-system}
spec: {serviceAllocation: {namespaces: [apps]}}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: others, namespace: metallb-system}
spec: {serviceAllocation: {namespaces: [others]}}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: open, namespace: metallb-system}
spec: {}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "all.yaml").write_text(MANIFESTS)
    repository = Repository(tmp_path)
    return World.of_documents(repository, "test", repository.documents("all.yaml"), today=date(2026, 11, 28))


@pytest.fixture
def service(world: World) -> Object:
    (found,) = load_balancers(world)
    return found


def test_pools_by_namespace(world: World) -> None:
    assert [pool.name for pool in pools_of(world, "apps")] == ["apps", "open"]
    assert [pool.name for pool in pools_of(world, "elsewhere")] == ["open"]


@pytest.mark.parametrize(
    ("ranges", "inside"),
    [(["192.0.2.8-192.0.2.10"], True), (["192.0.2.10-192.0.2.20"], False), (["192.0.2.0/28"], True), (["2001:db8::1-2001:db8::9"], False), ([], False)],
)
def test_ranges(ranges: list[str], inside: bool) -> None:
    assert holds({"spec": {"addresses": ranges}}, "192.0.2.9") is inside


def cluster_with(service: dict[str, Any], pools: list[dict[str, Any]] | None = None, status: list[dict[str, Any]] | None = None) -> Kubectl:
    programs = Programs().on(*KC, "get", "services", "web", "--namespace=apps", "--output=json", says=service)
    programs.on(*KC, "get", "ipaddresspools.metallb.io", "--all-namespaces", "--output=json", says={"items": pools or []})
    programs.on(*KC, "get", "servicel2statuses.metallb.io", "--all-namespaces", "--output=json", says={"items": status or []})
    return Kubectl("kubectl", Path("/k"), runner=programs)


def at(*addresses: str) -> dict[str, Any]:
    return {"status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}}


def pool(name: str, *ranges: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"addresses": list(ranges)}}


def test_an_address_is_of_a_pool_of_the_namespace(world: World, service: Object) -> None:
    pools = [pool("apps", "192.0.2.0/28"), pool("others", "192.0.2.128/28")]
    assert misplaced(cluster_with(at("192.0.2.1"), pools), world, service) == ""
    assert misplaced(cluster_with(at(), pools), world, service) == "it has no address"
    assert misplaced(cluster_with(at("192.0.2.1", "192.0.2.129"), pools), world, service) == "it has 192.0.2.129, of none of the pools apps, open"


@dataclass
class Machine:
    """A machine beside the cluster that sees what it is told."""

    seen: str = "02:42:00:00:00:01"
    says: str = "308"
    asked: list[str] = field(default_factory=list)

    def neighbour(self, address: str) -> str:
        self.asked.append(address)
        return self.seen

    def ask(self, _address: str) -> str:
        return self.says


STATUS = [{"status": {"node": "two", "serviceName": "web", "serviceNamespace": "apps"}}, {"status": {}}]
NODES = {"one": "02:42:00:00:00:02", "two": "02:42:00:00:00:01"}


@pytest.mark.parametrize(
    ("machine", "status", "said"),
    [
        (Machine(), STATUS, ""),
        (Machine(seen=""), STATUS, "nobody on the network answers for 192.0.2.1"),
        (Machine(seen="02:42:00:00:00:02"), STATUS, "192.0.2.1 is found at one, MetalLB says that two announces it"),
        (Machine(seen="02:42:00:00:00:99"), [], "192.0.2.1 is found at a stranger (02:42:00:00:00:99), MetalLB says that no node announces it"),
        (Machine(says="000"), STATUS, "192.0.2.1 at two: 000"),
        (Machine(says="curl: (7) refused"), STATUS, "192.0.2.1 at two: curl: (7) refused"),
    ],
)
def test_what_the_network_sees(service: Object, machine: Machine, status: list[dict[str, Any]], said: str) -> None:
    assert unannounced(cast("Outside", machine), cluster_with(at("192.0.2.1"), status=status), service, NODES) == said
    assert machine.asked == ["192.0.2.1"]


def test_no_address_is_not_asked_for(service: Object) -> None:
    machine = Machine()
    assert unannounced(cast("Outside", machine), cluster_with(at()), service, NODES) == "the Service has no address"
    assert announcer(cluster_with(at()), service) == ""
    assert machine.asked == []


def kind(programs: Programs, kubeconfig: Path | None = None) -> Cluster:
    return Cluster(Wanted("one", kubeconfig=kubeconfig), Tools("kind", "kubectl", "docker"), Path("/nowhere"), programs)


def test_a_machine_beside_the_cluster_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _count: "ab")
    programs = Programs().on("docker", "inspect", "--format={{.Image}}", "one-control-plane", says="sha256:1\n")
    options = ("--detach", "--rm", "--name=one-outside-ab", "--network=kind", "--cap-add=NET_ADMIN", "--entrypoint=sleep")
    programs.on("docker", "run", *options, "sha256:1", "900").on("docker", "rm", "--force", "one-outside-ab")
    inside = ("docker", "exec", "one-outside-ab")
    programs.on(*inside, "ip", "neigh", "flush", "dev", "eth0")
    command = ("curl", "--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "3", "http://192.0.2.1/")
    programs.on(*inside, *command, says="308").on(*inside, *command, fails="curl: (7) No route to host")
    programs.on(*inside, "ip", "-json", "neigh", "show", "192.0.2.1", says=json.dumps([{"dst": "192.0.2.1", "lladdr": "02:42:AC:00:00:01"}]))
    programs.on(*inside, "ip", "-json", "neigh", "show", "192.0.2.1", says="[]")
    with outside(kind(programs)) as machine:
        assert machine.neighbour("192.0.2.1") == "02:42:ac:00:00:01"
        assert machine.neighbour("192.0.2.1") == ""
        assert machine.ask("192.0.2.1") == "curl: (7) No route to host"
    assert programs.asked[-1] == ("docker", "rm", "--force", "one-outside-ab")


def test_a_foreign_network_is_not_joined() -> None:
    programs = Programs().on("kubectl", "--kubeconfig=/k", "config", "current-context", says="production\n")
    with pytest.raises(NotEvaluatedError, match="its network cannot be joined from here"), outside(kind(programs, Path("/k"))):
        pass


def test_the_hardware_address_of_a_node() -> None:
    programs = Programs().on("docker", "exec", "one", "cat", "/sys/class/net/eth0/address", says="02:42:AC:00:00:01\n")
    assert hardware(kind(programs), "one") == "02:42:ac:00:00:01"
    with pytest.raises(RunError):
        hardware(kind(Programs().on("docker", "exec", "one", "cat", "/sys/class/net/eth0/address", fails="gone")), "one")
