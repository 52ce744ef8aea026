"""The one overlay of a run: the cluster as it is in Git, its sources led to the registry beside it, the run's facts in its variables.

It is a patched copy of the sync root, and nothing else: the artifact holds the working tree byte for byte. Sources stand at any depth of Kustomizations, so
a patch for one travels inside a patch of the Kustomization that applies it. What the overlay changes is listed, and what can no longer be proven because
of it (signatures) goes to the ledger.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from harness.flux.kinds import KUSTOMIZATION, source_kind
from harness.model import NotEvaluated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.flux.world import World
    from harness.live.ground.oci import Pushed
    from harness.live.ground.sealing import Sealed
    from harness.model import Object

SOURCES: Final = tuple(source_kind(kind) for kind in ("OCIRepository", "HelmRepository", "GitRepository", "Bucket"))
_NOT_SIGNED: Final = "the registry beside the cluster holds what this run pushed, unsigned: the signature is checked by no live test"

Patch = dict[str, Any]


class OverlayError(Exception):
    """The cluster cannot be led to the registry."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What the registry beside the cluster holds, by address.

    ``host`` is its name inside the cluster's network (``kind-registry:5000``). ``tree`` is this repository; ``images`` are the charts and manifests of
    other sources, by the printed id of the OCIRepository that uses them; ``repositories`` the path of a chart repository, by the printed id of its
    HelmRepository.
    """

    host: str
    tree: Pushed
    images: Mapping[str, Pushed] = field(default_factory=dict)
    repositories: Mapping[str, str] = field(default_factory=dict)
    charts: Mapping[str, set[str]] = field(default_factory=dict)
    """The digests of the chart packages of each HelmRepository, as a HelmChart's artifact has them."""


@dataclass
class Overlay:
    """The sync root to apply, and what it does. ``source`` and ``root`` are whole objects; ``changed`` has one line a change."""

    source: dict[str, Any]
    root: dict[str, Any]
    changed: list[str] = field(default_factory=list)
    not_evaluated: list[NotEvaluated] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Names of the Kustomizations that this run does without, as ``namespace/name``."""

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What is applied by hand, in order."""
        return [self.source, self.root]


def mirrored(url: str) -> str:
    """The path under which the registry holds what an address names: ``oci://quay.io/a/b`` is ``quay.io/a/b``."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2].replace(':', '-')}{parts.path.rstrip('/')}".lower()


def overlay(
    world: World,
    beside: Beside,
    *,
    variables: Mapping[str, str] | None = None,
    sealed: Sealed | None = None,
    certificate: str = "",
    without: Iterable[tuple[str, str]] = (),
) -> Overlay:
    """The overlay of a cluster. ``without``: Kustomizations (namespace, name) to do without, see :func:`closed`.

    Raises:
        OverlayError: the cluster has no sync root in Git, or its source is none that can be led to a registry.
    """
    sync = world.cluster.sync
    if sync is None:
        raise OverlayError(f"the sync root of {world.cluster.name} is not in Git")
    reference = world.cluster.source
    source = world.find(source_kind(reference.kind), reference.namespace, reference.name)
    if source is None or source.kind != "OCIRepository":
        raise OverlayError(f"{world.cluster.name} is built from {reference.kind} {reference.namespace}/{reference.name}: only an OCIRepository can be led here")
    made = _Maker(world, beside, (sync.namespace, sync.name))
    made.leave_out(without)
    for item in world.of(*SOURCES):
        if item.id != source.id:
            made.redirect(item)
    made.configure(variables or {}, sealed, certificate)
    for item, values in sealed.literals if sealed is not None else ():
        made.add(item, {"spec": {"encryptedData": values}}, "values sealed for this run")
    tree = made.tree(source)
    # The sync root is applied by hand. Built from Git it would undo the overlay, and no patch can hold itself.
    made.drop(sync)
    root = copy.deepcopy(sync.body)
    root["spec"]["patches"] = [*(root["spec"].get("patches") or ()), *made.patches_of((sync.namespace, sync.name))]
    return Overlay(tree, root, made.changed, made.not_evaluated, [f"{namespace}/{name}" for namespace, name in sorted(made.left)])


def closed(world: World, names: Iterable[str]) -> set[tuple[str, str]]:
    """The Kustomizations with these names, and all that wait for them: what is left out when they are. Raises OverlayError for an unknown name."""
    wanted = set(names)
    known = {item.name for item in world.of(KUSTOMIZATION)}
    if wanted - known:
        raise OverlayError(f"there is no Kustomization {', '.join(sorted(wanted - known))}; there are {', '.join(sorted(known))}")
    out = {(item.namespace, item.name) for item in world.of(KUSTOMIZATION) if item.name in wanted}
    waits = {(item.namespace, item.name): needs_of(item) for item in world.of(KUSTOMIZATION)}
    while more := {key for key, needs in waits.items() if key not in out and needs & out}:
        out |= more
    return out


def needed(world: World, names: Iterable[str]) -> set[tuple[str, str]]:
    """The Kustomizations with these names, all that they wait for, and what applies them: what is kept when only they are wanted."""
    out = closed(world, ()) | {(item.namespace, item.name) for item in world.of(KUSTOMIZATION) if item.name in set(names)}
    closed(world, names)
    by_key = {(item.namespace, item.name): item for item in world.of(KUSTOMIZATION)}
    pending = list(out)
    while pending:
        item = by_key.get(pending.pop())
        if item is None:
            continue
        makers = {(link.namespace, link.name) for link in item.origin.chain if link.kind == "Kustomization"}
        more = (needs_of(item) | makers) - out
        out |= more
        pending += more
    return out


def needs_of(item: Object) -> set[tuple[str, str]]:
    """What a Kustomization's ``dependsOn`` names."""
    listed = item.get("spec", "dependsOn", default=[])
    known = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return {(str(entry.get("namespace") or item.namespace), str(entry.get("name"))) for entry in known}


