"""Rules about who Flux acts as, and how its controllers are started (FLX109, FLX112, FLX701 to FLX705)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.flux.kinds import HELM_RELEASE, KUSTOMIZATION
from harness.model import Severity
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.flx_common import (
    ALERT,
    IMAGE_AUTOMATION,
    IMAGE_POLICY,
    IMAGE_REPOSITORY,
    PROVIDER,
    RECEIVER,
    SOURCES,
    blind,
    controller_flags,
    entries,
    is_on,
    items,
    mapping,
    once,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Object, Pointer

FLX: Final = Registry()

_PRACTICES: Final = "fluxcd.io: Security best practices; Multi-tenancy lockdown"
_NO_CROSS: Final = "no-cross-namespace-refs"
#: Flags by controller, as the lockdown guide sets them.
_LOCKDOWN: Final = {
    "kustomize-controller": (_NO_CROSS, "no-remote-bases", "default-service-account"),
    "helm-controller": (_NO_CROSS, "default-service-account"),
    "notification-controller": (_NO_CROSS,),
    "image-reflector-controller": (_NO_CROSS,),
    "image-automation-controller": (_NO_CROSS,),
}
_FLUX_OBJECTS: Final = (KUSTOMIZATION, HELM_RELEASE, *SOURCES, ALERT, PROVIDER, RECEIVER, IMAGE_AUTOMATION, IMAGE_POLICY, IMAGE_REPOSITORY)


def _is_controller(item: Object) -> bool:
    return item.name in _LOCKDOWN


@FLX.rule(
    "FLX109",
    title="Flux acts as named service accounts, on sources of its own namespace, with its controllers locked down",
    why=(
        "without serviceAccountName the controllers apply as cluster-admin, and a source of another namespace hands one tenant's rights to another; "
        f"the flags enforce both and forbid remote bases ({_PRACTICES})"
    ),
    fix=(
        "set spec.serviceAccountName, drop sourceRef.namespace, patch --no-cross-namespace-refs, --no-remote-bases and "
        "--default-service-account into the controllers"
    ),
    scope=Objects((KUSTOMIZATION, HELM_RELEASE, "Deployment.apps"), where=lambda item: item.kind != "Deployment" or _is_controller(item)),
    severity=Severity.WARNING,
    controls=("CIS-5.1.1", "NIST-AC-3", "NIST-AC-6"),
)
def locked_down(item: Object, world: World) -> Iterator[Violation]:
    if item.origin.synthesised or not _has_tenants(world):
        return
    if item.kind == "Deployment":
        yield from _lockdown_flags(item, world)
        return
    if not item.spec.get("serviceAccountName"):
        yield violation(item, "spec", found="no spec.serviceAccountName", expect="the service account of this component")
    namespace = text(mapping(item.spec.get("sourceRef")).get("namespace"))
    if item.kind == "Kustomization" and namespace and namespace != item.namespace:
        yield violation(item, "spec", "sourceRef", "namespace", found=f"source of namespace {namespace}", expect=f"a source in namespace {item.namespace}")


@once
def _has_tenants(world: World) -> bool:
    """Whether a cluster keeps anybody apart: some applier acts as an account, or some controller is locked down. Else whoever commits is its administrator."""
    if any(item.spec.get("serviceAccountName") for item in world.of(KUSTOMIZATION, HELM_RELEASE)):
        return True
    locked = (
        is_on(arguments, _NO_CROSS) or any("default-service-account=" in argument for argument in arguments)
        for _, arguments in controller_flags(world).values()
    )
    return any(locked)


def _lockdown_flags(item: Object, world: World) -> Iterator[Violation]:
    controller, arguments = controller_flags(world).get(item.name, (None, ()))
    if controller is not item:
        return
    for flag in _LOCKDOWN[item.name]:
        given = any(argument.lstrip("-").startswith(f"{flag}=") for argument in arguments) if flag == "default-service-account" else is_on(arguments, flag)
        if not given:
            value = "default" if flag == "default-service-account" else "true"
            at = ("spec", "template", "spec", "containers", 0, "args")
            yield violation(item, *at, found=f"{item.name} runs without --{flag}", expect=f"--{flag}={value}")


def _blocks(world: World, controller: str) -> bool:
    """Whether a controller of this cluster is known to refuse references to other namespaces."""
    _, arguments = controller_flags(world).get(controller, (None, ()))
    return is_on(arguments, _NO_CROSS)


def _cross(item: Object) -> Iterator[tuple[Pointer, str, str]]:
    """References of an object that may leave its namespace: place, what is referred to, its namespace."""
    if item.kind == "Alert":
        lists: tuple[Pointer, ...] = (("spec", "eventSources"),)
    elif item.kind == "Receiver":
        lists = (("spec", "resources"),)
    else:
        lists = ()
    for pointer in lists:
        for index, entry in entries(item.get(*pointer)):
            yield (*pointer, index), f"{entry.get('kind')} {entry.get('name')}", text(entry.get("namespace"))
    for field in ("imageRepositoryRef", "sourceRef"):
        reference = mapping(item.spec.get(field))
        if item.kind in {"ImagePolicy", "ImageUpdateAutomation"} and reference:
            yield ("spec", field), f"{field} {reference.get('name')}", text(reference.get("namespace"))


_OWNER: Final = {
    "Alert": "notification-controller",
    "Receiver": "notification-controller",
    "ImagePolicy": "image-reflector-controller",
    "ImageUpdateAutomation": "image-automation-controller",
}


@FLX.rule(
    "FLX112",
    title="no reference to another namespace where the controller refuses it",
    why=(
        "under --no-cross-namespace-refs=true an Alert drops events of other namespaces without a word, and Receivers and image policies fail "
        "(notification-controller internal/server; image-reflector-controller, image-automation-controller)"
    ),
    fix="put one Alert or Receiver into each namespace it is about, and image objects beside each other",
    scope=Objects((ALERT, RECEIVER, IMAGE_POLICY, IMAGE_AUTOMATION)),
    controls=("NIST-AC-3",),
)
def no_refused_reference(item: Object, world: World) -> Iterator[Violation]:
    controller = _OWNER[item.kind]
    if not _blocks(world, controller):
        return
    for pointer, what, namespace in _cross(item):
        if namespace and namespace != item.namespace:
            found = f"{what} of namespace {namespace}, and {controller} runs with --{_NO_CROSS}=true"
            yield violation(item, *pointer, "namespace", found=found, expect=f"objects of namespace {item.namespace}")


@FLX.rule(
    "FLX701",
    title="the cluster's Flux controllers are declared in Git",
    why="what is installed by hand is not reviewed, not patched and not locked down by anything in this repository",
    fix="let the sync root apply Flux itself: an OCIRepository of the signed manifests and a Kustomization with the cluster's patches",
    scope=Clusters(),
    own_only=True,
    controls=("NIST-CM-2",),
)
def flux_is_declared(world: World) -> Iterator[Violation]:
    for name in ("helm-controller", "kustomize-controller", "notification-controller", "source-controller"):
        if name not in controller_flags(world) and not blind(world, "flux-system"):
            where = world.cluster.sync.locate() if world.cluster.sync is not None else None
            from_path = where or next((build.object.locate() for build in world.kustomizations.values()), None)
            if from_path is not None:
                yield Violation(found=f"no Deployment {name} in cluster {world.cluster.name}", expect=f"a Deployment {name}", location=from_path)


def _argument(item: Object, part: str) -> Pointer:
    """The last argument of a Deployment's containers that a text is part of: the one that counts."""
    found: Pointer = ("spec", "template", "spec", "containers")
    for index, container in entries(item.get(*found)):
        for position, argument in enumerate(items(container.get("args"))):
            if part in str(argument):
                found = ("spec", "template", "spec", "containers", index, "args", position)
    return found


