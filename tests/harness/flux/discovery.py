"""Finds the clusters of a repository: the folders that some Flux sync builds.

A cluster root is, in this order of trust:

1. the path of a Flux Kustomization that builds the very file it stands in (what ``flux bootstrap`` writes as
   ``gotk-sync.yaml``, and what a hand-made sync root looks like);
2. the ``spec.sync.path`` of a FluxInstance, also inside the values of a flux-instance HelmRelease;
3. where a repository has neither (the sync was applied by hand, or lives elsewhere), the folder of each Flux Kustomization
   that no other one builds.

Only files that Flux would see count: source-controller's defaults and ``.sourceignore`` are honoured.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.flux.kinds import FLUX_INSTANCE, HELM_RELEASE, KUSTOMIZATION
from harness.flux.sourceignore import SourceIgnore
from harness.model import Object, ObjectId, Origin, group_of
from harness.source.reach import closure, kustomization_files
from harness.source.repository import YAML_SUFFIXES, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.source.repository import Repository
    from harness.source.yaml import Document

#: Folder names that say nothing about which cluster they belong to.
_GENERIC: Final = frozenset({"flux", "flux-system", "cluster", "clusters", "bootstrap", "config", "apps", "kubernetes", "k8s", "manifests", ""})
_MARKERS: Final = (b"kustomize.toolkit.fluxcd.io", b"fluxcd.controlplane.io", b"helm.toolkit.fluxcd.io")


@dataclass(frozen=True, slots=True)
class ClusterRoot:
    """One cluster: its name, the folder its sync builds, and how it was found.

    ``sync`` is the Kustomization that builds the folder, as written in Git, or None when it is not in Git.
    """

    name: str
    path: str
    found_by: str
    sync: Object | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A Flux Kustomization as some file declares it, before any patch."""

    document: Document
    path: str
    files: frozenset[str]

    @property
    def builds_itself(self) -> bool:
        return self.document.path in self.files

    @property
    def source(self) -> tuple[str, str]:
        reference = _spec(self.document).get("sourceRef")
        return (str(reference.get("kind")), str(reference.get("name"))) if isinstance(reference, dict) else ("", "")


def discover(repository: Repository) -> tuple[ClusterRoot, ...]:
    """The clusters of a repository, sorted by name. Empty when nothing in it is for Flux."""
    documents = [document for path in manifests(repository) if _mentions_flux(repository, path) for document in repository.documents(path)]
    candidates = _of_this_repository(repository, [_candidate(repository, document) for document in documents if _is(document, KUSTOMIZATION)])
    found = _outermost([_Found(item.path, item.document, "sync Kustomization") for item in candidates if item.builds_itself], candidates)
    taken = {item.path for item in found}
    found += [item for document in documents for item in _instances(document) if item.path not in taken]
    if not found:
        found = _folders(candidates)
    return _named(repository, found)


def manifests(repository: Repository) -> tuple[str, ...]:
    """Every YAML file that enters the artifact Flux builds from, sorted."""
    ignore = SourceIgnore(repository)
    return tuple(path for path in repository.files() if path.endswith(YAML_SUFFIXES) and ignore.admits(path))


def normalise(path: str | None) -> str:
    """``spec.path`` as a path relative to the repository: ``./clusters/kind/`` is ``clusters/kind``, nothing is the root (``""``)."""
    clean = posixpath.normpath("/" + (path or ".")).lstrip("/")
    return "" if clean == "." else clean


def object_of(document: Document, cluster: str) -> Object:
    """A hand-written document as an object of a cluster, located at its own lines."""
    body = document.body
    metadata = body.get("metadata") or {}
    identity = ObjectId(cluster, group_of(str(body["apiVersion"])), str(body["kind"]), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    return Object(identity, body, Origin(document.locate))


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    document: Document | None
    found_by: str


def _mentions_flux(repository: Repository, path: str) -> bool:
    try:
        content = repository.read(path)
    except UnreadableError:
        return False
    return any(marker in content for marker in _MARKERS)


def _is(document: Document, kind: str) -> bool:
    body = document.body
    if not isinstance(body, dict) or not isinstance(body.get("apiVersion"), str) or not isinstance(body.get("metadata"), dict):
        return False
    return f"{body.get('kind')}.{group_of(body['apiVersion'])}" == kind


def _spec(document: Document) -> dict[str, Any]:
    spec = document.body.get("spec")
    return spec if isinstance(spec, dict) else {}


def _candidate(repository: Repository, document: Document) -> _Candidate:
    path = _spec(document).get("path")
    where = normalise(path if isinstance(path, str) else None)
    return _Candidate(document, where, built_files(repository, where))


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


def _outermost(found: list[_Found], candidates: list[_Candidate]) -> list[_Found]:
    """Drop the syncs that another sync builds too: they are reached from it and are no roots of their own."""
    reached = {item.path: item.files for item in candidates}
    unique = {item.path: item for item in reversed(found)}
    return [
        item
        for item in unique.values()
        if not any(
            other.path != item.path and item.document is not None and item.document.path in reached[other.path] and _is_above(other.path, item.path)
            for other in unique.values()
        )
    ]


def _is_above(folder: str, path: str) -> bool:
    return folder != path and (not folder or path.startswith(folder + "/"))


def _instances(document: Document) -> Iterable[_Found]:
    if _is(document, FLUX_INSTANCE):
        sync = _spec(document).get("sync")
    elif _is(document, HELM_RELEASE):
        values = _spec(document).get("values")
        instance = values.get("instance") if isinstance(values, dict) else None
        sync = instance.get("sync") if isinstance(instance, dict) else None
    else:
        return
    if isinstance(sync, dict) and isinstance(sync.get("path"), str):
        yield _Found(normalise(sync["path"]), None, "FluxInstance")


def _folders(candidates: list[_Candidate]) -> list[_Found]:
    """The outermost folders of Kustomizations that no other Kustomization builds."""
    reached = frozenset().union(*(item.files for item in candidates)) if candidates else frozenset()
    folders = {posixpath.dirname(item.document.path) for item in candidates if item.document.path not in reached}
    return [_Found(folder, None, "folder of Kustomizations") for folder in folders if not any(_is_above(other, folder) for other in folders)]


def _named(repository: Repository, found: list[_Found]) -> tuple[ClusterRoot, ...]:
    by_path = {item.path: item for item in reversed(found)}
    short = {path: _short_name(repository, path) for path in by_path}
    count = Counter(short.values())
    names = {path: name if count[name] == 1 else path.replace("/", "-") or repository.root.name for path, name in short.items()}
    roots = [ClusterRoot(names[path], path, item.found_by, object_of(item.document, names[path]) if item.document else None) for path, item in by_path.items()]
    return tuple(sorted(roots, key=lambda root: root.name))


def _short_name(repository: Repository, path: str) -> str:
    telling = [part for part in path.split("/") if part not in _GENERIC]
    return telling[-1] if telling else repository.root.name
