"""CustomResourceDefinitions as objects: names, versions, conversion, and the structure of their schemas.

Source: ``validateCustomResourceDefinitionSpec`` and ``ValidateCustomResourceDefinitionOpenAPISchema`` in
``k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go``, ``ValidateStructural`` in
``pkg/apiserver/schema/validation.go``, v0.34. Not covered: defaults against their own schema, the cost of CEL rules, and CEL rules that do
not compile.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from harness.engines import names
from harness.engines.validation.admission import validate_client_config
from harness.engines.validation.context import Check, Json, each, each_text, items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Pointer

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
#: Fields of a schema that the API server does not support at all (specStandardValidatorV3 and the v1 strategy).
_UNSUPPORTED = frozenset({"definitions", "dependencies", "patternProperties", "additionalItems", "id", "$ref", "$schema"})
#: Fields that value validations inside allOf, anyOf, oneOf and not must not have (validateNestedValueValidation).
_NOT_NESTED = (
    "additionalProperties", "default", "title", "description", "nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-map-type",
)  # fmt: skip
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_APPROVAL = "api-approved.kubernetes.io"


def validate_definition(body: Json, check: Check) -> None:
    """A CustomResourceDefinition."""
    spec, at = mapping(body.get("spec")), ("spec",)
    group = text(spec.get("group"))
    if check.required(spec, "group", at):
        check.syntax(group, names.dns1123_subdomain, (*at, "group"))
        if "." not in group:
            check.error((*at, "group"), "should be a domain with at least one dot", "name", group)
    _names(mapping(spec.get("names")), check, (*at, "names"))
    plural = text(mapping(spec.get("names")).get("plural"))
    name = text(mapping(body.get("metadata")).get("name"))
    if name and plural and group and name != f"{plural}.{group}":
        check.error(("metadata", "name"), f"must be {f'{plural}.{group}'!r} (names.plural and group), not {name!r}", "name", name)
    if spec.get("preserveUnknownFields") is True:
        check.error((*at, "preserveUnknownFields"), "must be false in apiextensions.k8s.io/v1", "forbidden")
    _versions(spec, check, at)
    _conversion(spec.get("conversion"), check, (*at, "conversion"))
    protected = group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))
    approval = mapping(mapping(body.get("metadata")).get("annotations")).get(_APPROVAL)
    if protected and not approval:
        where = ("metadata", "annotations", _APPROVAL)
        check.error(where, "protected groups must have approval annotation (see kubernetes/enhancements#1111)", "required")


def _names(value: Json, check: Check, at: Pointer) -> None:
    for field in ("plural", "kind"):
        check.required(value, field, at)
    for field in ("plural", "singular"):
        check.optional_name(value, field, names.dns1035_label, at)
    for field in ("kind", "listKind"):
        if text(value.get(field)):
            check.syntax(text(value[field]).lower(), names.dns1035_label, (*at, field))
    if value.get("kind") and value.get("kind") == value.get("listKind"):
        check.error((*at, "listKind"), "kind and listKind may not be the same", "name")
    for field in ("shortNames", "categories"):
        for place, short in each_text(value.get(field), (*at, field)):
            check.syntax(short, names.dns1035_label, place)


def _versions(spec: Json, check: Check, at: Pointer) -> None:
    versions, place = list(each(spec.get("versions"), (*at, "versions"))), (*at, "versions")
    seen: set[str] = set()
    for where, version in versions:
        name = text(version.get("name"))
        check.syntax(name, names.dns1035_label, (*where, "name"))
        if name in seen:
            check.error((*where, "name"), f"duplicate version {name}", "duplicate")
        seen.add(name)
        warning = version.get("deprecationWarning")
        if warning is not None and version.get("deprecated") is not True:
            check.error((*where, "deprecationWarning"), "can only be set for deprecated versions", "forbidden")
        for spot, column in each(version.get("additionalPrinterColumns"), (*where, "additionalPrinterColumns")):
            if check.required(column, "name", spot) and check.required(column, "jsonPath", spot) and not text(column["jsonPath"]).startswith("."):
                check.error((*spot, "jsonPath"), "must be a simple json path starting with .", "path", column["jsonPath"])
            if column.get("type") not in _COLUMN_TYPES:
                check.error((*spot, "type"), f"must be one of {', '.join(_COLUMN_TYPES)}", "enum", column.get("type"))
        scale, spot = mapping(mapping(version.get("subresources")).get("scale")), (*where, "subresources", "scale")
        for field, start in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status."), ("labelSelectorPath", ".")):
            if text(scale.get(field)) and not text(scale[field]).startswith(start):
                check.error((*spot, field), f"should be a json path under {start.removesuffix('.') or '.'}", "path", scale[field])
        schema = mapping(version.get("schema")).get("openAPIV3Schema")
        if schema is None:
            check.error((*where, "schema", "openAPIV3Schema"), "required field is missing", "required")
        elif isinstance(schema, dict):
            _schema(schema, check, (*where, "schema", "openAPIV3Schema"))
    storage = sum(1 for _, version in versions if version.get("storage") is True)
    if storage != 1:
        check.error(place, f"must have exactly one version marked as storage version, has {storage}", "storage-version")


def _conversion(value: Any, check: Check, at: Pointer) -> None:
    if not isinstance(value, dict):
        return
    webhook = value.get("webhook")
    if value.get("strategy") == "Webhook":
        config = mapping(webhook).get("clientConfig")
        if not isinstance(config, dict):
            check.error((*at, "webhook", "clientConfig"), "required when strategy is set to Webhook", "required")
        else:
            validate_client_config(config, check, (*at, "webhook", "clientConfig"))
        versions = [version for version in items(mapping(webhook).get("conversionReviewVersions")) if isinstance(version, str)]
        if not {"v1", "v1beta1"} & set(versions):
            check.error((*at, "webhook", "conversionReviewVersions"), "must include at least one of v1, v1beta1", "required")
    elif webhook is not None:
        check.error((*at, "webhook"), "should not be set when strategy is not set to Webhook", "forbidden")


# --- the schema of a version ---------------------------------------------------------------------------------------------------------

#: Keywords that need no check of their own, and types that need no other keyword.
_PLAIN = frozenset(
    {
        "type", "description", "format", "title", "example", "externalDocs", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "nullable", "enum", "minProperties", "maxProperties", "required",
    }
)  # fmt: skip
_CONTAINERS = _PLAIN | {"properties", "items", "additionalProperties", "minItems", "maxItems"}
_SCALARS = frozenset({"string", "integer", "boolean", "number", "object"})
#: Look-ahead and look-behind; (?<name>…) is a group.
_NOT_RE2 = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:=|!|<=|<!)")
_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
#: Where a node is: a linked list, so that pointers cost nothing until something is wrong.
_Trail = tuple[Any, ...]


def _pointer(at: Pointer, trail: _Trail) -> Pointer:
    parts: list[str | int] = []
    while trail:
        parts.append(trail[1])
        trail = trail[0]
    return (*at, *reversed(parts))


def _schema(root: Json, check: Check, at: Pointer) -> None:
    if root.get("type") != "object":
        check.error((*at, "type"), "must be object at the root", "structural")
    if root.get("nullable") is True:
        check.error((*at, "nullable"), "cannot be true at the root", "structural")
    if root.get("additionalProperties") is not None:
        check.error((*at, "additionalProperties"), "must not be used at the root", "structural")
    metadata = mapping(mapping(root.get("properties")).get("metadata"))
    extra = set(mapping(metadata.get("properties"))) - {"name", "generateName"}
    if extra:
        where = (*at, "properties", "metadata")
        check.error(where, "must not specify anything other than name and generateName, but metadata is implicitly specified", "structural")
    if metadata and metadata.get("type") != "object":
        check.error((*at, "properties", "metadata", "type"), "must be object", "structural")
    for name in ("kind", "apiVersion"):
        kind = mapping(root.get("properties")).get(name)
        if isinstance(kind, dict) and kind.get("type") != "string":
            check.error((*at, "properties", name, "type"), "must be string", "structural")
    stack: list[tuple[Json, _Trail, bool]] = [(root, (), False)]
    while stack:
        node, trail, nested = stack.pop()
        if not nested and node.keys() <= _PLAIN and _is_plain(node):
            continue
        for field, message in _node_errors(node, nested):
            check.error(_pointer(at, (trail, field)), message, "structural")
        for bad in _push(node, trail, nested, stack):
            check.error(_pointer(at, bad), "must be a schema with a type", "structural")


def _is_plain(node: Json) -> bool:
    """Whether a node without children or extensions is fine: nine in ten are, and real CRDs have tens of thousands."""
    kind = node.get("type")
    return kind in _SCALARS if isinstance(kind, str) else False


def _push(node: Json, trail: _Trail, nested: bool, stack: list[tuple[Json, _Trail, bool]]) -> Iterator[_Trail]:
    """Adds the nodes below, and yields the places of what should be one and is not. ``nested``: inside a logical alternative."""
    properties = node.get("properties")
    if isinstance(properties, dict):
        below = (trail, "properties")
        for name, inner in properties.items():
            if isinstance(inner, dict):
                stack.append((inner, (below, name), nested))
            elif not nested:
                yield (below, name)
    for field in ("items", "additionalProperties"):
        inner = node.get(field)
        if isinstance(inner, dict):
            stack.append((inner, (trail, field), nested))
        elif field == "items" and inner is not None:
            yield (trail, field)
    if isinstance(node.get("not"), dict):
        stack.append((node["not"], (trail, "not"), True))
    for junctor in _JUNCTORS:
        alternatives = node.get(junctor)
        if alternatives and isinstance(alternatives, list) and not _is_int_or_string(node, junctor, alternatives):
            below = (trail, junctor)
            for index, inner in enumerate(alternatives):
                if isinstance(inner, dict):
                    stack.append((inner, (below, index), True))


def _is_int_or_string(node: Json, junctor: str, alternatives: list[Any]) -> bool:
    """The pattern that controller-gen writes beside x-kubernetes-int-or-string may name types."""
    if node.get("x-kubernetes-int-or-string") is not True:
        return False
    return alternatives == _INT_OR_STRING if junctor == "anyOf" else junctor == "allOf" and mapping(alternatives[0]).get("anyOf") == _INT_OR_STRING


def _node_errors(node: Json, nested: bool) -> Iterator[tuple[str, str]]:
    kind = node.get("type")
    if not _UNSUPPORTED.isdisjoint(node):
        for field in sorted(_UNSUPPORTED & node.keys()):
            if node[field] is not None and node[field] != "" and node[field] != {}:
                yield field, "is not supported"
    if node.get("uniqueItems") is True:
        yield "uniqueItems", "cannot be set to true since the runtime complexity becomes quadratic"
    if kind and kind not in _TYPES:
        yield "type", f"must be one of {', '.join(_TYPES)}"
    if node.get("properties") and (isinstance(node.get("additionalProperties"), dict) or node.get("additionalProperties") is False):
        yield "additionalProperties", "additionalProperties and properties are mutual exclusive"
    if nested:
        if kind:
            yield "type", "must be empty to be structural"
        for field in _NOT_NESTED:
            if node.get(field) not in (None, False, "", []):
                yield field, "must be undefined inside a logical alternative to be structural"
        return
    if node.keys() <= _CONTAINERS and kind:
        # An ordinary object or list: only what is below matters.
        if kind == "array" and node.get("items") is None:
            yield "items", "must be specified"
        return
    yield from _structural_errors(node, kind)
    pattern = node.get("pattern")
    if isinstance(pattern, str) and _NOT_RE2.search(pattern):
        yield "pattern", "must be a valid regular expression: RE2 has no look-around"
    elif isinstance(pattern, str) and not _is_pattern(pattern):
        yield "pattern", f"must be a valid regular expression, not {pattern!r}"
    default = node.get("default")
    if default is not None:
        yield from _default_errors(node, kind, default)


@lru_cache(maxsize=4096)
def _is_pattern(pattern: str) -> bool:
    """Whether a pattern can be RE2's: a mistake is what both Rust's and Python's engines refuse, and \\Q and \\C do not explain."""
    if "\\Q" in pattern or "\\C" in pattern:
        return True
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, ValueError):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError):
                return False
    return True


