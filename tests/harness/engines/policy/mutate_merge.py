"""The merge of server-side apply: what an apply configuration makes of an object.

Source: ``sigs.k8s.io/structured-merge-diff/v6/typed/merge.go`` and the API server's ``mutating/patch/smd.go``. Ownership of fields is no part
of it: nothing is removed that the configuration does not name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.engines.policy.mutate_types import Node


class MergeError(ValueError):
    """An apply configuration that cannot be merged; the message names the place."""


def merge(live: Any, configuration: Any, node: Node) -> Any:
    """The live object with a configuration merged in; neither is changed. Raises MergeError for what the schema does not have, in either."""
    _validate(configuration, node, "")
    _validate(live, node, "", duplicates=True)
    return _merge(live, configuration, node, "")


def atomics(configuration: Any, node: Node, path: str = "") -> Iterator[str]:
    """The atomic maps and lists a configuration sets, which a MutatingAdmissionPolicy may not."""
    if isinstance(configuration, dict):
        if node.atomic and node.shape == "map":
            yield path
        for name, value in configuration.items():
            inner = node.field(name)
            if inner is not None:
                yield from atomics(value, inner, f"{path}.{name}")
    elif isinstance(configuration, list) and node.shape == "list":
        if node.atomic:
            yield path
        for index, value in enumerate(configuration):
            yield from atomics(value, node.element, f"{path}[{index}]")


def _validate(value: Any, node: Node, path: str, *, duplicates: bool = False) -> None:
    """``ObjectToTyped``: every field is declared, and is a map, a list or a scalar where the schema says so; items of sets are there once."""
    if value is None or node.shape == "any":
        return
    found = "map" if isinstance(value, dict) else "list" if isinstance(value, list) else "scalar"
    if found != node.shape:
        raise MergeError(f"{path or '.'}: expected {node.shape}, got {found}")
    if isinstance(value, dict):
        for name, inner in value.items():
            place = node.field(name)
            if place is None:
                raise MergeError(f"{path}.{name}: field not declared in schema")
            _validate(inner, place, f"{path}.{name}", duplicates=duplicates)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _validate(inner, node.element, f"{path}[{index}]", duplicates=duplicates)
        if node.keys is not None:
            names = [_identity(item, node, f"{path}[{index}]") for index, item in enumerate(value)]
            if not duplicates and len(set(names)) < len(names):
                raise MergeError(f"{path}: duplicate entries for key {next(name for name in names if names.count(name) > 1)}")


def _merge(live: Any, given: Any, node: Node, path: str) -> Any:
    if isinstance(given, dict) or (given is None and isinstance(live, dict) and node.shape in ("map", "any")):
        if not isinstance(live, dict) or node.atomic or (not live and not given):
            return given
        return _merge_maps(live, given or {}, node, path)
    if node.shape == "list" and not node.atomic and (isinstance(given, list) or (given is None and isinstance(live, list))):
        before = live if isinstance(live, list) else []
        return _merge_lists(before, given or [], node, path) if before or given else given
    return given


def _merge_maps(live: dict[str, Any], given: dict[str, Any], node: Node, path: str) -> dict[str, Any]:
    merged = dict(live)
    for name, value in given.items():
        place = node.field(name)
        merged[name] = _merge(live[name], value, place, f"{path}.{name}") if name in live and place is not None else value
    return merged


def _identity(item: Any, node: Node, path: str) -> str:
    """What tells an item apart from the others. Raises MergeError for an item without any key."""
    if not node.keys:
        return json.dumps(_whole(item), sort_keys=True)
    if not isinstance(item, dict):
        raise MergeError(f"{path}: associative list with keys may not have non-map elements")
    found: dict[str, Any] = {}
    for key in node.keys:
        value = item[key] if key in item else node.default_of(key)
        if value is not None:
            found[key] = _whole(value)
    if not found:
        raise MergeError(f"{path}: associative list with keys has an element that omits key field {node.keys[0]!r}")
    return json.dumps(found, sort_keys=True)


def _whole(value: Any) -> Any:
    """A number without a fraction is the integer: both are one key."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _merge_lists(live: Sequence[Any], given: Sequence[Any], node: Node, path: str) -> list[Any]:
    """Both lists, each in its own order; where they share items, the configuration's order counts (``visitListItems``)."""
    left = [_identity(item, node, f"{path}[{index}]") for index, item in enumerate(live)]
    right = [_identity(item, node, f"{path}[{index}]") for index, item in enumerate(given)]
    # An item that the live object has more than once is not merged.
    known = {name: item if left.count(name) == 1 else None for name, item in zip(left, live, strict=True)}
    wanted = dict(zip(right, given, strict=True))
    shared = [name for name in right if name in known]
    merged: list[Any] = []
    done: set[str] = set()
    one = two = 0

    def combine(name: str) -> Any:
        return _merge(known[name], wanted[name], node.element, path) if known.get(name) is not None else wanted[name]

    while one < len(left) or two < len(right):
        if one < len(left) and two < len(right):
            name = left[one]
            if name == right[two]:
                done.add(name)
                merged.append(combine(name))
                one, two, shared = one + 1, two + 1, shared[1:]
                continue
            if name in wanted and shared and shared[0] != name:
                one += 1
                continue
        if one < len(left):
            name = left[one]
            if name not in wanted:
                merged.append(live[one])
                one += 1
                continue
            if name in done:
                one += 1
        if two < len(right):
            name = right[two]
            done.add(name)
            merged.append(combine(name))
            two += 1
            if shared and shared[0] == name:
                shared = shared[1:]
    return merged
