"""What a cluster's policies are asked once everything is applied: controllers fill objects in, and take them away with their namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.policy import Request
from harness.engines.rbac.roles import CLUSTER_ROLE
from harness.flux.access import access_of
from harness.model.shapes import items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.engines.policy.api import Json
    from harness.flux.world import World
    from harness.model import Object

_CONTROLLER: Final = "namespace-controller"
_HOME: Final = "kube-system"


class Later(NamedTuple):
    """A request about an object that is there; ``when`` it comes, in words."""

    item: Object
    request: Request
    when: str


def later(world: World, applier: Callable[[Object], Json], user_of: Callable[[str, str], Json]) -> Iterator[Later]:
    """The requests.

    * Flux applies an aggregated ClusterRole again, whose rules the aggregation controller has filled in meanwhile.
    * A namespace goes: all objects of a kind are deleted at once, so that the request has no name (``namespaced_resources_deleter.go``, v0.36).
    """
    for item in world.of(CLUSTER_ROLE):
        if "aggregationRule" in item.body:
            filled = {**item.body, "rules": _gathered(item, world)}
            yield Later(item, Request(filled, filled, "UPDATE", user=applier(item)), "it with the rules that the controller filled in")
    cleaner = user_of(_HOME, _CONTROLLER)
    for item in world.objects:
        if item.namespace:
            request = Request(None, item.body, "DELETE", user=cleaner, name="", namespace_name=item.namespace)
            yield Later(item, request, "it to go with its namespace")


def _gathered(item: Object, world: World) -> list[object]:
    policy = world.derive(access_of).policy
    grants = policy.grants(policy.roles["", item.name])
    return [items(grant.role.object.body.get("rules"))[grant.position] for grant in grants if grant.role.object is not None and grant.position >= 0]
