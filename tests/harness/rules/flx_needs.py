"""Rules about what Flux objects refer to: sources, service accounts, Secrets (FLX113, FLX311, FLX313). Their order is :mod:`harness.rules.order`'s matter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION, source_kind
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.flx_common import (
    IMAGE_AUTOMATION,
    IMAGE_REPOSITORY,
    KUSTOMIZATIONS,
    PROVIDER,
    RECEIVER,
    SOURCES,
    blind,
    mapping,
    name_of,
    once,
    secret_is_made,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import Build, World
    from harness.model import Object, Pointer

FLX: Final = Registry()

_DOCS: Final = "fluxcd/kustomize-controller docs/spec/v1/kustomizations.md"


def _source(item: Object) -> tuple[Pointer, str, str, str] | None:
    """The source an applier names: place, kind, namespace, name."""
    reference = mapping(item.spec.get("sourceRef"))
    if not reference.get("kind") or not reference.get("name"):
        return None
    return ("spec", "sourceRef"), text(reference["kind"]), text(reference.get("namespace")) or item.namespace, text(reference["name"])


@once
def _sync_source(world: World) -> tuple[str, str, str] | None:
    """The source of the cluster's sync, which bootstrap may well create by hand."""
    sync = world.cluster.sync
    found = _source(sync) if sync is not None else None
    return found[1:] if found is not None else None


@once
def _without_lost(world: World) -> World:
    """The cluster without the Kustomizations whose own source is nowhere: they bring nothing, and so no source either."""

    def lost(build: Build) -> bool:
        source = _source(build.object) if build.elsewhere else None
        return source is not None and source[1] != "ExternalArtifact" and world.find(source_kind(source[1]), source[2], source[3]) is None

    return replace(world, kustomizations={key: build for key, build in world.kustomizations.items() if not lost(build)})


@FLX.rule(
    "FLX113",
    title="the service account that Flux impersonates exists in the namespace of the Kustomization",
    why=f"the controllers act as the account; when it is missing, nothing is applied ({_DOCS}, Role-based access control)",
    fix="add the ServiceAccount, with its RoleBindings, to a Kustomization that comes before",
    scope=Objects(KUSTOMIZATIONS),
    controls=("NIST-AC-6",),
)
def service_account_exists(item: Object, world: World) -> Iterator[Violation]:
    name = text(item.spec.get("serviceAccountName"))
    if not name or name == "default" or item.spec.get("kubeConfig") or blind(world, item.namespace):
        return
    if world.find("ServiceAccount", item.namespace, name) is None:
        found = f"serviceAccountName: {name}, and namespace {item.namespace} has no such ServiceAccount"
        yield violation(item, "spec", "serviceAccountName", found=found, expect=f"a ServiceAccount {name} in namespace {item.namespace}")


@FLX.rule(
    "FLX311",
    title="the source of a Kustomization or image automation exists in the cluster",
    why="without its source nothing is built: the object waits for an artifact that never comes",
    fix="correct kind, name and namespace in sourceRef, or add the source to Git",
    scope=Objects((KUSTOMIZATION, IMAGE_AUTOMATION)),
    controls=("NIST-CM-2",),
)
def source_exists(item: Object, world: World) -> Iterator[Violation]:
    source = _source(item)
    if source is None:
        return
    pointer, kind, namespace, name = source
    if (kind, namespace, name) == _sync_source(world) or kind == "ExternalArtifact":
        return
    if world.find(source_kind(kind), namespace, name) is None and not blind(_without_lost(world), namespace) and not _is_bootstrapped(item, world):
        yield violation(item, *pointer, found=f"{kind} {namespace}/{name}, which the cluster does not have", expect=f"a {kind} {name} in namespace {namespace}")


def _is_bootstrapped(item: Object, world: World) -> bool:
    """Without a sync in Git, the source that everything is built from is not in Git either."""
    source = _source(item)
    if world.cluster.sync is not None or source is None:
        return False
    return any(build.files and not build.elsewhere and (_source(build.object) or ((),))[1:] == source[1:] for build in world.kustomizations.values())


_SECRET_FIELDS: Final[tuple[Pointer, ...]] = (
    ("spec", "secretRef"),
    ("spec", "certSecretRef"),
    ("spec", "proxySecretRef"),
    ("spec", "verify", "secretRef"),
    ("spec", "verify", "trustedRootSecretRef"),
    ("spec", "decryption", "secretRef"),
    ("spec", "kubeConfig", "secretRef"),
    ("spec", "git", "commit", "signingKey", "secretRef"),
)


@FLX.rule(
    "FLX313",
    title="a Secret that Flux reads is in Git (sealed or made by an operator), or bootstrap makes it",
    why="a source, Provider or Receiver without its Secret is never ready, and a Secret that somebody made by hand is missing on the next cluster",
    fix="add the SealedSecret, ExternalSecret, Certificate … that makes it",
    scope=Objects((*SOURCES, KUSTOMIZATION, HELM_RELEASE, PROVIDER, RECEIVER, IMAGE_REPOSITORY, IMAGE_AUTOMATION)),
    severity=Severity.WARNING,
    controls=("NIST-IA-5", "NIST-CP-10"),
)
def secrets_are_made(item: Object, world: World) -> Iterator[Violation]:
    if (item.kind, item.namespace, item.name) == _sync_source(world):
        return
    for pointer in _SECRET_FIELDS:
        name = name_of(item.get(*pointer))
        if name and not secret_is_made(world, item.namespace, name):
            found = f"Secret {item.namespace}/{name}, which nothing in Git makes"
            yield violation(item, *pointer, found=found, expect=f"something that makes Secret {name} in namespace {item.namespace}")


RULES: Final = tuple(FLX.rules)
