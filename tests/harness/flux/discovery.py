"""Finds the clusters of a repository: the folders that some Flux sync builds.

A cluster root is, in this order of trust:

1. the path of a Flux Kustomization that builds the very file it stands in (what ``flux bootstrap`` writes as
   ``gotk-sync.yaml``, and what a hand-made sync root looks like), unless another root leads to it;
2. the ``spec.sync.path`` of a FluxInstance, also inside the values of a flux-instance HelmRelease or in a values file of that chart;
3. where a repository has neither (the sync was applied by hand, or lives elsewhere), the folder of each Flux Kustomization
   that no other one builds.

Only files that Flux would see count: source-controller's defaults and ``.sourceignore`` are honoured.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from harness.flux.kinds import FLUX_INSTANCE, HELM_RELEASE, KUSTOMIZATION, source_kind
from harness.flux.remotes import address, checkout
from harness.flux.sourceignore import SourceIgnore
from harness.model import Object, ObjectId, Origin, group_of
from harness.source.paths import confine
from harness.source.reach import closure, kustomization_files
from harness.source.repository import YAML_SUFFIXES, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.source.repository import Repository
    from harness.source.yaml import Document

#: Folder names that say nothing about which cluster they belong to.
_GENERIC: Final = frozenset(
    {"flux", "flux-system", "cluster", "clusters", "bootstrap", "config", "apps", "kubernetes", "k8s", "manifests", "gitops", "setup", "base", ""}
)
_MARKERS: Final = (b"kustomize.toolkit.fluxcd.io", b"fluxcd.controlplane.io", b"helm.toolkit.fluxcd.io")
#: Sources whose content is pushed, so that it may be a part of a repository.
_PUSHED: Final = frozenset({"OCIRepository", "Bucket"})
#: What a values file of the flux-instance chart has.
_INSTANCE_MARKERS: Final = (b"instance:", b"sync:", b"path:")


class Reference(NamedTuple):
    """A source by kind, namespace and name; all empty where nothing says."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


_NOWHERE: Final = Reference()


