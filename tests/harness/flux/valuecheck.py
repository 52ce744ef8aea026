"""Values against their chart: laid over its defaults as Helm does it, checked against its schemas, and searched for keys it does not know.

Source: Helm 4.2 ``pkg/chart/common/util`` (coalesce.go, jsonschema.go) and ``pkg/chart/v2/util/dependencies.go``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.chart import Chart
    from harness.model import Pointer

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PAIR: Final = re.compile(r"\.([A-Za-z_]\w*)(?=\.([A-Za-z_]\w*))")


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """A value that a chart's schema refuses, by its path in the release's values."""

    pointer: Pointer
    message: str


@dataclass(frozen=True, slots=True)
class SchemaCheck:
    """What the schemas of a chart and its sub-charts say. ``unread`` are the charts whose schema could not be used, with why."""

    faults: tuple[SchemaFault, ...] = ()
    unread: tuple[tuple[str, str], ...] = field(default=())


def coalesce(chart: Chart, values: Mapping[str, Any], shared: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values the templates of a chart see, those of all its sub-charts under their keys. A null removes a default."""
    result = _over(chart.values, values)
    own_shared = result.get("global")
    everywhere = _over(own_shared if isinstance(own_shared, dict) else {}, shared or {})
    if everywhere:
        result["global"] = everywhere
    for key, child in children(chart):
        scope = result.get(key, {})
        if isinstance(scope, dict):
            result[key] = coalesce(child, scope, everywhere)
    return result


def children(chart: Chart) -> list[tuple[str, Chart]]:
    """Every sub-chart with its values key, used or not; a chart that is there under two aliases appears twice."""
    found: list[tuple[str, Chart]] = []
    named: set[str] = set()
    by_name = {child.name: child for child in chart.children}
    for dependency in chart.dependencies:
        if dependency.name in by_name:
            found.append((dependency.key, by_name[dependency.name]))
            named.add(dependency.name)
    found.extend((child.name, child) for child in chart.children if child.name not in named)
    return found


def enabled(chart: Chart, values: Mapping[str, Any], path: Pointer = ()) -> Iterator[tuple[Pointer, Chart]]:
    """This chart and the sub-charts that are used with these (coalesced) values, at any depth, with the path of their values."""
    yield path, chart
    for key, child, _ in chart.enabled(values):
        scope = values.get(key)
        yield from enabled(child, scope if isinstance(scope, dict) else {}, (*path, key))


def _over(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(defaults)
    for key, value in values.items():
        have = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _over(have if isinstance(have, dict) else {}, value)
        else:
            result[key] = value
    return result


def check_schemas(chart: Chart, coalesced: Mapping[str, Any]) -> SchemaCheck:
    """All that the schemas of the used charts refuse, sorted. Schemas that refer to other files or to the network are not used:
    whether they hold cannot be known offline, and in a cluster it takes egress from helm-controller."""
    faults: list[SchemaFault] = []
    unread: list[tuple[str, str]] = []
    for path, part in enabled(chart, coalesced):
        if part.schema is None:
            continue
        outside = sorted(set(_references(part.schema)))
        if outside:
            unread.append((part.name, f"its values.schema.json refers to {outside[0]}" + (f" and {len(outside) - 1} others" if len(outside) > 1 else "")))
            continue
        scope: Any = coalesced
        for key in path:
            scope = scope.get(key, {})
        try:
            validator = jsonschema_rs.validator_for(dict(part.schema))
            errors = list(validator.iter_errors(scope))
        except ValueError as error:
            unread.append((part.name, f"its values.schema.json is not usable: {' '.join(str(error).split())[:160]}"))
            continue
        faults += [SchemaFault((*path, *found.instance_path), found.message) for found in errors]
    return SchemaCheck(tuple(sorted(faults, key=lambda fault: ([str(part) for part in fault.pointer], fault.message))), tuple(unread))


def _references(schema: Any) -> Iterator[str]:
    """References that leave the schema file."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str) and not value.startswith("#"):
                yield value.partition("#")[0]
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


class Vocabulary:
    """The words of a chart's templates and default values, and which key they read below which."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        words: set[str] = set()
        pairs: set[tuple[str, str]] = set()
        for path, content in files.items():
            template = path.startswith("templates/") or "/templates/" in path
            if template or path.rpartition("/")[2] == "values.yaml":
                text = content.decode("utf-8", "replace")
                words.update(_WORD.findall(text))
                if template:
                    pairs.update(_PAIR.findall(text))
        self.words = frozenset(words)
        self.pairs = frozenset(pairs)

    def reads_into(self, key: str, below: Mapping[str, Any]) -> bool:
        """Whether templates read single keys of a mapping, rather than pass it on as a whole (``toYaml .Values.securityContext``)."""
        return any((key, child) in self.pairs for child in below)


def unknown_values(chart: Chart, values: Mapping[str, Any], files: Mapping[str, bytes]) -> list[Pointer]:
    """The keys of a release's values that nothing in the chart knows, sorted.

    A key is known when the default values or the schema have it, when it is a sub-chart, ``global`` or ``tags``, or when the word
    occurs anywhere in the chart's templates or default values, comments included. Below a default that is empty or null, and in
    mappings that templates pass on as a whole, everything is allowed.
    """
    candidates = sorted(set(_strangers(chart, values, ())), key=lambda pointer: [str(part) for part in pointer])
    if not candidates:
        return []
    vocabulary = Vocabulary(files)
    return [pointer for pointer in candidates if str(pointer[-1]) not in vocabulary.words and _structured(chart, pointer[:-1], vocabulary)]


def _strangers(chart: Chart, values: Mapping[str, Any], path: Pointer) -> Iterator[Pointer]:
    below = dict(children(chart))
    conditions = {part.strip().split(".")[0] for dependency in chart.dependencies for part in dependency.condition.split(",")}
    for key, value in values.items():
        if key in ("global", "tags") or (key in conditions and key not in chart.values and key not in below):
            continue
        if key in below and isinstance(value, dict):
            yield from _strangers(below[key], value, (*path, key))
            continue
        yield from _compare({key: value}, chart.values, chart.schema or {}, path)


def _compare(values: Mapping[str, Any], defaults: Mapping[str, Any], schema: Mapping[str, Any], path: Pointer) -> Iterator[Pointer]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    for key, value in values.items():
        if key not in defaults:
            if key not in properties and not schema.get("patternProperties") and not isinstance(schema.get("additionalProperties"), dict):
                yield (*path, key)
            continue
        default = defaults[key]
        if isinstance(value, dict) and isinstance(default, dict) and default:
            inner = properties.get(key)
            yield from _compare(value, default, inner if isinstance(inner, dict) else {}, (*path, key))


def _structured(chart: Chart, path: Pointer, vocabulary: Vocabulary) -> bool:
    """Whether templates read single keys of the mapping at a path. The top level of a chart's values always is."""
    here = chart
    defaults: Any = chart.values
    top = True
    key = ""
    for part in path:
        key = str(part)
        below = dict(children(here)) if top else {}
        if key in below:
            here, defaults, top = below[key], below[key].values, True
            continue
        defaults = defaults.get(key) if isinstance(defaults, dict) else None
        top = False
    return top or (isinstance(defaults, dict) and vocabulary.reads_into(key, defaults))
