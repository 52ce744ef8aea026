"""Custom resource definitions: what kinds they declare, and the schema of each version.

A version is compiled when its first object is validated, and shared by all clusters that hold the same definition (by content digest).

Source: ``k8s.io/apiextensions-apiserver`` v0.34: ``pkg/apiserver/schema`` (structural schemas), ``schema/pruning``, ``schema/defaulting``,
``registry/customresource/strategy.go``.
"""

from __future__ import annotations

import hashlib
import itertools
import marshal
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from harness.engines.crd_plan import Plan, build_plan
from harness.engines.schema_data import OBJECT_META, BuiltIns
from harness.engines.violations import compile_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GROUP = "apiextensions.k8s.io"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_META_REF = {"$ref": f"#/$defs/{OBJECT_META}"}
#: What the server keeps of a value that no schema describes: scalars, and empty objects.
_PRUNED: dict[str, Any] = {"properties": {}, "additionalProperties": False, "items": {"$ref": "#/$defs/pruned"}}
#: Says that there are no other fields; without ``properties`` the engine would not name the ones there are.
_CLOSED: dict[str, Any] = {"properties": {}, "additionalProperties": False}

#: Keywords of a structural schema that mean the same in JSON schema 2020-12.
_SAME = frozenset(
    {
        "type", "format", "enum", "pattern", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems",
        "minProperties", "maxProperties", "required",
    }
)  # fmt: skip
#: Keywords that need more than copying; nodes without one are nine in ten.
_COMPLEX = frozenset({"allOf", "anyOf", "oneOf", "not", "exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "enum", "pattern", "format"})
_CHILDREN = frozenset({"properties", "additionalProperties", "items", "nullable", _PRESERVE, _EMBEDDED, _INT_OR_STRING})


@dataclass(frozen=True, slots=True)
class CrdVersion:
    """One version of a custom kind, as declared."""

    api_version: str
    kind: str
    scope: str
    served: bool
    storage: bool
    has_status: bool
    preserve: bool
    schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class CompiledVersion:
    """A version ready to validate objects. ``dropped`` lists patterns that this engine cannot run; ``serial`` is never used twice."""

    document: Mapping[str, Any]
    validator: jsonschema_rs.Validator
    plan: Plan | None
    dropped: tuple[str, ...]
    serial: int


_serials = itertools.count()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def versions(crd: Mapping[str, Any]) -> Iterable[CrdVersion]:
    """The versions a CustomResourceDefinition (``apiextensions.k8s.io/v1`` or ``v1beta1``) declares; nothing for what is malformed."""
    spec = _mapping(crd.get("spec"))
    group, scope = spec.get("group"), spec.get("scope")
    kind = _mapping(spec.get("names")).get("kind")
    if not (isinstance(group, str) and isinstance(kind, str) and isinstance(scope, str)):
        return
    declared = spec.get("versions")
    shared = _mapping(spec.get("validation")).get("openAPIV3Schema")
    if not isinstance(declared, list):
        declared = [{"name": spec.get("version"), "served": True, "storage": True}] if isinstance(spec.get("version"), str) else []
    for version in declared:
        if not isinstance(version, dict) or not isinstance(version.get("name"), str):
            continue
        schema = _mapping(version.get("schema")).get("openAPIV3Schema", shared)
        subresources = _mapping(version.get("subresources", spec.get("subresources")))
        yield CrdVersion(
            api_version=f"{group}/{version['name']}",
            kind=kind,
            scope="Cluster" if scope == "Cluster" else "Namespaced",
            served=version.get("served") is not False,
            storage=version.get("storage") is True,
            has_status="status" in subresources and subresources["status"] is not None,
            preserve=spec.get("preserveUnknownFields") is True,
            schema=schema if isinstance(schema, dict) else None,
        )


def digest(value: Any) -> bytes:
    """A digest of plain JSON data. Raises ValueError when it is nested deeper than about 2,000 levels."""
    return hashlib.blake2b(marshal.dumps(value, 2), digest_size=16).digest()


#: Objects and schemas nested deeper than this are refused unread; no real object has more than about 40 levels, a CRD some 100.
MAX_DEPTH = 500


def deeper_than(value: Any, limit: int) -> bool:
    """Whether plain JSON data has more than ``limit`` levels of objects and lists."""
    level = [value] if type(value) in (dict, list) else []
    for _ in range(limit):
        level = [inner for outer in level for inner in (outer.values() if type(outer) is dict else outer) if type(inner) is dict or type(inner) is list]
        if not level:
            return False
    return True


_compiled: dict[tuple[bytes, str, bool], CompiledVersion] = {}


def compiled(version: CrdVersion, builtins: BuiltIns) -> CompiledVersion:
    """The compiled form of a version; the same for every cluster with the same schema."""
    try:
        key = (digest(version.schema), builtins.version, version.preserve)
    except ValueError:  # nested deeper than marshal goes
        return _compile(version, builtins)
    found = _compiled.get(key)
    if found is None:
        found = _compiled[key] = _compile(version, builtins)
    return found


def _compile(version: CrdVersion, builtins: BuiltIns) -> CompiledVersion:
    if deeper_than(version.schema, MAX_DEPTH):
        document = convert(None, builtins)
        return CompiledVersion(document, compile_schema(document), None, (f"a schema nested deeper than {MAX_DEPTH} levels",), next(_serials))
    document = convert(version.schema, builtins, preserve=version.preserve)
    dropped: tuple[str, ...] = ()
    try:
        validator = compile_schema(document)
    except (jsonschema_rs.ValidationError, ValueError):
        # Some pattern is RE2 but not Rust, or a keyword has a value of a wrong type: take those out, and say so.
        removed: list[str] = []
        document = _drop_invalid(document, removed)
        dropped = tuple(sorted(set(removed)))
        validator = compile_schema(document)
    return CompiledVersion(document, validator, build_plan(version.schema or {}), dropped, next(_serials))


@lru_cache(maxsize=1024)
def _pattern_works(pattern: str) -> bool:
    try:
        compile_schema({"pattern": pattern})
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True


def _keyword_works(keyword: str, value: Any) -> bool:
    try:
        compile_schema({keyword: value})
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True


def _drop_invalid(schema: Any, removed: list[str]) -> Any:
    """The schema without keywords that do not compile."""
    if isinstance(schema, list):
        return [_drop_invalid(item, removed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ("properties", "$defs") and isinstance(value, dict):
            result[keyword] = {name: _drop_invalid(inner, removed) for name, inner in value.items()}
        elif keyword in ("items", "additionalProperties", "not", "allOf", "anyOf", "oneOf"):
            result[keyword] = _drop_invalid(value, removed)
        elif keyword == "pattern" and isinstance(value, str):
            if _pattern_works(value):
                result[keyword] = value
            else:
                removed.append(value)
        elif keyword in _SAME and not _keyword_works(keyword, value):
            removed.append(f"{keyword}: {value!r}"[:200])
        else:
            result[keyword] = value
    return result


def convert(schema: Mapping[str, Any] | None, builtins: BuiltIns, *, preserve: bool = False) -> dict[str, Any]:
    """A structural schema as a JSON schema 2020-12 document that also refuses what the API server would prune."""
    root = _structural(schema or {_PRESERVE: True}, preserve=preserve)
    properties = dict(root.get("properties", {}))
    metadata = properties.get("metadata")
    properties["metadata"] = {"allOf": [_META_REF, _without_closing(metadata)]} if metadata else dict(_META_REF)
    properties.setdefault("apiVersion", {"type": "string"})
    properties.setdefault("kind", {"type": "string"})
    root["properties"] = properties
    root["type"] = "object"
    definitions = builtins.document(OBJECT_META)["$defs"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": {**definitions, "pruned": _PRUNED}}


def _without_closing(schema: Any) -> Any:
    """The schema of ``metadata`` may restrict names, but does not say which fields there are."""
    if not isinstance(schema, dict):
        return {}
    return {keyword: value for keyword, value in schema.items() if keyword != "additionalProperties"}


def _structural(schema: Any, *, preserve: bool = False) -> dict[str, Any]:
    """A node of the structural part: closed unless it says otherwise."""
    if not isinstance(schema, dict):
        return {}
    result = _values(schema)
    if _CHILDREN.isdisjoint(schema):
        if schema.get("type") == "object" and not preserve:
            result |= _CLOSED
        return result
    keep = preserve or schema.get(_PRESERVE) is True
    properties = schema.get("properties")
    additional = schema.get("additionalProperties")
    kind = schema.get("type")
    if isinstance(properties, dict):
        result["properties"] = {name: _structural(inner, preserve=preserve) for name, inner in properties.items()}
    if schema.get(_EMBEDDED) is True:
        fields = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **result.get("properties", {})}
        fields["metadata"] = dict(_META_REF)
        result["properties"] = fields
        result["required"] = sorted({*result.get("required", ()), "apiVersion", "kind"})
    if isinstance(additional, dict):
        result["additionalProperties"] = _structural(additional, preserve=preserve)
    elif additional is True:
        if not keep:
            result["additionalProperties"] = {"$ref": "#/$defs/pruned"}
    elif kind == "object" and not keep:
        result = {**_CLOSED, **result}
    if "items" in schema:
        # A list that preserves unknown fields lends that to its items (pruning's skipPrune).
        result["items"] = _structural(schema["items"], preserve=preserve or (keep and kind == "array"))
    if schema.get(_INT_OR_STRING) is True:
        result["type"] = ["integer", "string"]
    if schema.get("nullable") is True and "type" in result:
        kinds = result["type"]
        result["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
    return result


def _values(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The value validations of a node: those of the node itself, and its logical alternatives, which are never closed."""
    result: dict[str, Any] = {keyword: value for keyword, value in schema.items() if keyword in _SAME and value is not None}
    if _COMPLEX.isdisjoint(schema):
        return result
    for keyword in ("type", "enum", "pattern", "format"):
        # Go cannot tell an empty value from an absent one.
        if result.get(keyword) in ("", []):
            del result[keyword]
    if result.get("uniqueItems") is False:
        del result["uniqueItems"]
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if schema.get(exclusive) is True and limit in result:
            result[exclusive] = result.pop(limit)
    for junctor in ("allOf", "anyOf", "oneOf"):
        if isinstance(schema.get(junctor), list) and schema[junctor]:
            result[junctor] = [_nested(inner) for inner in schema[junctor]]
    if isinstance(schema.get("not"), dict):
        result["not"] = _nested(schema["not"])
    return result


def _nested(schema: Any) -> dict[str, Any]:
    """A node inside a logical alternative: value validations only."""
    if not isinstance(schema, dict):
        return {}
    result = _values(schema)
    if isinstance(schema.get("properties"), dict):
        result["properties"] = {name: _nested(inner) for name, inner in schema["properties"].items()}
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            result[keyword] = _nested(schema[keyword])
    return result
