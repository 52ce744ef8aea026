"""What dependsOn, wait and staging prove about who is there before whom."""

from __future__ import annotations

from itertools import pairwise, permutations
from types import SimpleNamespace
from typing import Any

import pytest
from harness.flux.order import Order
from harness.model import Link, Location, Object, ObjectId, Origin, fixed
from hypothesis import given
from hypothesis import strategies as st

GROUPS = {
    "Deployment": "apps",
    "Kustomization": "kustomize.toolkit.fluxcd.io",
    "HelmRelease": "helm.toolkit.fluxcd.io",
    "CustomResourceDefinition": "apiextensions.k8s.io",
}


def make(kind: str, name: str, chain: tuple[Link, ...] = (), **spec: Any) -> Object:
    group = GROUPS.get(kind, "")
    cluster_scoped = kind in {"Namespace", "CustomResourceDefinition"}
    body = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return Object(ObjectId("test", group, kind, "" if cluster_scoped else "ns", name), body, Origin(fixed(Location("x.yaml", 1)), chain))


def ks(name: str) -> Link:
    return Link("Kustomization", "ns", name)


def hr(name: str) -> Link:
    return Link("HelmRelease", "ns", name)


def depends(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


class FakeWorld(SimpleNamespace):
    """Just what an order asks of a world."""

    def __init__(self, *objects: Object) -> None:
        super().__init__(objects=objects)

    def of(self, *kinds: str) -> tuple[Object, ...]:
        return tuple(item for item in self.objects if str(item.group_kind) in kinds)

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        return next((item for item in self.of(kind) if (item.namespace, item.name) == (namespace, name)), None)


def order_of(*objects: Object) -> Order:
    return Order(FakeWorld(*objects))  # type: ignore[arg-type]


def test_missing_targets_are_named_with_who_wants_them() -> None:
    order = order_of(
        make("Kustomization", "apps", dependsOn=depends("infra")), make("Kustomization", "other", dependsOn=[{"name": "apps", "namespace": "else"}])
    )
    assert order.missing() == [(ks("apps"), ks("infra")), (ks("other"), Link("Kustomization", "else", "apps"))]


def test_cycle_is_reported_once_from_its_smallest_member() -> None:
    order = order_of(
        make("Kustomization", "c", dependsOn=depends("a")),
        make("Kustomization", "a", dependsOn=depends("b")),
        make("Kustomization", "b", dependsOn=depends("c")),
        make("Kustomization", "self", dependsOn=depends("self")),
    )
    assert order.cycles() == [(ks("a"), ks("b"), ks("c")), (ks("self"),)]


def test_release_starts_after_what_its_kustomization_depends_on() -> None:
    crds = make("Kustomization", "crds", wait=True)
    crd = make("CustomResourceDefinition", "monitors", (ks("crds"),))
    apps = make("Kustomization", "apps", dependsOn=depends("crds"))
    release = make("HelmRelease", "web", (ks("apps"),))
    monitor = make("ServiceMonitor", "web", (ks("apps"), hr("web")))
    order = order_of(crds, crd, apps, release, monitor)
    assert order.available_before(crd, monitor) == (True, "it waits for Kustomization/ns/crds")


@pytest.mark.parametrize(
    ("spec", "holds"),
    [
        ({"wait": True}, True),
        ({}, False),
        ({"wait": False}, False),
        ({"healthChecks": [{"apiVersion": "v1", "kind": "Pod", "name": "db", "namespace": "ns"}]}, True),
        ({"healthChecks": [{"apiVersion": "apps/v1", "kind": "Pod", "name": "db", "namespace": "ns"}]}, False),
        ({"healthChecks": [{"apiVersion": "v1", "kind": "Pod", "name": "other", "namespace": "ns"}]}, False),
    ],
)
def test_dependency_must_wait_for_the_object(spec: dict[str, Any], holds: bool) -> None:
    base = make("Kustomization", "base", **spec)
    pod = make("Pod", "db", (ks("base"),))
    apps = make("Kustomization", "apps", dependsOn=depends("base"))
    user = make("Pod", "web", (ks("apps"),))
    proof = order_of(base, pod, apps, user).available_before(pod, user)
    assert proof.holds is holds
    if not holds:
        assert proof.reason == "it depends on Kustomization/ns/base, which does not wait for Pod db"


def test_objects_of_a_release_are_vouched_for_through_its_kustomization() -> None:
    base = make("Kustomization", "base", wait=True)
    release = make("HelmRelease", "operator", (ks("base"),))
    crd = make("CustomResourceDefinition", "things", (ks("base"), hr("operator")))
    same = make("Thing", "early", (ks("base"),))
    config = make("Kustomization", "config", dependsOn=depends("base"))
    later = make("Thing", "late", (ks("config"),))
    order = order_of(base, release, crd, same, config, later)
    assert order.available_before(crd, later).holds
    assert not order.available_before(crd, same).holds


def test_release_that_does_not_wait_vouches_for_nothing() -> None:
    base = make("Kustomization", "base", wait=True)
    release = make("HelmRelease", "vault", (ks("base"),), install={"disableWait": True})
    pod = make("Pod", "vault", (ks("base"), hr("vault")))
    config = make("Kustomization", "config", dependsOn=depends("base"))
    user = make("Job", "configure", (ks("config"),))
    assert not order_of(base, release, pod, config, user).available_before(pod, user).holds


def test_one_kustomization_stages_definitions_before_the_rest() -> None:
    applier = make("Kustomization", "all", wait=True)
    crd = make("CustomResourceDefinition", "things", (ks("all"),))
    thing = make("Thing", "x", (ks("all"),))
    order = order_of(applier, crd, thing)
    assert order.available_before(crd, thing).holds
    assert not order.available_before(thing, crd).holds


def test_independent_kustomizations_prove_nothing() -> None:
    one, two = make("Kustomization", "one", wait=True), make("Kustomization", "two", wait=True)
    namespace = make("Namespace", "shared", (ks("one"),))
    pod = make("Pod", "p", (ks("two"),))
    assert order_of(one, two, namespace, pod).available_before(namespace, pod) == (False, "nothing it depends on leads to Kustomization/ns/one")


def test_what_holds_the_controller_is_there_before_anything_reconciles() -> None:
    flux = make("Kustomization", "flux")
    controller = make("Deployment", "kustomize-controller", (ks("flux"),))
    account = make("ServiceAccount", "kustomize-controller", (ks("flux"),))
    apps = make("Kustomization", "apps")
    order = order_of(flux, controller, account, apps)
    assert order.available_before(account, apps).reason.startswith("bootstrap applies")
    assert not order.available_before(account, controller).holds


NAMES = "abcde"
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), min_size=1)


@given(GRAPHS)
def test_waits_for_is_the_reachability_of_an_independent_search(graph: dict[str, set[str]]) -> None:
    order = order_of(*(make("Kustomization", name, dependsOn=depends(*sorted(targets))) for name, targets in graph.items()))
    for name in graph:
        reachable: set[str] = set()
        for length in range(1, len(NAMES) + 1):
            for path in permutations(sorted(graph), length):
                steps = (name, *path)
                if all(after in graph[before] for before, after in pairwise(steps)):
                    reachable.add(path[-1])
        assert order.waits_for(ks(name)) == frozenset(ks(each) for each in reachable)


@given(GRAPHS)
def test_a_cycle_is_found_exactly_when_some_node_waits_for_itself(graph: dict[str, set[str]]) -> None:
    order = order_of(*(make("Kustomization", name, dependsOn=depends(*sorted(targets))) for name, targets in graph.items()))
    loops = {name for name in graph if ks(name) in order.waits_for(ks(name))}
    assert bool(order.cycles()) == bool(loops)
    assert {node.name for cycle in order.cycles() for node in cycle} <= loops
