"""A world of plain manifests: any files or folders of Kubernetes YAML or JSON, with no Flux and no build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.flux.discovery import ClusterRoot
from harness.flux.world import DEFAULT_KUBERNETES, World, schemas_for
from harness.model import NotEvaluated, Object, ObjectId, Origin, Pointer, Problem, group_of
from harness.model.shapes import mapping, text
from harness.source.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from harness.engines.schema import SchemaSet
    from harness.source.yaml import Document

_SUFFIXES: Final = (".yaml", ".yml", ".json")


def plain_world(paths: Iterable[Path], *, today: date, kubernetes_version: str | None = None, name: str = "manifests", every: bool = False) -> World:
    """The objects of files and folders as they stand. ``List`` documents are taken apart.

    Of objects with the same id the first counts, and the others are problems: a cluster has only one. ``every`` keeps them all, for whoever judges each
    document by itself.

    What cannot be read is in ``problems``; a document that is no Kubernetes object is *not evaluated*, by its place.
    Raises FileNotFoundError for a path that does not exist.
    """
    objects: list[Object] = []
    problems: list[Problem] = []
    skipped: list[NotEvaluated] = []
    repository: Repository | None = None
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        root = path if path.is_dir() else path.parent
        prefix = "" if path.is_dir() else path.name
        here = Repository(root)
        repository = repository or here
        names = [each for each in here.files(prefix) if each.endswith(_SUFFIXES)]
        for each in names:
            for document in here.documents(each):
                found, odd = _objects(document, name)
                objects += found
                skipped += odd
        problems += here.problems_of(names)
    if repository is None:
        raise FileNotFoundError("no file or folder was given")
    unique: dict[tuple[str, ...], Object] = {}
    for item in () if every else objects:
        first = unique.setdefault(tuple(item.id), item)
        if first is not item:
            problems.append(Problem("object-twice", str(item.id), item.locate(), f"the object is also at {first.locate()}"))
    ordered = tuple(sorted(objects if every else unique.values(), key=lambda item: item.id))
    version = kubernetes_version or DEFAULT_KUBERNETES
    schemas = schemas_for(version, ordered)
    return World(
        cluster=ClusterRoot(name, "", "plain manifests"),
        repository=repository,
        kubernetes_version=version,
        today=today,
        objects=_in_namespaces(ordered, schemas),
        schemas=schemas,
        problems=tuple(problems),
        not_evaluated=tuple(skipped),
    )


def _in_namespaces(objects: tuple[Object, ...], schemas: SchemaSet) -> tuple[Object, ...]:
    """Namespaced objects that name no namespace are in ``default``, as ``kubectl apply`` would have it."""
    moved = []
    for item in objects:
        if not item.namespace and schemas.scope(item.api_version, item.kind) == "Namespaced":
            moved.append(Object(item.id._replace(namespace="default"), {**item.body, "metadata": {**item.metadata, "namespace": "default"}}, item.origin))
        else:
            moved.append(item)
    return tuple(sorted(moved, key=lambda item: item.id))


def _objects(document: Document, cluster: str) -> tuple[list[Object], list[NotEvaluated]]:
    found: list[Object] = []
    odd: list[NotEvaluated] = []
    for body, at in _bodies(document):
        if text(body.get("apiVersion")) and text(body.get("kind")) and isinstance(body.get("metadata"), dict):
            found.append(_object(document, body, at, cluster))
        else:
            odd.append(NotEvaluated(str(document.locate(at)), "document that is no Kubernetes object", "it has no apiVersion, kind and metadata"))
    return found, odd


def _bodies(document: Document) -> Iterator[tuple[dict[str, Any], Pointer]]:
    """The document, or the items of a ``List`` or ``<Kind>List``."""
    body, entries = document.body, document.body.get("items")
    kind = text(body.get("kind"))
    if not kind.endswith("List") or not isinstance(entries, list) or "spec" in body:
        yield body, ()
        return
    typed = {"apiVersion": body.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
    for index, entry in enumerate(entries):
        yield {**typed, **mapping(entry)}, ("items", index)


def _object(document: Document, body: dict[str, Any], at: Pointer, cluster: str) -> Object:
    metadata = mapping(body["metadata"])
    identity = ObjectId(cluster, group_of(body["apiVersion"]), body["kind"], text(metadata.get("namespace")), text(metadata.get("name")))
    return Object(identity, body, Origin(lambda pointer: document.locate((*at, *pointer))))
