"""Admission: every case of every policy through the API server, Pod Security, what Kyverno generates, exceptions that end, and Kyverno down."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.podsecurity import minor_of
from harness.live import faults
from harness.live.admission import podlevels
from harness.live.admission.cases import renamed
from harness.live.admission.stage import JUDGES, STAGEHAND, court, denies, exceptions, stages_of
from harness.live.admission.verdicts import Outcome, Verdict, verdict_of
from harness.live.findings import LiveError, NotEvaluatedError, expect
from harness.live.jobs import ALL
from harness.live.reach.api import Api, User, serving
from harness.live.reach.wait import wait
from harness.live.rules.policies import ACTIONS, EXPIRES, FAILS_CLOSED, GENERATED, LEVEL, PROTECTED, VERDICT
from harness.live.sync.readiness import Key
from harness.model import Location
from harness.rules.pol_cases import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.source.policycases import PolicyCase

#: Where the policies come from: what reconciles them has to be ready.
POLICIES = tuple(
    f"policies-{name}"
    for name in (
        "access",
        "certificates",
        "exceptions",
        "lifecycle",
        "load-balancing",
        "multi-tenancy",
        "networking",
        "pod-security",
        "secrets",
        "supply-chain",
        "workload",
    )
)
pytestmark = pytest.mark.proof(uses=("kyverno", *POLICIES))
RELEASE = Key("HelmRelease", "kyverno", "kyverno")
VALIDATING = "ValidatingPolicy.policies.kyverno.io"
KINDS = {
    "ValidatingPolicy.policies.kyverno.io": "validatingpolicies.policies.kyverno.io",
    "ImageValidatingPolicy.policies.kyverno.io": "imagevalidatingpolicies.policies.kyverno.io",
    "GeneratingPolicy.policies.kyverno.io": "generatingpolicies.policies.kyverno.io",
    "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": "validatingadmissionpolicybindings.admissionregistration.k8s.io",
}
ENFORCE = "pod-security.kubernetes.io/enforce"


def run_id() -> str:
    return secrets.token_hex(3)


def namespace(name: str, level: str = "restricted") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {ENFORCE: level, "toolkit.fluxcd.io/tenant": name}}}


def create(api: Api, path: str, body: dict[str, Any], user: User | None = None) -> Verdict:
    """What becomes of an object that is created, without creating it."""
    return verdict_of(api.ask("POST", path, {"dryRun": "All"}, body=body, user=user))


def test_every_policy_runs_as_built(platform: Platform, kubectl: Kubectl) -> None:
    for kind, plural in KINDS.items():
        running = {item["metadata"]["name"]: item for item in kubectl.list(plural) if faults.LABEL not in (item["metadata"].get("labels") or {})}
        built = {item.name: item for item in platform.world.of(kind)}
        for name in sorted(built.keys() | running.keys()):
            where = built.get(name, f"{platform.world.cluster.name}/{kind}/{name}")
            expect(ACTIONS, where, name in running, found="the cluster does not have it", expected="the policy of the build")
            expect(ACTIONS, where, name in built, found="the cluster has a policy that the build does not", expected="the policies of the build")
            status = running[name].get("status") or {}
            ready = (status.get("conditionStatus") or {}).get("ready")
            expect(ACTIONS, where, ready in (True, None), found=f"not ready: {status}", expected="ready")
            wanted, found = (denies(body) for body in (built[name].body, running[name]))
            expect(ACTIONS, where, wanted == found, found="denies" if found else "only audits", expected="denies" if wanted else "only audits")


@pytest.mark.proof(seconds=600)
def test_every_case_gets_the_offline_verdict(platform: Platform, kubectl: Kubectl) -> None:
    bench = Bench.of_repository(platform.world.repository)
    cluster = bench.cluster
    cases = [case for case in bench.cases if asked(platform, case)]
    offline = {case.path: bench.verdict(case) for case in cases}
    stages = stages_of(cases, cluster, run_id())
    with serving(kubectl) as api, court(api, run_id(), kubectl.list(*JUDGES), stages) as sitting:
        verdicts = sitting.judge(stages, offline)
    for case, why in verdicts.unserved:
        platform.left_open(case.path, "policy case", why)
    for judged in verdicts.refused:
        platform.left_open(judged.case.path, "policy case", f"the API server refuses it before any policy is asked: {judged.verdict.message[:160]}")
    platform.notes.append(f"policy cases: {len(verdicts.judged) - len(verdicts.refused)} of {len(bench.cases)} judged by the cluster's policies")
    wrong = [
        VERDICT.finding(
            platform.world.find(VALIDATING, "", judged.case.policy) or judged.case.policy,
            judged.complaint,
            said.message if (said := offline[judged.case.path]) is not None and said.message else "let through",
            location=Location(judged.case.path, 1),
        )
        for judged in verdicts.wrong
    ]
    if wrong:
        raise LiveError(*wrong, controls=VERDICT.controls)
    expect(VERDICT, platform.world.cluster.name, len(verdicts.judged) > len(cases) // 2, found=f"{len(verdicts.judged)} cases judged", expected="most of them")


def asked(platform: Platform, case: PolicyCase) -> bool:
    """Whether the verdict on a case can be seen in an answer."""
    if case.result == "not-evaluated":
        platform.left_open(case.path, "policy case", "needs the registry of the images and the transparency log")
        return False
    policy = platform.world.find(VALIDATING, "", case.policy)
    if policy is not None and (policy.spec.get("evaluation", {}).get("admission") or {}).get("enabled") is False:
        platform.left_open(case.path, "policy case", "the policy is evaluated in background scans only, which report and refuse nothing")
        return False
    # What a policy generates is seen in the cluster, not in an answer.
    return not case.policy.startswith("generate-")


def test_verdict_changes_when_a_policy_only_audits(platform: Platform, kubectl: Kubectl) -> None:
    policy = platform.world.find(VALIDATING, "", "disallow-external-name")
    if policy is None:
        raise LiveError(ACTIONS.finding(VALIDATING, "the build has no policy disallow-external-name", "one that denies"))
    # Nobody but this policy has anything against it.
    spec = {"type": "ExternalName", "externalName": "example.com"}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "proof", "namespace": "default"}, "spec": spec}
    with serving(kubectl) as api:

        def probe() -> str:
            verdict = create(api, "/api/v1/namespaces/default/services", body)
            return "" if verdict.outcome is Outcome.DENIED and verdict.policy == policy.name else str(verdict)

        platform.red(
            "admission -> ValidatingPolicy",
            f"{policy.name} only audits",
            faults.patched(kubectl, KINDS[VALIDATING], policy.name, "", {"spec": {"validationActions": ["Audit"]}}, suspending=faults.maker(policy)),
            probe,
        )


def test_pod_security_levels(platform: Platform, kubectl: Kubectl) -> None:
    minor = minor_of(kubectl.json("version")["serverVersion"]["gitVersion"].removeprefix("v"))
    run = run_id()
    spaces = {level: namespace(f"proof-{run}-{level}", level) for level in podlevels.LEVELS}
    guards = [item for item in kubectl.list(KINDS[VALIDATING]) if item["metadata"]["name"] == "require-pod-security-labels"]
    pods = podlevels.pods_of(Bench.of_repository(platform.world.repository).cases)
    with serving(kubectl) as api, faults.applied(kubectl, *exceptions(guards, run, datetime.now(UTC))):
        questions = []
        for item in platform.world.of("Namespace"):
            running = api.json("GET", f"/api/v1/namespaces/{item.name}")
            found, wanted = (podlevels.levels_in(labels) for labels in (running["metadata"].get("labels") or {}, item.labels))
            expect(LEVEL, item, found == wanted, found=f"labelled {found}", expected=str(wanted))
            questions += [podlevels.Question(item.name, item.labels, {"spec": spec}, f"a {level} pod") for level, spec in podlevels.LEVELS.items()]
        with made_by_stagehand(api, *spaces.values()):
            for level in ("baseline", "restricted"):
                metadata = spaces[level]["metadata"]
                questions += [podlevels.Question(metadata["name"], metadata["labels"], pod, f"{level}: the pod of {case}") for case, pod in pods.items()]
            wrong = podlevels.disagreements(api, questions, minor, STAGEHAND)
            expect(LEVEL, platform.world.cluster.name, not wrong, found="; ".join(wrong[:5]), expected="the offline engine's verdict")
            restricted = spaces["restricted"]["metadata"]["name"]

            def probe() -> str:
                answer = podlevels.ask(api, restricted, {"spec": podlevels.LEVELS["privileged"]}, STAGEHAND)
                return "" if podlevels.said(answer) else "a privileged pod is let into a restricted namespace"

            platform.red("pod -> Pod Security", "the namespace's level is privileged", relabelled(api, restricted), probe)
    platform.notes.append(f"Pod Security: {len(questions)} pods judged")


@contextmanager
def made_by_stagehand(api: Api, *bodies: dict[str, Any]) -> Iterator[None]:
    """Namespaces that some policy would refuse to anybody else."""
    marked = [faults.marked_as_temporary(body) for body in bodies]
    try:
        for body in marked:
            wait(partial(is_there, api, body), timeout=45, what="the exception takes effect")
        yield
    finally:
        for body in marked:
            api.ask("DELETE", f"/api/v1/namespaces/{body['metadata']['name']}", user=STAGEHAND)


def is_there(api: Api, body: dict[str, Any]) -> bool:
    return api.ask("POST", "/api/v1/namespaces", body=body, user=STAGEHAND).status in (201, 409)


@contextmanager
def relabelled(api: Api, name: str) -> Iterator[None]:
    try:
        api.json("PATCH", f"/api/v1/namespaces/{name}", body={"metadata": {"labels": {ENFORCE: "privileged"}}}, user=STAGEHAND)
        yield
    finally:
        api.json("PATCH", f"/api/v1/namespaces/{name}", body={"metadata": {"labels": {ENFORCE: "restricted"}}}, user=STAGEHAND)


def test_new_namespace_is_isolated(platform: Platform, kubectl: Kubectl) -> None:
    """Generated at once, as the offline engine says; neither removed nor widened by anybody; back when it was removed all the same."""
    name = f"proof-{run_id()}"
    policy = platform.world.find("GeneratingPolicy.policies.kyverno.io", "", "generate-default-deny") or "generate-default-deny"
    case = next(case for case in Bench.of_repository(platform.world.repository).cases if case.policy == "generate-default-deny" and case.expected)
    wanted = (renamed(case, {"shop": name}).expected or ({},))[0]
    path = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/{wanted['metadata']['name']}"
    with serving(kubectl) as api, faults.applied(kubectl, namespace(name)):
        wait(lambda: api.ask("GET", path).status == 200, timeout=60, what="the generated NetworkPolicy")
        found = api.json("GET", path)
        labels = {key: found["metadata"].get("labels", {}).get(key) for key in wanted["metadata"]["labels"]}
        same = (found["spec"], labels) == (wanted["spec"], wanted["metadata"]["labels"])
        expect(GENERATED, policy, same, found=f"spec {found['spec']}, labels {labels}", expected=f"{wanted['spec']}, {wanted['metadata']['labels']}")
        for what, answer in (
            ("removed", api.ask("DELETE", path, {"dryRun": "All"})),
            ("removed with all others", api.ask("DELETE", path.rpartition("/")[0], {"dryRun": "All"})),
            ("opened to one side", api.ask("PATCH", path, {"dryRun": "All"}, body={"spec": {"policyTypes": ["Ingress"]}})),
        ):
            verdict = verdict_of(answer)
            refused = verdict.outcome is Outcome.DENIED and verdict.policy == "protect-default-deny"
            expect(GENERATED, policy, refused, found=f"{what} by an administrator: {verdict}", expected="denied by protect-default-deny")
        api.json("DELETE", path, user=STAGEHAND)
        wait(lambda: api.ask("GET", path).status == 200, timeout=60, what="the removed NetworkPolicy comes back")


@pytest.mark.proof(breaks=("kyverno",))
def test_isolation_needs_the_background_controller(platform: Platform, kubectl: Kubectl) -> None:
    with serving(kubectl) as api:

        def probe() -> str:
            name = f"proof-{run_id()}"
            path = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/generated-default-deny"
            with faults.applied(kubectl, namespace(name)):
                wait(lambda: api.ask("GET", path).status == 200, timeout=15, what=f"the generated NetworkPolicy of {name}")
            return ""

        platform.red(
            "Namespace -> generated NetworkPolicy",
            "the background controller is gone",
            faults.scaled(kubectl, "deployments.apps", "kyverno-background-controller", "kyverno", suspending=(RELEASE,)),
            probe,
            mended_within=90,
        )


def test_exceptions_end(platform: Platform, kubectl: Kubectl) -> None:
    policy = platform.world.find(VALIDATING, "", "require-pod-security-labels") or "require-pod-security-labels"
    run = run_id()
    name = f"proof-{run}-privileged"
    body = namespace(name, "privileged")
    with serving(kubectl) as api:

        def probe() -> str:
            verdict = create(api, "/api/v1/namespaces", body)
            return "" if verdict.outcome is Outcome.DENIED and verdict.policy == "require-pod-security-labels" else str(verdict)

        @contextmanager
        def exempted() -> Iterator[None]:
            end = datetime.now(UTC) + timedelta(seconds=45)
            with faults.applied(kubectl, exception(run, name, end)):
                yield
                wait(lambda: datetime.now(UTC) > end, timeout=60, what="the exception's end")
                # It is still there, and exempts nothing any more.
                wait(lambda: not probe(), timeout=60, what="the exception exempts nothing after its end", status=probe)

        platform.red("PolicyException -> policy", "an exception names the namespace, until it expires", exempted(), probe, broken_within=40)
        for missing in ("expiresAt", "matchConditions"):
            body = exception(run, name, datetime.now(UTC))
            del body["spec"][missing]
            verdict = create(api, "/apis/policies.kyverno.io/v1/namespaces/kyverno/policyexceptions", body)
            denied = verdict.policy == "require-exception-expiry"
            expect(EXPIRES, policy, denied, found=f"an exception without {missing}: {verdict}", expected="denied by require-exception-expiry")


def exception(run: str, name: str, end: datetime) -> dict[str, Any]:
    until = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": f"proof-{run}", "namespace": "kyverno", "annotations": {"plimsoll.io/owner": "live tier"}},
        "spec": {
            "expiresAt": until,
            "policyRefs": [{"kind": "ValidatingPolicy", "name": "require-pod-security-labels"}],
            "matchConditions": [
                {"name": "has-not-ended", "expression": f"time.now() < timestamp('{until}')"},
                {"name": "is-the-proof", "expression": f"object.metadata.name == '{name}'"},
            ],
        },
    }


@pytest.mark.proof(breaks=("policies-lifecycle",))
def test_no_namespace_goes_by_accident(platform: Platform, kubectl: Kubectl) -> None:
    kind, name = "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io", "protect-namespaces"
    binding = platform.world.find(kind, "", name)
    if binding is None or not denies(binding.body):
        raise NotEvaluatedError(name, "live proof", "this cluster does not have it, or only audits it")
    with serving(kubectl) as api:

        def open_to_accidents() -> str:
            names = {item.name for item in platform.world.of("Namespace")}
            asked = {name: verdict_of(api.ask("DELETE", f"/api/v1/namespaces/{name}", {"dryRun": "All"})) for name in sorted(names)}
            return ", ".join(name for name, verdict in asked.items() if verdict.outcome is Outcome.ALLOWED)

        found = open_to_accidents()
        expect(PROTECTED, binding, not found, found=f"these can be deleted: {found}", expected=f"refused by {name}")
        audits = faults.patched(kubectl, KINDS[kind], name, "", {"spec": {"validationActions": ["Audit"]}}, suspending=faults.maker(binding))
        platform.red("API server -> ValidatingAdmissionPolicy", f"{name} only audits", audits, open_to_accidents)


@pytest.mark.proof(breaks=(ALL,), seconds=300)
def test_policies_hold_while_kyverno_is_down(platform: Platform, kubectl: Kubectl) -> None:
    cluster = platform.world.cluster.name
    pod = {"spec": podlevels.RESTRICTED}
    with serving(kubectl) as api:

        def probe() -> str:
            # Whatever a policy answers, it is one that answers.
            verdict = verdict_of(podlevels.ask(api, "default", pod, STAGEHAND))
            return "" if verdict.outcome in (Outcome.DENIED, Outcome.ALLOWED) else str(verdict)

        def held(what: str, verdict: Verdict, policy: str = "") -> None:
            holds = verdict.policy == policy and (verdict.outcome is Outcome.ALLOWED) == (not policy)
            expect(FAILS_CLOSED, cluster, holds, found=f"{what}: {verdict}", expected=f"denied by {policy}" if policy else "let through")

        @contextmanager
        def down() -> Iterator[None]:
            # Scaled to 0, it takes its webhooks with it on its way out, and nothing is asked any more: see docs/operations.md. A crash leaves them.
            with faults.without_node(kubectl, "deployments.apps", "kyverno-admission-controller", "kyverno", suspending=(RELEASE,)):
                yield
                for home in ("kube-system", "kyverno"):
                    held(f"a pod in {home}, which Kyverno never sees", verdict_of(podlevels.ask(api, home, pod, STAGEHAND)))
                settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "proof"}}
                held("a ConfigMap, which no policy is about", create(api, "/api/v1/namespaces/default/configmaps", settings))
                removal = verdict_of(api.ask("DELETE", "/api/v1/namespaces/flux-system", {"dryRun": "All"}))
                held("the removal of flux-system", removal, "protect-namespaces")
                refused = podlevels.said(podlevels.ask(api, "default", {"spec": podlevels.LEVELS["privileged"]}, STAGEHAND))
                expect(FAILS_CLOSED, cluster, bool(refused), found="Pod Security lets a privileged pod through", expected="refused")

        platform.red("API server -> Kyverno", "the admission controller finds no node", down(), probe, mended_within=180)
