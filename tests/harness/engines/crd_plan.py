"""What of a structural schema a JSON schema cannot express, as a tree that holds only the nodes with something to do.

Defaults, uniqueness of list items, embedded objects and CEL rules. Built once per version of a CRD.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.report import Report
    from harness.model import Pointer

#: What makes a node worth one.
_INTERESTING = frozenset(
    {
        "properties", "items", "additionalProperties", "default", "allOf", "x-kubernetes-list-type", "x-kubernetes-embedded-resource",
        "x-kubernetes-validations",
    }
)  # fmt: skip
#: Stands for "no default", since null is a possible one.
_NONE: Any = object()


@dataclass(slots=True, eq=False)
class Plan:
    """One node. ``unique`` is None, ``()`` for a set, or the keys of a map-like list."""

    schema: Mapping[str, Any]
    properties: dict[str, Plan] = field(default_factory=dict)
    items: Plan | None = None
    additional: Plan | None = None
    default: Any = _NONE
    unique: tuple[str, ...] | None = None
    embedded: bool = False
    rules: tuple[Mapping[str, Any], ...] = ()
    has_defaults: bool = False
    has_checks: bool = False
    has_rules: bool = False


def build_plan(schema: Any) -> Plan | None:
    """The plan of a schema node, or None when it and everything below has nothing to do."""
    if not isinstance(schema, dict) or _INTERESTING.isdisjoint(schema):
        return None
    node = Plan(schema)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, inner in properties.items():
            child = build_plan(inner)
            if child is not None:
                node.properties[name] = child
    node.items = build_plan(schema.get("items"))
    node.additional = build_plan(schema.get("additionalProperties"))
    if schema.get("default") is not None:
        node.default = schema["default"]
    list_type = schema.get("x-kubernetes-list-type")
    if list_type == "set":
        node.unique = ()
    elif list_type == "map":
        keys = schema.get("x-kubernetes-list-map-keys")
        node.unique = tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ()
    node.embedded = schema.get("x-kubernetes-embedded-resource") is True
    node.rules = _rules(schema)
    children = [*node.properties.values(), *(child for child in (node.items, node.additional) if child is not None)]
    node.has_defaults = node.default is not _NONE or any(child.has_defaults for child in children)
    node.has_checks = node.unique is not None or node.embedded or any(child.has_checks for child in children)
    node.has_rules = bool(node.rules) or any(child.has_rules for child in children)
    return node if node.has_defaults or node.has_checks or node.has_rules else None


def _rules(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The node's CEL rules, with those of its ``allOf`` (validator() in schema/cel/validation.go)."""
    found: list[Mapping[str, Any]] = []
    declared = schema.get("x-kubernetes-validations")
    if isinstance(declared, list):
        found += [rule for rule in declared if isinstance(rule, dict) and isinstance(rule.get("rule"), str) and rule["rule"].strip()]
    every = schema.get("allOf")
    if isinstance(every, list):
        for inner in every:
            if isinstance(inner, dict):
                found += _rules(inner)
    return tuple(found)


def with_defaults(value: Any, plan: Plan) -> Any:
    """The value with defaults applied; it is copied only where something changes (defaulting.Default).

    A null where the schema allows none and gives a default becomes that default. A null without a default stays, and is an error: a create
    would drop it, the server-side apply that Flux uses does not.
    """
    if isinstance(value, list):
        if plan.items is None or not plan.items.has_defaults:
            return value
        items = [_defaulted(item, plan.items) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    changed: dict[str, Any] = {}
    for name, child in plan.properties.items():
        if not child.has_defaults:
            continue
        if name in value:
            new = _defaulted(value[name], child)
            if new is not value[name]:
                changed[name] = new
        elif child.default is not _NONE:
            changed[name] = with_defaults(copy.deepcopy(child.default), child)
    if plan.additional is not None and plan.additional.has_defaults:
        for name, inner in value.items():
            if name not in plan.properties:
                new = _defaulted(inner, plan.additional)
                if new is not inner:
                    changed[name] = new
    return {**value, **changed} if changed else value


def _defaulted(value: Any, plan: Plan) -> Any:
    if value is None and plan.default is not _NONE and not plan.schema.get("nullable"):
        value = copy.deepcopy(plan.default)
    return with_defaults(value, plan)


def check_lists(value: Any, plan: Plan, report: Report, pointer: Pointer = ()) -> None:
    """Adds an error for every repeated item of a set or map-like list (``listtype.ValidateListSetsAndMaps``)."""
    if isinstance(value, list):
        if plan.unique is not None:
            repeated(value, plan.unique, report, pointer)
        if plan.items is not None and plan.items.has_checks:
            for index, item in enumerate(value):
                check_lists(item, plan.items, report, (*pointer, index))
    elif isinstance(value, dict):
        for name, child in plan.properties.items():
            if child.has_checks and name in value:
                check_lists(value[name], child, report, (*pointer, name))
        if plan.additional is not None and plan.additional.has_checks:
            for name, inner in value.items():
                if name not in plan.properties:
                    check_lists(inner, plan.additional, report, (*pointer, name))


def repeated(items: list[Any], keys: tuple[str, ...], report: Report, pointer: Pointer, defaults: Mapping[str, Any] | None = None) -> None:
    """Adds an error for every item that repeats an earlier one, whole (``keys`` empty) or by its keys."""
    if len(items) < 2:
        return
    seen: dict[Any, int] = {}
    for index, item in enumerate(items):
        if keys:
            if not isinstance(item, dict):
                continue
            identity = tuple(_hashable(item.get(key, (defaults or {}).get(key))) for key in keys)
            if all(part is None for part in identity):
                continue
            shown = ", ".join(f"{key}={item.get(key, (defaults or {}).get(key))}" for key in keys)
        else:
            identity = (_hashable(item),)
            shown = str(item) if isinstance(item, str | int | float | bool) else "item"
        if identity in seen:
            report.error((*pointer, index), f"duplicate of [{seen[identity]}] ({shown})", "duplicate", item)
        else:
            seen[identity] = index


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return ("map", tuple(sorted((name, _hashable(inner)) for name, inner in value.items())))
    if isinstance(value, list):
        return ("list", tuple(_hashable(inner) for inner in value))
    return (isinstance(value, bool), value) if isinstance(value, bool | int | float) else value