@FLX.rule(
    "FLX702",
    title="no Flux controller runs with an insecure switch",
    why=f"--insecure-kubeconfig-exec runs commands named in a kubeconfig inside the controller, --insecure-kubeconfig-tls trusts any API server ({_PRACTICES})",
    fix="remove the flag",
    scope=Objects(("Deployment.apps",), where=lambda item: item.name.endswith("-controller")),
    controls=("NIST-SC-8", "NIST-CM-7"),
)
def no_insecure_flags(item: Object, world: World) -> Iterator[Violation]:
    controller, arguments = controller_flags(world).get(item.name, (None, ()))
    if controller is not item:
        return
    for flag in ("insecure-kubeconfig-exec", "insecure-kubeconfig-tls"):
        if is_on(arguments, flag):
            yield violation(item, *_argument(item, flag), found=f"{item.name} runs with --{flag}", expect=f"no --{flag}")


@FLX.rule(
    "FLX703",
    title="substitution stays strict, and no gate opens what the lockdown closes",
    why="StrictPostBuildSubstitutions=false turns a missing variable into an empty string, as before kustomize-controller 1.9",
    fix="remove the feature gate",
    scope=Objects(("Deployment.apps",), where=lambda item: item.name == "kustomize-controller"),
    severity=Severity.WARNING,
    controls=("NIST-CM-6",),
)
def gates_stay_strict(item: Object, world: World) -> Iterator[Violation]:
    controller, arguments = controller_flags(world).get(item.name, (None, ()))
    if controller is not item:
        return
    for argument in arguments:
        if re.search(r"feature-gates=.*\bStrictPostBuildSubstitutions=false", argument):
            yield violation(item, *_argument(item, argument), found=argument, expect="StrictPostBuildSubstitutions left on")


