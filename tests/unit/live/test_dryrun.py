"""What a server says of objects, and how that is held against the engine's verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.admission.dryrun import FLAWS, Answer, DryRun, Opinions, Said, is_rendered, left, mislabelled, one_of_each, opinion_findings, strange
from harness.live.reach.api import APPLY, Reply, Resource
from harness.live.rules.schemas import ACCEPTED
from harness.model import Location, Object, ObjectId, Origin, fixed

if TYPE_CHECKING:
    from collections.abc import Mapping

KNOWN = {("v1", "ConfigMap"): Resource("configmaps", True), ("v1", "Namespace"): Resource("namespaces", False)}


def body(name: str = "one", namespace: str = "apps", kind: str = "ConfigMap", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}


@dataclass
class Server:
    """Answers by method, and keeps what was asked."""

    answers: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def resource(self, api_version: str, kind: str) -> Resource | None:
        return KNOWN.get((api_version, kind))

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, *, body: Any = None, media: str = "") -> Reply:
        if method == "GET":
            return Reply(200, {"items": [{"metadata": {"name": "apps"}}, {"metadata": {"name": "default"}}]})
        assert query is not None
        assert (query["dryRun"], query["fieldValidation"]) == ("All", "Strict")
        assert (media == APPLY) == (method == "PATCH")
        self.asked.append((method, path))
        self.sent.append(body)
        return self.answers.get(method, Reply(200, {}))


def asked(server: Server, item: dict[str, Any]) -> Answer:
    return DryRun.of(server).answer(item)  # type: ignore[arg-type]


def test_an_object_is_applied_where_it_is() -> None:
    server = Server()
    assert asked(server, body()) == Answer(Said.ACCEPTED)
    assert server.asked == [("PATCH", "/api/v1/namespaces/apps/configmaps/one")]


def test_an_object_of_a_namespace_that_is_not_there_is_asked_for_elsewhere() -> None:
    server, item = Server(), body(namespace="nowhere")
    asked(server, item)
    assert server.asked == [("PATCH", "/api/v1/namespaces/default/configmaps/one")]
    assert server.sent[0]["metadata"]["namespace"] == "default"
    assert item["metadata"]["namespace"] == "nowhere"


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    server = Server()
    asked(server, body(kind="Namespace"))
    assert server.asked == [("PATCH", "/api/v1/namespaces/one")]
    assert "namespace" not in server.sent[0]["metadata"]


def test_one_that_cannot_be_changed_into_is_offered_for_creation() -> None:
    server = Server({"PATCH": Reply(422, {"message": "field is immutable"}), "POST": Reply(409, {"message": "already exists"})})
    assert asked(server, body()) == Answer(Said.ACCEPTED)
    assert server.asked[1] == ("POST", "/api/v1/namespaces/apps/configmaps")


def test_one_that_cannot_be_made_either_is_refused() -> None:
    server = Server({"PATCH": Reply(422, {"message": "is invalid"}), "POST": Reply(422, {"message": "is invalid: labels"})})
    assert asked(server, body()) == Answer(Said.REFUSED, "is invalid: labels")


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (403, 'admission webhook "x" denied the request: no', Said.DENIED),
        (400, 'admission webhook "x" denied the request: no', Said.DENIED),
        (403, "pods is forbidden: exceeded quota: counts", Said.DENIED),
        (500, "failed to create typed patch object: .spec.x: field not declared in schema", Said.REFUSED),
        (500, 'Internal error occurred: failed calling webhook "x"', Said.REFUSED),
        (400, "strict decoding error: unknown field", Said.REFUSED),
    ],
)
def test_who_refuses_is_told_apart(status: int, message: str, said: Said) -> None:
    assert asked(Server({"PATCH": Reply(status, {"message": message})}), body()) == Answer(said, message)


def test_an_unknown_kind_is_not_asked_for() -> None:
    server = Server()
    assert asked(server, body(kind="Widget")).said is Said.UNKNOWN
    assert server.asked == []


def test_the_same_object_is_asked_for_once() -> None:
    server = Server()
    dry = DryRun.of(server)  # type: ignore[arg-type]
    assert [answer.said for answer in dry.answers([body(), body()])] == [Said.ACCEPTED] * 2
    dry.answer(body())
    assert len(server.asked) <= 2


@dataclass
class Schemas:
    def validate(self, item: Mapping[str, Any]) -> list[Any]:
        return [Error()] if item["metadata"]["name"] == "both" else []


@dataclass
class Error:
    pointer: tuple[str, ...] = ("spec",)
    message: str = "unknown field"


@dataclass
class World:
    objects: list[Object]
    schemas: Schemas = field(default_factory=Schemas)


def item(name: str, kind: str = "ConfigMap", *, synthesised: str = "", elided: bool = False) -> Object:
    origin = Origin(fixed(Location("a.yaml", 3)), synthesised=synthesised, elided=elided)
    return Object(ObjectId("kind", "", kind, "apps", name), body(name, kind=kind), origin)


def test_only_what_is_rendered_in_full_is_asked_for() -> None:
    items = [item("one"), item("made", synthesised="Prometheus x"), item("part", elided=True)]
    assert [entry.name for entry in items if is_rendered(entry)] == ["one"]
    assert [str(entry.subject) for entry in left(World(items))] == [str(items[2].id)]  # type: ignore[arg-type]
    assert [entry.name for entry in one_of_each(World([*items, item("two")]))] == ["one"]  # type: ignore[arg-type]


def test_verdicts_are_held_against_each_other() -> None:
    server = Server({"PATCH": Reply(500, {"message": "field not declared"})})
    opinions = DryRun.of(server).opinions(World([item("alone"), item("both"), item("odd", "Widget")]))  # type: ignore[arg-type]
    assert opinions.asked == 3
    assert [entry.name for entry, _message in opinions.refused] == ["alone"]
    assert [(entry.name, offline) for entry, _message, offline in opinions.agreed] == [("both", "spec: unknown field")]
    assert list(opinions.unknown) == ["Widget"]
    found = opinion_findings(opinions, ACCEPTED)
    assert [finding.found for finding in found] == [
        "the API server: field not declared; the offline engine: accepted",
        "the API server: field not declared; the offline engine: spec: unknown field",
    ]
    assert str(found[0].location) == "a.yaml:3"


def test_what_admission_denies_is_no_disagreement() -> None:
    server = Server({"PATCH": Reply(403, {"message": 'admission webhook "x" denied the request'})})
    opinions = DryRun.of(server).opinions(World([item("one")]))  # type: ignore[arg-type]
    assert ([entry.name for entry, _message in opinions.denied], opinion_findings(opinions, ACCEPTED)) == (["one"], [])
    assert opinion_findings(Opinions(), ACCEPTED) == []


def test_flaws_leave_the_object_itself_alone() -> None:
    sound = body(spec={"a": 1})
    for spoil in FLAWS.values():
        assert spoil(sound) != sound
    assert sound == body(spec={"a": 1})
    assert strange(sound)["spec"] == {"a": 1, "plimsollUnknown": True}
    assert strange(body())["plimsollUnknown"] is True
    assert mislabelled(body())["metadata"]["labels"] == {"not a label": "x"}
