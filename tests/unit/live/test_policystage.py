"""Policy cases on a cluster: how they are asked, how answers are read, how the court is set up and cleared."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.policy import PolicyId, Result, Status
from harness.live.admission import podlevels
from harness.live.admission.cases import EXTRA, UnservedKindError, accounts, ask, renamed, shared, staged
from harness.live.admission.stage import STAGEHAND, Court, alias, denies, denying, exceptions
from harness.live.admission.verdicts import Outcome, Verdict, complaint, verdict_of
from harness.live.reach.api import Api, Reply, Resource, User, path_of
from harness.live.reach.web import WebError
from harness.source.policycases import PolicyCase
from unit.live.fakes import Time

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
TENANTS = tuple(
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"toolkit.fluxcd.io/tenant": tenant}, "annotations": {"a": name}}}
    for name, tenant in (("tenant-a", "tenant-a"), ("tenant-b", "tenant-b"), ("vault", "platform"))
)
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "tenant-a"},
    "spec": {"serviceAccountName": "web", "containers": [{"name": "web", "image": "a"}], "ephemeralContainers": [{"name": "debug"}]},
}
KINDS = {
    ("v1", "Pod"): Resource("pods", True),
    ("v1", "Namespace"): Resource("namespaces", False),
    ("v1", "ServiceAccount"): Resource("serviceaccounts", True),
    ("policies.kyverno.io/v1", "PolicyException"): Resource("policyexceptions", True),
    ("policies.kyverno.io/v1", "ValidatingPolicy"): Resource("validatingpolicies", False),
}
POLICY = {
    "apiVersion": "policies.kyverno.io/v1",
    "kind": "ValidatingPolicy",
    "metadata": {"name": "p", "uid": "1"},
    "spec": {"validationActions": ["Audit"], "matchConditions": [{"name": "own", "expression": "true"}], "evaluation": {"admission": {"enabled": False}}},
}


def kind_of(version: str, kind: str) -> Resource | None:
    return KINDS.get((version, kind))


def case(outcome: str = "denied", *, object: Any = None, old: Any = None, existing: tuple[Any, ...] = (), **headers: str) -> PolicyCase:
    return PolicyCase(f"tests/data/policies/p/{outcome}/c.yaml", "p", outcome, "c", headers, object, old, existing)


def answer(status: int, message: str = "") -> Reply:
    return Reply(status, {"message": message})


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (201, "", Verdict(Outcome.ALLOWED)),
        (409, 'pods "web" already exists', Verdict(Outcome.ALLOWED)),
        (403, 'services "web" is forbidden: exceeded quota: counts, requested: 1', Verdict(Outcome.ALLOWED)),
        (400, 'admission webhook "x.y" denied the request: Policy p failed: No  such\nthing.', Verdict(Outcome.DENIED, "p", "No such thing.")),
        (400, 'admission webhook "x.y" denied the request: Policy p error: no such key', Verdict(Outcome.ERROR, "p", "no such key")),
        (422, "x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'q' denied request: Not so.", Verdict(Outcome.DENIED, "p", "Not so.")),
        (422, 'Pod "web" is invalid: spec: Required', Verdict(Outcome.REFUSED, "", 'Pod "web" is invalid: spec: Required')),
        (404, 'pods "web" not found', Verdict(Outcome.REFUSED, "", 'pods "web" not found')),
    ],
)
def test_verdict_of_an_answer(status: int, message: str, expected: Verdict) -> None:
    assert verdict_of(answer(status, message)) == expected


def test_a_connect_to_nothing_was_let_through() -> None:
    assert verdict_of(answer(404, 'pods "web" not found'), connect=True).outcome is Outcome.ALLOWED


def test_complaint_compares_verdict_policy_and_words() -> None:
    fail = Result(PolicyId("ValidatingPolicy", "", "p"), Status.FAIL, message="Not  so.")
    assert complaint(fail, Verdict(Outcome.DENIED, "p", "Not so."), "p") == ""
    assert complaint(fail, Verdict(Outcome.DENIED, "p", "No."), "p") == "denied with 'No.', offline with 'Not so.'"
    assert complaint(fail, Verdict(Outcome.DENIED, "q", "Not so."), "p") == "denied by q: Not so."
    assert complaint(fail, Verdict(Outcome.ALLOWED), "p") == "allowed"
    assert complaint(None, Verdict(Outcome.ALLOWED), "p") == ""
    assert complaint(None, Verdict(Outcome.DENIED, "p", "Not so."), "p") == "denied by p: Not so."
    assert "the offline engine says error" in complaint(Result(fail.policy, Status.ERROR), Verdict(Outcome.ALLOWED), "p")


def test_a_case_moves_to_namespaces_of_its_own() -> None:
    stage = staged(case(object={**POD, "spec": {"a": "tenant-a and tenant-b"}}), TENANTS, "r", 7)
    assert stage.case.object == {**POD, "metadata": {"name": "web", "namespace": "proof-r-a"}, "spec": {"a": "proof-r-a and proof-r-b"}}
    assert [body["metadata"]["name"] for body in stage.namespaces] == ["proof-r-a", "proof-r-b"]
    labels = stage.namespaces[0]["metadata"]["labels"]
    assert labels["toolkit.fluxcd.io/tenant"] == "proof-r-a"
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    assert stage.before == ()


def test_what_exists_for_one_case_is_in_a_namespace_of_that_case() -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "tenant-a"}}
    one = case(object=POD, existing=(quota,))
    assert not shared(one)
    stage = staged(one, TENANTS, "r", 7)
    assert [body["metadata"]["name"] for body in stage.namespaces] == ["proof-r-7-a"]
    assert stage.before[0]["metadata"]["namespace"] == "proof-r-7-a"


def test_an_ephemeral_container_joins_a_pod_that_never_runs() -> None:
    one = case(object=POD, operation="UPDATE", subresource="ephemeralcontainers")
    stage = staged(one, TENANTS, "r", 7)
    before = stage.before[0]
    assert before["metadata"]["name"] == "web-7"
    assert "ephemeralContainers" not in before["spec"]
    assert before["spec"]["schedulingGates"]
    wanted = ask(stage.case, kind_of, policy="p")
    assert (wanted.method, wanted.path) == ("PUT", "/api/v1/namespaces/proof-r-a/pods/web-7/ephemeralcontainers")
    assert ("dryRun", "All") in wanted.query
    assert wanted.user is not None
    assert wanted.user.extra == {EXTRA: "p"}
    assert "system:masters" in wanted.user.groups


def test_a_pod_on_its_way_out_is_held_by_its_finalizer() -> None:
    leaving = {**POD, "metadata": {**POD["metadata"], "deletionTimestamp": "2026-11-23T00:00:00Z", "finalizers": ["a/b"]}}  # type: ignore[dict-item]
    stage = staged(case(object=leaving, operation="UPDATE"), TENANTS, "r", 7)
    assert stage.leaving
    assert "deletionTimestamp" not in stage.before[0]["metadata"]
    body = ask(stage.case, kind_of, policy="p").body
    assert body is not None
    assert body["metadata"]["finalizers"] == ["a/b"]
    assert "deletionTimestamp" not in body["metadata"]


def test_a_definition_of_the_platform_is_not_touched() -> None:
    spec = {"group": "acme.cert-manager.io", "names": {"plural": "challenges"}}
    old = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "challenges.acme.cert-manager.io"}, "spec": spec}
    before = staged(case(old=old), TENANTS, "r", 7).before[0]
    assert before["metadata"]["name"] == "challenges.acme.proof-r-7.cert-manager.io"
    assert before["spec"]["group"] == "acme.proof-r-7.cert-manager.io"
    assert before["spec"]["names"]["kind"] == "Challenge"


def test_deleting_all_of_a_kind_names_none() -> None:
    pods = case(old=POD, operation="DELETE", target="tenant-a/")
    wanted = ask(renamed(pods, {"tenant-a": "x"}), kind_of, policy="p")
    assert (wanted.method, wanted.path, wanted.query) == ("DELETE", "/api/v1/namespaces/x/pods", (("dryRun", "All"),))


def test_connects_and_tokens_are_asked_of_their_target() -> None:
    options = {"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh", "-c"], "stdin": True}
    connect = case(object=options, operation="CONNECT", resource="pods", subresource="exec", target="tenant-a/web")
    wanted = ask(connect, kind_of, policy="p")
    assert (wanted.method, wanted.path) == ("POST", "/api/v1/namespaces/tenant-a/pods/web/exec")
    assert wanted.query == (("command", "sh"), ("command", "-c"), ("stdin", "true"))
    token = case(object={"kind": "TokenRequest"}, resource="serviceaccounts", subresource="token", target="tenant-a/vault-auth")
    assert ask(token, kind_of, policy="p").path == "/api/v1/namespaces/tenant-a/serviceaccounts/vault-auth/token"
    assert [body["metadata"] for body in accounts([token, case(object=POD)])] == [
        {"name": "vault-auth", "namespace": "tenant-a"},
        {"name": "web", "namespace": "tenant-a"},
    ]


def test_a_kind_that_is_not_served() -> None:
    with pytest.raises(UnservedKindError, match=r"VirtualServer \(k8s.nginx.org/v1\) is not served"):
        ask(case(object={"apiVersion": "k8s.nginx.org/v1", "kind": "VirtualServer", "metadata": {"name": "a"}}), kind_of, policy="p")


def test_all_words_change_at_once() -> None:
    swapped = renamed(case(object={"a": "b"}, user="a"), {"a": "b", "b": "a"})
    assert (swapped.object, swapped.headers) == ({"b": "a"}, {"user": "b"})


def test_an_exception_is_for_requests_about_another_policy() -> None:
    body = exceptions([POLICY], "r", NOW)[0]
    assert body["metadata"]["name"] == "proof-r-p"
    assert body["spec"]["expiresAt"] == "2026-11-28T06:20:00Z"
    assert body["spec"]["policyRefs"] == [{"kind": "ValidatingPolicy", "name": "p"}]
    assert "!('p' in request.userInfo.extra" in body["spec"]["matchConditions"][1]["expression"]


def test_a_policy_that_audits_gets_a_copy_that_denies() -> None:
    assert not denies(POLICY)
    body = denying(POLICY, "r")
    assert denies(body)
    assert body["metadata"]["name"] == alias("p", "r")
    assert "uid" not in body["metadata"]
    assert [each["name"] for each in body["spec"]["matchConditions"]] == ["is-about-this-policy", "own"]
    assert body["spec"]["evaluation"]["admission"] == {"enabled": True}


@dataclass
class Server(Api):
    """An API server that knows pods and namespaces, and answers as it is told."""

    say: Callable[[str, str, User | None], Reply]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, method: str, path: str, query: Any = None, *, body: Any = None, user: User | None = None) -> Reply:
        self.asked.append((method, path))
        return self.say(method, path, user)

    def resource(self, api_version: str, kind: str) -> Resource | None:
        return kind_of(api_version, kind)


def stages() -> list[Any]:
    return [staged(case(object=POD), TENANTS, "r", 1)]


FAIL = {case().path: Result(PolicyId("ValidatingPolicy", "", "p"), Status.FAIL, message="Not so.")}
DENIED = answer(400, 'admission webhook "x" denied the request: Policy p failed: Not so.')


def test_early_answers_are_asked_again() -> None:
    said = [answer(400, 'admission webhook "x" denied the request: Policy q failed: Neither.'), answer(201), DENIED]
    time = Time()
    verdicts = Court(Server(lambda *_: said.pop(0)), "r", time.clock).judge(stages(), FAIL)
    assert [each.complaint for each in verdicts.judged] == [""]
    assert time.slept == [2, 2]


def test_what_stays_wrong_is_a_disagreement() -> None:
    time = Time()
    verdicts = Court(Server(lambda *_: answer(201)), "r", time.clock).judge(stages(), FAIL)
    assert [each.complaint for each in verdicts.wrong] == ["allowed"]
    assert verdicts.refused == []
    assert sum(time.slept) >= 40


def test_what_somebody_else_refuses_is_no_disagreement_and_not_asked_again() -> None:
    time = Time()
    verdicts = Court(Server(lambda *_: answer(422, "invalid")), "r", time.clock).judge(stages(), FAIL)
    assert (verdicts.wrong, len(verdicts.refused), time.slept) == ([], 1, [])


def test_what_is_not_served_is_said() -> None:
    strange = staged(case(object={"apiVersion": "a/v1", "kind": "B", "metadata": {"name": "a"}}), TENANTS, "r", 1)
    verdicts = Court(Server(lambda *_: answer(201)), "r", Time().clock).judge([strange], FAIL)
    assert (verdicts.judged, verdicts.unserved) == ([], [(strange.case, "B (a/v1) is not served")])


def test_only_what_was_created_is_removed() -> None:
    def say(method: str, path: str, user: User | None) -> Reply:
        if method == "POST":
            return answer(409, "x already exists") if path.endswith("serviceaccounts") else answer(201)
        return answer(404 if method == "GET" else 200)

    server = Server(say)
    court = Court(server, "r", Time().clock)
    court.sit([{**POLICY, "spec": {}}])
    court.set_up(stages())
    server.asked.clear()
    court.strike()
    removed = [path for method, path in server.asked if method == "DELETE"]
    home = "/apis/policies.kyverno.io/v1/namespaces/kyverno/policyexceptions"
    assert sorted(removed) == ["/api/v1/namespaces/proof-r-a", "/api/v1/namespaces/proof-r-b", f"{home}/proof-r-p"]
    # A namespace is protected until its removal is announced.
    assert server.asked.index(("PATCH", "/api/v1/namespaces/proof-r-a")) < server.asked.index(("DELETE", "/api/v1/namespaces/proof-r-a"))


def test_an_account_in_a_namespace_of_the_platform_is_removed_itself() -> None:
    server = Server(lambda method, _path, _user: answer({"POST": 201, "GET": 404}.get(method, 200)))
    court = Court(server, "r", Time().clock)
    court.set_up([staged(case(object={**POD, "metadata": {"name": "web", "namespace": "vault"}}), TENANTS, "r", 1)])
    court.strike()
    removed = [path for method, path in server.asked if method == "DELETE"]
    assert "/api/v1/namespaces/vault/serviceaccounts/web" in removed
    assert "/api/v1/namespaces/vault" not in removed


def test_only_what_is_too_old_to_be_of_a_run_is_swept() -> None:
    named = {"proof-a": "2026-11-28T05:30:00Z", "proof-b": "2026-11-28T05:50:00Z", "plimsoll-proof-c": "2026-11-28T01:00:00Z"}
    listed = {"items": [{"metadata": {"name": name, "creationTimestamp": created}} for name, created in named.items()]}
    found = Reply(200, listed)
    nothing = Reply(200, {"items": []})
    server = Server(lambda _method, path, _user: found if path == "/api/v1/namespaces" else nothing)
    assert Court(server, "r").sweep(NOW) == ["/api/v1/namespaces/proof-a"]
    assert [path for method, path in server.asked if method == "DELETE"] == ["/api/v1/namespaces/proof-a"]


def test_what_cannot_be_created_is_an_error() -> None:
    with pytest.raises(WebError, match="status 403: no"):
        Court(Server(lambda *_: answer(403, "no")), "r").sit([{**POLICY, "spec": {}}])


def test_pods_of_cases_are_each_judged_once() -> None:
    again = PolicyCase("x", "p", "denied", "d", {}, POD)
    pods = podlevels.pods_of([case(object=POD), again, case(old=POD)])
    assert list(pods) == ["p-c"]
    assert "serviceAccountName" not in pods["p-c"]["spec"]


def test_pod_security_in_the_same_words() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "a": "b"}
    pod = {"spec": podlevels.LEVELS["baseline"]}
    wanted = podlevels.predicted(pod, labels, 34)
    assert wanted.startswith('violates PodSecurity "restricted:latest": seccompProfile')
    assert podlevels.predicted({"spec": podlevels.RESTRICTED}, labels, 34) == ""
    assert podlevels.said(answer(403, f'pods "proof" is forbidden: {wanted}')) == wanted
    assert podlevels.said(answer(422, 'Pod "proof" is invalid')) is None
    assert podlevels.said(answer(400, 'admission webhook "x" denied the request: Policy p failed: a')) == ""
    assert podlevels.said(answer(201)) == ""
    assert podlevels.levels_in(labels) == {"pod-security.kubernetes.io/enforce": "restricted"}
    question = podlevels.Question("n", labels, pod, "a pod")
    assert podlevels.disagreements(Server(lambda *_: answer(403, wanted)), [question], 34, STAGEHAND) == []
    assert podlevels.disagreements(Server(lambda *_: answer(201)), [question], 34, STAGEHAND) == [f"a pod in n: let through, offline {wanted}"]


def test_users_are_impersonated_with_extras() -> None:
    assert User("ada", ("g", "h"), {"a/b": "c"}).headers() == [
        ("Impersonate-User", "ada"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
        ("Impersonate-Extra-a%2Fb", "c"),
    ]


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("v1", "namespaces"), "/api/v1/namespaces"),
        (("v1", "pods", "a", "b", "exec"), "/api/v1/namespaces/a/pods/b/exec"),
        (("apps/v1", "deployments", "a"), "/apis/apps/v1/namespaces/a/deployments"),
    ],
)
def test_paths(parts: tuple[str, ...], path: str) -> None:
    assert path_of(*parts) == path
