"""Cases of admission policies (:mod:`harness.source.policycases`) as requests to an API server.

The namespaces of a case are not those of the platform: ``tenant-a`` becomes a namespace that exists only for the proof, wherever the case names it, so that
labels, annotations and what else is there are exactly the case's. What has to be there already is created before; everything else is a dry run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from harness.live.faults import marked_as_temporary
from harness.live.reach.api import User, path_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.live.reach.api import Resource
    from harness.source.policycases import PolicyCase

Json = dict[str, Any]
#: Finds out how a kind is served.
KindOf = "Callable[[str, str], Resource | None]"

#: What a request says about itself, so that every other policy leaves it alone: the policy it is about.
EXTRA: Final = "plimsoll.example.com/policy"
#: No policy at all.
NOBODY: Final = "none"
#: Authorisation is not what is proven: everybody who asks may.
_MASTERS: Final = "system:masters"
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_GATES: Final = [{"name": "plimsoll.example.com/proof"}]
_MADE: Final = frozenset({"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"})
_CREATED: Final = "CREATE"


class UnservedKindError(Exception):
    """The API server knows no such kind: what it is for is not installed."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Json | None = None
    user: User | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A case that can be asked: ``case`` with its names on this cluster, what must be there before, and what is deleted (but held) before it is asked."""

    case: PolicyCase
    namespaces: tuple[Json, ...] = ()
    before: tuple[Json, ...] = ()
    leaving: bool = False
    """What is there is on its way out: it was deleted, and a finalizer holds it."""
    names: Mapping[str, str] = field(default_factory=dict)


def shared(case: PolicyCase) -> bool:
    """Whether a case needs nothing but the namespaces and accounts that all cases have."""
    if case.existing:
        return False
    return case.operation in (_CREATED, "CONNECT") or kind_of(case) == "Pod"


def kind_of(case: PolicyCase) -> str:
    """The kind that a case is about."""
    return text((case.object or case.old_object or {}).get("kind"))


def staged(case: PolicyCase, cluster: Sequence[Json], run: str, number: int) -> Stage:
    """A case with names of its own.

    Args:
        case: the case as it is written.
        cluster: the objects of every case; its namespaces of tenants are made anew, those of the platform are there.
        run: a few letters that no other run uses.
        number: what tells this case's objects from those of others.
    """
    lane = f"proof-{run}" if shared(case) else f"proof-{run}-{number}"
    names = {text(mapping(body["metadata"])["name"]): "" for body in cluster if _is_tenants(body)}
    names = {name: f"{lane}-{name.rpartition('-')[2]}" for name in names}
    if case.operation in ("UPDATE", "DELETE"):
        names.update(_made_names(case, lane))
    moved = renamed(case, names)
    if case.operation == "UPDATE" and kind_of(case) == "Pod":
        moved = replace(moved, object=_named(moved.object, number), old_object=_named(moved.old_object, number))
    spaces = tuple(_namespace(body) for body in renamed_all(cluster, names) if _is_made(body, names.values()))
    if not shared(case):
        used = _namespaces_of(moved)
        spaces = tuple(body for body in spaces if body["metadata"]["name"] in used)
    old = _old(moved)
    leaving = "deletionTimestamp" in mapping(mapping(moved.object).get("metadata"))
    return Stage(moved, spaces, tuple(marked_as_temporary(body) for body in (*moved.existing, *old)), leaving, names)


def ask(case: PolicyCase, kind_of: Callable[[str, str], Resource | None], *, policy: str) -> Ask:
    """The request of a staged case, under the name by which its policy is known. Raises UnservedKindError."""
    body = case.object or case.old_object or {}
    user = User(text(case.user["username"]), (*case.user["groups"], _MASTERS), {EXTRA: policy})
    subresource = case.headers.get("subresource", "")
    target = case.target
    dry = (("dryRun", "All"), ("fieldValidation", "Strict"))
    if case.resource is not None and target is not None:
        group, version, plural = case.resource
        path = path_of(f"{group}/{version}" if group else version, plural, *target, subresource)
        if case.operation == "CONNECT":
            return Ask("POST", path, tuple(_options(body)), None, user)
        return Ask("POST", path, dry, body, user)
    metadata = mapping(body.get("metadata"))
    # A target without a name: all of a kind are deleted.
    collection = case.operation == _CREATED or (target is not None and not target[1])
    path = located(body, kind_of, subresource=subresource, collection=collection)
    if case.operation == "DELETE":
        return Ask("DELETE", path, (("dryRun", "All"),), None, user)
    body = {**body, "metadata": {name: value for name, value in metadata.items() if name != "deletionTimestamp"}}
    return Ask("POST" if case.operation == _CREATED else "PUT", path, dry, body, user)


def located(body: Mapping[str, Any], kind_of: Callable[[str, str], Resource | None], *, subresource: str = "", collection: bool = False) -> str:
    """The path of an object, or of the collection it would be created in. Raises UnservedKindError."""
    version, kind, metadata = text(body.get("apiVersion")), text(body.get("kind")), mapping(body.get("metadata"))
    known = kind_of(version, kind)
    if known is None:
        raise UnservedKindError(f"{kind} ({version}) is not served")
    namespace = text(metadata.get("namespace")) if known.namespaced else ""
    return path_of(version, known.name, namespace, "" if collection else text(metadata.get("name")), "" if collection else subresource)


def accounts(cases: Iterable[PolicyCase]) -> list[Json]:
    """The service accounts that pods and tokens of the cases name: without them, a pod is refused before any policy sees it."""
    found: set[tuple[str, str]] = set()
    for case in cases:
        body = case.object or case.old_object or {}
        metadata, spec = mapping(body.get("metadata")), mapping(body.get("spec"))
        if body.get("kind") == "Pod" and text(spec.get("serviceAccountName")) not in ("", "default"):
            found.add((text(metadata.get("namespace")), text(spec.get("serviceAccountName"))))
        if case.resource is not None and case.resource[2] == "serviceaccounts" and case.target is not None:
            found.add(case.target)
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}, "automountServiceAccountToken": False}
        for namespace, name in sorted(found)
    ]


def renamed(case: PolicyCase, names: Mapping[str, str]) -> PolicyCase:
    """A case in which some words are others, wherever they stand."""
    again = _swap(names)
    return replace(
        case,
        headers={key: _replaced(value, names) if key != "message" else value for key, value in case.headers.items()},
        object=again(case.object),
        old_object=again(case.old_object),
        existing=tuple(again(body) for body in case.existing),
        expected=tuple(again(body) for body in case.expected) if case.expected is not None else None,
    )


def renamed_all(bodies: Iterable[Json], names: Mapping[str, str]) -> list[Json]:
    """Objects in which some words are others."""
    again = _swap(names)
    return [again(body) for body in bodies]


def _swap(names: Mapping[str, str]) -> Callable[[Any], Any]:
    return lambda body: json.loads(_replaced(json.dumps(body), names)) if body is not None else None


def _replaced(value: str, names: Mapping[str, str]) -> str:
    # All at once: a new name may hold the old one of another.
    marks = {name: f"\x00{number}\x00" for number, name in enumerate(sorted(names, key=len, reverse=True))}
    for name, mark in marks.items():
        value = value.replace(name, mark)
    for name, mark in marks.items():
        value = value.replace(mark, names[name])
    return value


def _is_tenants(body: Json) -> bool:
    labels = mapping(mapping(body.get("metadata")).get("labels"))
    return body.get("kind") == "Namespace" and labels.get("toolkit.fluxcd.io/tenant") not in (None, "platform")


def _is_made(body: Json, names: Iterable[str]) -> bool:
    return body.get("kind") == "Namespace" and text(mapping(body.get("metadata")).get("name")) in names


def _namespace(body: Json) -> Json:
    """A namespace of a case. It enforces nothing: Pod Security would refuse pods before a policy sees them."""
    marked = marked_as_temporary(body)
    marked["metadata"]["labels"][_ENFORCE] = "privileged"
    return marked


def _made_names(case: PolicyCase, lane: str) -> dict[str, str]:
    """New names for what a case changes or deletes outside of namespaces: the platform's own is not touched, not even in a dry run."""
    body = case.object or case.old_object or {}
    if body.get("kind") == "CustomResourceDefinition":
        group = text(mapping(body.get("spec")).get("group"))
        last = ".".join(group.split(".")[-2:])
        return {last: f"{lane}.{last}"}
    if body.get("kind") in _MADE:
        name = text(mapping(body.get("metadata")).get("name"))
        return {name: f"{lane}-{name}"}
    return {}