def _default_errors(node: Json, kind: Any, default: Any) -> Iterator[tuple[str, str]]:
    """A default must fit its own schema; checked for its type and enumeration (ValidateDefaults checks all of it)."""
    expected = _PYTHON_TYPES.get(kind) if isinstance(kind, str) else None
    if expected is not None and (not isinstance(default, expected) or (isinstance(default, bool) and kind != "boolean")):
        yield "default", f"must be of type {kind}"
    elif node.get("enum") and isinstance(node["enum"], list) and default not in node["enum"]:
        yield "default", f"must be one of the enum's values, not {default!r}"


def _structural_errors(node: Json, kind: Any) -> Iterator[tuple[str, str]]:
    preserve, either = node.get("x-kubernetes-preserve-unknown-fields"), node.get("x-kubernetes-int-or-string") is True
    if not kind and not either and preserve is not True:
        yield "type", "must not be empty"
    if kind == "array" and node.get("items") is None:
        yield "items", "must be specified"
    if preserve is False:
        yield "x-kubernetes-preserve-unknown-fields", "must be true or undefined"
    if preserve is True and either:
        yield "x-kubernetes-preserve-unknown-fields", "must be false if x-kubernetes-int-or-string is true"
    if node.get("x-kubernetes-embedded-resource") is True:
        if kind != "object":
            yield "type", "must be object if x-kubernetes-embedded-resource is true"
        elif preserve is not True and not node.get("properties"):
            yield "properties", "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
    yield from _list_errors(node, kind)
    rules = node.get("x-kubernetes-validations")
    if isinstance(rules, list):
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            expression = text(mapping(rule).get("rule"))
            if not expression.strip():
                yield "x-kubernetes-validations", f"rule {index} is not specified"
            elif expression in seen:
                yield "x-kubernetes-validations", f"rule {index} is a duplicate"
            seen.add(expression)


