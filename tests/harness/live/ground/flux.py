"""Flux as a cluster's build has it: what installs it, and the objects that are applied once, before it looks after itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.live.ground.cluster import CannotRunError
from harness.live.ground.overlay import OverlayError

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.model import Link, Object

_DEPLOYMENT: Final = "Deployment.apps"
_CONTROLLER: Final = "kustomize-controller"


def _controller(world: World) -> Object | None:
    return next((item for item in world.of(_DEPLOYMENT) if item.name == _CONTROLLER), None)


def installer(world: World) -> Link | None:
    """What installs Flux in a world; None when nothing does."""
    controller = _controller(world)
    return controller.applier if controller is not None else None


def flux_objects(world: World) -> list[Object]:
    """The objects of Flux itself, namespaces and definitions first, without NetworkPolicies: those close before the ones that open are there.

    Raises:
        OverlayError: the cluster does not install Flux, or its manifests are not at hand.
    """
    controller, applier = _controller(world), installer(world)
    if controller is None or applier is None:
        raise OverlayError(f"no Kustomization of {world.cluster.name} installs Flux: there is no Deployment {_CONTROLLER}")
    if controller.origin.elided:
        raise CannotRunError("Flux's manifests are not at hand, only what the lock keeps of them: put them into the folder that --charts names")
    first = {"Namespace": 0, "CustomResourceDefinition": 1}
    own = [item for item in world.objects if item.applier == applier and item.kind != "NetworkPolicy"]
    return sorted(own, key=lambda item: (first.get(item.kind, 2), item.id))
