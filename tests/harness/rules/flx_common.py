"""What the rules about Flux share: what a cluster may get unseen, who makes a Secret, how the controllers are started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

from harness.flux.kinds import KUSTOMIZATION
from harness.model import Link, Object
from harness.rules.hlm_common import items, mapping, seconds, text
from harness.rules.order_makers import makers, may_be_elsewhere
from harness.source.repository import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.flux.world import World
    from harness.source.repository import Repository

__all__ = [
    "ALERT",
    "BUCKET",
    "GIT_REPOSITORY",
    "HELM_CHART",
    "HELM_REPOSITORY",
    "IMAGE_AUTOMATION",
    "IMAGE_POLICY",
    "IMAGE_REPOSITORY",
    "KUSTOMIZATIONS",
    "OCI_REPOSITORY",
    "PROVIDER",
    "RECEIVER",
    "SOURCES",
    "blind",
    "controller_flags",
    "entries",
    "in_git",
    "is_on",
    "items",
    "link",
    "mapping",
    "name_of",
    "once",
    "read_text",
    "seconds",
    "secret_is_made",
    "text",
]

KUSTOMIZATIONS: Final = (KUSTOMIZATION,)
GIT_REPOSITORY: Final = "GitRepository.source.toolkit.fluxcd.io"
OCI_REPOSITORY: Final = "OCIRepository.source.toolkit.fluxcd.io"
HELM_REPOSITORY: Final = "HelmRepository.source.toolkit.fluxcd.io"
HELM_CHART: Final = "HelmChart.source.toolkit.fluxcd.io"
BUCKET: Final = "Bucket.source.toolkit.fluxcd.io"
SOURCES: Final = (BUCKET, GIT_REPOSITORY, HELM_REPOSITORY, OCI_REPOSITORY)
ALERT: Final = "Alert.notification.toolkit.fluxcd.io"
PROVIDER: Final = "Provider.notification.toolkit.fluxcd.io"
RECEIVER: Final = "Receiver.notification.toolkit.fluxcd.io"
IMAGE_REPOSITORY: Final = "ImageRepository.image.toolkit.fluxcd.io"
IMAGE_POLICY: Final = "ImagePolicy.image.toolkit.fluxcd.io"
IMAGE_AUTOMATION: Final = "ImageUpdateAutomation.image.toolkit.fluxcd.io"

#: The controllers of Flux, by the names their Deployments have in every release since 2.0.
CONTROLLERS: Final = (
    "helm-controller",
    "image-automation-controller",
    "image-reflector-controller",
    "kustomize-controller",
    "notification-controller",
    "source-controller",
)

T = TypeVar("T")


def once(make: Callable[[World], T]) -> Callable[[World], T]:
    """Computes something about a world once, and forgets it with the world."""
    known: WeakKeyDictionary[World, T] = WeakKeyDictionary()

    def look_up(world: World) -> T:
        if world not in known:
            known[world] = make(world)
        return known[world]

    return look_up


def link(item: Object) -> Link:
    """An applier as a node of the order."""
    return Link(item.kind, item.namespace, item.name)


def entries(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """The mappings of a list with their positions; anything else in it is the schema's business."""
    for index, entry in enumerate(items(value)):
        if isinstance(entry, dict):
            yield index, entry


def name_of(value: object) -> str:
    """The ``name`` of a local object reference, or nothing."""
    return text(mapping(value).get("name"))


def read_text(repository: Repository, path: str) -> str:
    """The text of a file; nothing when it cannot be read, which YML104 reports."""
    try:
        return repository.text(path)
    except UnreadableError:
        return ""


def in_git(item: Object) -> bool:
    """Whether kustomize-controller applies an object as it stands in Git: not a chart's, and not what an operator makes."""
    return not item.origin.synthesised and (item.applier is None or item.applier.kind == "Kustomization")


def blind(world: World, namespace: str) -> bool:
    """Whether objects of a namespace may exist that this repository does not show: another source, a chart that is not at hand."""
    return may_be_elsewhere(world, namespace)


def secret_is_made(world: World, namespace: str, name: str) -> bool:
    """Whether a Secret is in Git, sealed, or made by an operator from something in Git; True where that cannot be known."""
    return bool(makers(world).of("Secret", namespace, name)) or blind(world, namespace)


@once
def controller_flags(world: World) -> dict[str, tuple[Object, tuple[str, ...]]]:
    """The Flux controllers of a cluster: Deployment and command-line arguments by name. Empty when Flux itself is not in the repository."""
    found: dict[str, tuple[Object, tuple[str, ...]]] = {}
    for item in world.of("Deployment.apps"):
        if item.name in CONTROLLERS:
            containers = items(item.get("spec", "template", "spec", "containers"))
            arguments = tuple(str(argument) for container in containers for argument in items(mapping(container).get("args")))
            found[item.name] = (item, arguments)
    return found


def is_on(arguments: tuple[str, ...], flag: str) -> bool:
    """Whether a boolean flag of a Go program is set; the last one wins."""
    state = False
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name.lstrip("-") == flag:
            state = value.lower() not in {"false", "0", "f"}
    return state
