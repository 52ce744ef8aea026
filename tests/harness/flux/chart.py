"""What a Helm chart package holds: metadata, default values, schemas, sub-charts, and what its templates ask of a cluster.

Source: Helm 4.2 ``pkg/chart/v2/loader`` and ``pkg/chart/v2/util`` (dependencies.go, coalesce in pkg/chart/common/util).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.flux.archive import ArchiveError, read_tar
from harness.flux.semver import parse as parse_version
from harness.flux.semver import parse_range
from harness.flux.templates import asked_versions, code_of, lift, reaching_lookup, reaching_random
from harness.source.yaml import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEPTH: Final = 8


class ChartError(Exception):
    """The package is no chart. The message is one line and names the file in it."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """An entry of ``dependencies`` in Chart.yaml. ``condition`` and ``tags`` decide whether the sub-chart is used."""

    name: str
    version: str
    repository: str = ""
    alias: str = ""
    condition: str = ""
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Where its values stand in the parent's."""
        return self.alias or self.name


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """A chart as packaged. Everything in it is read-only. ``crds`` are the paths and texts of the files in ``crds/``."""

    name: str
    version: str
    metadata: Mapping[str, Any]
    values: Mapping[str, Any]
    schema: Mapping[str, Any] | None
    dependencies: tuple[Dependency, ...]
    children: tuple[Chart, ...]
    crds: tuple[tuple[str, str], ...]

    def enabled(self, values: Mapping[str, Any]) -> tuple[tuple[str, Chart, Dependency | None], ...]:
        """The sub-charts that are used with these values (already laid over this chart's defaults), each with its values key.

        ``condition`` is a list of paths of which the first that holds a boolean decides; else a tag that is set decides,
        and any true one wins; else the sub-chart is used (Helm: processDependencyConditions, processDependencyTags).
        A sub-chart in ``charts/`` that no entry names is always used.
        """
        found: list[tuple[str, Chart, Dependency | None]] = []
        named: set[int] = set()
        tags = values.get("tags")
        for dependency in self.dependencies:
            chart = next((item for item in self.children if item.name == dependency.name and _fits(item.version, dependency.version)), None)
            if chart is None:
                continue
            named.add(id(chart))
            if _used(dependency, values, tags if isinstance(tags, Mapping) else {}):
                found.append((dependency.key, chart, dependency))
        declared = {dependency.name for dependency in self.dependencies}
        found.extend((item.name, item, None) for item in self.children if id(item) not in named and item.name not in declared)
        return tuple(found)

    def walk(self) -> Iterator[Chart]:
        """This chart and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def missing(self) -> tuple[Dependency, ...]:
        """Declared dependencies that are not in the package."""
        have = {child.name for child in self.children}
        return tuple(dependency for dependency in self.dependencies if dependency.name not in have)


def _fits(version: str, wanted: str) -> bool:
    limits, actual = parse_range(wanted), parse_version(version)
    return limits is None or actual is None or limits.holds(actual) or wanted.lstrip("v") == version.lstrip("v")


def _used(dependency: Dependency, values: Mapping[str, Any], tags: Mapping[str, Any]) -> bool:
    for path in dependency.condition.split(","):
        value: Any = values
        for part in path.strip().split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            return value
    states = [tags[tag] for tag in dependency.tags if isinstance(tags.get(tag), bool)]
    return any(states) if states else True


@dataclass(frozen=True, slots=True)
class Questions:
    """What the templates of a chart and all its sub-charts ask of their surroundings.

    ``api_versions``: see :func:`harness.flux.templates.asked_versions`. ``random`` and ``lookups`` hold the paths of templates,
    as in helm's ``# Source:`` comments without the name of the chart itself, with sub-charts by their own names.
    """

    name: str
    version: str
    api_versions: frozenset[str] | None
    random: frozenset[str]
    lookups: frozenset[str]
    templates: int


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a chart package by path in the chart, with packed sub-charts unpacked in their place.

    Raises:
        ChartError: the archive is damaged or hostile, or holds no chart.
    """
    try:
        files = read_tar(data)
    except ArchiveError as error:
        raise ChartError(f"the package {error}") from error
    root = _root(files)
    if root is None:
        raise ChartError("the package holds no Chart.yaml")
    return flatten({path[len(root) + 1 :]: content for path, content in files.items() if path.startswith(root + "/")})


