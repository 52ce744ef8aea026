"""The bootstrap proof for what the API server itself demands: a definition before its objects, a namespace before what is in it (FLX106, FLX2xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION
from harness.model import GroupKind, Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import text
from harness.rules.order_makers import may_be_elsewhere
from harness.rules.order_proof import before, missing_edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object

FLX: Final = Registry()

_CRD: Final = "CustomResourceDefinition.apiextensions.k8s.io"
_GIVEN: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
#: The API server's own groups that end in k8s.io; every other one belongs to an add-on with CRDs.
_OWN_GROUPS: Final = frozenset(
    f"{name}.k8s.io"
    for name in (
        "admissionregistration",
        "apiextensions",
        "apiregistration",
        "auditregistration",
        "authentication",
        "authorization",
        "certificates",
        "coordination",
        "discovery",
        "events",
        "flowcontrol.apiserver",
        "internal.apiserver",
        "metrics",
        "networking",
        "node",
        "rbac.authorization",
        "resource",
        "scheduling",
        "settings",
        "storage",
        "storagemigration",
    )
)

_crds: Final[WeakKeyDictionary[World, dict[GroupKind, list[Object]]]] = WeakKeyDictionary()


def definitions(world: World) -> dict[GroupKind, list[Object]]:
    """The CRDs of a cluster by the kind they define; more than one when several components bring the same."""
    known = _crds.get(world)
    if known is None:
        known = _crds[world] = {}
        for crd in world.of(_CRD):
            known.setdefault(GroupKind(text(crd.spec.get("group")), text(crd.get("spec", "names", "kind"))), []).append(crd)
    return known


def applied(item: Object) -> bool:
    """Objects that an applier of the cluster creates: not what bootstrap applies by hand, nor what an operator makes."""
    return item.applier is not None and not item.origin.synthesised


def has_definition(item: Object) -> bool:
    """An object of a group that a CRD defines: one with a dot that is not the API server's own."""
    return "." in item.id.group and item.id.group not in _OWN_GROUPS


def is_custom(item: Object) -> bool:
    """An applied object of a group someone else defines, and not Flux itself: bootstrap installs Flux's CRDs before anything is applied."""
    return applied(item) and has_definition(item) and not item.id.group.endswith((".fluxcd.io", "fluxcd.controlplane.io"))


def in_namespace(item: Object) -> bool:
    """An applied object of a namespace that the cluster does not have by itself."""
    return applied(item) and bool(item.namespace) and item.namespace not in _GIVEN


def _same_stage(world: World, needed: Object, item: Object) -> bool:
    """Whether the Kustomization that applies an object also applies what would bring the thing it needs: the dry run fails before that exists."""
    applier = item.applier
    # A root that is no object of the cluster is applied by hand, as often as it takes.
    return (
        applier is not None
        and applier.kind == "Kustomization"
        and applier in world.order.nodes
        and needed.applier != applier
        and applier in needed.origin.chain[:-1]
    )


@FLX.rule(
    "FLX106",
    title="a custom resource is applied after the component that brings its definition is ready",
    why=(
        "the API server refuses an object of an unknown kind, and kustomize-controller's dry run then stops the whole Kustomization until the definition "
        "happens to be there; a HelmRelease without retries stays failed (fluxcd/pkg/ssa, ApplyAllStaged)"
    ),
    fix="let the Kustomization of the custom resource depend on the one that brings the definition, which has wait: true",
    scope=Objects(where=is_custom),
    severity=Severity.WARNING,
    controls=("NIST-CP-10",),
)
def definition_first(item: Object, world: World) -> Iterator[Violation]:
    crds = definitions(world).get(item.group_kind, [])
    if any(_same_stage(world, crd, item) for crd in crds):
        return  # FLX210
    proofs = [before(world, crd, item) for crd in crds]
    if crds and not any(proof.holds for proof in proofs):
        yield violation(
            item,
            "kind",
            found=f"{item.kind}.{item.id.group} is defined by {crds[0].applier}: {proofs[0].reason}",
            expect=missing_edge(crds[0], item),
        )


