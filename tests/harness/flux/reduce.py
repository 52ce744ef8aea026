"""Rendered objects reduced to facts: what rules need stays, the words and files of upstream charts become digests.

Kept as they are: names, labels, selectors, container names, images, ports, security contexts, resources, volumes, arguments,
RBAC rules, services, webhooks, expressions of policies, schemas of CRDs. Replaced by ``sha256:<16 digits>``: the data of ConfigMaps and
Secrets (as far as :mod:`harness.flux.recall` knows no better), queries and annotations of alert rules, certificates, descriptions, and every
long or multi-line text. Dropped: what is written for readers in the schemas of CRDs.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bumped when objects are reduced differently: every lock is then written anew.
FORMAT: Final = 3
#: Characters of a text that is kept.
_KEPT: Final = 200
_MARK: Final = re.compile(r"sha256:[0-9a-f]{16}")
#: Keys whose texts are for readers, wherever they are.
_PROSE: Final = frozenset({"description", "summary", "message", "messageExpression", "title", "documentation", "comment", "help"})
#: Keys whose texts are evaluated, whatever their length.
_CODE: Final = frozenset({"expression", "rule", "cel", "matchExpression", "expr"})
#: Keys whose texts are opaque.
_OPAQUE: Final = frozenset({"caBundle"})
#: Keywords of a CRD's schema that are for readers.
_SCHEMA_PROSE: Final = frozenset({"description", "example", "externalDocs", "title"})
_SCHEMA_MAPS: Final = ("properties", "patternProperties", "definitions", "dependencies")
_SCHEMA_LISTS: Final = ("allOf", "anyOf", "oneOf")
_SCHEMA_ONE: Final = ("items", "additionalProperties", "not", "additionalItems")


def mark(value: Any) -> str:
    """The digest that stands for a text or any other data."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def is_mark(value: Any) -> bool:
    """Whether a text stands for another one."""
    return isinstance(value, str) and _MARK.fullmatch(value) is not None


def reduce(body: Mapping[str, Any]) -> dict[str, Any]:
    """An object's facts. Reducing them again changes nothing."""
    kind = body.get("kind")
    if kind == "CustomResourceDefinition":
        return _crd(body)
    result: dict[str, Any] = {}
    for key, value in body.items():
        if key in ("data", "binaryData", "stringData") and kind in ("ConfigMap", "Secret") and isinstance(value, dict):
            result[key] = {name: item if is_mark(item) else mark(item) for name, item in value.items()}
        elif key == "spec" and kind == "PrometheusRule":
            result[key] = _alerts(value)
        elif key == "status":
            continue
        else:
            result[key] = general(value, key)
    return result


def general(value: Any, key: str) -> Any:
    """Any data under a key without its long texts, and without what is for readers."""
    if isinstance(value, str):
        if is_mark(value) or key in _CODE:
            return value
        return mark(value) if key in _PROSE or key in _OPAQUE or len(value) > _KEPT or "\n" in value else value
    if isinstance(value, dict):
        return {name: _annotation(name, item) if key == "annotations" else general(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [general(item, key) for item in value]
    return value


def _annotation(name: str, value: Any) -> Any:
    if not isinstance(value, str) or is_mark(value):
        return value
    return mark(value) if "description" in name or len(value) > _KEPT or "\n" in value else value


def _alerts(value: Any, key: str = "") -> Any:
    """The rules of a PrometheusRule: names, durations and labels; queries and words as digests."""
    if isinstance(value, dict):
        return {name: _texts(item) if name == "annotations" else _alerts(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_alerts(item, key) for item in value]
    if key == "expr" and not is_mark(value):
        return mark(str(value))
    return general(value, key)


def _texts(value: Any) -> Any:
    return {name: item if is_mark(item) else mark(item) for name, item in value.items()} if isinstance(value, dict) else value


def _crd(body: Mapping[str, Any]) -> dict[str, Any]:
    spec = body.get("spec")
    reduced = {key: general(value, key) for key, value in body.items() if key not in ("spec", "status")}
    if not isinstance(spec, dict):
        return reduced
    kept = {key: general(value, key) for key, value in spec.items() if key != "versions"}
    versions = spec.get("versions")
    if isinstance(versions, list):
        kept["versions"] = [_version(version) if isinstance(version, dict) else version for version in versions]
    return {**reduced, "spec": kept}


def _version(version: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: general(value, key) for key, value in version.items() if key not in ("schema", "additionalPrinterColumns")}
    schema = version.get("schema")
    if isinstance(schema, dict):
        kept["schema"] = {key: _schema(value) for key, value in schema.items()}
    return kept


def _schema(schema: Any) -> Any:
    """A schema without what is for readers. Names of properties are no keywords, also when they are called ``description``."""
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SCHEMA_PROSE:
            continue
        if key in _SCHEMA_MAPS and isinstance(value, dict):
            result[key] = {name: _schema(item) for name, item in value.items()}
        elif key in _SCHEMA_LISTS and isinstance(value, list):
            result[key] = [_schema(item) for item in value]
        elif key in _SCHEMA_ONE:
            result[key] = [_schema(item) for item in value] if isinstance(value, list) else _schema(value)
        elif key == "x-kubernetes-validations" and isinstance(value, list):
            result[key] = [{name: item for name, item in rule.items() if name not in _PROSE} for rule in value if isinstance(rule, dict)]
        else:
            result[key] = value
    return result


def pretty(value: Any, width: int = 140) -> str:
    """JSON with sorted keys that people can review: what fits on a line is on one, the rest is opened."""
    return _pretty(value, 0, width)[0] + "\n"


def _pretty(value: Any, indent: int, width: int) -> tuple[str, bool]:
    """The text, and whether it is on one line."""
    if isinstance(value, dict) and value:
        parts = [(f"{json.dumps(str(key), ensure_ascii=False)}: ", *_pretty(value[key], indent + 1, width)) for key in sorted(value, key=str)]
        opening, closing = "{", "}"
    elif isinstance(value, list) and value:
        parts = [("", *_pretty(item, indent + 1, width)) for item in value]
        opening, closing = "[", "]"
    else:
        return json.dumps(value, ensure_ascii=False), True
    if all(flat for _, _, flat in parts):
        line = opening + ", ".join(key + text for key, text, _ in parts) + closing
        if len(line) + indent <= width:
            return line, True
    space = "\n" + " " * (indent + 1)
    return opening + space + ("," + space).join(key + text for key, text, _ in parts) + "\n" + " " * indent + closing, False
