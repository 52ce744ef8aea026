"""ValidatingAdmissionPolicies with their bindings, parameters and rights, as the API server runs them."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.policy import PolicySet, Request, Resources, Sources, Status
from harness.engines.policy.lookup import Objects
from unit.engines.policy.policy_samples import POD_RULE, Body, config_map, namespace, pod, review, rules

GROUP = "admissionregistration.k8s.io/v1"


def policy(*validations: Body | str, name: str = "p", **spec: Any) -> Body:
    entries = [{"expression": entry} if isinstance(entry, str) else entry for entry in validations]
    body = {"matchConstraints": rules(POD_RULE), "validations": entries, **spec}
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": body}


def binding(*actions: str, name: str = "b", to: str = "p", **spec: Any) -> Body:
    body = {"policyName": to, "validationActions": list(actions or ("Deny",)), **spec}
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": body}


class TestBindings:
    def test_a_policy_without_a_binding_does_nothing(self) -> None:
        assert review(policy("false"), pod()) == []
        assert [result.status for result in review(policy("false"), pod(), bind_all=True)] == [Status.FAIL]

    def test_every_binding_speaks_with_its_own_actions(self) -> None:
        results = review([policy("false"), binding("Audit", name="one"), binding("Warn", "Deny", name="two"), binding(to="other")], pod())
        assert [(result.rule, result.actions, result.denied) for result in results] == [("one", ("Audit",), False), ("two", ("Warn", "Deny"), True)]

    def test_a_binding_narrows_what_is_matched(self) -> None:
        narrowed = binding(matchResources={"namespaceSelector": {"matchLabels": {"env": "prod"}}})
        assert review([policy("false"), narrowed], Request(pod(), namespace=namespace("team", env="test"))) == []
        assert len(review([policy("false"), narrowed], Request(pod(), namespace=namespace("team", env="prod")))) == 1

    def test_a_binding_without_actions_is_a_problem(self) -> None:
        empty = binding()
        empty["spec"]["validationActions"] = []
        assert [problem.pointer for problem in PolicySet([policy("true"), empty]).problems] == [("spec", "validationActions")]


class TestVerdict:
    def test_every_violation_is_reported(self) -> None:
        results = review([policy("false", "true", "1 == 2"), binding()], pod())
        assert [(result.index, result.message) for result in results] == [(0, "failed expression: false"), (2, "failed expression: 1 == 2")]

    @pytest.mark.parametrize(
        ("validation", "message"),
        [
            ({"message": " plain "}, "plain"),
            ({"message": "plain", "messageExpression": "'for ' + string(object.metadata.name)"}, "for a"),
            ({"message": "plain", "messageExpression": "'  '"}, "plain"),
            ({"message": "plain", "messageExpression": "'two\\nlines'"}, "plain"),
            ({"message": "plain", "messageExpression": "string(object.nothing)"}, "plain"),
            ({"messageExpression": "string(object.nothing)"}, "failed expression: false"),
        ],
    )
    def test_message(self, validation: Body, message: str) -> None:
        (result,) = review([policy({"expression": "false", **validation}), binding()], pod())
        assert (result.message, result.reason) == (message, "Invalid")

    def test_reason(self) -> None:
        (result,) = review([policy({"expression": "false", "reason": "Forbidden"}), binding()], pod())
        assert result.reason == "Forbidden"

    def test_passing(self) -> None:
        (result,) = review([policy("variables.n == 1", variables=[{"name": "n", "expression": "size(object.spec.containers)"}]), binding()], pod())
        assert result.status is Status.PASS

    @pytest.mark.parametrize(("failure", "denied"), [("Fail", True), ("Ignore", False)])
    def test_errors_follow_the_failure_policy(self, failure: str, denied: bool) -> None:
        (result,) = review([policy("object.nothing == 1", failurePolicy=failure), binding()], pod())
        assert (result.status, result.denied) == (Status.ERROR, denied)

    @pytest.mark.parametrize(("failure", "status"), [("Fail", Status.ERROR), ("Ignore", Status.SKIP)])
    def test_errors_of_conditions_too(self, failure: str, status: Status) -> None:
        conditions = [{"name": "c", "expression": "object.nothing == 1"}]
        assert [result.status for result in review([policy("false", failurePolicy=failure, matchConditions=conditions), binding()], pod())] == [status]

    def test_a_false_condition_skips_whatever_else_fails(self) -> None:
        conditions = [{"name": "c", "expression": "object.nothing == 1"}, {"name": "d", "expression": "false"}]
        assert [result.status for result in review([policy("false", matchConditions=conditions), binding()], pod())] == [Status.SKIP]

    def test_audit_annotations(self) -> None:
        annotations = [{"key": "k", "valueExpression": "' v '"}, {"key": "none", "valueExpression": "null"}]
        (result,) = review([policy("true", auditAnnotations=annotations), binding()], pod())
        assert result.annotations == (("k", "v"),)
        broken = [{"key": "k", "valueExpression": "string(object.nothing)"}]
        (result,) = review([policy("true", auditAnnotations=broken), binding()], pod())
        assert (result.status, result.message) == (Status.ERROR, "audit annotation k: no such key: nothing")

    def test_expressions_of_another_type_are_a_problem(self) -> None:
        assert [problem.pointer for problem in PolicySet([policy("1", "object.x")]).problems] == [
            ("spec", "validations", 0, "expression"),
            ("spec", "validations", 1, "expression"),
        ]


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


class TestParameters:
    LIMIT = "size(object.spec.containers) <= int(params.data.max)"

    def results(self, reference: Body | None, *objects: Body, validation: str = LIMIT, body: Body | None = None) -> list[tuple[Status, str]]:
        sources = Sources(lookup=Objects(objects, Resources()))
        bound = binding(**({"paramRef": reference} if reference is not None else {}))
        return [(result.status, result.message) for result in review([policy(validation, paramKind=CONFIG_MAP), bound], body or pod("a", "b"), sources)]

    def test_by_name_in_the_namespace_of_the_request_or_its_own(self) -> None:
        assert self.results({"name": "settings"}, config_map(max="2")) == [(Status.PASS, "")]
        assert self.results({"name": "settings"}, config_map(max="1")) == [(Status.FAIL, f"failed expression: {self.LIMIT}")]
        assert self.results({"name": "settings", "namespace": "shared"}, config_map(max="1"), config_map(namespace="shared", max="3")) == [(Status.PASS, "")]

    def test_by_selector_all_of_them_count(self) -> None:
        small, large = config_map("small", labels={"l": "y"}, max="1"), config_map("large", labels={"l": "y"}, max="9")
        assert self.results({"selector": {"matchLabels": {"l": "y"}}}, small, large) == [(Status.FAIL, f"failed expression: {self.LIMIT}")]
        assert self.results({"selector": {}}, large) == [(Status.PASS, "")]

    def test_none_found(self) -> None:
        assert self.results({"name": "settings", "parameterNotFoundAction": "Allow"}) == [(Status.SKIP, "")]
        message = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
        assert self.results({"name": "settings", "parameterNotFoundAction": "Deny"}) == [(Status.ERROR, message)]

    @pytest.mark.parametrize("reference", [{}, {"name": "a", "selector": {}}])
    def test_what_is_no_reference_denies(self, reference: Body) -> None:
        ((status, message),) = self.results(reference)
        assert status is Status.ERROR
        assert message.startswith("failed to configure binding: ")

    def test_without_a_reference_params_are_null(self) -> None:
        assert self.results(None, validation="params == null") == [(Status.PASS, "")]

    def test_without_objects_they_are_not_known(self) -> None:
        (result,) = review([policy("params != null", paramKind=CONFIG_MAP), binding(paramRef={"name": "x"})], pod())
        assert (result.status, result.reason) == (Status.NOT_EVALUATED, "the parameters are not evaluated: there are no objects to look in")

    def test_namespaced_parameters_need_a_namespace(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
        sources = Sources(lookup=Objects([], Resources()))
        bound = binding(paramRef={"name": "x"})
        (result,) = review([policy("true", paramKind=CONFIG_MAP, matchConstraints=rules({**POD_RULE, "resources": ["nodes"]})), bound], node, sources)
        assert result.message == "failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"


class TestAuthorizer:
    CHECK = "authorizer.group('apps').resource('deployments').subresource('scale').namespace('n').name('x').check('update').allowed()"

    def test_without_an_answer_it_is_not_evaluated(self) -> None:
        (result,) = review([policy(self.CHECK), binding()], pod())
        assert (result.status, result.reason) == (Status.NOT_EVALUATED, "authorizer is not evaluated: who may do what is known to the cluster only")

    @pytest.mark.parametrize(
        ("expression", "user", "attributes"),
        [
            (
                CHECK,
                "jo",
                {"verb": "update", "group": "apps", "resource": "deployments", "subresource": "scale", "namespace": "n", "name": "x"},
            ),
            ("authorizer.path('/healthz').check('get').allowed()", "jo", {"verb": "get", "path": "/healthz"}),
            (
                "authorizer.requestResource.check('own').allowed()",
                "jo",
                {"verb": "own", "group": "", "resource": "pods", "subresource": "", "namespace": "team", "name": "a"},
            ),
            (
                "authorizer.serviceAccount('ns', 'sa').group('').resource('pods').check('get').allowed()",
                "system:serviceaccount:ns:sa",
                {"verb": "get", "group": "", "resource": "pods"},
            ),
        ],
    )
    def test_what_is_asked(self, expression: str, user: str, attributes: dict[str, str]) -> None:
        asked: list[tuple[Any, Any]] = []

        def allow(who: Any, what: Any) -> bool:
            asked.append((who["username"], dict(what)))
            return True

        (result,) = review([policy(expression), binding()], Request(pod(), user={"username": "jo"}), Sources(authorizer=allow))
        assert (result.status, asked) == (Status.PASS, [(user, attributes)])
