"""What a real API server says of rendered objects, by dry run with strict validation, and whether the offline verdict agrees.

Each object is applied as Flux does it (server-side apply, ``dryRun=All``, ``fieldValidation=Strict``). One that is there already with other
immutable fields, because it is another cluster's, is offered for creation instead: the server validates it in full before it says that the name is
taken. Schemas are checked before validating admission, so an object that a policy refuses has passed them (Kubernetes
``pkg/registry/generic/registry/store.go``: BeforeCreate, then createValidation).
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.live.reach.api import APPLY, root_of
from harness.model import NotEvaluated, format_pointer
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from harness.flux.world import World
    from harness.live.findings import LiveRule
    from harness.live.reach.api import Api, Reply
    from harness.model import Finding, Object

_MANAGER: Final = "plimsoll-dry-run"
_THREADS: Final = 8
_STRICT: Final = {"dryRun": "All", "fieldValidation": "Strict", "fieldManager": _MANAGER}
#: How the API server and its admission plugins begin a refusal that is about a rule and not about the object's shape.
_ADMISSION: Final = ("admission webhook", "ValidatingAdmissionPolicy", "exceeded quota", "violates PodSecurity", "is forbidden:")
_TAKEN: Final = 409
_INVALID: Final = 422
_FORBIDDEN: Final = 403


class Said(StrEnum):
    """What the server says of an object."""

    ACCEPTED = "accepted"
    DENIED = "denied by admission"
    REFUSED = "refused"
    UNKNOWN = "unknown kind"


class Answer(NamedTuple):
    """What the server says of one object, and why."""

    said: Said
    message: str = ""


@dataclass
class Opinions:
    """The server's answers about some objects of a cluster. ``refused`` are those that the server refuses although the engine accepts them."""

    asked: int = 0
    refused: list[tuple[Object, str]] = field(default_factory=list)
    denied: list[tuple[Object, str]] = field(default_factory=list)
    unknown: dict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))
    agreed: list[tuple[Object, str, str]] = field(default_factory=list)
    """What both refuse: the object, the server's reason, the engine's."""