def _named(body: Json | None, number: int) -> Json | None:
    if body is None:
        return None
    metadata = mapping(body.get("metadata"))
    return {**body, "metadata": {**metadata, "name": f"{text(metadata.get('name'))}-{number}"}}


def _namespaces_of(case: PolicyCase) -> frozenset[str]:
    bodies = [body for body in (case.object, case.old_object, *case.existing) if body is not None]
    return frozenset(text(mapping(body.get("metadata")).get("namespace")) for body in bodies)


def _old(case: PolicyCase) -> list[Json]:
    """What must be there before an update or a deletion: the case's old object, else the new one as it was before."""
    if case.operation not in ("UPDATE", "DELETE"):
        return []
    body = case.old_object or case.object or {}
    metadata = {name: value for name, value in mapping(body.get("metadata")).items() if name != "deletionTimestamp"}
    old = {**body, "metadata": metadata}
    if old.get("kind") == "Pod":
        spec = {name: value for name, value in mapping(old.get("spec")).items() if name != "ephemeralContainers"}
        # It must never run.
        old["spec"] = spec if "nodeName" in spec else {**spec, "schedulingGates": _GATES}
    if old.get("kind") == "CustomResourceDefinition":
        old["spec"] = _definition(mapping(old.get("spec")))
    return [old]


def _definition(spec: Mapping[str, Any]) -> Json:
    """A definition that the API server takes, of one of which only the group and the plural matter."""
    plural = text(mapping(spec.get("names")).get("plural"))
    kind = plural.removesuffix("s").capitalize()
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    version = {"name": "v1", "served": False, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    return {**spec, "names": names, "scope": "Namespaced", "versions": [version]}


def _options(body: Json) -> Iterable[tuple[str, str]]:
    """The query of a connect: its options."""
    for name, value in body.items():
        if name not in ("apiVersion", "kind", "metadata"):
            for each in items(value) if isinstance(value, list) else [value]:
                yield name, str(each).lower() if isinstance(each, bool) else str(each)


__all__ = ["EXTRA", "NOBODY", "Ask", "Stage", "UnservedKindError", "accounts", "ask", "kind_of", "located", "renamed", "shared", "staged"]
