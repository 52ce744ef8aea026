"""What a kustomization reaches: the files a build of it reads, and the references that lead nowhere.

Source: kustomize 5.8, api/types/kustomization.go (fields), api/internal/target/kusttarget.go (how they are loaded: relative to the
directory of the kustomization that names them) and api/internal/git/repospec.go (what counts as remote).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.model import Location, fixed
from harness.source.paths import join, relative
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.model import Locator, Pointer
    from harness.source.repository import Repository
    from harness.source.yaml import Document

#: Names kustomize recognises, in the order kustomize-controller looks for them.
KUSTOMIZATION_NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")

#: Directories a chain of bases may be deep. kustomize itself only stops at cycles.
_MAX_CHAIN: Final = 100

_SCHEMES: Final = ("ssh://", "https://", "http://", "file://", "git::")
_USER: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*@[^/]*[:/]")

_GENERATORS: Final = ("configMapGenerator", "secretGenerator")
_PLUGINS: Final = ("generators", "transformers", "validators")
_FILE_LISTS: Final = ("crds", "configurations")


class Reference(NamedTuple):
    """A reference as it is written, and where."""

    location: Location
    ref: str


@dataclass(frozen=True, slots=True)
class Closure:
    """``files`` are read by the build. ``missing`` lead to nothing, ``outside`` out of the repository, ``remote`` to a network,
    ``cycles`` back to a directory that is being built (the reference names it); ``charts`` ask for Helm, which Flux does not run."""

    files: frozenset[str] = frozenset()
    remote: tuple[Reference, ...] = ()
    missing: tuple[Reference, ...] = ()
    outside: tuple[Reference, ...] = ()
    cycles: tuple[Reference, ...] = ()
    charts: tuple[Reference, ...] = ()


def is_remote(reference: str) -> bool:
    """Whether kustomize would fetch a reference: a URL, an SCP-like address or a GitHub short form."""
    text = reference.lower()
    return text.startswith(("github.com/", "github.com:", *_SCHEMES)) or _USER.match(reference) is not None


def kustomization_files(repository: Repository, directory: str) -> tuple[str, ...]:
    """The kustomization files of a directory; kustomize refuses more than one."""
    prefix = f"{directory}/" if directory else ""
    return tuple(f"{prefix}{name}" for name in KUSTOMIZATION_NAMES if repository.is_file(f"{prefix}{name}"))


def kustomization_document(repository: Repository, path: str) -> Document | None:
    """The kustomization of a file, None when it cannot be read; then the file's problems say why."""
    documents = repository.documents(path)
    return documents[0] if documents else None


def closure(repository: Repository, directory: str, body: Mapping[str, Any] | None = None, locate: Locator | None = None) -> Closure:
    """What a build of a directory reaches. ``body`` stands in for the directory's own kustomization when it is given, and ``locate``
    gives its lines.

    A directory without a kustomization reaches what :func:`scan` finds, as Flux makes a kustomization of it.
    """
    walk = _Walk(repository)
    if body is None and not kustomization_files(repository, directory):
        body = {"resources": list(scan(repository, directory))}
    walk.directory(directory, (), body, locate)
    return Closure(
        files=frozenset(walk.files),
        remote=_sorted(walk.remote),
        missing=_sorted(walk.missing),
        outside=_sorted(walk.outside),
        cycles=_sorted(walk.cycles),
        charts=_sorted(walk.charts),
    )


def scan(repository: Repository, directory: str, admits: Callable[[str], bool] = lambda _path: True) -> tuple[str, ...]:
    """The resources of the kustomization that Flux makes for a directory without one: every YAML file below it, in the order of a walk.

    A sub-directory that has a kustomization becomes a resource and is not descended into; the directory's own files come in between,
    sorted by name.
    """
    result: list[str] = []
    skipped: str | None = None
    for path in sorted((p for p in repository.files(directory) if admits(p)), key=lambda p: p.split("/")):
        if skipped is not None and path.startswith(skipped):
            continue
        below = relative(path, directory)
        owner = _kustomized(repository, directory, below, admits)
        if owner is not None:
            result.append(f"./{owner}")
            skipped = f"{directory}/{owner}/" if directory else f"{owner}/"
        elif below.endswith((".yaml", ".yml")):
            result.append(f"./{below}")
    return tuple(result)


def _kustomized(repository: Repository, directory: str, below: str, admits: Callable[[str], bool]) -> str | None:
    """The outermost sub-directory above a file that has a kustomization."""
    parts = below.split("/")[:-1]
    for length in range(1, len(parts) + 1):
        candidate = "/".join(parts[:length])
        full = f"{directory}/{candidate}" if directory else candidate
        if any(admits(path) for path in kustomization_files(repository, full)):
            return candidate
    return None


def _sorted(references: set[Reference]) -> tuple[Reference, ...]:
    return tuple(sorted(references))


def strings(value: object) -> Iterator[tuple[int, str]]:
    """The strings of a list with their positions; nothing for anything else."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str):
                yield index, item


def mappings(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """The mappings of a list with their positions; nothing for anything else."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield index, item


