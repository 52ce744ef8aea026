"""ValidatingPolicies say of requests what Kyverno says: messages, conditions, errors, exceptions, autogen, modes."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.policy import PolicyId, PolicySet, Request, Resource, Status
from harness.engines.policy.served import as_served
from hypothesis import given
from hypothesis import strategies as st
from unit.engines.policy.policy_samples import EVERYTHING, POD_RULE, Body, config_map, namespace, pod, review, rules, validating, verdict, workload

NO_LATEST = {"expression": "object.spec.containers.all(c, !c.image.endsWith(':latest'))", "message": "no latest"}


class TestVerdict:
    def test_a_violation_has_the_message_of_its_validation(self) -> None:
        (result,) = review(validating("true", NO_LATEST), pod("nginx:latest"))
        assert (result.policy, result.status, result.index, result.message) == (PolicyId("ValidatingPolicy", "", "p"), Status.FAIL, 1, "no latest")
        assert result.denied

    def test_the_first_violation_ends_it(self) -> None:
        assert [(result.index, result.message) for result in review(validating({"expression": "false", "message": "one"}, "false"), pod())] == [(0, "one")]

    def test_success(self) -> None:
        (result,) = review(validating(NO_LATEST), pod("nginx:1"))
        assert (result.status, result.denied) == (Status.PASS, False)

    def test_what_is_not_matched_has_no_result(self) -> None:
        assert review(validating("false"), config_map()) == []
        assert review(validating("false", matchConstraints=None), pod()) == []

    @pytest.mark.parametrize(("actions", "denied"), [([], True), (["Deny"], True), (["Audit"], False), (["Warn", "Audit"], False), (["Audit", "Deny"], True)])
    def test_only_deny_denies_and_is_the_default(self, actions: list[str], denied: bool) -> None:
        (result,) = review(validating("false", validationActions=actions), pod())
        assert result.denied is denied

    def test_a_policy_that_is_off_at_admission_reports_only(self) -> None:
        (result,) = review(validating("false", evaluation={"admission": {"enabled": False}}), pod())
        assert (result.status, result.actions, result.denied) == (Status.FAIL, ("Audit",), False)
        assert review(validating("false", evaluation={"admission": {"enabled": False}, "background": {"enabled": False}}), pod()) == []


class TestMessages:
    @pytest.mark.parametrize(
        ("validation", "message"),
        [
            ({}, "CEL expression validation failed at index 0"),
            ({"message": "plain"}, "plain"),
            ({"message": "plain", "messageExpression": "'name ' + object.metadata.name"}, "name a"),
            ({"message": "plain", "messageExpression": "''"}, "CEL expression validation failed at index 0"),
            ({"message": "plain", "messageExpression": "string(object.spec.nothing)"}, "failed to evaluate message expression: no such key: nothing"),
        ],
    )
    def test_message(self, validation: Body, message: str) -> None:
        (result,) = review(validating({"expression": "false", **validation}), pod())
        assert result.message == message


class TestConditionsAndErrors:
    def test_conditions_that_do_not_hold_skip(self) -> None:
        (result,) = review(validating("false", matchConditions=[{"name": "no", "expression": "false"}, {"name": "bad", "expression": "object.x == 1"}]), pod())
        assert (result.status, result.denied) == (Status.SKIP, False)

    @pytest.mark.parametrize(("policy", "status"), [("Fail", Status.ERROR), ("Ignore", Status.SKIP)])
    def test_an_error_in_a_condition_follows_the_failure_policy(self, policy: str, status: Status) -> None:
        (result,) = review(validating("false", matchConditions=[{"name": "bad", "expression": "object.x == 1"}], failurePolicy=policy), pod())
        assert result.status is status
        assert result.denied is (status is Status.ERROR)

    @pytest.mark.parametrize("policy", ["Fail", "Ignore"])
    def test_an_error_in_a_validation_is_one_whatever_the_failure_policy(self, policy: str) -> None:
        (result,) = review(validating("true", "object.x == 1", failurePolicy=policy), pod())
        assert (result.status, result.index, result.message, result.denied) == (Status.ERROR, 1, "no such key: x", True)

    def test_a_policy_that_does_not_compile_is_a_problem_and_an_error(self) -> None:
        policies = PolicySet([validating("true", "nobody == 1")])
        (problem,) = policies.problems
        assert (problem.policy.name, problem.pointer, problem.expression) == ("p", ("spec", "validations", 1, "expression"), "nobody == 1")
        assert [result.status for result in policies.review(Request(pod()))] == [Status.ERROR]

    def test_audit_annotations_are_evaluated(self) -> None:
        annotations = [{"key": "who", "valueExpression": "object.metadata.name"}, {"key": "none", "valueExpression": "''"}]
        problem = validating("true", auditAnnotations=annotations)
        assert [each.pointer for each in PolicySet([problem]).problems] == [("spec", "auditAnnotations", 0, "valueExpression")]
        annotations[0]["valueExpression"] = "string(object.metadata.name)"
        (result,) = review(validating("true", auditAnnotations=annotations), pod())
        assert result.annotations == (("who", "a"),)


class TestRequest:
    @pytest.mark.parametrize(
        ("expression", "request_fields"),
        [
            ("object == null && oldObject.metadata.name == 'a'", {"object": None, "old_object": pod(), "operation": "DELETE"}),
            ("oldObject == null && request.operation == 'CREATE'", {}),
            ("request.name == 'a' && request.namespace == 'team'", {}),
            ("request.kind.kind == 'Pod' && request.resource.resource == 'pods' && request.requestKind.version == 'v1'", {}),
            ("request.subResource == 'status'", {"subresource": "status"}),
            ("!has(request.subResource)", {}),
            ("request.userInfo.username == 'jo' && 'dev' in request.userInfo.groups", {"user": {"username": "jo", "groups": ["dev"]}}),
            ("request.dryRun == true", {"dry_run": True}),
            ("request.object.metadata.name == object.metadata.name", {}),
            ("namespaceObject.metadata.labels.env == 'prod'", {"namespace": namespace("team", env="prod")}),
            ("namespaceObject.metadata.name == 'team'", {}),
        ],
    )
    def test_variables_of_the_request(self, expression: str, request_fields: dict[str, Any]) -> None:
        assert verdict(expression, Request(**{"object": pod(), **request_fields})) == ("pass", "success")

    def test_a_subresource_may_have_a_kind_of_its_own(self) -> None:
        options = {"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"]}
        pods = Resource("", "v1", "pods", "Pod", namespaced=True)
        request = Request(options, operation="CONNECT", subresource="exec", resource=pods, name="a", namespace_name="team")
        policy = validating(
            "request.kind.kind == 'PodExecOptions' && request.resource.resource == 'pods' && request.name == 'a' && object.command[0] == 'sh'",
            matchConstraints=rules({**POD_RULE, "operations": ["CONNECT"], "resources": ["pods/exec"]}),
        )
        assert [result.status for result in review(policy, request)] == [Status.PASS]

    def test_a_namespace_is_in_no_namespace(self) -> None:
        assert verdict("namespaceObject == null && request.namespace == 'n'", namespace("n")) == ("pass", "success")

    def test_cluster_scoped_objects_have_no_namespace(self) -> None:
        assert verdict("!has(request.namespace)", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}) == ("pass", "success")

    def test_a_namespaced_object_without_a_namespace_is_in_default(self) -> None:
        body = {**pod(), "metadata": {"name": "a"}}
        expression = "object.metadata.namespace == 'default' && request.namespace == 'default' && namespaceObject.metadata.name == 'default'"
        assert verdict(expression, body) == ("pass", "success")

    def test_namespaces_of_the_set_are_found(self) -> None:
        policy = validating("namespaceObject.metadata.labels.env == 'prod'")
        (result,) = review(policy, pod(), namespaces={"team": namespace("team", env="prod")})
        assert result.status is Status.PASS

    @pytest.mark.parametrize(
        ("expression", "body"),
        [
            ("has(object.spec.containers[0].resources) && !has(object.spec.containers[0].resources.limits)", pod()),
            ("has(object.spec.template.metadata) && has(object.spec.strategy) && has(object.status)", workload("Deployment")),
            ("object.spec.jobTemplate.metadata == {} && has(object.status)", workload("CronJob", api_version="batch/v1")),
            ("object.rules == null", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}),
            ("object.status.loadBalancer == {}", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "team"}, "spec": {}}),
            ("!has(object.status) && !has(object.spec.template)", {"apiVersion": "x.io/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}),
            ("object.spec.containers == null", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": "odd"}),
        ],
    )
    def test_built_in_kinds_as_their_types_write_them(self, expression: str, body: Body) -> None:
        policy = validating(expression, matchConstraints=rules(EVERYTHING))
        assert [result.status for result in review(policy, body, as_served=True)] == [Status.PASS]
        assert [result.status for result in review(policy, body)] != [Status.PASS] or body["apiVersion"] == "x.io/v1"

    def test_nulls_are_not_served(self) -> None:
        body = {**pod(), "metadata": {"name": "a", "namespace": "team", "annotations": None}}
        policy = validating("has(object.metadata.annotations)")
        assert [result.status for result in review(policy, body)] == [Status.PASS]
        assert [result.status for result in review(policy, body, as_served=True)] == [Status.FAIL]

    def test_a_namespaced_policy_is_about_its_own_namespace(self) -> None:
        assert review(validating("false", namespace="other"), pod()) == []
        assert [result.status for result in review(validating("false", namespace="team"), pod())] == [Status.FAIL]


class TestAutogen:
    @pytest.mark.parametrize(
        ("body", "rule"),
        [
            (workload("Deployment", "nginx:latest"), "autogen-defaults"),
            (workload("DaemonSet", "nginx:latest"), "autogen-defaults"),
            (workload("StatefulSet", "nginx:latest"), "autogen-defaults"),
            (workload("ReplicaSet", "nginx:latest"), "autogen-defaults"),
            (workload("Job", "nginx:latest", api_version="batch/v1"), "autogen-defaults"),
            (workload("CronJob", "nginx:latest", api_version="batch/v1"), "autogen-cronjobs"),
        ],
        ids=lambda value: value["kind"] if isinstance(value, dict) else "",
    )
    def test_controllers_are_judged_by_their_template(self, body: Body, rule: str) -> None:
        assert [(result.rule, result.status) for result in review(validating(NO_LATEST), body)] == [(rule, Status.FAIL)]

    @pytest.mark.parametrize(
        ("constraints", "expected"),
        [
            (rules(POD_RULE), 1),
            (rules(POD_RULE, namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "team"}}), 1),
            (rules(POD_RULE, namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "other"}}), 0),
            (rules(POD_RULE, objectSelector={"matchLabels": {"a": "b"}}), 0),
            (rules(POD_RULE, excludeResourceRules=[{**POD_RULE, "resourceNames": ["x"]}]), 0),
            (rules({**POD_RULE, "resourceNames": ["a"]}), 0),
            (rules({**POD_RULE, "resources": ["pods", "pods/ephemeralcontainers"]}), 0),
            (rules(POD_RULE, POD_RULE), 0),
        ],
    )
    def test_when_there_is_autogen(self, constraints: Body, expected: int) -> None:
        assert len(review(validating(NO_LATEST, matchConstraints=constraints), workload("Deployment"))) == expected

    def test_chosen_controllers(self) -> None:
        chosen = validating(NO_LATEST, autogen={"podControllers": {"controllers": ["cronjobs"]}})
        assert review(chosen, workload("Deployment")) == []
        assert len(review(chosen, workload("CronJob", api_version="batch/v1"))) == 1
        assert review(validating(NO_LATEST, autogen={"podControllers": {"controllers": []}}), workload("Deployment")) == []

    def test_the_namespace_stays_the_workloads_own(self) -> None:
        assert [result.status for result in review(validating("object.metadata.namespace == 'team'"), workload("Deployment"))] == [Status.PASS]
        assert [result.status for result in review(validating("object.metadata.labels.app == 'd'"), workload("Deployment"))] == [Status.PASS]

    def test_messages_are_rewritten_too(self) -> None:
        (result,) = review(validating({"expression": "false", "message": "set object.spec.x"}), workload("Deployment"))
        assert result.message == "set object.spec.template.spec.x"


class TestExceptions:
    @staticmethod
    def exception(name: str = "e", **spec: Any) -> Body:
        references = {"policyRefs": [{"name": "p", "kind": "ValidatingPolicy"}], **spec}
        return {"apiVersion": "policies.kyverno.io/v1", "kind": "PolicyException", "metadata": {"name": name, "namespace": "team"}, "spec": references}

    def test_it_skips_the_policy_it_names(self) -> None:
        (result,) = review([validating("false"), self.exception()], pod())
        assert (result.status, result.exceptions, result.message) == (Status.SKIP, ("team/e",), "rule is skipped due to policy exception: team/e")
        assert not result.denied

    def test_it_may_report_a_pass(self) -> None:
        (result,) = review([validating("false"), self.exception(reportResult="pass")], pod())
        assert (result.status, result.message) == (Status.PASS, "rule is passed due to policy exception: team/e")

    @pytest.mark.parametrize("reference", [{"name": "other", "kind": "ValidatingPolicy"}, {"name": "p", "kind": "MutatingPolicy"}])
    def test_another_policy_is_not_meant(self, reference: Body) -> None:
        (result,) = review([validating("false"), self.exception(policyRefs=[reference])], pod())
        assert result.status is Status.FAIL

    def test_its_conditions_decide(self) -> None:
        named = self.exception(matchConditions=[{"name": "n", "expression": "object.metadata.name == 'b'"}])
        assert [result.status for result in review([validating("false"), named], pod(name="a"))] == [Status.FAIL]
        assert [result.status for result in review([validating("false"), named], pod(name="b"))] == [Status.SKIP]

    def test_images_and_values_are_given_to_the_policy(self) -> None:
        policy = validating("object.spec.containers.all(c, c.image in exceptions.allowedImages || c.name in exceptions.allowedValues)")
        assert [result.status for result in review([policy, self.exception(images=["nginx"])], pod("nginx"))] == [Status.PASS]
        assert [result.status for result in review([policy, self.exception(allowedValues=["c0"])], pod("nginx"))] == [Status.PASS]
        assert [result.status for result in review([policy, self.exception(images=["other"])], pod("nginx"))] == [Status.FAIL]

    def test_the_highest_priority_decides_how_it_is_reported(self) -> None:
        low, high = self.exception("low"), self.exception("high", reportResult="pass")
        high["metadata"]["labels"] = {"polex.kyverno.io/priority": "5"}
        (result,) = review([validating("false"), low, high], pod())
        assert (result.status, result.exceptions) == (Status.PASS, ("team/low", "team/high"))

    def test_one_that_names_no_policy_is_a_problem(self) -> None:
        assert [problem.pointer for problem in PolicySet([self.exception(policyRefs=[])]).problems] == [("spec", "policyRefs")]


class TestModes:
    def test_json_policies_judge_any_document(self) -> None:
        policies = PolicySet([validating("object.a == 1", evaluation={"mode": "JSON"}, matchConstraints=None)])
        assert [result.status for result in policies.review_json({"a": 1})] == [Status.PASS]
        assert [result.status for result in policies.review_json({"a": 2})] == [Status.FAIL]
        assert policies.review(Request(pod())) == ()

    def test_other_modes_are_not_evaluated(self) -> None:
        policies = PolicySet([validating("http.Allowed().Response()", evaluation={"mode": "HTTP"})])
        assert [(problem.message, problem.unsupported) for problem in policies.problems] == [("the evaluation mode HTTP is not evaluated", True)]
        assert policies.review(Request(pod())) == ()


@pytest.mark.parametrize(
    "odd",
    [None, 1, [], "x", {}, {"spec": 1}, {"spec": {"validations": 1}}, {"spec": {"validations": [1], "variables": {}, "matchConstraints": []}}],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["ValidatingPolicy", "GeneratingPolicy", "DeletingPolicy", "ImageValidatingPolicy", "PolicyException"])
def test_odd_policies_do_no_harm(kind: str, odd: Any) -> None:
    body = {"apiVersion": "policies.kyverno.io/v1", "kind": kind, "metadata": {"name": "odd"}, **odd} if isinstance(odd, dict) else odd
    policies = PolicySet([body, validating("true")])
    assert [result.status for result in policies.review(Request(pod()))] == [Status.PASS]
    assert policies.generate(Request(pod())) == ()


# --- metamorphic relations ------------------------------------------------------------------------------------------------------------

POOL = [
    validating(NO_LATEST, name="latest"),
    validating("object.metadata.name != 'b'", name="names", validationActions=["Audit"]),
    validating("has(object.data)", name="data", matchConstraints=rules({**POD_RULE, "resources": ["configmaps"]})),
    validating("variables.n == 1", name="count", variables=[{"name": "n", "expression": "size(object.spec.containers)"}]),
    validating("object.nothing == 1", name="broken", matchConditions=[{"name": "c", "expression": "object.metadata.name == 'a'"}]),
    validating("true", name="all", matchConstraints=rules(EVERYTHING)),
]
OBJECTS = [pod("nginx:latest"), pod("nginx:1", "x:2", name="b"), config_map(a="b"), workload("Deployment", "x:latest"), namespace("n")]


@given(st.permutations(POOL), st.sampled_from(OBJECTS), st.integers(1, len(POOL)))
def test_order_and_company_of_policies_change_nothing(policies: list[Body], body: Body, size: int) -> None:
    alone = {policy["metadata"]["name"]: review(policy, body) for policy in policies}
    together = review(policies[:size], body)
    for policy in policies[:size]:
        name = policy["metadata"]["name"]
        assert [result for result in together if result.policy.name == name] == alone[name]
    assert len(together) == sum(len(alone[policy["metadata"]["name"]]) for policy in policies[:size])


@pytest.mark.parametrize(
    ("annotation", "context", "expected"),
    [
        ("unconfined", {}, {"type": "Unconfined"}),
        ("runtime/default", {}, {"type": "RuntimeDefault"}),
        ("localhost/own", {}, {"type": "Localhost", "localhostProfile": "own"}),
        ("unconfined", {"appArmorProfile": {"type": "RuntimeDefault"}}, {"type": "RuntimeDefault"}),
        ("else", {}, None),
    ],
)
def test_a_pods_apparmor_annotation_is_served_as_the_field(annotation: str, context: dict[str, Any], expected: dict[str, str] | None) -> None:
    metadata = {"name": "a", "annotations": {"container.apparmor.security.beta.kubernetes.io/web": annotation}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "web", "securityContext": context}, {"name": "other"}]}}
    web, other = as_served(pod, Resource("", "v1", "pods", "Pod", True))["spec"]["containers"]
    assert web["securityContext"].get("appArmorProfile") == expected
    assert "securityContext" not in other
