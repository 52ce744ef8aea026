"""What objects that an operator would make have in common: identity, origin, and the way back to the resource they are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.flux.kinds import HELM_RELEASE
from harness.model import Link, Location, Object, ObjectId, Origin, Pointer, group_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class Finder(Protocol):
        """What expansion asks of the cluster."""

        def find(self, kind: str, namespace: str, name: str) -> Object | None:
            """The object of a kind (``Kind.group``), or None."""


def made_from(source: Object, body: Mapping[str, Any], namespace: str) -> Object:
    """An object that an operator makes from ``source``, marked as synthesised.

    A pointer into it leads to the field of the source with the same end (``….securityContext`` to ``spec.securityContext``),
    which is how operators name what they pass on; where there is none, to the source.
    """
    metadata = {**body["metadata"]}
    if namespace:
        metadata["namespace"] = namespace
    link = Link(source.kind, namespace or source.namespace, source.name)

    def locate(pointer: Pointer) -> Location:
        for start in range(len(pointer)):
            tail = pointer[start:]
            for cut in range(len(tail), 0, -1):
                if isinstance(tail[0], str) and source.get("spec", *tail[:cut]) is not None:
                    return source.locate("spec", *tail[:cut])
        return source.locate()

    identity = ObjectId(source.id.cluster, group_of(str(body["apiVersion"])), str(body["kind"]), namespace, str(metadata["name"]))
    origin = Origin(locate, (*source.origin.chain, link), synthesised=str(link), elided=source.origin.elided)
    return Object(identity, {**body, "metadata": metadata}, origin)


def namespace_of(item: Object, view: Finder) -> str:
    """An object's namespace, or that of its release where the chart leaves it to the release."""
    applier = item.applier
    if item.namespace or applier is None or applier.kind != "HelmRelease":
        return item.namespace
    release = view.find(HELM_RELEASE, applier.namespace, applier.name)
    target = release.get("spec", "targetNamespace") if release is not None else None
    return str(target or applier.namespace)


def merge_by(base: Any, patch: Any, key: str = "") -> Any:
    """A strategic merge of pod templates: mappings at every depth, lists of named things by name, other lists replaced.

    Source: Kubernetes' patchMergeKey of PodSpec: name for containers, env and volumes, mountPath for volumeMounts, containerPort for ports.
    """
    if isinstance(base, dict) and isinstance(patch, dict):
        merged = {**base, **{name: merge_by(base.get(name), value, name) for name, value in patch.items() if value is not None}}
        return {name: value for name, value in merged.items() if name not in patch or patch[name] is not None}
    by = {"volumeMounts": "mountPath", "ports": "containerPort"}.get(key, "name")
    if (
        isinstance(base, list)
        and isinstance(patch, list)
        and patch
        and all(isinstance(item, dict) and isinstance(item.get(by), str | int) for item in [*base, *patch])
    ):
        known = {item[by]: item for item in base}
        for item in patch:
            known[item[by]] = merge_by(known.get(item[by]), item)
        return list(known.values())
    return patch
