"""Which sources are this repository, and where in it a Kustomization of such a source builds.

A cluster reaches this repository under several names: the GitRepository or OCIRepository its sync uses, another object with the
same address (a tenant's own copy), a Bucket with the same endpoint, or an ExternalArtifact that an ArtifactGenerator cuts out of
one of them. Everything else is another source: what it holds cannot be known from here, and is said to be unknown.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from harness.flux.discovery import Reference, normalise
from harness.flux.kinds import source_kind
from harness.flux.makers import items
from harness.flux.remotes import address, checkout

if TYPE_CHECKING:
    from harness.model import Object
    from harness.source.repository import Repository

Find = Callable[[str, str, str], "Object | None"]


class Resolved(NamedTuple):
    """Where a source leads. ``path`` is the folder in this repository, or None with the reason in ``elsewhere``."""

    path: str | None
    elsewhere: str
    source: Object | None


class Sources:
    """Resolves the sources of one cluster.

    ``sync`` is the source that the cluster's root is built from, as far as Git says; ``base`` the folder its artifact is made of.
    """

    def __init__(self, repository: Repository, sync: Reference, base: str = "") -> None:
        self._sync = sync if sync.kind else None
        self._base = base
        self._checkout = checkout(repository.root)

    def resolve(self, kustomization: Object, find: Find, generators: Callable[[], tuple[Object, ...]]) -> Resolved:
        """Where a Kustomization's ``sourceRef`` and ``path`` lead."""
        kind, namespace, name = reference_of(kustomization)
        path = kustomization.get("spec", "path")
        folder = normalise(path if isinstance(path, str) else None)
        if not kind:
            return Resolved(posixpath.join(self._base, folder).rstrip("/"), "", None)
        source = find(source_kind(kind), namespace, name)
        if kind == "ExternalArtifact":
            return self._generated(namespace, name, folder, find, generators)
        if self.is_this(kind, namespace, name, find):
            return Resolved(posixpath.join(self._base, folder).rstrip("/"), "", source)
        where = _address_of(source) if source is not None else "not declared in this repository"
        return Resolved(None, f"{kind} {namespace}/{name} is another source ({where})", source)

    def is_this(self, kind: str, namespace: str, name: str, find: Find) -> bool:
        """Whether a source is this repository: the sync's own source, or one with its address, or with this checkout's remote, and the same revision."""
        if (kind, namespace, name) == self._sync:
            return True
        source = find(source_kind(kind), namespace, name)
        if source is None:
            # Bootstrap makes the sync's source by hand in many repositories; nothing else can be known of it.
            return self._sync is None and name in {"flux-system", "flux", "cluster"}
        known = find(source_kind(self._sync.kind), self._sync.namespace, self._sync.name) if self._sync is not None else None
        if known is not None:
            return _address_of(known) == _address_of(source) and known.get("spec", "ref") == source.get("spec", "ref")
        if _address_of(source) in self._checkout.remotes:
            return self._is_this_branch(source)
        return self._sync is None and name == "flux-system"

    def _is_this_branch(self, source: Object) -> bool:
        """Whether a source of this repository's address follows the branch that is checked out, or the default one (a change is on its way there)."""
        reference = source.get("spec", "ref", default={})
        if not isinstance(reference, dict) or any(reference.get(key) for key in ("tag", "semver", "name", "commit", "digest")):
            return source.kind != "GitRepository"
        branch = reference.get("branch")
        return not branch or branch in self._checkout.branches

    def _generated(self, namespace: str, name: str, folder: str, find: Find, generators: Callable[[], tuple[Object, ...]]) -> Resolved:
        """An ExternalArtifact made by an ArtifactGenerator: undo its copy operations."""
        for generator in generators():
            if generator.namespace != namespace:
                continue
            for artifact in items(generator.get("spec", "artifacts")):
                if isinstance(artifact, dict) and artifact.get("name") == name:
                    return self._copied(generator, artifact, folder, find)
        return Resolved(None, f"ExternalArtifact {namespace}/{name} has no ArtifactGenerator in this repository", None)

    def _copied(self, generator: Object, artifact: dict[str, object], folder: str, find: Find) -> Resolved:
        """The folder that a folder of an artifact is a copy of. Later operations overwrite what earlier ones copied."""
        aliases = {str(item.get("alias")): item for item in items(generator.get("spec", "sources")) if isinstance(item, dict)}
        named = f"{generator.kind} {generator.namespace}/{generator.name}"
        into: list[str] = []
        elsewhere = ""
        for operation in reversed(items(artifact.get("copy"))):
            copied = _operation(operation)
            if copied is None or copied.alias not in aliases:
                continue
            source = aliases[copied.alias]
            leads_here = _is_at_or_below(folder, copied.goal)
            if not leads_here and not _is_at_or_below(copied.goal, folder):
                continue
            kind, name = str(source.get("kind")), str(source.get("name"))
            namespace = str(source.get("namespace") or generator.namespace)
            if not self.is_this(kind, namespace, name, find):
                elsewhere = elsewhere or f"{named} copies it from {kind} {namespace}/{name}, which is another source"
            elif leads_here:
                rest = folder[len(copied.goal) :].lstrip("/")
                return Resolved(posixpath.join(self._base, copied.start, rest).rstrip("/"), "", generator)
            else:
                into.append(posixpath.join(self._base, copied.start).rstrip("/"))
        if len(into) == 1 and not elsewhere:
            # Flux makes a kustomization of a folder that only holds another one: the inner one is what is built.
            return Resolved(into[0], "", generator)
        if into:
            return Resolved(None, f"{named} puts {folder or 'its root'} together from several folders", generator)
        return Resolved(None, elsewhere or f"no copy operation of {named} leads to {folder or 'its root'}", generator)


