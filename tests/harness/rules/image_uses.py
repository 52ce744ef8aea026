"""The images of a cluster, found once for all rules that speak of them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from harness.engines.images import Use, inventory

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.model import Object


def all_uses(world: World) -> tuple[Use, ...]:
    """Every mention of an image in a cluster. For :meth:`World.derive`."""
    return inventory(world.objects)


def by_object(world: World) -> dict[Object, list[Use]]:
    """The mentions by the object that makes them. For :meth:`World.derive`."""
    found: dict[Object, list[Use]] = defaultdict(list)
    for use in world.derive(all_uses):
        found[use.object].append(use)
    return found


def uses(item: Object, world: World) -> list[Use]:
    """The images an object names."""
    return world.derive(by_object).get(item, [])
