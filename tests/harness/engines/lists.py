"""Uniqueness in the lists of built-in kinds, by their ``x-kubernetes-list-type``.

Server-side apply, which Flux uses, refuses repeated items of sets and map-like lists (``sigs.k8s.io/structured-merge-diff/v6/typed``),
also where a plain create only warns (environment variables, container ports).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.crd_plan import repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.report import Report
    from harness.model import Pointer

#: Defaults that take part in the identity of an item (``+default=`` in the types' sources).
_DEFAULTS = {"protocol": "TCP"}
#: Item types whose key has a default, so that it may be missing.
_KEYED_BY_DEFAULT = frozenset({"LocalObjectReference"})
_SET: tuple[str, ...] = ()


class _Node:
    __slots__ = ("additional", "items", "keys_needed", "properties", "unique")

    def __init__(self) -> None:
        self.properties: dict[str, _Node] = {}
        self.items: _Node | None = None
        self.additional: _Node | None = None
        self.unique: tuple[str, ...] | None = None
        self.keys_needed = False


class ListKeys:
    """The lists of the built-in kinds of one Kubernetes version whose items must be unique. Definitions are read when they are first met."""

    def __init__(self, definition: Callable[[str], Mapping[str, Any]]) -> None:
        self._definition = definition
        self._made: dict[str, _Node | None] = {}

    def check(self, name: str, body: Any, report: Report) -> None:
        """Adds an error for every repeated item of an object of the definition ``name``."""
        root = self._node_of(name)
        if root is not None:
            _check(body, root, report, ())

    def _node_of(self, name: str) -> _Node | None:
        if name not in self._made:
            # A definition that refers to itself (JSONSchemaProps) has no such list inside: the inner occurrence counts as nothing.
            self._made[name] = None
            self._made[name] = self._node(self._definition(name))
        return self._made[name]

    def _node(self, schema: Any) -> _Node | None:
        if not isinstance(schema, dict):
            return None
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._node_of(reference.rpartition("/")[2])
        node = _Node()
        for field, inner in schema.get("properties", {}).items():
            child = self._node(inner)
            if child is not None:
                node.properties[field] = child
        node.items = self._node(schema.get("items"))
        node.additional = self._node(schema.get("additionalProperties"))
        list_type = schema.get("x-kubernetes-list-type")
        if list_type == "set":
            node.unique = _SET
        elif list_type == "map":
            node.unique = tuple(schema.get("x-kubernetes-list-map-keys", ()))
            target = str(schema.get("items", {}).get("$ref", "")).rpartition(".")[2]
            node.keys_needed = not any(key in _DEFAULTS for key in node.unique) and target not in _KEYED_BY_DEFAULT
        empty = not node.properties and node.items is None and node.additional is None and node.unique is None
        return None if empty else node


def _check(value: Any, node: _Node, report: Report, pointer: Pointer) -> None:
    if isinstance(value, list):
        if node.unique is not None:
            repeated(value, node.unique, report, pointer, _DEFAULTS)
            if node.keys_needed:
                _missing_keys(value, node.unique, report, pointer)
        if node.items is not None:
            for index, item in enumerate(value):
                _check(item, node.items, report, (*pointer, index))
    elif isinstance(value, dict):
        for name, child in node.properties.items():
            inner = value.get(name)
            if inner is not None:
                _check(inner, child, report, (*pointer, name))
        if node.additional is not None:
            for name, inner in value.items():
                _check(inner, node.additional, report, (*pointer, name))


def _missing_keys(value: list[Any], keys: tuple[str, ...], report: Report, pointer: Pointer) -> None:
    """Server-side apply cannot identify an item that has none of its keys."""
    for index, item in enumerate(value):
        if isinstance(item, dict) and all(key not in item for key in keys):
            for key in keys:
                report.error((*pointer, index, key), "required field is missing", "required")