class _Operation(NamedTuple):
    """One copy operation on folders: ``goal`` in the artifact has the content of ``start`` in the source."""

    alias: str
    start: str
    goal: str


def _operation(operation: object) -> _Operation | None:
    """A copy operation as its folders, with the meaning of ``cp``.

    ``dir/`` or ``dir`` becomes a sub-folder of a target that ends in a slash, ``dir/**`` is its content. An operation that selects single files
    (``*.yaml``, ``config.yaml``) is taken for one on their folder.
    Source: source-watcher docs/spec/v1beta1/artifactgenerators.md, Copy Operations.
    """
    if not isinstance(operation, dict):
        return None
    origin = re.match(r"^@([^/]+)/(.*)$", str(operation.get("from", "")), re.DOTALL)
    target = re.match(r"^@artifact/(.*)$", str(operation.get("to", "")), re.DOTALL)
    if origin is None or target is None:
        return None
    pattern, to = origin[2], target[1]
    goal = normalise(to)
    if "*" in pattern:
        fixed = pattern.partition("*")[0]
        return _Operation(origin[1], normalise(posixpath.dirname(fixed)), goal)
    start = normalise(pattern)
    if start.endswith((".yaml", ".yml")):
        return _Operation(origin[1], posixpath.dirname(start), goal if to.endswith("/") else posixpath.dirname(goal))
    return _Operation(origin[1], start, posixpath.join(goal, posixpath.basename(start)) if to.endswith("/") or not to else goal)


def _is_at_or_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")


def reference_of(kustomization: Object) -> Reference:
    """The source a Kustomization names; empty where it names none."""
    reference = kustomization.get("spec", "sourceRef", default={})
    if not isinstance(reference, dict) or not reference.get("kind"):
        return Reference()
    return Reference(str(reference["kind"]), str(reference.get("namespace") or kustomization.namespace), str(reference.get("name") or ""))


def _address_of(source: Object) -> str:
    if source.kind == "Bucket":
        return f"{source.get('spec', 'endpoint')}/{source.get('spec', 'bucketName')}"
    return address(str(source.get("spec", "url", default="")))
