"""Changes to a tree that is published for a proof, and nowhere else: something more, and something broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from harness.flux.kinds import KUSTOMIZATION
from harness.live.ground.overlay import needs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.world import World
    from harness.model import Object


class EditError(Exception):
    """A tree is not as it must be for a change."""


def with_object(files: Mapping[str, bytes], folder: str, name: str, body: Mapping[str, Any]) -> dict[str, bytes]:
    """A tree in which the kustomization of a folder holds one object more, in a file of its own. Raises EditError without a kustomization."""
    path = f"{folder.rstrip('/')}/{name}"
    return {**_listing(files, folder, name), path: yaml.safe_dump(dict(body), sort_keys=False).encode()}


def broken(files: Mapping[str, bytes], folder: str, name: str) -> dict[str, bytes]:
    """A tree in which the kustomization of a folder names a file that is not there. Raises EditError without a kustomization."""
    return _listing(files, folder, name)


def leaf(world: World) -> Object:
    """A Kustomization of the cluster's own source that nothing depends on and that holds no other: broken, it takes nothing with it.

    Raises EditError where there is none.
    """
    needed = {key for item in world.of(KUSTOMIZATION) for key in needs_of(item)}
    parents = {(link.namespace, link.name) for item in world.of(KUSTOMIZATION) for link in item.origin.chain}
    source = world.cluster.source
    for item in world.of(KUSTOMIZATION):
        own = item.namespace == source.namespace and item.get("spec", "sourceRef", "name") == source.name
        if own and (item.namespace, item.name) not in needed | parents and world.kustomizations[item.namespace, item.name].built:
            return item
    raise EditError(f"every Kustomization of {world.cluster.name} has another one behind it")


def _listing(files: Mapping[str, bytes], folder: str, name: str) -> dict[str, bytes]:
    path = f"{folder.rstrip('/').removeprefix('./')}/kustomization.yaml"
    body = yaml.safe_load(files[path]) if path in files else None
    if not isinstance(body, dict):
        raise EditError(f"{path} is no kustomization")
    return {**files, path: yaml.safe_dump({**body, "resources": [*(body.get("resources") or ()), name]}, sort_keys=False).encode()}
