"""The structure of kinds for server-side apply: which maps and lists are merged, and how list items are told apart.

Source: ``x-kubernetes-list-type``, ``-list-map-keys`` and ``-map-type`` of the schemas, read as
``k8s.io/kube-openapi/pkg/schemaconv`` does: lists are atomic and maps are merged where nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import crd as crds_module
from harness.engines.schema_data import OBJECT_META, builtins
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Defaults of keys, which OpenAPI has and the data here has not (``+default=``).
_DEFAULTS = {"protocol": "TCP"}
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


class Node:
    """One place in a kind. ``shape`` is ``map``, ``list``, ``scalar`` or ``any`` (nothing is declared, and maps are merged).

    For a list, ``keys`` tell items apart; the empty tuple makes it a set, None an atomic list.
    """

    __slots__ = ("_additional", "_element", "_fields", "_schema", "_types", "atomic", "keys", "open", "shape")

    def __init__(self, schema: Mapping[str, Any], types: Types) -> None:
        self._schema, self._types = schema, types
        self._fields: dict[str, Node | None] = {}
        self._element: Node | None = None
        self._additional: Node | None = None
        self.atomic = False
        self.keys: tuple[str, ...] | None = None
        self.open = True
        self.shape = self._classify()

    def _classify(self) -> str:
        schema = self._schema
        kinds = schema.get("type")
        kind = next((name for name in items(kinds) if name != "null"), None) if isinstance(kinds, list) else kinds
        if schema.get("x-kubernetes-int-or-string") is True or (isinstance(kinds, list) and len(set(kinds) - {"null"}) > 1):
            return "scalar"
        if kind == "array":
            declared = schema.get("x-kubernetes-list-type")
            self.keys = () if declared == "set" else tuple(schema.get("x-kubernetes-list-map-keys", ())) if declared == "map" else None
            self.atomic = self.keys is None
            return "list"
        if kind in _SCALARS:
            return "scalar"
        properties, additional = schema.get("properties"), schema.get("additionalProperties")
        if kind == "object" or properties:
            preserves = schema.get("x-kubernetes-preserve-unknown-fields") is True
            self.atomic = schema.get("x-kubernetes-map-type") == "atomic"
            self.open = preserves or isinstance(additional, dict) or additional is True or (not properties and additional is not False)
            if not properties and not isinstance(additional, dict):
                return "any"
            return "map"
        return "any"

    def field(self, name: str) -> Node | None:
        """The place of a field; None when it is not declared and none is allowed."""
        if name not in self._fields:
            declared = mapping(self._schema.get("properties")).get(name)
            additional = self._schema.get("additionalProperties")
            if isinstance(declared, dict):
                self._fields[name] = self._types.node(declared)
            elif isinstance(additional, dict):
                if self._additional is None:
                    self._additional = self._types.node(additional)
                self._fields[name] = self._additional
            else:
                self._fields[name] = self._types.anything if self.open else None
        return self._fields[name]

    @property
    def element(self) -> Node:
        if self._element is None:
            self._element = self._types.node(mapping(self._schema.get("items")))
        return self._element

    def default_of(self, key: str) -> Any:
        """The default of a key of the items, or None."""
        inner = self._types.resolved(mapping(self._schema.get("items")))
        declared = mapping(mapping(inner.get("properties")).get(key))
        return declared["default"] if "default" in declared else _DEFAULTS.get(key)


class Types:
    """The kinds of one cluster: the API server's own of a Kubernetes version, and those of CustomResourceDefinitions."""

    def __init__(self, kubernetes_version: str, crds: Iterable[Mapping[str, Any]] = ()) -> None:
        self._data = builtins(kubernetes_version)
        self._custom = {(version.api_version, version.kind): version for definition in crds for version in crds_module.versions(definition)}
        self._roots: dict[tuple[str, str], Node | None] = {}
        self._named: dict[str, Node] = {}
        self.anything = Node({}, self)

    def of(self, api_version: str, kind: str) -> Node | None:
        """The structure of a kind; None for one that nobody declared."""
        key = (api_version, kind)
        if key not in self._roots:
            self._roots[key] = self._root(*key)
        return self._roots[key]

    def _root(self, api_version: str, kind: str) -> Node | None:
        custom = self._custom.get((api_version, kind))
        if custom is not None:
            schema = mapping(custom.schema)
            properties = {
                **mapping(schema.get("properties")),
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"$ref": f"#/$defs/{OBJECT_META}"},
            }
            return self.node({**schema, "type": "object", "properties": properties})
        name = self._data.definition_names.get((api_version, kind))
        return None if name is None else self.node({"$ref": f"#/$defs/{name}"})

    def node(self, schema: Mapping[str, Any]) -> Node:
        """The place that a schema describes."""
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return Node(schema, self)
        if reference not in self._named:
            self._named[reference] = Node(self.resolved(schema), self)
        return self._named[reference]

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema, with a reference followed."""
        reference = schema.get("$ref")
        definition: Callable[[str], Mapping[str, Any]] = self._data.definition
        return definition(reference.rpartition("/")[2]) if isinstance(reference, str) else schema