@dataclass(slots=True)
class _Walk:
    repository: Repository
    files: set[str] = field(default_factory=set)
    remote: set[Reference] = field(default_factory=set)
    missing: set[Reference] = field(default_factory=set)
    outside: set[Reference] = field(default_factory=set)
    cycles: set[Reference] = field(default_factory=set)
    charts: set[Reference] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)

    def directory(self, directory: str, chain: tuple[str, ...], body: Mapping[str, Any] | None = None, locate: Locator | None = None) -> None:
        if directory in self._done or len(chain) > _MAX_CHAIN:
            return
        self._done.add(directory)
        found = kustomization_files(self.repository, directory)
        self.files.update(found)
        document = kustomization_document(self.repository, found[0]) if found else None
        if body is None:
            if document is None:
                return
            body = document.body
        path = found[0] if found else (f"{directory}/kustomization.yaml" if directory else "kustomization.yaml")
        visit = _Visit(self, directory, (*chain, directory), locate or (document.locate if document is not None else fixed(Location(path))), path)
        visit.kustomization(body)


@dataclass(slots=True)
class _Visit:
    """One kustomization of the walk."""

    walk: _Walk
    base: str
    chain: tuple[str, ...]
    locate: Locator
    path: str

    def kustomization(self, body: Mapping[str, Any]) -> None:
        for name in ("resources", "bases", "components"):
            for index, reference in strings(body.get(name)):
                self._tree(reference, (name, index))
        for name in _PLUGINS:
            for index, reference in strings(body.get(name)):
                if "\n" in reference or reference.lstrip().startswith("{"):
                    self._plugins(parse(reference, self.path, strict=False).documents, (name, index))
                else:
                    self._tree(reference, (name, index), plugins=True)
        for name in _FILE_LISTS:
            for index, reference in strings(body.get(name)):
                self._file(reference, (name, index))
        for index, reference in strings(body.get("patchesStrategicMerge")):
            if "\n" not in reference and not reference.lstrip().startswith("{"):
                self._file(reference, ("patchesStrategicMerge", index))
        for name in ("patches", "patchesJson6902", "replacements"):
            for index, item in mappings(body.get(name)):
                if isinstance(item.get("path"), str) and item["path"]:
                    self._file(item["path"], (name, index, "path"))
        for name in _GENERATORS:
            for index, item in mappings(body.get(name)):
                self._sources(item, (name, index))
        openapi = body.get("openapi")
        if isinstance(openapi, dict) and isinstance(openapi.get("path"), str):
            self._file(openapi["path"], ("openapi", "path"))
        for name in ("helmCharts", "helmChartInflationGenerator"):
            for index, item in mappings(body.get(name)):
                self.walk.charts.add(Reference(self._at((name, index)), str(item.get("name") or item.get("chartName") or name)))

    def _at(self, pointer: Pointer) -> Location:
        return self.locate(pointer)

    def _sources(self, item: Mapping[str, Any], at: Pointer) -> None:
        """The files of a ConfigMap or Secret generator."""
        for index, entry in strings(item.get("files")):
            self._file(entry.partition("=")[2] or entry, (*at, "files", index))
        for index, entry in strings(item.get("envs")):
            self._file(entry, (*at, "envs", index))
        if isinstance(item.get("env"), str):
            self._file(item["env"], (*at, "env"))

    def _plugins(self, documents: tuple[Document, ...], at: Pointer) -> None:
        """Configurations of built-in plugins name files too, relative to the kustomization that uses them."""
        for document in documents:
            self._sources(document.body, at)
            if isinstance(document.body.get("path"), str) and document.body["path"]:
                self._file(document.body["path"], at)
            for index, reference in strings(document.body.get("paths")):
                if "\n" not in reference:
                    self._file(reference, (*at, index))
            for _, item in mappings(document.body.get("replacements")):
                if isinstance(item.get("path"), str):
                    self._file(item["path"], at)

    def _resolve(self, reference: str, at: Pointer) -> str | None:
        if is_remote(reference):
            self.walk.remote.add(Reference(self._at(at), reference))
            return None
        target = join(self.base, reference)
        if target is None:
            self.walk.outside.add(Reference(self._at(at), reference))
        return target

    def _file(self, reference: str, at: Pointer) -> None:
        target = self._resolve(reference, at)
        if target is None:
            return
        if self.walk.repository.is_file(target):
            self.walk.files.add(target)
        else:
            self.walk.missing.add(Reference(self._at(at), reference))

    def _tree(self, reference: str, at: Pointer, *, plugins: bool = False) -> None:
        """A file of manifests, or a directory with a kustomization."""
        target = self._resolve(reference, at)
        if target is None:
            return
        repository = self.walk.repository
        if repository.is_file(target):
            self.walk.files.add(target)
            if plugins:
                self._plugins(repository.documents(target), at)
        elif not repository.is_dir(target):
            self.walk.missing.add(Reference(self._at(at), reference))
        elif target in self.chain or target == "" or any(link.startswith(f"{target}/") for link in self.chain):
            # kustomize refuses a base that contains a directory it is already building.
            self.walk.cycles.add(Reference(self._at(at), reference))
        elif not kustomization_files(repository, target):
            self.walk.missing.add(Reference(self._at(at), reference))
        else:
            self.walk.directory(target, self.chain)
            if plugins:
                for path in sorted(self._files_of(target)):
                    self._plugins(repository.documents(path), at)

    def _files_of(self, directory: str) -> frozenset[str]:
        return frozenset(path for path in closure(self.walk.repository, directory).files if path.endswith((".yaml", ".yml")))