@dataclass(frozen=True, slots=True)
class ClusterRoot:
    """One cluster: its name, the folder its sync builds, and how it was found.

    ``sync`` is the Kustomization that builds the folder, as written in Git, or None when it is not in Git. ``source`` is what it is built from.
    ``base`` is the folder that the source's artifact is made of, where that is not the whole repository (``flux push artifact --path``).
    """

    name: str
    path: str
    found_by: str
    sync: Object | None = None
    source: Reference = _NOWHERE
    base: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A Flux Kustomization as some file declares it, before any patch."""

    document: Document
    path: str
    base: str
    files: frozenset[str]

    @property
    def builds_itself(self) -> bool:
        return self.document.path in self.files

    @property
    def source(self) -> tuple[str, str]:
        reference = _spec(self.document).get("sourceRef")
        return (str(reference.get("kind")), str(reference.get("name"))) if isinstance(reference, dict) else ("", "")


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    document: Document | None
    found_by: str
    source: Reference = _NOWHERE
    base: str = ""


def discover(repository: Repository) -> tuple[ClusterRoot, ...]:
    """The clusters of a repository, sorted by name. Empty when nothing in it is for Flux."""
    documents = [document for path in manifests(repository) if _mentions_flux(repository, path) for document in repository.documents(path)]
    whole = _Whole(repository, documents)
    candidates = _of_this_repository(repository, [_candidate(repository, document, whole) for document in documents if _is(document, KUSTOMIZATION)])
    found = [_Found(item.path, item.document, "sync Kustomization", _source_of(item.document), item.base) for item in _syncs(candidates)]
    taken = {item.path for item in found}
    instances = [item for document in documents for item in _instances(repository, document) if item.path not in taken]
    # An instance of another repository, or an example, names a folder that is not here. That of a repository's only cluster is a mistake to tell.
    found += [item for item in instances if repository.is_dir(item.path)] or ([] if found else instances)
    if not found:
        found = _folders(candidates)
    return _named(repository, found)


def manifests(repository: Repository) -> tuple[str, ...]:
    """Every YAML file that enters the artifact Flux builds from, sorted."""
    known = _manifests.get(repository)
    if known is None:
        ignore = SourceIgnore(repository)
        known = _manifests[repository] = tuple(path for path in repository.files() if path.endswith(YAML_SUFFIXES) and ignore.admits(path))
    return known


_manifests: Final[WeakKeyDictionary[Repository, tuple[str, ...]]] = WeakKeyDictionary()


def normalise(path: str | None) -> str:
    """``spec.path`` as a path relative to the repository: ``./clusters/kind/`` is ``clusters/kind``, nothing is the root (``""``)."""
    return confine(path or "")


def object_of(document: Document, cluster: str) -> Object:
    """A hand-written document as an object of a cluster, located at its own lines."""
    body = document.body
    metadata = body.get("metadata") or {}
    identity = ObjectId(cluster, group_of(str(body["apiVersion"])), str(body["kind"]), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    return Object(identity, body, Origin(document.locate))


def _mentions_flux(repository: Repository, path: str) -> bool:
    try:
        content = repository.read(path)
    except UnreadableError:
        return False
    return any(marker in content for marker in _MARKERS) or all(marker in content for marker in _INSTANCE_MARKERS)


def _is(document: Document, kind: str) -> bool:
    body = document.body
    if not isinstance(body, dict) or not isinstance(body.get("apiVersion"), str) or not isinstance(body.get("metadata"), dict):
        return False
    return f"{body.get('kind')}.{group_of(body['apiVersion'])}" == kind


def _spec(document: Document) -> dict[str, Any]:
    spec = document.body.get("spec")
    return spec if isinstance(spec, dict) else {}


class _Whole:
    """Tells which Kustomizations of path ``./`` build this whole repository, and not an artifact that is cut out of it or made elsewhere."""

    def __init__(self, repository: Repository, documents: Sequence[Document]) -> None:
        self._remotes = checkout(repository.root).remotes
        self._has_file = bool(kustomization_files(repository, ""))
        self._urls: dict[tuple[str, str], set[str]] = defaultdict(set)
        for document in documents:
            kind, url = str(document.body.get("kind")), _spec(document).get("url")
            if isinstance(url, str) and isinstance(document.body.get("metadata"), dict) and _is(document, source_kind(kind)):
                self._urls[kind, str(document.body["metadata"].get("name"))].add(address(url))

    def is_built_by(self, document: Document) -> bool:
        """Whether a Kustomization without a path of its own may be one of the whole repository.

        A patch of a Kustomization has no ``sourceRef``, and one that patches complete has no ``path``. A folder without kustomization.yaml
        is built from every manifest below it, so that any file would do; people who sync that way keep the sync in the root folder or one below.
        """
        reference = _spec(document).get("sourceRef")
        if not isinstance(reference, dict) or not isinstance(_spec(document).get("path"), str):
            return False
        urls = self._urls.get((str(reference.get("kind")), str(reference.get("name"))))
        elsewhere = urls is not None and bool(self._remotes) and not urls & self._remotes
        return not elsewhere and (self._has_file or document.path.count("/") <= 1)


def _candidate(repository: Repository, document: Document, whole: _Whole) -> _Candidate:
    path = _spec(document).get("path")
    where, base = _placed(repository, normalise(path if isinstance(path, str) else None), _source_of(document).kind)
    files = built_files(repository, where) if where or whole.is_built_by(document) else frozenset[str]()
    return _Candidate(document, where, base, files)


def _placed(repository: Repository, path: str, kind: str) -> tuple[str, str]:
    """A path of a source as (folder of the repository, folder that the source's artifact is made of).

    What is pushed as an artifact or into a bucket may be a part of the repository; then the path is the end of just one folder's.
    """
    if not path or kind not in _PUSHED or repository.is_dir(path):
        return path, ""
    ends = {folder for folder in _folders_of(repository) if folder.endswith(f"/{path}")}
    if len(ends) != 1:
        return path, ""
    (folder,) = ends
    return folder, folder.removesuffix(f"/{path}")


def _folders_of(repository: Repository) -> frozenset[str]:
    folders: set[str] = set()
    for file in repository.files():
        folder = posixpath.dirname(file)
        while folder and folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    return frozenset(folders)


def _source_of(document: Document) -> Reference:
    reference = _spec(document).get("sourceRef")
    if not isinstance(reference, dict) or not reference.get("kind"):
        return Reference()
    namespace = reference.get("namespace") or document.body["metadata"].get("namespace")
    return Reference(str(reference["kind"]), str(namespace or ""), str(reference.get("name") or ""))


def _of_this_repository(repository: Repository, candidates: list[_Candidate]) -> list[_Candidate]:
    """Leave out what is built from other sources: ``path: ./`` of a vendor's artifact is not the root of this repository.

    A source is taken for this repository when some Kustomization of it names a folder that is here. When none does, nothing can be told apart.
    """
    ours = {item.source for item in candidates if item.path and repository.is_dir(item.path)}
    return [item for item in candidates if item.source in ours] if ours else candidates


def built_files(repository: Repository, path: str) -> frozenset[str]:
    """The files that a Kustomization of this path builds from: what its kustomization.yaml reaches, or every manifest below it when there is none."""
    if not repository.is_dir(path):
        return frozenset()
    if not kustomization_files(repository, path):
        return frozenset(name for name in repository.files(path) if name.endswith(YAML_SUFFIXES))
    return closure(repository, path).files


def _syncs(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The Kustomizations that build themselves and that no other one of these leads to. Of a ring, the outermost folder stands for all."""
    declared: dict[str, list[_Candidate]] = defaultdict(list)
    for item in candidates:
        declared[item.document.path].append(item)
    own = {item.path: item for item in reversed(candidates) if item.builds_itself}
    led = {path: _led_to(item, declared) for path, item in own.items()}

    def is_inner(item: _Candidate) -> bool:
        above = (other for other in own.values() if other.path != item.path and item.document.path in led[other.path])
        return any(other.document.path not in led[item.path] or _rank(other) < _rank(item) for other in above)

    return [item for item in own.values() if not is_inner(item)]


def _led_to(start: _Candidate, declared: dict[str, list[_Candidate]]) -> frozenset[str]:
    """Every file that a Kustomization builds, and that those among them build, to any depth."""
    files: set[str] = set()
    frontier = [start]
    while frontier:
        fresh = frontier.pop().files - files
        files |= fresh
        frontier += [item for path in fresh for item in declared.get(path, ())]
    return frozenset(files)


def _rank(item: _Candidate) -> tuple[int, str]:
    return (item.path.count("/") + bool(item.path), item.path)


def _is_above(folder: str, path: str) -> bool:
    return folder != path and (not folder or path.startswith(folder + "/"))


def _instances(repository: Repository, document: Document) -> Iterable[_Found]:
    """The sync of a FluxInstance, of a HelmRelease's values for the flux-instance chart, or of a values file for it."""
    body = document.body
    metadata = body.get("metadata")
    if _is(document, FLUX_INSTANCE):
        sync = _spec(document).get("sync")
    elif _is(document, HELM_RELEASE):
        sync = _sync_of_values(_spec(document).get("values"))
    elif "kind" not in body:
        sync = _sync_of_values(body)
    else:
        return
    if isinstance(sync, dict) and isinstance(sync.get("path"), str):
        namespace = str((metadata.get("namespace") if isinstance(metadata, dict) else None) or "flux-system")
        source = Reference(str(sync.get("kind") or "GitRepository"), namespace, str(sync.get("name") or namespace))
        path, base = _placed(repository, normalise(sync["path"]), source.kind)
        yield _Found(path, None, "FluxInstance", source, base)


def _sync_of_values(values: object) -> object:
    instance = values.get("instance") if isinstance(values, dict) else None
    return instance.get("sync") if isinstance(instance, dict) else None


def _folders(candidates: list[_Candidate]) -> list[_Found]:
    """The outermost folders of Kustomizations that no other Kustomization builds."""
    reached = frozenset().union(*(item.files for item in candidates)) if candidates else frozenset()
    folders = {posixpath.dirname(item.document.path) for item in candidates if item.document.path not in reached}
    outermost = [folder for folder in folders if not any(_is_above(other, folder) for other in folders)]
    return [_Found(folder, None, "folder of Kustomizations") for folder in outermost]


def _named(repository: Repository, found: list[_Found]) -> tuple[ClusterRoot, ...]:
    by_path = {item.path: item for item in reversed(found)}
    names = _names(repository.root.name, sorted(by_path))
    roots = [
        ClusterRoot(names[path], path, item.found_by, object_of(item.document, names[path]) if item.document else None, item.source, item.base)
        for path, item in by_path.items()
    ]
    return tuple(sorted(roots, key=lambda root: root.name))


def _names(repository: str, paths: Sequence[str]) -> dict[str, str]:
    """A name for each path: the last telling folder of it, and as many of those above as it takes to tell it from the others."""
    telling = {path: [part for part in path.split("/") if part not in _GENERIC] for path in paths}
    names: dict[str, str] = {}
    for path, parts in telling.items():
        taken = next((count for count in range(1, len(parts) + 1) if _suffices(parts[-count:], path, telling)), 0)
        names[path] = "-".join(parts[-taken:]) if taken else (path.replace("/", "-") if len(paths) > 1 and path else repository)
    return names


def _suffices(suffix: list[str], path: str, telling: dict[str, list[str]]) -> bool:
    """Whether the end of a path is no bare number and that of no other path."""
    return not all(part.isdigit() for part in suffix) and all(other == path or parts[-len(suffix) :] != suffix for other, parts in telling.items())