@FLX.rule(
    "FLX201",
    title="a namespace is applied before the objects in it",
    why="an object of a namespace that does not exist is refused, and its whole Kustomization or release with it, until the namespace happens to be there",
    fix="put the Namespace into the same Kustomization, or let that one depend on the Kustomization that has it",
    scope=Objects(where=in_namespace),
    severity=Severity.WARNING,
    controls=("NIST-CP-10",),
)
def namespace_first(item: Object, world: World) -> Iterator[Violation]:
    namespace = world.find("Namespace", "", item.namespace)
    if namespace is None or namespace.applier is None or _bootstrapped(world, item.namespace) or _same_stage(world, namespace, item):
        return
    proof = before(world, namespace, item)
    if not proof.holds:
        yield violation(
            item,
            "metadata",
            "namespace",
            found=f"Namespace {item.namespace} comes from {namespace.applier}: {proof.reason}",
            expect=missing_edge(namespace, item),
        )


def _bootstrapped(world: World, namespace: str) -> bool:
    """The namespace of the sync is there before anything is applied: its Kustomization lives in it."""
    sync = world.cluster.sync
    return namespace == "flux-system" or (sync is not None and sync.namespace == namespace)


@FLX.rule(
    "FLX210",
    title="no Kustomization holds an object whose definition or namespace only comes with another object of the same Kustomization",
    why=(
        "kustomize-controller dry-runs a whole stage before it applies the first object of it: one unknown kind or namespace fails the stage, so the release "
        "that would bring it is never applied and no retry helps (fluxcd/pkg/ssa, ApplyAll)"
    ),
    fix="move the object into a Kustomization of its own that dependsOn this one, with wait: true here",
    scope=Objects(where=lambda item: is_custom(item) or in_namespace(item)),
    controls=("NIST-CP-10",),
)
def not_its_own_precondition(item: Object, world: World) -> Iterator[Violation]:
    namespace = world.find("Namespace", "", item.namespace) if in_namespace(item) and not _bootstrapped(world, item.namespace) else None
    crds = definitions(world).get(item.group_kind, []) if is_custom(item) else []
    for needed, pointer in [(namespace, ("metadata", "namespace")), *((crd, ("kind",)) for crd in crds)]:
        if needed is not None and _same_stage(world, needed, item):
            found = f"{item.applier} holds it together with {needed.applier}, which brings {needed.kind} {needed.name}"
            yield violation(item, *pointer, found=found, expect=f"{item.kind} {item.name} in a Kustomization that dependsOn {item.applier}")


@FLX.rule(
    "FLX211",
    title="every namespace that gets objects is declared",
    why="a namespace nobody declares does not exist on a new cluster; made by hand it has no labels, policies, quota or owner",
    fix="add the Namespace to the Kustomization that applies the first objects in it",
    scope=Objects((KUSTOMIZATION, HELM_RELEASE)),
    severity=Severity.WARNING,
    controls=("NIST-CM-8", "NIST-CP-10"),
)
def namespace_declared(applier: Object, world: World) -> Iterator[Violation]:
    for namespace in _filled_by(world, applier):
        if namespace in _GIVEN or _bootstrapped(world, namespace) or world.find("Namespace", "", namespace) is not None:
            continue
        if not may_be_elsewhere(world, namespace) and not _created_by_release(world, namespace):
            yield violation(applier, found=f"it puts objects into namespace {namespace}, which nothing declares", expect=f"a Namespace {namespace} in Git")


def _filled_by(world: World, applier: Object) -> list[str]:
    """The namespaces an applier writes to."""
    if applier.kind == "HelmRelease":
        return [] if applier.spec.get("kubeConfig") else [text(applier.spec.get("targetNamespace")) or applier.namespace]
    build = world.kustomizations.get((applier.namespace, applier.name))
    if build is None or applier.spec.get("kubeConfig"):
        return []
    return sorted({item.namespace for item in build.built if item.namespace})


def _created_by_release(world: World, namespace: str) -> bool:
    """Whether some release's ``createNamespace`` makes a namespace."""
    return any(
        release.get("spec", "install", "createNamespace") is True and (text(release.spec.get("targetNamespace")) or release.namespace) == namespace
        for release in world.of(HELM_RELEASE)
    )


RULES: Final = tuple(FLX.rules)
