"""Where the chart of a HelmRelease comes from, and getting it: a mirror folder, the user's cache, its own registry.

Sources: HelmRelease v2 ``spec.chart`` and ``spec.chartRef`` (helm-controller 1.6), HelmRepository, HelmChart, OCIRepository v1
(source-controller 1.9): which of ``tag``, ``semver`` and ``digest`` counts, what ``valuesFiles`` are relative to.
"""

from __future__ import annotations

import posixpath
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from harness.flux.archive import ArchiveError, read_tar
from harness.flux.cache import Cache, digest
from harness.flux.chart import ChartError, chart_of, flatten
from harness.flux.kinds import source_kind
from harness.flux.packages import Package, with_values
from harness.flux.semver import is_exact, parse, parse_range
from harness.flux.tools import ToolError, Tools, run, scratch_folder
from harness.model import Location, Object, Problem
from harness.source.repository import UnreadableError
from harness.source.yaml import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.source.repository import Repository

_PULL_TIMEOUT: Final = 60.0


class Finder(Protocol):
    """What chart references are resolved against."""

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of a kind (``Kind.group``), or None."""

    def is_this_repository(self, source: Object) -> bool:
        """Whether a source is the repository that is being looked at."""


@dataclass(frozen=True, slots=True)
class ChartRef:
    """Which chart a release uses. ``version`` may be a range. ``path`` is set instead of ``url`` for a chart of this repository.

    ``location`` is the line that chooses the version, ``subject`` the printed id of the release.
    """

    name: str
    version: str
    kind: str
    url: str
    location: Location
    subject: str
    path: str | None = None
    values_files: tuple[str, ...] = ()
    ignore_missing: bool = False

    @property
    def label(self) -> str:
        """For messages: ``loki 18.11.0``."""
        return f"{self.name} {self.version}".strip()


def resolve(release: Object, view: Finder) -> ChartRef | Problem:
    """The chart of a HelmRelease, or why it has none: ``chart-source-missing`` or ``chart-reference``."""
    reference = release.get("spec", "chartRef")
    if isinstance(reference, dict):
        kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
        namespace = str(reference.get("namespace") or release.namespace)
        where = release.locate("spec", "chartRef")
        source = view.find(source_kind(kind), namespace, name)
        if source is None:
            return _problem("chart-source-missing", release, where, f"spec.chartRef names {kind} {namespace}/{name}, which is nowhere in this cluster")
        if kind == "HelmChart":
            return _of_spec(release, source, source.spec, ("spec",), source.namespace, view)
        if kind == "OCIRepository":
            return _of_oci(release, source, view)
        return _problem("chart-reference", release, where, f"what a chart from {kind} {namespace}/{name} holds cannot be known from this repository")
    spec = release.get("spec", "chart", "spec")
    if isinstance(spec, dict):
        return _of_spec(release, release, spec, ("spec", "chart", "spec"), release.namespace, view)
    return _problem("chart-reference", release, release.locate("spec"), "it has neither spec.chart nor spec.chartRef")


def _of_oci(release: Object, source: Object, view: Finder) -> ChartRef | Problem:
    url = str(source.get("spec", "url", default=""))
    reference = source.get("spec", "ref", default={})
    reference = reference if isinstance(reference, dict) else {}
    # OCIRepository v1: digest before semver before tag; without any of them the tag is latest. A digest says nothing about the version.
    version = str(reference.get("semver") or reference.get("tag") or ("" if reference.get("digest") else "latest"))
    key = next((name for name in ("semver", "tag", "digest") if reference.get(name)), None)
    where = source.locate("spec", "ref", key) if key else source.locate("spec")
    if view.is_this_repository(source):
        return _problem("chart-reference", release, where, f"OCIRepository {source.namespace}/{source.name} is this repository, and holds no chart at its root")
    return ChartRef(posixpath.basename(urlsplit(url).path.rstrip("/")), version, "OCIRepository", url, where, str(release.id))


def _of_spec(release: Object, holder: Object, spec: Mapping[str, Any], at: tuple[str, ...], namespace: str, view: Finder) -> ChartRef | Problem:
    reference = spec.get("sourceRef")
    reference = reference if isinstance(reference, dict) else {}
    kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
    namespace = str(reference.get("namespace") or namespace)
    chart, version = str(spec.get("chart") or ""), str(spec.get("version") or "*")
    where = holder.locate(*at, "version") if spec.get("version") else holder.locate(*at, "chart")
    source = view.find(source_kind(kind), namespace, name)
    if source is None and kind in ("HelmRepository", "GitRepository", "Bucket"):
        source_where = holder.locate(*at, "sourceRef")
        return _problem("chart-source-missing", release, source_where, f"the chart's source {kind} {namespace}/{name} is nowhere in this cluster")
    if source is None or not chart:
        return _problem("chart-reference", release, where, "the chart's reference names no chart or no kind of source that Flux knows")
    files = spec.get("valuesFiles")
    ref = ChartRef(
        name=chart,
        version=version,
        kind=kind,
        url=str(source.get("spec", "url", default="")),
        location=where,
        subject=str(release.id),
        values_files=tuple(str(item) for item in files) if isinstance(files, list) else (),
        ignore_missing=spec.get("ignoreMissingValuesFiles") is True,
    )
    if kind == "HelmRepository":
        if source.get("spec", "type") == "oci" or ref.url.startswith("oci://"):
            return replace(ref, url=f"{ref.url.rstrip('/')}/{chart}", name=posixpath.basename(chart))
        return ref
    name = posixpath.basename(posixpath.normpath(chart))
    if view.is_this_repository(source):
        return replace(ref, path=posixpath.normpath("/" + chart).lstrip("/"), name=name)
    tag = source.get("spec", "ref", "tag")
    return replace(ref, name=name, version=str(tag or version))


def _problem(code: str, release: Object, where: Location, message: str) -> Problem:
    return Problem(code, str(release.id), where, message)


class Charts:
    """Gets charts. Safe to share between threads; every chart is got once."""

    def __init__(self, mirror: Path | None, cache: Cache, tools: Tools, allow_network: bool = False, repository: Repository | None = None) -> None:
        """``mirror``: a folder of packages ``<name>-<version>.tgz``. ``repository``: where charts that lie in it are read."""
        self._mirror = mirror
        self._cache = cache
        self._tools = tools
        self._network = allow_network
        self._repository = repository
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._got: dict[str, Package | Problem] = {}
        self._names: list[str] | None = None
        self._scratch = scratch_folder(self, "charts")

    def fetch(self, ref: ChartRef) -> Package | Problem:
        """The chart, or why it cannot be had: ``chart-missing``, ``chart-unreachable``, ``chart-corrupt``, ``chart-values-file``."""
        key = digest(ref.name, ref.version, ref.url, ref.path, list(ref.values_files), ref.ignore_missing)
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            if key not in self._got:
                self._got[key] = self._fetch(ref)
        found = self._got[key]
        # The same chart may be used by several releases: each gets the problem as its own.
        return replace(found, subject=ref.subject, location=ref.location) if isinstance(found, Problem) else found

    def _fetch(self, ref: ChartRef) -> Package | Problem:
        package = self._local(ref) if ref.path is not None else self._package(ref)
        if isinstance(package, Problem):
            return package
        try:
            # Enough to know that it is a chart; the rest is read when it is needed.
            if not package.questions.name:
                return _missing(ref, "chart-corrupt", "has no name")
            return self._with_values_files(ref, package) if ref.values_files else package
        except ChartError as error:
            return _missing(ref, "chart-corrupt", f"is damaged: {error}")

    def _package(self, ref: ChartRef) -> Package | Problem:
        path = self._in_mirror(ref.name, ref.version)
        if path is not None:
            try:
                return Package(self._cache, self._scratch, archive=path, data=path.read_bytes())
            except OSError as error:
                return _missing(ref, "chart-corrupt", f"cannot be read from the chart folder ({error.strerror})")
        key = digest("package", ref.name, ref.version, ref.url)
        data = self._cache.get("package", key) if is_exact(ref.version) else None
        if data is None and self._network and ref.url and ref.version:
            pulled = self._pull(ref)
            if isinstance(pulled, Problem):
                return pulled
            data = pulled
            self._cache.put("package", key, data)
        if data is not None:
            return Package(self._cache, self._scratch, data=data)
        what = "is pinned by digest only, so its version is not known" if not ref.version else "is not at hand"
        return _missing(ref, "chart-missing", f"{what}: put {ref.name}-{ref.version or 'VERSION'}.tgz into the chart folder, or lock it where it can be pulled")

    def _in_mirror(self, name: str, version: str, suffixes: Iterable[str] = (".tgz",)) -> Path | None:
        """The package in the mirror folder. A leading ``v`` is no difference, and ``_`` stands for ``+`` as in OCI tags."""
        if self._mirror is None or not version:
            return None
        if self._names is None:
            try:
                self._names = sorted(item.name for item in self._mirror.iterdir() if item.is_file())
            except OSError:
                self._names = []
        for suffix in suffixes:
            plain = version.removeprefix("v")
            for spelling in dict.fromkeys((version, plain, f"v{plain}")):
                for text in dict.fromkeys((spelling, spelling.replace("_", "+"), spelling.replace("+", "_"))):
                    if f"{name}-{text}{suffix}" in self._names:
                        return self._mirror / f"{name}-{text}{suffix}"
            limits = None if is_exact(version) else parse_range(version)
            have = [item[len(name) + 1 : -len(suffix)] for item in self._names if item.startswith(f"{name}-") and item.endswith(suffix)]
            best = limits.best(have) if limits is not None else None
            if best is not None:
                return self._mirror / f"{name}-{best}{suffix}"
        return None

    def _pull(self, ref: ChartRef) -> bytes | Problem:
        with tempfile.TemporaryDirectory(prefix="plimsoll-pull-") as folder:
            home = {f"HELM_{part}_HOME": f"{folder}/{part.lower()}" for part in ("CACHE", "CONFIG", "DATA")}
            source = [ref.url] if ref.url.startswith("oci://") else [ref.name, "--repo", ref.url]
            try:
                output = run(self._tools.helm, ["pull", *source, "--version", ref.version, "--destination", folder], timeout=_PULL_TIMEOUT, env=home)
            except ToolError as error:
                return _missing(ref, "chart-unreachable", f"cannot be pulled: {error}")
            packages = sorted(Path(folder).glob("*.tgz"))
            if output.code == 0 and packages:
                return packages[0].read_bytes()
            why = "it took too long" if output.timed_out else next((line for line in reversed(output.stderr.splitlines()) if line.strip()), "no reason given")
            return _missing(ref, "chart-unreachable", f"cannot be pulled from {ref.url}: {why.removeprefix('Error: ')}")

    def _local(self, ref: ChartRef) -> Package | Problem:
        """A chart in a folder of this repository, its missing dependencies filled in as source-controller's chart builder does."""
        files = self._folder(ref.path or "")
        if "Chart.yaml" not in files:
            return _missing(ref, "chart-not-in-repository", f"is not in this repository: {posixpath.join(ref.path or '', 'Chart.yaml')} does not exist")
        try:
            files = flatten(files)
            for dependency in chart_of(files).missing:
                inner = self._dependency(ref, dependency.name, dependency.version, dependency.repository)
                if isinstance(inner, Problem):
                    return inner
                files.update({f"charts/{dependency.name}/{path}": content for path, content in inner.items()})
        except ChartError as error:
            return _missing(ref, "chart-corrupt", f"is damaged: {error}")
        return Package(self._cache, self._scratch, files=files)

    def _dependency(self, ref: ChartRef, name: str, version: str, url: str) -> Mapping[str, bytes] | Problem:
        if url.startswith("file://"):
            path = posixpath.normpath(posixpath.join("/", ref.path or "", url.removeprefix("file://"))).lstrip("/")
            files = self._folder(path)
            return flatten(files) if files else _missing(ref, "chart-not-in-repository", f"depends on {name}, which is not in this repository at {path}")
        found = self._package(replace(ref, name=name, version=version, url=f"{url.rstrip('/')}/{name}" if url.startswith("oci://") else url, path=None))
        return replace(found, message=f"chart {ref.label} depends on another one: {found.message}") if isinstance(found, Problem) else found.files

    def _folder(self, path: str) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        if self._repository is None:
            return files
        prefix = path.rstrip("/") + "/" if path else ""
        for name in self._repository.files(path):
            try:
                files[name.removeprefix(prefix)] = self._repository.read(name)
            except UnreadableError:
                continue
        return files

    def _with_values_files(self, ref: ChartRef, package: Package) -> Package | Problem:
        """The chart with ``valuesFiles`` merged in order in place of its own default values."""
        values: dict[str, Any] = {}
        for name in ref.values_files:
            path = posixpath.normpath("/" + name).lstrip("/")
            data = self._folder(path).get(path) if ref.path is not None else package.files.get(path)
            if data is None and not ref.ignore_missing:
                return _missing(ref, "chart-values-file", f"has no values file {name}")
            try:
                content = loads(data.decode("utf-8", "replace")) if data is not None else {}
            except ValueError as error:
                return _missing(ref, "chart-values-file", f"has an unreadable values file {name}: {error}")
            values = merge(values, content) if isinstance(content, dict) else values
        return Package(self._cache, self._scratch, files=with_values(package.files, values))

    def artifact(self, url: str, tag: str) -> list[str]:
        """The manifests of an OCI artifact, from the mirror folder: ``<name>-<tag>.yaml``, or the YAML files of a tar archive.

        The name is the last part of the address, with or without ``-manifests``: Flux's own artifact is ``flux-manifests``, its
        mirror file ``flux-v2.9.4.yaml``. Empty when it is not at hand or cannot be read.
        """
        name = posixpath.basename(urlsplit(url).path.rstrip("/"))
        for spelling in dict.fromkeys((name, name.removesuffix("-manifests"))):
            path = self._in_mirror(spelling, tag, (".yaml", ".tgz", ".tar.gz"))
            if path is None:
                continue
            try:
                data = path.read_bytes()
                if path.suffix == ".yaml":
                    return [data.decode("utf-8", "replace")]
                files = read_tar(data)
            except (OSError, ArchiveError):
                return []
            return [files[item].decode("utf-8", "replace") for item in sorted(files) if item.endswith((".yaml", ".yml"))]
        return []


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``: mappings are merged at every depth, anything else replaces (fluxcd/pkg chartutil.MergeMaps)."""
    result = dict(base)
    for key, value in over.items():
        have = result.get(key)
        result[key] = merge(have, value) if isinstance(have, dict) and isinstance(value, dict) else value
    return result


def version_differs(ref: ChartRef, version: str) -> bool:
    """Whether an OCI tag that is a version is another one than the chart's, which helm-controller refuses."""
    tag, actual = parse(ref.version), parse(version)
    return ref.kind == "OCIRepository" and tag is not None and actual is not None and is_exact(ref.version) and tag != actual


def _missing(ref: ChartRef, code: str, message: str) -> Problem:
    return Problem(code, ref.subject, ref.location, f"chart {ref.label} {message}")
