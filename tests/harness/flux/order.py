"""The order in which a cluster comes up from empty: who waits for whom, and what that proves.

The facts behind it:

* kustomize-controller reconciles a Kustomization only when every ``dependsOn`` target is Ready. Ready means applied, and, with
  ``spec.wait`` or ``spec.healthChecks``, that all (or those) objects are healthy (docs/spec/v1/kustomizations.md, "Dependencies", "Wait", "Health checks").
* Within one apply it stages: CustomResourceDefinitions, Namespaces and other cluster definitions go first and are waited for
  (fluxcd/pkg/ssa, ``ApplyAllStaged``).
* helm-controller honours ``dependsOn`` among HelmReleases in the same way; Helm applies a chart's ``crds/`` before its templates.
* An object exists no earlier than the Kustomization or HelmRelease that applies it, so it inherits what that one waits for.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, RESOURCE_SET
from harness.model import Link, Object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World

#: Kinds that ``ApplyAllStaged`` applies and waits for before anything else of the same Kustomization.
_STAGED: Final = frozenset(
    {
        "CustomResourceDefinition.apiextensions.k8s.io",
        "Namespace",
        "ClusterRole.rbac.authorization.k8s.io",
        "StorageClass.storage.k8s.io",
        "IngressClass.networking.k8s.io",
        "PriorityClass.scheduling.k8s.io",
        "RuntimeClass.node.k8s.io",
        "GatewayClass.gateway.networking.k8s.io",
    }
)

_KIND_OF: Final = {"Kustomization": KUSTOMIZATION, "HelmRelease": HELM_RELEASE, "ResourceSet": RESOURCE_SET}


class Proof(NamedTuple):
    """Whether one object is proven to be there before another, and why (or why not)."""

    holds: bool
    reason: str


class Order:
    """The order of one World. Nodes are links: a kind, namespace and name of a Kustomization, HelmRelease or ResourceSet."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waits: dict[Link, frozenset[Link]] = {}

    @cached_property
    def nodes(self) -> dict[Link, Object]:
        """Every applier of the cluster."""
        return {link_of(item): item for kind in _KIND_OF.values() for item in self._world.of(kind)}

    @cached_property
    def bootstrapped(self) -> frozenset[Link]:
        """The appliers of kustomize-controller itself, or of the operator that installs it: without what they hold, nothing would reconcile at all."""
        controllers = (item for item in self._world.of("Deployment.apps") if item.name in {"kustomize-controller", "flux-operator"})
        return frozenset(item.applier for item in controllers if item.applier is not None)

    def dependencies(self, node: Link) -> tuple[Link, ...]:
        """What a node names in ``dependsOn``, in its own words; targets may be missing."""
        item = self.nodes.get(node)
        return tuple(_targets(item)) if item else ()

    def missing(self) -> list[tuple[Link, Link]]:
        """Every ``dependsOn`` whose target the cluster does not have: (node, target)."""
        return [(node, target) for node in sorted(self.nodes) for target in self.dependencies(node) if target not in self.nodes]

    def cycles(self) -> list[tuple[Link, ...]]:
        """The ``dependsOn`` cycles, each once, starting at its smallest member. Nodes of a cycle never become ready."""
        found: set[tuple[Link, ...]] = set()
        state: dict[Link, int] = {}
        for start in sorted(self.nodes):
            path: list[Link] = []
            stack: list[tuple[Link, Iterator[Link]]] = []
            if state.get(start):
                continue
            state[start] = 1
            path.append(start)
            stack.append((start, iter(self.dependencies(start))))
            while stack:
                node, remaining = stack[-1]
                target = next(remaining, None)
                if target is None:
                    state[node] = 2
                    path.pop()
                    stack.pop()
                elif target in self.nodes and not state.get(target):
                    state[target] = 1
                    path.append(target)
                    stack.append((target, iter(self.dependencies(target))))
                elif state.get(target) == 1:
                    cycle = path[path.index(target) :]
                    first = cycle.index(min(cycle))
                    found.add(tuple(cycle[first:] + cycle[:first]))
        return sorted(found)

    def waits_for(self, node: Link) -> frozenset[Link]:
        """Everything that must be ready before a node starts: its transitive ``dependsOn`` and that of every applier above it."""
        if node not in self._waits:
            seen: set[Link] = set()
            frontier = [node]
            expanded: set[Link] = set()
            while frontier:
                current = frontier.pop()
                if current in expanded:
                    continue
                expanded.add(current)
                targets = [target for target in self.dependencies(current) if target in self.nodes]
                seen.update(targets)
                frontier += targets
                item = self.nodes.get(current)
                if item is not None and item.applier is not None and item.applier != current:
                    frontier.append(item.applier)
            self._waits[node] = frozenset(seen)
        return self._waits[node]

    def proves_ready(self, node: Link, item: Object) -> bool:
        """Whether the readiness of an applier implies that one of its objects is ready."""
        applier = self.nodes.get(node)
        if applier is None or item.applier != node:
            return False
        if node.kind == "HelmRelease":
            # Helm waits for its resources unless told otherwise; hooks and CRDs are done before that.
            return not (applier.get("spec", "install", "disableWait") or applier.get("spec", "upgrade", "disableWait"))
        if node.kind == "ResourceSet":
            return bool(applier.get("spec", "wait"))
        if applier.get("spec", "wait") is True:
            return True
        checks = applier.get("spec", "healthChecks", default=[])
        return any(
            isinstance(check, dict)
            and check.get("kind") == item.kind
            and check.get("name") == item.name
            and (check.get("namespace") or "") == item.namespace
            and str(check.get("apiVersion", "")).rpartition("/")[0] == item.group
            for check in (checks if isinstance(checks, list) else [])
        )

    def available_before(self, producer: Object, consumer: Object) -> Proof:
        """Whether ``producer`` is proven applied and ready before ``consumer`` is applied, on a cluster that comes up from empty."""
        if producer.id == consumer.id:
            return Proof(True, "it is the same object")
        above = _appliers(consumer)
        made_by = producer.applier
        if made_by is None:
            return Proof(True, "bootstrap applies it by hand")
        if made_by in self.bootstrapped and made_by != consumer.applier:
            return Proof(True, f"bootstrap applies what {made_by} holds, before Flux reconciles anything")
        if made_by == consumer.applier:
            return self._within(producer, made_by)
        if made_by in above:
            return self._from_above(producer, consumer, made_by)
        return self._across(producer, consumer, made_by)

    def _within(self, producer: Object, applier: Link) -> Proof:
        if applier.kind in {"Kustomization", "ResourceSet"}:
            # kustomize-controller and flux-operator both apply with ApplyAllStaged.
            if str(producer.group_kind) in _STAGED:
                return Proof(True, f"{applier} applies it in an earlier stage")
            return Proof(False, f"{applier} applies both in one stage")
        if applier.kind == "HelmRelease" and str(producer.group_kind) in _STAGED:
            return Proof(True, f"Helm installs it first in {applier}")
        if applier.kind == "HelmRelease":
            return Proof(True, f"Helm installs both in {applier}")
        return Proof(False, f"{applier} applies both at once")

    def _from_above(self, producer: Object, consumer: Object, applier: Link) -> Proof:
        """The producer is applied by a Kustomization further up; the consumer by something that one applies in the same go."""
        if str(producer.group_kind) in _STAGED:
            return Proof(True, f"{applier} applies it before what leads to {consumer.kind} {consumer.name}")
        if self._world.find(_KIND_OF.get(producer.kind, ""), producer.namespace, producer.name) is producer and link_of(producer) in _appliers(consumer):
            return Proof(True, "it is what applies it")
        return Proof(True, f"{applier} applies it in the same go as what leads to {consumer.kind} {consumer.name}, without a need for readiness")

    def _across(self, producer: Object, consumer: Object, made_by: Link) -> Proof:
        waits = frozenset().union(*(self.waits_for(node) for node in _appliers(consumer)))
        # Climb from the producer: whichever applier on its chain the consumer waits for must vouch for the link below it.
        item: Object = producer
        node: Link | None = made_by
        while node is not None:
            vouched = self.proves_ready(node, item) or (str(item.group_kind) in _STAGED and node in waits)
            if node in waits and vouched:
                return Proof(True, f"it waits for {node}")
            if node in waits:
                return Proof(False, f"it depends on {node}, which does not wait for {item.kind} {item.name}")
            if not vouched:
                return Proof(False, f"nothing waits for {item.kind} {item.name}: {node} does not, and is not depended on")
            upper = self.nodes.get(node)
            if upper is None or upper.applier is None or upper.applier == node:
                break
            item, node = upper, upper.applier
        return Proof(False, f"nothing it depends on leads to {made_by}")


def link_of(item: Object) -> Link:
    """An applier as a node of the order."""
    return Link(item.kind, item.namespace, item.name)


def _appliers(item: Object) -> tuple[Link, ...]:
    """Everything that leads to an object, nearest first."""
    return tuple(reversed(item.origin.chain))


def _targets(item: Object) -> Iterator[Link]:
    """The ``dependsOn`` of an applier. Kustomizations and HelmReleases name their own kind; a ResourceSet names kinds."""
    entries = item.get("spec", "dependsOn", default=[])
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not entry.get("name"):
            continue
        kind = str(entry.get("kind") or item.kind) if item.kind == "ResourceSet" else item.kind
        yield Link(kind, str(entry.get("namespace") or item.namespace), str(entry["name"]))
