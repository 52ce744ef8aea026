"""Which policies of a cluster are about anything that the cluster gets."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.engines.policy import PolicyId, Request, Resources
from harness.engines.policy.matching import Constraints
from harness.flux.world import CRD
from harness.model.shapes import items, mapping, text
from harness.rules.pol_world import KYVERNO, POLICY_KINDS, labelled, requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.policy import Resource
    from harness.flux.world import World
    from harness.model import Location, Object

Json = dict[str, Any]


def policies_of(world: World) -> dict[str, tuple[Location, bool]]:
    """For each policy of a cluster (its printed id), where it is, and whether its match constraints cover anything the cluster gets.

    Match conditions are not looked at: a policy against node ports covers Services. A policy about deletions or subresources covers what
    could be deleted or has the subresource.
    """
    # Policies of the mode JSON are about payloads, not about objects of a cluster.
    found = [item for item in world.of(*POLICY_KINDS) if mapping(item.spec.get("evaluation")).get("mode") != "JSON"]
    if not found:
        return {}
    resources = Resources(item.body for item in world.of(CRD))
    namespaces = {item.name: labelled(item.body) for item in world.of("Namespace")}
    there: dict[tuple[str, str], list[tuple[Json, Resource]]] = defaultdict(list)
    for _item, body, _pod in requests(world):
        resource = resources.of_object(body)
        there[resource.group, resource.plural].append((body, resource))
    return {str(PolicyId(item.kind, item.namespace, item.name)): (item.locate(), _covers(item, there, resources, namespaces)) for item in found}


def _covers(item: Object, there: Mapping[tuple[str, str], list[tuple[Json, Resource]]], resources: Resources, namespaces: Mapping[str, Json]) -> bool:
    kyverno = item.group == KYVERNO
    constraints = mapping(item.spec.get("matchConstraints"))
    for rule in map(mapping, items(constraints.get("resourceRules"))) if items(constraints.get("resourceRules")) else ({},):
        if item.kind.endswith("DeletingPolicy"):
            rule = {**rule, "operations": ["*"]}
        alone = Constraints({**constraints, **({"resourceRules": [rule]} if rule else {})}, kyverno=kyverno)
        operations = [text(each) for each in items(rule.get("operations"))] or ["CREATE"]
        operation = "CREATE" if "*" in operations else operations[0]
        subresources = {plural.partition("/")[2] for plural in map(text, items(rule.get("resources")))} or {""}
        for group, plural in alone.resources():
            for body, resource in _candidates(there, group, plural):
                inside = text(mapping(body.get("metadata")).get("namespace"))
                if item.kind.startswith("Namespaced") and inside != item.namespace:
                    continue
                for subresource in subresources:
                    request = Request(
                        None if operation == "DELETE" else body,
                        old_object=body if operation in ("DELETE", "UPDATE") else None,
                        operation=operation,
                        namespace=namespaces.get(inside),
                        subresource="" if subresource == "*" else subresource,
                    )
                    if alone.match(request, resource, resources).matched:
                        return True
    return False


def _candidates(there: Mapping[tuple[str, str], list[tuple[Json, Resource]]], group: str, plural: str) -> Iterator[tuple[Json, Resource]]:
    if "*" not in (group, plural):
        yield from there.get((group, plural), ())
        return
    for (other, resource), found in there.items():
        if group in ("*", other) and plural in ("*", resource):
            yield from found
