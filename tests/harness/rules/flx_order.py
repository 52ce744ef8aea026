"""Rules about dependsOn (FLX102, FLX103, FLX111, FLX114). The proof that a cluster comes up from empty is in :mod:`harness.rules.order`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, RESOURCE_SET
from harness.model import GroupKind, Link, Object, Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import KUSTOMIZATIONS, blind, entries, items, link, once, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World

FLX: Final = Registry()

_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"
_CRD: Final = "CustomResourceDefinition.apiextensions.k8s.io"

#: Kinds that are ready as soon as they are there, or that every apply waits for: nobody needs to wait for them.
_PASSIVE: Final = frozenset(
    {
        "ClusterRole.rbac.authorization.k8s.io",
        "ClusterRoleBinding.rbac.authorization.k8s.io",
        "ConfigMap",
        "IngressClass.networking.k8s.io",
        "LimitRange",
        "Namespace",
        "NetworkPolicy.networking.k8s.io",
        "PriorityClass.scheduling.k8s.io",
        "ResourceQuota",
        "Role.rbac.authorization.k8s.io",
        "RoleBinding.rbac.authorization.k8s.io",
        "RuntimeClass.node.k8s.io",
        "Secret",
        "ServiceAccount",
        "StorageClass.storage.k8s.io",
        _CRD,
    }
)


@once
def _cycles(world: World) -> dict[Link, tuple[Link, ...]]:
    """Each member of a dependsOn cycle with its cycle, turned so that it starts at the member."""
    found: dict[Link, tuple[Link, ...]] = {}
    for cycle in world.order.cycles():
        for index, node in enumerate(cycle):
            found.setdefault(node, cycle[index:] + cycle[:index])
    return found


@FLX.rule(
    "FLX102",
    title="every dependsOn names something the cluster has, and no chain of them leads back to its start",
    why=f"a missing dependency never becomes Ready, and the members of a cycle wait for each other for ever: none of them is applied ({_DOCS}, Dependencies)",
    fix="correct the name and namespace in dependsOn, or remove the entry that closes the circle",
    scope=Objects((KUSTOMIZATION, RESOURCE_SET)),
    controls=("NIST-CM-2",),
)
def dependencies_exist(item: Object, world: World) -> Iterator[Violation]:
    cycle = _cycles(world).get(link(item))
    for index, entry in entries(item.spec.get("dependsOn")):
        kind = text(entry.get("kind")) if item.kind == "ResourceSet" else item.kind
        target = Link(kind, text(entry.get("namespace")) or item.namespace, text(entry.get("name")))
        if not target.name:
            continue
        if target not in world.order.nodes:
            if not blind(world, target.namespace) and not _is_elsewhere(item, entry, target, world):
                yield violation(
                    item, "spec", "dependsOn", index, found=f"dependsOn {target}, which the cluster does not have", expect=f"a {kind} of the same cluster"
                )
        elif cycle is not None and target == cycle[1 % len(cycle)]:
            circle = " -> ".join(node.name for node in (*cycle, cycle[0]))
            yield violation(item, "spec", "dependsOn", index, found=f"dependsOn goes in a circle: {circle}", expect="an order with a beginning")


def _is_elsewhere(item: Object, entry: dict[str, object], target: Link, world: World) -> bool:
    """A ResourceSet may wait for objects of any kind (flux-operator, ResourceSet, dependsOn); cluster-scoped ones have no namespace."""
    if item.kind != "ResourceSet":
        return False
    if target.kind == "CustomResourceDefinition" and target.name.endswith((".toolkit.fluxcd.io", ".extensions.fluxcd.io", ".fluxcd.controlplane.io")):
        return True  # Flux and its operator bring theirs before they reconcile anything
    group = text(entry.get("apiVersion")).rpartition("/")[0]
    kind = str(GroupKind(group, target.kind))
    return any(world.find(kind, namespace, target.name) is not None for namespace in (text(entry.get("namespace")), target.namespace))


@once
def _dependents(world: World) -> dict[Link, list[str]]:
    """The Kustomizations that trust the built-in readiness of another one."""
    found: dict[Link, list[str]] = {}
    for item in world.of(KUSTOMIZATION):
        for _, entry in entries(item.spec.get("dependsOn")):
            if not entry.get("readyExpr"):
                found.setdefault(Link("Kustomization", text(entry.get("namespace")) or item.namespace, text(entry.get("name"))), []).append(item.name)
    return found


@FLX.rule(
    "FLX103",
    title="a Kustomization that others depend on waits for what it applies",
    why=(
        "without wait or healthChecks it is Ready as soon as its objects are accepted: its dependents start before its Pods, webhooks and "
        f"CRs work ({_DOCS}, Dependencies)"
    ),
    fix="set wait: true, or list in healthChecks what its dependents need",
    scope=Objects(KUSTOMIZATIONS),
    severity=Severity.WARNING,
    controls=("NIST-CM-2",),
)
def depended_on_waits(ks: Object, world: World) -> Iterator[Violation]:
    dependents = _dependents(world).get(link(ks))
    if not dependents or ks.spec.get("wait") is True or items(ks.spec.get("healthChecks")):
        return
    build = world.kustomizations.get((ks.namespace, ks.name))
    if build is not None and build.built and all(str(made.group_kind) in _PASSIVE for made in build.built):
        return
    found = f"{', '.join(sorted(set(dependents)))} depends on it, and it neither waits nor has healthChecks"
    yield violation(ks, "spec", "wait", found=found, expect="wait: true or healthChecks")


@FLX.rule(
    "FLX114",
    title="nothing depends on a suspended Kustomization or release",
    why=(
        "a suspended object is not reconciled: on a new cluster it has no Ready condition, and what depends on it is never applied "
        "(checkDependencies in both controllers)"
    ),
    fix="resume the dependency, or remove it from dependsOn",
    scope=Objects((KUSTOMIZATION, HELM_RELEASE)),
)
def dependency_is_not_suspended(item: Object, world: World) -> Iterator[Violation]:
    for index, entry in entries(item.spec.get("dependsOn")):
        target = world.order.nodes.get(Link(item.kind, text(entry.get("namespace")) or item.namespace, text(entry.get("name"))))
        if target is not None and target.spec.get("suspend") is True:
            yield violation(item, "spec", "dependsOn", index, found=f"dependsOn {target.name}, which is suspended", expect="a dependency that is reconciled")


# Deadlocks

_Step = tuple[str, Link]  # ("start" | "ready", node)


@once
def _deadlocks(world: World) -> dict[Link, tuple[_Step, ...]]:
    """Nodes whose readiness needs itself in a way that dependsOn alone does not show, with the circle.

    A node starts when its dependencies are ready and its applier has started; it is ready when it has started and, if it
    waits, when every node that it applies (or names in healthChecks) is ready.
    """
    order = world.order
    needs: dict[_Step, list[_Step]] = {}
    for node, item in order.nodes.items():
        start, ready = ("start", node), ("ready", node)
        needs[start] = [("ready", target) for target in order.dependencies(node) if target in order.nodes]
        needs.setdefault(ready, []).append(start)
        applier = item.applier
        if applier is not None and applier != node and applier in order.nodes:
            needs[start].append(("start", applier))
            if order.proves_ready(applier, item):
                needs.setdefault(("ready", applier), []).append(ready)
    return {node: circle for circle in _circles(needs) for kind, node in circle if kind == "start" and any(step == "ready" for step, _ in circle)}


def _circles(needs: dict[_Step, list[_Step]]) -> Iterator[tuple[_Step, ...]]:
    """The circles of a graph that a depth-first walk closes; every node of a circle leads back to itself."""
    state: dict[_Step, int] = {}
    for root in sorted(needs):
        if state.get(root):
            continue
        path, stack = [root], [iter(needs[root])]
        state[root] = 1
        while stack:
            target = next(stack[-1], None)
            if target is None:
                state[path.pop()] = 2
                stack.pop()
            elif not state.get(target):
                state[target] = 1
                path.append(target)
                stack.append(iter(needs.get(target, ())))
            elif state[target] == 1:
                yield tuple(path[path.index(target) :])


@FLX.rule(
    "FLX111",
    title="nothing waits for itself through its applier",
    why=(
        "a Kustomization with wait: true is ready when its children are; a child that depends on it (or on what waits for it) starts when it is ready: "
        f"neither ever is ({_DOCS}, Wait and Dependencies)"
    ),
    fix="remove the dependsOn on the applier (the applier comes first anyway), or set wait: false on it",
    scope=Objects((KUSTOMIZATION, HELM_RELEASE, RESOURCE_SET)),
    controls=("NIST-CM-2",),
)
def no_deadlock(item: Object, world: World) -> Iterator[Violation]:
    node = link(item)
    circle = _deadlocks(world).get(node)
    if circle is None or node in _cycles(world):
        return
    on_circle = {target for _, target in circle}
    for index, entry in entries(item.spec.get("dependsOn")):
        target = Link(item.kind, text(entry.get("namespace")) or item.namespace, text(entry.get("name")))
        if target in on_circle:
            found = f"{node.name} starts when {target.name} is ready, and {target.name} is ready only after {node.name} is"
            yield violation(item, "spec", "dependsOn", index, found=found, expect="no dependency on what waits for it")


RULES: Final = tuple(FLX.rules)