def _list_errors(node: Json, kind: Any) -> Iterator[tuple[str, str]]:
    list_type, map_type, keys = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-map-type"), node.get("x-kubernetes-list-map-keys")
    if map_type is not None and (kind != "object" or map_type not in ("atomic", "granular")):
        yield "x-kubernetes-map-type", "must be atomic or granular, on an object"
    if keys and list_type != "map":
        yield "x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"
    if list_type is None:
        return
    if kind != "array" or list_type not in ("atomic", "set", "map"):
        yield "x-kubernetes-list-type", "must be atomic, set or map, on an array"
        return
    inner = mapping(node.get("items"))
    if list_type == "set":
        if inner.get("type") == "object" and inner.get("x-kubernetes-map-type") != "atomic":
            yield "x-kubernetes-list-type", "items of a set must be atomic: set x-kubernetes-map-type: atomic on them"
        elif inner.get("type") == "array" and inner.get("x-kubernetes-list-type") not in (None, "atomic"):
            yield "x-kubernetes-list-type", "items of a set must be atomic: set x-kubernetes-list-type: atomic on them"
    elif list_type == "map":
        if not keys:
            yield "x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map"
        if inner.get("type") != "object":
            yield "items", "must be an object if x-kubernetes-list-type is map"
        properties, required = mapping(inner.get("properties")), items(inner.get("required"))
        for key in items(keys):
            declared = properties.get(key) if isinstance(key, str) else None
            if not isinstance(declared, dict):
                yield "x-kubernetes-list-map-keys", f"key {key!r} is not a property of the items"
            elif declared.get("type") in ("array", "object"):
                yield "x-kubernetes-list-map-keys", f"key {key!r} must be a scalar"
            elif key not in required and declared.get("default") is None:
                yield "x-kubernetes-list-map-keys", f"key {key!r} must be required or have a default"
        if len(items(keys)) != len({key for key in items(keys) if isinstance(key, str)}):
            yield "x-kubernetes-list-map-keys", "must not have a key twice"
