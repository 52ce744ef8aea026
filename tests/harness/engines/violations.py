"""JSON schema violations as messages that say what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from harness.engines import formats, quantity

if TYPE_CHECKING:
    from harness.engines.report import Report
    from harness.model import Pointer

_PYTHON_TYPES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "an integer", float: "a number", type(None): "null"}
_JSON_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "null": "null",
}
#: The constraint of a keyword, in words.
_LIMITS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} properties",
    "maxProperties": "must have at most {} properties",
}

#: Formats for jsonschema-rs: those of custom resources, and those of the server's own types.
FORMATS: dict[str, Callable[[str], bool]] = {
    **formats.CHECKS,
    "date-time": formats.is_date_time,
    "k8s-short-name": formats.is_short_name,
    "k8s-long-name": formats.is_long_name,
    "k8s-quantity": lambda text: quantity.parse_or_none(text) is not None,
    "k8s-time": formats.is_go_time,
    "k8s-byte": formats.is_go_base64,
}
_FORMAT_NAMES = {"k8s-quantity": f"a quantity: {quantity.FORMAT}", "k8s-time": "an RFC 3339 time", "k8s-byte": "base64"}


def compile_schema(document: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """A validator for a JSON schema document. Patterns run on a linear-time engine. Raises ValueError for an invalid schema."""
    return jsonschema_rs.Draft202012Validator(
        dict(document),
        formats=FORMATS,
        validate_formats=True,
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(),
    )


def collect(validator: jsonschema_rs.Validator, document: Mapping[str, Any], value: Any, report: Report, pointer: Pointer = ()) -> None:
    """Adds every violation of ``value`` to the report."""
    if validator.is_valid(value):
        return
    for error in validator.iter_errors(value):
        translate(error, document, report, pointer)


def translate(error: jsonschema_rs.ValidationError, document: Mapping[str, Any], report: Report, base: Pointer = ()) -> None:
    """Adds one violation as one error, or one per unknown field."""
    pointer: Pointer = (*base, *error.instance_path)
    kind = error.kind
    keyword = kind.name
    instance = error.instance
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        for name in sorted(kind.unexpected):
            hint = _suggest(name, _siblings(document, error.schema_path))
            report.error((*pointer, name), f"unknown field{hint}", "unknown-field")
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.FalseSchema):
        report.error(pointer, "unknown field", "unknown-field")
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        report.error((*pointer, kind.property), "required field is missing", keyword)
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Type):
        wanted = [name for name in kind.types if name != "null"] or ["null"]
        wanted = [name for name in wanted if not (name == "integer" and "number" in wanted)]
        report.error(pointer, f"must be {' or '.join(_JSON_TYPES[name] for name in sorted(wanted))}, not {_shown(instance)}", keyword)
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Enum):
        options = [json.dumps(option, ensure_ascii=False) for option in kind.options if option is not None and option != ""]
        text = instance if isinstance(instance, str) else ""
        hint = _suggest(text, [option for option in kind.options if isinstance(option, str) and option], quote=True)
        shown = f"must be one of {', '.join(options)}" if len(options) > 1 else f"must be {options[0] if options else 'null'}"
        report.error(pointer, f"{shown}, not {_shown(instance)}{hint}", keyword, instance)
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Pattern):
        report.error(pointer, f"must match {kind.pattern!r}, {_shown(instance)} does not", keyword, instance)
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Format):
        report.error(pointer, f"must be {_FORMAT_NAMES.get(kind.format, f'of format {kind.format}')}, not {_shown(instance)}", keyword, instance)
    elif keyword in _LIMITS:
        about = instance if isinstance(instance, str) else None
        suffix = f", not {_shown(instance)}" if isinstance(instance, int | float) else ""
        report.error(pointer, f"{_LIMITS[keyword].format(kind.value)}{suffix}", keyword, about)
    elif keyword == "uniqueItems":
        report.error(pointer, "must not have equal items", keyword, instance)
    elif keyword in ("anyOf", "oneOf", "not", "const", "contains"):
        report.error(pointer, _alternatives(error, keyword), keyword, instance)
    else:
        report.error(pointer, error.message, keyword, instance)


def _alternatives(error: jsonschema_rs.ValidationError, keyword: str) -> str:
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.OneOfMultipleValid):
        return "must match exactly one of the alternatives, matches several"
    context: Iterable[list[jsonschema_rs.ValidationError]] = getattr(kind, "context", ())
    missing = sorted({item.kind.property for group in context for item in group if isinstance(item.kind, jsonschema_rs.ValidationErrorKind.Required)})
    if keyword in ("anyOf", "oneOf") and missing:
        return f"must have {'one' if keyword == 'oneOf' else 'at least one'} of: {', '.join(missing)}"
    if keyword == "not":
        return f"must not match {json.dumps(getattr(kind, 'schema', None), sort_keys=True)[:200]}"
    return "must match exactly one of the alternatives, matches none" if keyword == "oneOf" else "must match at least one of the alternatives, matches none"


def _shown(value: Any) -> str:
    """A value in a message: short ones as they are, others by their type."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 80 else f"{value[:77]}...", ensure_ascii=False)
    if isinstance(value, bool | int | float):
        return f"{json.dumps(value)}"
    return _PYTHON_TYPES.get(type(value), "something else")


def _siblings(document: Mapping[str, Any], path: list[str | int]) -> list[str]:
    """The fields that the object with the unknown field may have."""
    node: Any = document
    for part in path[:-1]:
        node = node[part]
    properties = node.get("properties") if isinstance(node, Mapping) else None
    return sorted(properties) if isinstance(properties, Mapping) else []


def _suggest(name: str, known: list[str], *, quote: bool = False) -> str:
    lowered = {candidate.lower(): candidate for candidate in known}
    close = [lowered[name.lower()]] if name.lower() in lowered else difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if not close:
        return ""
    return f" (did you mean {json.dumps(close[0]) if quote else close[0]}?)"
