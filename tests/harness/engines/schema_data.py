"""The API server's own kinds: their schemas, one Kubernetes version at a time.

The data is that of the ``kubernetes-validate`` package (strict schemas made from each release's OpenAPI v2 document); none of its code is
used. What OpenAPI v2 cannot say, and the API server checks all the same, is added from ``validation/fields.py``.
"""

from __future__ import annotations

import importlib.util
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.lists import ListKeys
from harness.engines.scopes import SERVED_BY_DEFAULT, is_cluster_scoped
from harness.engines.validation.fields import FIELDS, NOT_ENFORCED, REQUIRED
from harness.model import group_of, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_DIRECTORY = re.compile(r"v(1\.\d+)\.0-local-strict")
#: Types that are parameters or answers of requests, never objects that someone applies.
_NOT_OBJECTS = frozenset({"DeleteOptions", "WatchEvent", "Status", "APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Scale", "Patch"})
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META = f"{_META}ObjectMeta"

#: Types with a JSON form of their own (custom UnmarshalJSON), as a schema that is quick to check.
_SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number", "null"], "format": "k8s-quantity"},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer", "null"]},
    f"{_META}Time": {"type": ["string", "null"], "format": "k8s-time"},
    f"{_META}MicroTime": {"type": ["string", "null"], "format": "k8s-time"},
}
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


class DataMissingError(RuntimeError):
    """The ``kubernetes-validate`` package is not installed."""


@lru_cache(maxsize=1)
def _root() -> Path:
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise DataMissingError("the schemas of Kubernetes are missing: install kubernetes-validate")
    return Path(next(iter(spec.submodule_search_locations))) / "kubernetes-json-schema"


@lru_cache(maxsize=1)
def supported_versions() -> tuple[str, ...]:
    """The Kubernetes minors there is data for, oldest first: ``("1.25", …, "1.37")``."""
    found = (_DIRECTORY.fullmatch(path.name) for path in _root().iterdir())
    return tuple(sorted((match[1] for match in found if match), key=_order))


def _order(version: str) -> tuple[int, int]:
    match = _VERSION.match(version)
    if match is None:
        raise ValueError(f"not a Kubernetes version: {version!r}")
    return int(match[1]), int(match[2])


def nearest_version(version: str) -> str:
    """The minor whose data stands for ``version`` (``1.36``, ``v1.36.4``, ``1.36.4-gke.1``). Raises ValueError for what is no version."""
    wanted = _order(version)
    return min(supported_versions(), key=lambda known: (abs(_order(known)[1] - wanted[1]) + 1000 * abs(_order(known)[0] - wanted[0]), known))