def flatten(files: Mapping[str, bytes], depth: int = 0) -> dict[str, bytes]:
    """The files of a chart with the packages in any ``charts/`` folder unpacked in their place.

    Raises:
        ChartError: one of them is damaged, or they are nested too deep.
    """
    if depth > _DEPTH:
        raise ChartError(f"charts are nested more than {_DEPTH} deep")
    found: dict[str, bytes] = {}
    for path, content in files.items():
        folder, name = posixpath.split(path)
        if posixpath.basename(folder) == "charts" and name.endswith((".tgz", ".tar.gz")) and not name.startswith(("_", ".")):
            try:
                packed = read_tar(content)
            except ArchiveError as error:
                raise ChartError(f"{path} {error}") from error
            root = _root(packed)
            if root is None:
                raise ChartError(f"{path} holds no Chart.yaml")
            inner = flatten({key[len(root) + 1 :]: data for key, data in packed.items() if key.startswith(root + "/")}, depth + 1)
            found.update({f"{folder}/{root}/{key}": data for key, data in inner.items()})
        else:
            found[path] = content
    return found


def _root(files: Mapping[str, bytes]) -> str | None:
    """The one folder of a package that holds a chart."""
    return min((path.partition("/")[0] for path in files if path.count("/") == 1 and path.endswith("/Chart.yaml")), default=None)


def chart_of(files: Mapping[str, bytes], depth: int = 0) -> Chart:
    """The chart made of these (flattened) files, by path relative to its folder.

    Raises:
        ChartError: a file in it cannot be read, or charts are nested too deep.
    """
    if depth > _DEPTH:
        raise ChartError(f"charts are nested more than {_DEPTH} deep")
    metadata = _mapping(files, "Chart.yaml")
    if metadata is None or not isinstance(metadata.get("name"), str) or not isinstance(metadata.get("version"), str | int | float):
        raise ChartError("Chart.yaml holds no name and version")
    schema: Any = None
    if "values.schema.json" in files:
        try:
            schema = json.loads(files["values.schema.json"])
        except (ValueError, RecursionError) as error:
            raise ChartError(f"values.schema.json is not JSON: {error}") from error
    declared = metadata.get("dependencies") or (_mapping(files, "requirements.yaml") or {}).get("dependencies") or []
    if not isinstance(declared, list):
        raise ChartError("dependencies of Chart.yaml are not a list")
    return Chart(
        name=metadata["name"],
        version=str(metadata["version"]),
        metadata=metadata,
        values=_mapping(files, "values.yaml") or {},
        schema=schema if isinstance(schema, dict) else None,
        dependencies=tuple(_dependency(item) for item in declared if isinstance(item, dict) and isinstance(item.get("name"), str)),
        children=tuple(chart_of(folder, depth + 1) for folder in _folders(files) if "Chart.yaml" in folder),
        crds=tuple((path, _text(files[path])) for path in sorted(files) if path.startswith("crds/") and path.endswith((".yaml", ".yml", ".json"))),
    )


def questions(files: Mapping[str, bytes], chart: Chart) -> Questions:
    """What the chart's templates ask, over all its sub-charts, whether they are used or not."""
    codes = {path: code_of(lift(text)[0]) for path, text in _sources(files)}
    return Questions(
        name=chart.name,
        version=chart.version,
        api_versions=asked_versions(codes),
        random=reaching_random(codes),
        lookups=reaching_lookup(codes),
        templates=len(codes),
    )


def _folders(files: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    """The files of each sub-chart, by the name of its folder."""
    folders: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        parts = path.split("/", 2)
        if parts[0] == "charts" and len(parts) == 3 and not parts[1].startswith(("_", ".")):
            folders.setdefault(parts[1], {})[parts[2]] = content
    return [folders[name] for name in sorted(folders)]


def _sources(files: Mapping[str, bytes], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The templates, with the names of charts for those of their folders."""
    for path in sorted(files):
        if path.startswith("templates/"):
            yield prefix + path, _text(files[path])
    for folder in _folders(files):
        name = (_mapping(folder, "Chart.yaml") or {}).get("name")
        if isinstance(name, str):
            yield from _sources(folder, f"{prefix}charts/{name}/")


def _dependency(item: Mapping[str, Any]) -> Dependency:
    tags = item.get("tags")
    return Dependency(
        name=str(item["name"]),
        version=str(item.get("version") or ""),
        repository=str(item.get("repository") or ""),
        alias=str(item.get("alias") or ""),
        condition=str(item.get("condition") or ""),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
    )


def _mapping(files: Mapping[str, bytes], path: str) -> dict[str, Any] | None:
    if path not in files:
        return None
    try:
        value = loads(_text(files[path]))
    except ValueError as error:
        raise ChartError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if value is not None and not isinstance(value, dict):
        raise ChartError(f"{path} is not a mapping")
    return value or {}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")
