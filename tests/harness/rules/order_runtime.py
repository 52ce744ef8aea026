"""What a running program may make: Secrets and ConfigMaps that no manifest holds, as certificate jobs and operators do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from harness.rules.hlm_common import items, mapping

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.model import Link, Object
    from harness.rules.order_needs import Need

_RESOURCE: Final = {"Secret": "secrets", "ConfigMap": "configmaps"}
_grants: Final[WeakKeyDictionary[World, frozenset[tuple[Link, str]]]] = WeakKeyDictionary()


def may_make(world: World, item: Object, need: Need) -> bool:
    """Whether what applies an object also grants someone the right to create such objects.

    A chart whose jobs or controllers make their own Secrets (webhook certificates, member lists) has a Role that says so.
    """
    resource = _RESOURCE.get(need.kind)
    if resource is None or item.applier is None:
        return False
    if world not in _grants:
        _grants[world] = frozenset(
            (role.applier, granted)
            for role in world.of("Role.rbac.authorization.k8s.io", "ClusterRole.rbac.authorization.k8s.io")
            if role.applier is not None
            for granted in _creates(role)
        )
    return (item.applier, resource) in _grants[world]


def _creates(role: Object) -> frozenset[str]:
    found = set()
    for entry in items(role.body.get("rules")):
        rule = mapping(entry)
        if {"create", "*"} & set(map(str, items(rule.get("verbs")))) and {"", "*"} & set(map(str, items(rule.get("apiGroups")))):
            named = set(map(str, items(rule.get("resources"))))
            found |= {"secrets", "configmaps"} if "*" in named else named & {"secrets", "configmaps"}
    return frozenset(found)