@FLX.rule(
    "FLX704",
    title="an ExternalArtifact is used only where the controller allows it",
    why="kustomize-controller and helm-controller refuse sources of kind ExternalArtifact unless the gate ExternalArtifact=true is set (getSource)",
    fix="add --feature-gates=ExternalArtifact=true to the controller, or use another source",
    scope=Objects((KUSTOMIZATION, HELM_RELEASE)),
)
def external_artifact_is_allowed(item: Object, world: World) -> Iterator[Violation]:
    field = "sourceRef" if item.kind == "Kustomization" else "chartRef"
    if mapping(item.spec.get(field)).get("kind") != "ExternalArtifact":
        return
    name = "kustomize-controller" if item.kind == "Kustomization" else "helm-controller"
    controller, arguments = controller_flags(world).get(name, (None, ()))
    if controller is not None and not any(re.search(r"feature-gates=.*\bExternalArtifact=true", argument) for argument in arguments):
        yield violation(
            item, "spec", field, found=f"source of kind ExternalArtifact, and {name} runs without its gate", expect="--feature-gates=ExternalArtifact=true"
        )


_SHARD: Final = "sharding.fluxcd.io/key"


@once
def _shards(world: World) -> frozenset[str] | None:
    """The shard keys that some controller watches; None when no controller is known to select by label."""
    found: set[str] = set()
    seen = False
    for item in world.of("Deployment.apps"):
        for _, container in entries(item.get("spec", "template", "spec", "containers")):
            for argument in container.get("args") or () if isinstance(container.get("args"), list) else ():
                name, _, selector = str(argument).partition("=")
                if name.lstrip("-") == "watch-label-selector" and _SHARD in selector:
                    seen = True
                    match = re.search(re.escape(_SHARD) + r"\s*(?:=|==|in\s*\()\s*([\w.,\s-]+)", selector)
                    found |= {key.strip() for key in match[1].split(",")} if match and not selector.startswith("!") else set()
    return frozenset(found) if seen or controller_flags(world) else None


@FLX.rule(
    "FLX705",
    title="a sharded object has a controller that watches its shard",
    why="an object labelled with a shard that no controller selects is never reconciled when the main controllers exclude shards (fluxcd.io: Sharding)",
    fix="correct the label sharding.fluxcd.io/key, or start controllers with --watch-label-selector for it",
    scope=Objects(_FLUX_OBJECTS, where=lambda item: _SHARD in item.labels),
)
def shard_is_watched(item: Object, world: World) -> Iterator[Violation]:
    shards = _shards(world)
    key = str(item.labels[_SHARD])
    if shards is not None and key not in shards:
        yield violation(
            item, "metadata", "labels", _SHARD, found=f"shard {key}, which no controller of the cluster watches", expect="a shard with controllers of its own"
        )


RULES: Final = tuple(FLX.rules)
