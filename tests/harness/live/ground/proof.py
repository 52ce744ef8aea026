"""What was proven offline is what runs: the cluster is built again with its overlay, and may differ in nothing but what the overlay says."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.flux.kinds import KUSTOMIZATION
from harness.flux.workspace import LOCK_FOLDER, Workspace
from harness.live.ground.overlay import SOURCES, OverlayError
from harness.live.ground.tree import admitted
from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.world import World
    from harness.live.ground.overlay import Overlay
    from harness.model import Object

_CONFIG_MAP = "ConfigMap"
_SEALED = "SealedSecret.bitnami.com"


def rebuilt(workspace: Workspace, world: World, overlay: Overlay) -> World:
    """The cluster as Flux will build it with its overlay: the same files with the patched sync root in place of the one in Git.

    Raises:
        OverlayError: the file of the sync root cannot be found, or its folder is no cluster any more.
    """
    sync = world.cluster.sync
    if sync is None:
        raise OverlayError(f"the sync root of {world.cluster.name} is not in Git")
    place = sync.locate().path
    with tempfile.TemporaryDirectory(prefix="plimsoll-overlay-") as folder:
        root = Path(folder)
        for path, content in {**admitted(workspace.repository), **_lock(workspace)}.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        documents = [overlay.root if _names(document.body, sync) else document.body for document in workspace.repository.documents(place)]
        root.joinpath(place).write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
        again = Workspace(root, workspace.options)
        found = next((item for item in again.clusters if item.name == world.cluster.name), None)
        if found is None:
            raise OverlayError(f"with its overlay, {world.cluster.name} is no cluster any more")
        # The folder is gone when this returns: what is read later, such as what people say of the cluster, is in the repository itself.
        return replace(again.world(found), repository=workspace.repository)


def differences(before: World, after: World, overlay: Overlay) -> list[str]:
    """Where two builds of a cluster differ in what the overlay does not say, one line each. Empty: what was proven is what runs.

    Sources may differ in where they lead, ConfigMaps of the sync root in their values, SealedSecrets in their ciphertexts, Kustomizations in the patches that
    bring this; what is left out and the sync root itself are gone. Whatever takes a variable's value follows it.
    """
    first, second = ({item.id: item for item in world.objects} for world in (before, after))
    root = (overlay.root["kind"], overlay.root["metadata"]["name"])
    left = set(overlay.left_out)
    values = _values(before, after)
    found = []
    for key in sorted(first.keys() | second.keys()):
        one, other = first.get(key), second.get(key)
        if one is None:
            found.append(f"{key}: only with the overlay")
        elif other is None:
            away = any(f"{link.namespace}/{link.name}" in left for link in one.origin.chain) or f"{one.namespace}/{one.name}" in left
            if not away and (one.kind, one.name) != root:
                found.append(f"{key}: only without the overlay")
        elif not _same(_comparable(one), _comparable(other), values):
            found.append(f"{key}: differs in more than the overlay says")
    return found


def _comparable(item: Object) -> dict[str, Any]:
    """An object without what an overlay may change."""
    body = dict(item.body)
    kind = str(item.group_kind)
    if kind in SOURCES:
        body["spec"] = {key: value for key, value in item.spec.items() if key not in ("url", "ref", "verify", "insecure", "type")}
    elif kind == KUSTOMIZATION:
        body["spec"] = {key: value for key, value in item.spec.items() if key != "patches"}
    elif kind == _SEALED:
        body["spec"] = {**item.spec, "encryptedData": sorted(mapping(item.spec.get("encryptedData")))}
    elif kind == _CONFIG_MAP and item.namespace == "flux-system":
        body["data"] = sorted(mapping(body.get("data")))
    return body


def _same(one: object, other: object, values: Mapping[str, set[str]]) -> bool:
    """Whether two bodies are equal once any old value of a variable in the first may be any of its new ones."""
    if one == other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key], values) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(*pair, values) for pair in zip(one, other, strict=True))
    if not isinstance(one, str) or not isinstance(other, str) or not values:
        return False
    old = re.compile("|".join(re.escape(value) for value in values))
    pattern, at = "", 0
    for found in old.finditer(one):
        pattern += re.escape(one[at : found.start()]) + "(?:" + "|".join(re.escape(new) for new in sorted(values[found[0]])) + ")"
        at = found.end()
    return bool(at) and re.fullmatch(pattern + re.escape(one[at:]), other) is not None


def _values(before: World, after: World) -> dict[str, set[str]]:
    """What each changed value of a ConfigMap may have become, longest first. Variables that share a value may go different ways."""
    became: dict[str, set[str]] = defaultdict(set)
    for item in before.of(_CONFIG_MAP):
        other = after.find(_CONFIG_MAP, item.namespace, item.name)
        new = mapping(other.body.get("data")) if other is not None else {}
        for key, value in mapping(item.body.get("data")).items():
            if value and isinstance(value, str) and isinstance(new.get(key), str):
                became[value].add(new[key])
    changed = {old: new for old, new in became.items() if new != {old}}
    return dict(sorted(changed.items(), key=lambda pair: -len(pair[0])))


def _names(body: object, sync: Object) -> bool:
    metadata = mapping(mapping(body).get("metadata"))
    return mapping(body).get("kind") == sync.kind and (metadata.get("name"), metadata.get("namespace")) == (sync.name, sync.namespace)


def _lock(workspace: Workspace) -> dict[str, bytes]:
    repository = workspace.repository
    return {path: repository.read(path) for path in repository.files(LOCK_FOLDER)}