class DryRun:
    """Asks one API server. ``stand_in`` is a namespace that is there, for objects whose own is not."""

    def __init__(self, api: Api, namespaces: Iterable[str], stand_in: str) -> None:
        self._api = api
        self._namespaces = frozenset(namespaces)
        self._stand_in = stand_in
        self._known: dict[str, Answer] = {}

    @classmethod
    def of(cls, api: Api) -> DryRun:
        """One that knows the server's namespaces. Objects of others are asked for in ``default``, which every cluster has."""
        listed = [mapping(item) for item in items(api.ask("GET", "/api/v1/namespaces").body.get("items"))]
        return cls(api, [text(mapping(item.get("metadata")).get("name")) for item in listed], "default")

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """What the server says of an object. The same one again is not asked again. Raises WebError when it does not answer."""
        placed = self._placed(body)
        if placed is None:
            return Answer(Said.UNKNOWN, f"no {body.get('kind')} in {body.get('apiVersion')}")
        key = json.dumps(placed, sort_keys=True, default=str)
        if key not in self._known:
            self._known[key] = self._ask(placed)
        return self._known[key]

    def answers(self, bodies: Iterable[Mapping[str, Any]]) -> list[Answer]:
        """What the server says of many objects, in their order."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="dry-run") as threads:
            return list(threads.map(self.answer, bodies))

    def opinions(self, world: World) -> Opinions:
        """What the server says of every object that is rendered for a cluster, held against the engine's verdict.

        What operators make at run time is not rendered, and what the lock only keeps in part cannot be sent: see :func:`left`.
        """
        asked = [item for item in world.objects if is_rendered(item)]
        found = Opinions(len(asked))
        for item, (said, message) in zip(asked, self.answers([item.body for item in asked]), strict=True):
            if said is Said.UNKNOWN:
                found.unknown[str(item.group_kind)].append(item)
            elif said is Said.DENIED:
                found.denied.append((item, message))
            elif said is Said.REFUSED:
                offline = offline_verdict(world, item.body)
                if offline:
                    found.agreed.append((item, message, offline))
                else:
                    found.refused.append((item, message))
        return found

    def _placed(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """An object in a namespace that is there; None for a kind that the server does not know."""
        resource = self._api.resource(str(body.get("apiVersion")), str(body.get("kind")))
        if resource is None:
            return None
        placed = copy.deepcopy(dict(body))
        namespace = placed["metadata"].get("namespace")
        if resource.namespaced and namespace not in self._namespaces:
            placed["metadata"]["namespace"] = self._stand_in
        if not resource.namespaced:
            placed["metadata"].pop("namespace", None)
        return placed

    def _ask(self, body: dict[str, Any]) -> Answer:
        resource = self._api.resource(body["apiVersion"], body["kind"])
        if resource is None:
            raise ValueError(f"{body['kind']} is asked for, and was known a moment ago")
        name, namespace = body["metadata"]["name"], body["metadata"].get("namespace")
        where = f"/namespaces/{namespace}" if resource.namespaced else ""
        path = f"{root_of(body['apiVersion'])}{where}/{resource.name}"
        first = self._api.ask("PATCH", f"{path}/{name}", {**_STRICT, "force": "true"}, body=body, media=APPLY)
        if first.status == _INVALID:
            second = self._api.ask("POST", path, _STRICT, body=body)
            return _read(second) if second.status != _TAKEN else Answer(Said.ACCEPTED)
        return _read(first)


def is_rendered(item: Object) -> bool:
    """Whether an object stands in Git or comes from a chart, and is there in full."""
    return not item.origin.synthesised and not item.origin.elided


def left(world: World) -> Iterator[NotEvaluated]:
    """What of a cluster cannot be sent to a server."""
    for item in world.objects:
        if item.origin.elided:
            yield NotEvaluated(str(item.id), "dry run", "its chart is not at hand: only what the lock keeps of it is known")


def offline_verdict(world: World, body: Mapping[str, Any]) -> str:
    """Why the offline engine refuses an object; empty when it accepts it."""
    return "; ".join(f"{format_pointer(error.pointer)}: {error.message}" for error in world.schemas.validate(body))


def one_of_each(world: World) -> list[Object]:
    """The first rendered object of each kind of a cluster."""
    first: dict[str, Object] = {}
    for item in world.objects:
        if is_rendered(item):
            first.setdefault(str(item.group_kind), item)
    return list(first.values())


def strange(body: Mapping[str, Any]) -> dict[str, Any]:
    """An object with a field that no schema knows: in its spec, where it has one."""
    found = copy.deepcopy(dict(body))
    spec = found.get("spec")
    (spec if isinstance(spec, dict) else found)["plimsollUnknown"] = True
    return found


def mislabelled(body: Mapping[str, Any]) -> dict[str, Any]:
    """An object with a label whose name no object may have: its fields are all known, so only validation refuses it."""
    found = copy.deepcopy(dict(body))
    found["metadata"]["labels"] = {**(found["metadata"].get("labels") or {}), "not a label": "x"}
    return found


#: Ways to spoil any object, in words.
FLAWS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "a field that no schema knows": strange,
    "a label with a name that none may have": mislabelled,
}


def opinion_findings(opinions: Opinions, rule: LiveRule) -> list[Finding]:
    """A finding for each object that the server refuses: with both sides where they disagree, and with the engine's words where it refuses too."""
    said = [(item, message, "accepted") for item, message in opinions.refused] + opinions.agreed
    return [rule.finding(item, f"the API server: {message}; the offline engine: {offline}", "both accept it") for item, message, offline in said]


def _read(reply: Reply) -> Answer:
    if reply.ok:
        return Answer(Said.ACCEPTED)
    message = reply.message
    admission = any(part in message for part in _ADMISSION) and (reply.status == _FORBIDDEN or message.startswith(("admission webhook", "exceeded quota")))
    return Answer(Said.DENIED if admission else Said.REFUSED, message)