class _Maker:
    """Collects the patches of each Kustomization."""

    def __init__(self, world: World, beside: Beside, root: tuple[str, str]) -> None:
        self._world = world
        self._beside = beside
        self._root = root
        self._own: dict[tuple[str, str], list[Patch]] = defaultdict(list)
        self.changed: list[str] = []
        self.not_evaluated: list[NotEvaluated] = []
        self.left: set[tuple[str, str]] = set()

    def leave_out(self, without: Iterable[tuple[str, str]]) -> None:
        self.left = set(without) - {self._root}
        for item in self._world.of(KUSTOMIZATION):
            key = (item.namespace, item.name)
            applier = item.applier
            if key in self.left:
                # One whose applier is left out too is not there anyway.
                if applier is not None and (applier.namespace, applier.name) not in self.left:
                    self.drop(item)
                self.not_evaluated.append(NotEvaluated(str(item.id), "live", "left out of this run"))

    def redirect(self, item: Object) -> None:
        """Lead one source to the registry."""
        name, url = str(item.id), str(item.get("spec", "url", default=""))
        if any(link.kind == "Kustomization" and (link.namespace, link.name) in self.left for link in item.origin.chain):
            return
        spec: dict[str, Any] = {}
        if name in self._beside.images:
            pushed = self._beside.images[name]
            spec = {"url": f"oci://{self._beside.host}/{pushed.repository}", "insecure": True, "ref": {"digest": pushed.digest}}
            said = f"{url} -> {self._beside.host}/{pushed.repository}@{pushed.digest}"
        elif name in self._beside.repositories:
            spec = {"type": "oci", "url": f"oci://{self._beside.host}/{self._beside.repositories[name]}", "insecure": True}
            said = f"{url} -> {spec['url']}"
        elif urlsplit(url).netloc == self._beside.host:
            return
        else:
            self.not_evaluated.append(NotEvaluated(name, "live source", f"{url or 'it'} is not at hand, so nothing beside the cluster stands for it"))
            return
        if item.get("spec", "verify") is not None:
            spec["verify"] = None
            said += ", verify dropped"
            self.not_evaluated.append(NotEvaluated(name, "signature of the source", _NOT_SIGNED))
        self.add(item, {"spec": spec}, said)

    def configure(self, variables: Mapping[str, str], sealed: Sealed | None, certificate: str) -> None:
        """Put the run's facts into the ConfigMaps that have a value for them."""
        for item in self._world.of("ConfigMap"):
            data = item.body.get("data")
            if not isinstance(data, dict) or item.applier is None or (item.applier.namespace, item.applier.name) != self._root:
                continue
            new = {key: value for key, value in variables.items() if key in data and data[key] != value}
            for key in new:
                self.changed.append(f"ConfigMap {item.namespace}/{item.name}: {key}: {data[key]} -> {new[key]}")
            if sealed is not None and (item.namespace, item.name) in sealed.variables:
                fresh = sealed.variables[item.namespace, item.name]
                new |= fresh
                self.changed.append(f"ConfigMap {item.namespace}/{item.name}: {len(fresh)} values sealed for this run")
            if certificate and item.name == "sealed-secrets-certificate":
                new |= {key: certificate for key, value in data.items() if isinstance(value, str) and "BEGIN CERTIFICATE" in value}
                self.changed.append(f"ConfigMap {item.namespace}/{item.name}: the certificate of this run's sealing key")
            if new:
                self.add(item, {"data": new}, "")

    def add(self, item: Object, change: Mapping[str, Any], said: str) -> None:
        """A change of one object, as a patch of the Kustomization that applies it."""
        applier = item.applier
        if applier is None or applier.kind != "Kustomization":
            self.not_evaluated.append(NotEvaluated(str(item.id), "live", f"made by {applier or 'hand'}, so the overlay cannot change it"))
            return
        body = {"apiVersion": item.api_version, "kind": item.kind, "metadata": {"name": item.name}, **change}
        self._own[applier.namespace, applier.name].append(_patch(item, body))
        if said:
            self.changed.append(f"{item.kind} {item.namespace}/{item.name}: {said}")

    def drop(self, item: Object) -> None:
        """Leave an object out of what its Kustomization applies."""
        applier = item.applier
        where = (applier.namespace, applier.name) if applier is not None else self._root
        body = {"apiVersion": item.api_version, "kind": item.kind, "metadata": {"name": item.name}, "$patch": "delete"}
        self._own[where].append(_patch(item, body))

    def tree(self, source: Object) -> dict[str, Any]:
        """The source of the sync root: the artifact of this run, by the tag that Git names, so that what is pushed later arrives."""
        tree = self._beside.tree
        spec: dict[str, Any] = {"url": f"oci://{self._beside.host}/{tree.repository}", "ref": {"tag": tree.tag}, "insecure": True}
        if source.get("spec", "verify") is not None:
            spec["verify"] = None
            self.not_evaluated.append(NotEvaluated(str(source.id), "signature of the source", _NOT_SIGNED))
        self.changed.append(f"{source.kind} {source.namespace}/{source.name}: {spec['url']}:{tree.tag}, pushed as {tree.digest}")
        if any(source.get("spec", key) != value for key, value in spec.items()):
            self.add(source, {"spec": spec}, "")
        body = copy.deepcopy(source.body)
        body["spec"] = {key: value for key, value in {**body["spec"], **spec}.items() if value is not None}
        return body

    def patches_of(self, key: tuple[str, str]) -> list[Patch]:
        """The patches of a Kustomization: its objects', and for each Kustomization it applies, one that brings that one's."""
        found = list(self._own[key])
        for child in self._world.of(KUSTOMIZATION):
            applier = child.applier
            own = (child.namespace, child.name)
            if applier is None or (applier.namespace, applier.name) != key or own == key or own in self.left:
                continue
            inner = self.patches_of(own)
            if inner:
                have = child.get("spec", "patches")
                steps = [{"op": "add", "path": "/spec/patches/-", "value": patch} for patch in inner]
                whole = [{"op": "add", "path": "/spec/patches", "value": inner}]
                found.append({"target": _target(child), "patch": _text(steps if isinstance(have, list) and have else whole)})
        return found


def _patch(item: Object, body: Mapping[str, Any]) -> Patch:
    return {"target": _target(item), "patch": _text(body)}


def _target(item: Object) -> dict[str, str]:
    """One object by its kind and name. Names in a target are regular expressions. The namespace is left out: transformers set it after patches."""
    group = {"group": item.group} if item.group else {}
    return {**group, "kind": item.kind, "name": item.name.replace(".", "\\.")}


def _text(value: object) -> str:
    text: str = yaml.dump(value, Dumper=_Literal, sort_keys=False, width=2**20)
    return text


class _Literal(yaml.SafeDumper):
    """Multi-line text as it stands, so that a patch inside a patch can be read."""


def _represent(dumper: _Literal, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Literal.add_representer(str, _represent)
