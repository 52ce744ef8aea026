"""Rules about what Kubernetes takes away inside of an API that stays: volume types, annotations, node labels, fields (LIF105, LIF106)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.flux.semver import parse
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.hlm_common import items, mapping, text
from harness.rules.lif_facts import ANNOTATIONS, FIELDS, NODE_LABELS, PROVISIONERS, VOLUMES, Gone
from harness.rules.order_needs import POD_TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer

LIF: Final = Registry()

_STORAGE_CLASS: Final = "StorageClass.storage.k8s.io"
_KINDS: Final = tuple(
    sorted({*POD_TEMPLATES, "Service", "PersistentVolume", "PersistentVolumeClaim", "Ingress.networking.k8s.io", _STORAGE_CLASS, *(kind for kind, _ in FIELDS)})
)


class Use(NamedTuple):
    """One use of something that goes away, and where."""

    gone: Gone
    pointer: Pointer


def uses(item: Object) -> Iterator[Use]:
    """Every use of a deprecated or removed volume type, annotation, node label, provisioner or field."""
    yield from _annotations(item.annotations, ("metadata", "annotations"))
    for (kind, pointer), gone in FIELDS.items():
        if str(item.group_kind) == kind and item.get(*pointer):
            yield Use(gone, pointer)
    base = POD_TEMPLATES.get(str(item.group_kind))
    if base is not None:
        yield from _pod(item, base)
    elif item.kind == "PersistentVolume":
        yield from (Use(VOLUMES[name], ("spec", name)) for name in item.spec if name in VOLUMES)
    elif str(item.group_kind) == _STORAGE_CLASS:
        provisioner = text(item.body.get("provisioner"))
        if provisioner in PROVISIONERS:
            yield Use(PROVISIONERS[provisioner], ("provisioner",))


def _annotations(annotations: dict[str, Any], at: Pointer) -> Iterator[Use]:
    for name in annotations:
        gone = ANNOTATIONS.get(name) or ANNOTATIONS.get(name.partition("/")[0])
        if gone is not None:
            yield Use(gone, (*at, name))


def _pod(item: Object, base: Pointer) -> Iterator[Use]:
    if item.kind != "Pod":
        template = base[:-1]
        yield from _annotations(mapping(item.get(*template, "metadata", "annotations")), (*template, "metadata", "annotations"))
    spec = mapping(item.get(*base))
    for index, volume in enumerate(items(spec.get("volumes"))):
        yield from (Use(VOLUMES[name], (*base, "volumes", index, name)) for name in mapping(volume) if name in VOLUMES)
    yield from (Use(NODE_LABELS[name], (*base, "nodeSelector", name)) for name in mapping(spec.get("nodeSelector")) if name in NODE_LABELS)
    yield from _affinity(spec, base)
    for index, constraint in enumerate(items(spec.get("topologySpreadConstraints"))):
        key = text(mapping(constraint).get("topologyKey"))
        if key in NODE_LABELS:
            yield Use(NODE_LABELS[key], (*base, "topologySpreadConstraints", index, "topologyKey"))


def _affinity(spec: dict[str, Any], base: Pointer) -> Iterator[Use]:
    """Required terms only: a preference for a label that no node has is without effect, and charts keep them for old clusters."""
    at: Pointer = (*base, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    node = mapping(mapping(spec.get("affinity")).get("nodeAffinity"))
    terms = items(mapping(node.get("requiredDuringSchedulingIgnoredDuringExecution")).get("nodeSelectorTerms"))
    for index, term in enumerate(terms):
        for position, expression in enumerate(items(mapping(term).get("matchExpressions"))):
            key = text(mapping(expression).get("key"))
            if key in NODE_LABELS and text(mapping(expression).get("operator")) in {"In", "Exists"}:
                yield Use(NODE_LABELS[key], (*at, index, "matchExpressions", position, "key"))


def _reached(version: str, cluster: str) -> bool:
    """Whether a cluster is at a minor version or past it."""
    left, right = parse(f"{version}.0"), parse(f"{'.'.join(cluster.removeprefix('v').split('.')[:2])}.0")
    return left is not None and right is not None and not right < left


@LIF.rule(
    "LIF105",
    title="nothing relies on what this Kubernetes version no longer honours",
    why="the API server still accepts the field, but nothing acts on it: a pod whose volume type is gone never starts, a security annotation protects nothing",
    fix="use what the finding names instead",
    scope=Objects(_KINDS),
    controls=("NIST-SA-22", "NIST-CM-6"),
)
def nothing_removed(item: Object, world: World) -> Iterator[Violation]:
    for gone, pointer in uses(item):
        if gone.removed and _reached(gone.removed, world.kubernetes_version):
            found = f"{gone.what} is gone since Kubernetes {gone.removed}"
            yield violation(item, *pointer, found=found, expect=gone.instead, fix=f"use {gone.instead} ({gone.source})")


@LIF.rule(
    "LIF106",
    title="nothing uses what Kubernetes has deprecated inside of an API",
    why="what is deprecated goes away in a later minor, and an upgrade then changes behaviour in silence",
    fix="use what the finding names instead",
    scope=Objects(_KINDS),
    severity=Severity.WARNING,
    controls=("NIST-SA-22",),
)
def nothing_deprecated(item: Object, world: World) -> Iterator[Violation]:
    for gone, pointer in uses(item):
        version = world.kubernetes_version
        if _reached(gone.deprecated, version) and not (gone.removed and _reached(gone.removed, version)):
            found = f"{gone.what} is deprecated since Kubernetes {gone.deprecated}"
            yield violation(item, *pointer, found=found, expect=gone.instead, fix=f"use {gone.instead} ({gone.source})")


RULES: Final = tuple(LIF.rules)
