"""JSON data as the CEL values a structural schema gives it.

Source: ``k8s.io/apiserver/pkg/cel/common/values.go`` (UnstructuredToVal) and ``pkg/cel/escaping.go``, v0.34: only declared fields are
visible, numbers of ``type: number`` are doubles, ``date-time`` and ``date`` are timestamps, ``duration`` is a duration, ``byte`` is bytes,
and field names that are no CEL identifiers are escaped.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.engines.cel.data import CelError
from harness.engines.cel.standard import duration_of, timestamp_of

_RESERVED = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_IDENTIFIER = re.compile(r"[a-zA-Z_./-][a-zA-Z0-9_./-]*", re.ASCII)
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))

Convert = Callable[[Any], Any]
_META = {"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}


def escape(name: str) -> str | None:
    """The CEL identifier of a field, or None when CEL cannot name it."""
    if not _IDENTIFIER.fullmatch(name):
        return None
    if name in _RESERVED:
        return f"__{name}__"
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, "\0" if plain == "__" else escaped)
    return name.replace("\0", "__underscores__")


def converter(schema: Mapping[str, Any], *, resource: bool = False) -> Convert:
    """How to convert values of a schema node. ``resource``: the node is the root of a custom or an embedded resource."""
    return _converter(_with_metadata(schema) if resource or schema.get("x-kubernetes-embedded-resource") is True else schema)


def _with_metadata(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    declared = properties if isinstance(properties, Mapping) else {}
    return {**schema, "properties": {**declared, "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _META}}


def _same(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _converter(schema: Any) -> Convert:
    if not isinstance(schema, Mapping) or schema.get("x-kubernetes-int-or-string") is True:
        return _same
    kind = schema.get("type")
    if kind == "number":
        return _number
    if kind == "integer":
        return _integer
    if kind == "string":
        return _FORMATS.get(str(schema.get("format", "")).replace("-", ""), _same)
    if kind == "array":
        items = _converter(schema.get("items"))
        return lambda value: [items(item) for item in value] if isinstance(value, list) and items is not _same else value
    if kind == "object":
        properties, additional = schema.get("properties"), schema.get("additionalProperties")
        if isinstance(properties, Mapping) and properties:
            return _object(properties)
        if isinstance(additional, Mapping):
            inner = _converter(additional)
            return lambda value: {name: inner(item) for name, item in value.items()} if isinstance(value, dict) and inner is not _same else value
    return _same


def _object(properties: Mapping[str, Any]) -> Convert:
    fields: list[tuple[str, str, Convert]] = []
    for name, schema in properties.items():
        escaped = escape(name)
        if escaped is not None:
            embedded = isinstance(schema, Mapping) and schema.get("x-kubernetes-embedded-resource") is True
            fields.append((name, escaped, _converter(_with_metadata(schema) if embedded else schema)))
    return lambda value: {escaped: convert(value[name]) for name, escaped, convert in fields if name in value} if isinstance(value, dict) else value


def _timestamp(value: Any) -> Any:
    return _parsed(timestamp_of, value.upper()) if isinstance(value, str) else value


def _date(value: Any) -> Any:
    return _parsed(timestamp_of, f"{value}T00:00:00Z") if isinstance(value, str) else value


def _parsed(parse: Convert, text: str) -> Any:
    # What is no date or duration is for the format check to say; rules see the text.
    try:
        return parse(text)
    except CelError:
        return text


def _duration(value: Any) -> Any:
    """``strfmt.ParseDuration``: Go's durations, with blanks before the unit."""
    return _parsed(duration_of, re.sub(r"(?<=[0-9.])\s+", "", value)) if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value


_FORMATS: dict[str, Convert] = {"datetime": _timestamp, "date": _date, "duration": _duration, "byte": _bytes}