class BuiltIns:
    """The kinds of one Kubernetes minor. Use ``builtins()``, which shares one per version."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.minor = _order(version)[1]
        document = json.loads((_root() / f"v{version}.0-local-strict" / "_definitions.json").read_bytes())
        self._definitions: dict[str, dict[str, Any]] = document["$defs"]
        self._cleaned: dict[str, dict[str, Any]] = {}
        self._references: dict[str, tuple[str, ...]] = {}
        self.lists = ListKeys(self.definition)
        self.definition_names: dict[tuple[str, str], str] = {}
        for name, definition in self._definitions.items():
            for gvk in definition.get("x-kubernetes-group-version-kind", ()):
                if gvk["kind"] not in _NOT_OBJECTS:
                    api_version = f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"]
                    self.definition_names[api_version, gvk["kind"]] = name

    def knows(self, api_version: str, kind: str) -> bool:
        return (api_version, kind) in self.definition_names

    def kinds(self, *, every: bool = False) -> Iterator[tuple[str, str]]:
        """``(apiVersion, kind)`` of what an API server with default settings serves; of all that can be switched on when ``every``."""
        for api_version, kind in sorted(self.definition_names):
            # What ends in List is a list of objects of another kind, not a kind that is stored.
            if not kind.endswith("List") and (every or self.served_by_default(api_version, kind)):
                yield api_version, kind

    def served_by_default(self, api_version: str, kind: str) -> bool:
        """Since 1.24 new beta APIs are off unless switched on (KEP-3136); alpha ones always were."""
        group, version = group_of(api_version), version_of(api_version)
        if "alpha" not in version and "beta" not in version:
            return True
        last = SERVED_BY_DEFAULT.get((group, version), {}).get(kind)
        return last is not None and self.minor <= last

    def scope(self, api_version: str, kind: str) -> str | None:
        if not self.knows(api_version, kind):
            return None
        return "Cluster" if is_cluster_scoped(group_of(api_version), kind) else "Namespaced"

    def definition(self, name: str) -> Mapping[str, Any]:
        """A definition as it is validated: without prose, with the additional checks."""
        cleaned = self._cleaned.get(name)
        if cleaned is None:
            cleaned = self._cleaned[name] = self._clean(name)
        return cleaned

    def document(self, name: str) -> dict[str, Any]:
        """A self-contained JSON schema for one definition."""
        found: dict[str, Any] = {}
        pending = [name]
        while pending:
            current = pending.pop()
            if current not in found:
                found[current] = self.definition(current)
                if current not in self._references:
                    self._references[current] = tuple(_references(found[current]))
                pending.extend(self._references[current])
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": f"#/$defs/{name}", "$defs": found}

    def _clean(self, name: str) -> dict[str, Any]:
        special = _SPECIAL.get(name)
        if special is not None:
            return special
        short = name.rpartition("io.k8s.")[2]
        cleaned: dict[str, Any] = _strip(self._definitions.get(name, {}))
        properties = cleaned.get("properties")
        for field, constraint in FIELDS.get(short, {}).items():
            if properties is not None and field in properties:
                properties[field] = _combine(properties[field], constraint)
        for field in NOT_ENFORCED.get(short, ()):
            inner = (properties or {}).get(field)
            if inner is not None and isinstance(inner.get("type"), str):
                inner["type"] = [inner["type"], "null"]
        required = [field for field in cleaned.get("required", ()) if field not in NOT_ENFORCED.get(short, ())]
        required += [field for field in REQUIRED.get(short, ()) if field not in required and properties is not None and field in properties]
        if required:
            cleaned["required"] = required
        else:
            cleaned.pop("required", None)
        return cleaned


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference.rpartition("/")[2]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _strip(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without prose, and with number formats as ranges."""
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "description" or keyword == "x-kubernetes-group-version-kind":
            continue
        if keyword == "properties":
            kept[keyword] = {name: _strip(inner) for name, inner in value.items()}
        elif keyword in ("items", "additionalProperties") and isinstance(value, dict):
            kept[keyword] = _strip(value)
        elif keyword == "format":
            if value in _RANGES:
                kept["minimum"], kept["maximum"] = _RANGES[value]
            elif value == "byte":
                kept[keyword] = "k8s-byte"
        elif keyword != "oneOf":
            kept[keyword] = value
    if kept.get("additionalProperties") is False:
        kept.setdefault("properties", {})  # or the engine would not name the fields there are
    return kept


def _combine(schema: dict[str, Any], constraint: Mapping[str, Any]) -> dict[str, Any]:
    """A field's schema with one more constraint; an ``enum`` of strings also admits null, which the server reads as absent."""
    added = dict(constraint)
    if "enum" in added and None not in added["enum"]:
        added["enum"] = [*added["enum"], None]
    inner = added.pop("items", None)
    result = {**schema, **added}
    if inner is not None:
        result["items"] = _combine(schema.get("items", {}), inner)
    return result


@lru_cache(maxsize=16)
def builtins(version: str) -> BuiltIns:
    """The kinds of the nearest Kubernetes minor there is data for. Read once per version and process."""
    return BuiltIns(version) if version in supported_versions() else builtins(nearest_version(version))
