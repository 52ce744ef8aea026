"""Rights of a cluster that answers as it is told: what differs is found, on the right side."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.rbac.policy import Policy
from harness.engines.rbac.rules import Request
from harness.engines.rbac.subjects import Subject, service_account
from harness.live.access.cells import Table, neighbours, rights_of
from harness.live.access.look import paths, request_to
from harness.live.access.reviews import NOWHERE, Asking, access_review, allowed, computed, effective, impersonating, rules_of, rules_review, where_bound
from harness.live.access.rights import compare, read
from harness.live.findings import LiveError
from harness.live.reach.api import Question, Reply
from harness.rules.rbc_cells import Line, Row, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.rbac.rules import Rule
    from harness.model import Object

GROUP = "rbac.authorization.k8s.io"
OLD, FLUX, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"
WEB = service_account("shop", "web")


def made(kind: str, name: str, namespace: str = "", created: str = NEW, **more: Any) -> dict[str, Any]:
    group = "v1" if kind == "ServiceAccount" else f"{GROUP}/v1"
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created}, **more}


def role(name: str, namespace: str, verbs: Sequence[str] = ("get",), resources: Sequence[str] = ("pods",), **more: Any) -> dict[str, Any]:
    rules = [{"apiGroups": [""], "resources": list(resources), "verbs": list(verbs)}]
    return made("Role" if namespace else "ClusterRole", name, namespace, rules=rules, **more)


def binding(name: str, namespace: str, subject: Subject = WEB, **more: Any) -> dict[str, Any]:
    who = [{"kind": "ServiceAccount", "name": subject.name, "namespace": subject.namespace}]
    reference = {"apiGroup": GROUP, "kind": "Role" if namespace else "ClusterRole", "name": name}
    return made("RoleBinding" if namespace else "ClusterRoleBinding", name, namespace, roleRef=reference, subjects=who, **more)


BUILD = [role("reader", "shop"), binding("reader", "shop"), made("ServiceAccount", "web", "shop")]


def compared(there: list[dict[str, Any]], waits: str = "", build: list[dict[str, Any]] = BUILD) -> tuple[list[str], list[str], dict[str, str]]:
    objects = read("kind", build)
    declared = [item for item in objects if item.kind == "ServiceAccount"]
    model = Policy.of_objects(objects, built_in=False)
    found = compare(model, declared, read("kind", there), since=FLUX, waits=lambda _item: waits)
    return [f"{each.rule} {each.subject}" for each in found.findings], [entry.subject for entry in found.open], found.partial


def test_same_on_both_sides_is_nothing_to_say() -> None:
    # Grouping and order of rules say nothing.
    split = made("Role", "reader", "shop", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "get"]}])
    assert compared([split, *BUILD[1:], made("ServiceAccount", "default", "shop")]) == ([], [], {})


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (BUILD[1:], ["LIV501 kind/Role/shop/reader"]),
        ([BUILD[0], BUILD[2]], ["LIV501 kind/RoleBinding/shop/reader"]),
        (BUILD[:2], ["LIV501 kind/ServiceAccount/shop/web"]),
        ([role("reader", "shop", ["get", "list"]), *BUILD[1:]], ["LIV501 kind/Role/shop/reader"]),
        ([BUILD[0], binding("reader", "shop", service_account("shop", "other")), BUILD[2]], ["LIV501 kind/RoleBinding/shop/reader"]),
        ([*BUILD, role("more", "")], ["LIV502 kind/ClusterRole/more"]),
        ([*BUILD, binding("more", "shop")], ["LIV502 kind/RoleBinding/shop/more"]),
        ([*BUILD, made("ServiceAccount", "more", "shop")], ["LIV502 kind/ServiceAccount/shop/more"]),
        # What was there before Flux may bind its own, and nobody of the platform.
        ([*BUILD, binding("ground", "", service_account("kube-system", "dns"), created=OLD)], []),
        ([*BUILD, binding("ground", "", created=OLD)], ["LIV502 kind/ClusterRoleBinding/ground"]),
    ],
)
def test_each_difference_is_a_finding(there: list[dict[str, Any]], found: list[str]) -> None:
    assert compared(there)[0] == found


def test_what_flux_has_not_brought_yet_is_left_open() -> None:
    findings, left, partial = compared([], waits="Kustomization/flux-system/shop is waiting")
    assert findings == []
    assert left == ["kind/Role/shop/reader", "kind/RoleBinding/shop/reader", "kind/ServiceAccount/shop/web"]
    assert partial == {"sa:shop/web": "Kustomization/flux-system/shop is waiting"}


def test_what_other_proofs_made_for_a_moment_counts_only_when_asked_for() -> None:
    for_a_moment = role("more", "")
    for_a_moment["metadata"]["labels"] = {"plimsoll.example.com/proof": "true"}
    assert compared([*BUILD, for_a_moment])[0] == []
    objects = read("kind", BUILD)
    found = compare(Policy.of_objects(objects, built_in=False), objects[2:], read("kind", [*BUILD, for_a_moment]), since=FLUX, waits=str, temporary=True)
    assert [each.subject for each in found.findings] == ["kind/ClusterRole/more"]


def test_the_cluster_answers_by_what_other_proofs_made_for_a_moment() -> None:
    moment = [role("more", "", ["list"]), binding("more", "")]
    for body in moment:
        body["metadata"]["labels"] = {"plimsoll.example.com/proof": "true"}
    objects = read("kind", BUILD)
    found = compare(Policy.of_objects(objects, built_in=False), objects[2:], read("kind", [*BUILD, *moment]), since=FLUX, waits=str)
    assert found.findings == []
    assert found.policy.allows(WEB, Request("list", "", "pods"))


def test_review_names_every_group_of_its_subject() -> None:
    spec = access_review(WEB, Request("get", "", "pods", "log", "", "shop")).body["spec"]  # type: ignore[index]
    assert spec["user"] == "system:serviceaccount:shop:web"
    assert spec["groups"] == ["system:serviceaccounts:shop", "system:serviceaccounts", "system:authenticated"]
    assert spec["resourceAttributes"] == {"verb": "get", "group": "", "resource": "pods", "subresource": "log", "name": "", "namespace": "shop"}
    member = access_review(Subject("Group", "devs"), Request("get", path="/metrics")).body["spec"]  # type: ignore[index]
    assert member["user"]
    assert member["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}


def test_rules_are_asked_for_as_the_subject() -> None:
    asked = rules_review(WEB, "")
    assert asked.body is not None
    assert asked.body["spec"] == {"namespace": NOWHERE}
    assert asked.headers == (("Impersonate-User", "system:serviceaccount:shop:web"),)
    assert ("Impersonate-Group", "devs") in impersonating(Subject("Group", "devs"))
    assert impersonating(Subject("User", "system:anonymous")) == (("Impersonate-User", "system:anonymous"),)


@pytest.mark.parametrize(
    "reply",
    [Reply(403, {"message": "no"}), Reply(201, {"status": {}}), Reply(201, {"status": {"allowed": True, "evaluationError": "webhook"}})],
)
def test_answers_that_are_none_are_not_taken_for_a_no(reply: Reply) -> None:
    with pytest.raises(ValueError, match="status"):
        allowed(reply)


@pytest.mark.parametrize("reply", [Reply(403, {}), Reply(201, {"status": {"incomplete": True, "resourceRules": []}})])
def test_list_of_rules_that_is_not_whole_is_none(reply: Reply) -> None:
    with pytest.raises(ValueError, match="status"):
        rules_of(reply)


@dataclass
class Server:
    """An API server that decides by a policy of its own, and counts."""

    policy: Policy
    asked: list[Question] = field(default_factory=list)

    def all(self, questions: Sequence[Question]) -> list[Reply]:
        self.asked += questions
        return [self._rules(each) if each.path.endswith("rulesreviews") else self._access(each) for each in questions]

    def _who(self, user: str) -> Subject:
        _, _, namespace, name = user.split(":")
        return service_account(namespace, name)

    def _rules(self, question: Question) -> Reply:
        assert question.body is not None
        who = self._who(dict(question.headers)["Impersonate-User"])
        rules = [_listed(held.rule) for held in self.policy.rules_for(who, question.body["spec"]["namespace"])]
        return Reply(201, {"status": {"incomplete": False, "resourceRules": rules, "nonResourceRules": []}})

    def _access(self, question: Question) -> Reply:
        assert question.body is not None
        spec = question.body["spec"]
        asked = spec.get("resourceAttributes") or spec["nonResourceAttributes"]
        decision = self.policy.decide(self._who(spec["user"]), Request(**asked))
        return Reply(201, {"status": {"allowed": decision.allowed, "reason": decision.reason}})


def _listed(rule: Rule) -> dict[str, Any]:
    named = {"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources, "resourceNames": rule.names, "nonResourceURLs": rule.urls}
    return {name: list(words) for name, words in named.items()}


def drawn() -> random.Random:
    return random.Random(1)  # noqa: S311


def policy(*bodies: dict[str, Any]) -> Policy:
    return Policy.of_objects(read("kind", bodies), built_in=False)


def test_everything_that_a_subject_has_is_known_by_place() -> None:
    ours = policy(*BUILD)
    assert where_bound([ours], WEB) == {"shop"}
    server: Any = Server(ours)
    known = effective(server, {WEB: ["", "shop"]}, ["", "shop", "other"], ours)
    assert known.number[WEB, "other"] == known.number[WEB, ""] != known.number[WEB, "shop"]
    assert known.atoms[known.number[WEB, "shop"]] == computed(ours, WEB, "shop")
    assert len(server.asked) == 2


def test_server_that_lists_no_rules_is_a_finding() -> None:
    class Silent(Server):
        def _rules(self, question: Question) -> Reply:
            return Reply(500, {"message": "broken"})

    server: Any = Silent(policy())
    with pytest.raises(LiveError, match="LIV503 sa:shop/web: no whole list of rules in any namespace: status 500: broken"):
        effective(server, {WEB: [""]}, [""], policy())


def test_questions_with_equal_answers_are_one() -> None:
    ours = policy(*BUILD)
    other = service_account("shop", "other")
    server: Any = Server(ours)
    known = effective(server, {WEB: ["", "shop"], other: ["", "shop"]}, ["", "shop"], ours)
    asking = Asking(known)
    denied = {asking.add(who, Request("delete", "", "secrets", "", "", place)) for who in (WEB, other) for place in ("", "shop")}
    assert len(denied) == 1
    reading = [asking.add(who, Request("get", "", "pods", "", "", "shop"), own=True) for who in (WEB, other)]
    assert len(set(reading)) == 2
    assert asking.wanted == 6
    answers = asking.ask(server)
    assert [answers[key][0] for key in (*denied, *reading)] == [False, True, False]


def test_rights_and_what_is_beside_them_are_answered_by_a_server_of_the_same_policy_alike() -> None:
    bodies = [*BUILD, role("wide", "", ["*"], ["pods/log", "*/scale"]), binding("wide", "")]
    ours, rng = policy(*bodies), drawn()
    server: Any = Server(ours)
    known = effective(server, {WEB: ["", "shop"]}, ["", "shop", "other"], ours)
    asking = Asking(known, scoped=True)
    resources = [("", "pods"), ("", "secrets"), ("apps", "deployments")]
    asked = [*rights_of(ours, WEB, ["shop", "other"], asking, rng), *neighbours(ours, WEB, ["shop", "other"], resources, asking, rng, 200)]
    answers = asking.ask(server)
    assert all(answers[right.key][0] == (right.held is not None) for right in asked)
    assert {answers[right.key][0] for right in asked} == {True, False}
    # A server that knows one rule less is found out.
    less: Any = Server(policy(*BUILD))
    fewer = asking.ask(less)
    assert any(fewer[right.key][0] != (right.held is not None) for right in asked)


def table(lines: tuple[Line, ...], ours: Policy) -> dict[str, tuple[bool, bool]]:
    server: Any = Server(ours)
    known = effective(server, {WEB: ["", "shop"]}, ["", "shop"], ours)
    asking = Asking(known)
    resources = [("", name) for name in ("pods", "secrets", "configmaps", "services", "events", "nodes", "namespaces")] + [("apps", f"r{n}") for n in range(9)]
    cells = list(Table(known, asking, ours, resources, drawn()).of(Row(0, WEB, False, lines)))
    answers = asking.ask(server)
    return {cell.words: (cell.allowed, answers[cell.key][0]) for cell in cells}


def test_cells_are_asked_as_the_table_means_them() -> None:
    named = role("named", "shop")
    named["rules"] = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["one"]}]
    ours = policy(*BUILD, named, binding("named", "shop"))
    pods, secrets, every = Target("", "pods", "", "", ("a",)), Target("", "secrets", "", "", ("b",)), Target("", "*", "", "", ("c",))
    assert table((Line(True, ("get", "list"), ("shop",), (pods,)),), ours) == {"get pods in shop": (True, True), "list pods in shop": (True, False)}
    # Whatever the name: the one that a role names is asked for.
    assert table((Line(False, ("get",), ("shop",), (secrets,)),), ours) == {"get secrets in shop": (False, False), "get secrets one in shop": (False, True)}
    # Whatever the resource: those that its rules name are among those asked for.
    found = table((Line(False, ("get",), ("", "shop"), (every,)),), ours)
    assert {words for words, (_, yes) in found.items() if yes} == {"get pods in shop", "get secrets one in shop"}
    assert len(found) > 12


def test_cells_of_places_that_are_not_there_are_asked_everywhere() -> None:
    pods = Target("", "pods", "", "", ("a",))
    assert table((Line(False, ("get",), ("nowhere-yet",), (pods,)),), policy(*BUILD)) == {"get pods in the cluster as a whole": (False, False)}


RESOURCES = """\
pods                po      v1        true    Pod          create,delete,deletecollection,get,list,patch,update,watch   all
nodes               no      v1        false   Node         get,list
deployments         deploy  apps/v1   true    Deployment   create,delete,get,list
tokenreviews                authentication.k8s.io/v1   false   TokenReview   create
"""


def test_requests_that_change_nothing() -> None:
    known = paths(RESOURCES)
    assert set(known) == {("", "pods"), ("", "nodes"), ("apps", "deployments"), ("authentication.k8s.io", "tokenreviews")}
    asked = {
        (resource, verb, place): request_to(known[group, resource], resource, verb, place)
        for group, resource in known
        for verb in ("get", "list", "delete", "create")
        for place in ("", "shop")
    }
    told = {key: f"{question.method} {question.path}" for key, question in asked.items() if question is not None}
    assert told == {
        ("pods", "get", "shop"): "GET /api/v1/namespaces/shop/pods/plimsoll-none",
        ("pods", "list", ""): "GET /api/v1/pods?limit=1",
        ("pods", "list", "shop"): "GET /api/v1/namespaces/shop/pods?limit=1",
        ("pods", "delete", "shop"): "DELETE /api/v1/namespaces/shop/pods/plimsoll-none?dryRun=All",
        ("nodes", "get", ""): "GET /api/v1/nodes/plimsoll-none",
        ("nodes", "list", ""): "GET /api/v1/nodes?limit=1",
        ("deployments", "get", "shop"): "GET /apis/apps/v1/namespaces/shop/deployments/plimsoll-none",
        ("deployments", "list", ""): "GET /apis/apps/v1/deployments?limit=1",
        ("deployments", "list", "shop"): "GET /apis/apps/v1/namespaces/shop/deployments?limit=1",
        ("deployments", "delete", "shop"): "DELETE /apis/apps/v1/namespaces/shop/deployments/plimsoll-none?dryRun=All",
    }


def test_objects_of_the_cluster_keep_what_the_comparison_needs() -> None:
    item: Object = read("kind", [BUILD[0]])[0]
    assert (str(item.id), item.group_kind.group, str(item.locate("rules", 0))) == ("kind/Role/shop/reader", GROUP, "the running cluster")
