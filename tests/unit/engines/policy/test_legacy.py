"""ClusterPolicies: CEL rules are judged with Kyverno's own way of matching, and every other rule says that it is not evaluated."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.policy import PolicySet, Request, Resource, Status
from harness.engines.policy.legacy_matching import split_kind
from unit.engines.policy.policy_samples import Body, config_map, namespace, pod, review, workload


def cel(*expressions: str, message: str = "", **validate: Any) -> Body:
    return {"validate": {"message": message, "cel": {"expressions": [{"expression": each} for each in expressions]}, **validate}}


def policy(body: Body, match: Body | None = None, *, kind: str = "ClusterPolicy", annotations: Body | None = None, **spec: Any) -> Body:
    rule = {"name": "r", "match": match or {"any": [{"resources": {"kinds": ["Pod"]}}]}, **body}
    metadata = {"name": "p", **({"namespace": "team"} if kind == "Policy" else {}), **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": "kyverno.io/v1", "kind": kind, "metadata": metadata, "spec": {"rules": [rule], **spec}}


def statuses(given: Body | list[Body], request: Body | Request) -> list[tuple[str, Status]]:
    return [(result.rule, result.status) for result in review(given, request)]


class TestRules:
    def test_a_violation(self) -> None:
        (result,) = review(policy(cel("true", "object.metadata.name != 'a'", message="no a")), pod())
        assert (result.rule, result.status, result.index, result.message, result.denied) == ("r", Status.FAIL, 1, "no a", False)

    def test_passing(self) -> None:
        (result,) = review(policy(cel("true")), pod())
        assert (result.status, result.message) == (Status.PASS, "Validation rule 'r' passed.")

    @pytest.mark.parametrize(
        ("spec", "validate", "denied"),
        [({}, {}, False), ({"validationFailureAction": "Enforce"}, {}, True), ({"validationFailureAction": "enforce"}, {"failureAction": "Audit"}, False)],
    )
    def test_actions(self, spec: Body, validate: Body, denied: bool) -> None:
        (result,) = review(policy(cel("false", **validate), **spec), pod())
        assert result.denied is denied

    def test_preconditions_and_variables(self) -> None:
        body = cel("variables.n == 1")
        body["validate"]["cel"]["variables"] = [{"name": "n", "expression": "size(object.spec.containers)"}]
        assert statuses(policy(body), pod()) == [("r", Status.PASS)]
        assert statuses(policy({**body, "celPreconditions": [{"name": "c", "expression": "false"}]}), pod()) == [("r", Status.SKIP)]

    @pytest.mark.parametrize(("failure", "status"), [("Fail", Status.FAIL), ("Ignore", Status.ERROR)])
    def test_an_error_denies_like_a_failure(self, failure: str, status: Status) -> None:
        (result,) = review(policy(cel("object.nothing == 1"), failurePolicy=failure), pod())
        assert (result.status, result.message) == (status, "no such key: nothing")

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            ({"validate": {"pattern": {}}}, "validate.pattern"),
            ({"validate": {"deny": {}}}, "validate.deny"),
            ({"validate": {"foreach": []}}, "validate.foreach"),
            ({"mutate": {"patchStrategicMerge": {}}}, "mutate"),
            ({"generate": {"kind": "x"}}, "generate"),
            ({"verifyImages": [{}]}, "verifyImages"),
        ],
    )
    def test_other_rules_are_not_evaluated(self, body: Body, what: str) -> None:
        (result, *_) = review(policy(body), pod())
        assert (result.status, result.reason) == (Status.NOT_EVALUATED, f"{what} rules of ClusterPolicy are not evaluated")
        assert review(policy(body), config_map()) == []

    def test_a_policy_of_a_namespace_stays_there(self) -> None:
        assert statuses(policy(cel("false"), kind="Policy"), pod()) == [("r", Status.FAIL)]
        assert statuses(policy(cel("false"), kind="Policy"), pod(namespace="other")) == []

    def test_what_does_not_compile_is_a_problem_at_its_place(self) -> None:
        problems = PolicySet([policy({**cel("true", "nobody == 1"), "celPreconditions": [{"name": "c", "expression": "1"}]})]).problems
        assert [problem.pointer for problem in problems] == [
            ("spec", "rules", 0, "celPreconditions", 0, "expression"),
            ("spec", "rules", 0, "validate", "cel", "expressions", 1, "expression"),
        ]


class TestMatching:
    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("Pod", ("*", "*", "Pod", "")),
            ("v1/Pod", ("*", "v1", "Pod", "")),
            ("apps/v1/Deployment", ("apps", "v1", "Deployment", "")),
            ("apps/*/Deployment", ("apps", "*", "Deployment", "")),
            ("Pod/exec", ("*", "*", "Pod", "exec")),
            ("Pod.status", ("*", "*", "Pod", "status")),
            ("v1/Pod/exec", ("*", "v1", "Pod", "exec")),
            ("apps/v1/Deployment/scale", ("apps", "v1", "Deployment", "scale")),
            ("*", ("*", "*", "*", "")),
            ("*/*", ("*", "*", "*", "*")),
            ("*/exec", ("*", "*", "*", "exec")),
        ],
    )
    def test_kinds(self, selector: str, expected: tuple[str, str, str, str]) -> None:
        assert split_kind(selector) == expected

    @pytest.mark.parametrize(
        ("resources", "expected"),
        [
            ({"kinds": ["Pod"], "names": ["a*"]}, True),
            ({"kinds": ["Pod"], "name": "b"}, False),
            ({"kinds": ["*"], "namespaces": ["te?m"]}, True),
            ({"kinds": ["Pod"], "namespaces": ["other"]}, False),
            ({"kinds": ["Pod"], "selector": {"matchLabels": {"app": "w*"}}}, True),
            ({"kinds": ["Pod"], "selector": {"matchLabels": {"app": "x"}}}, False),
            ({"kinds": ["Pod"], "annotations": {"k/*": "?"}}, True),
            ({"kinds": ["Pod"], "annotations": {"other": "*"}}, False),
            ({"kinds": ["Pod"], "operations": ["UPDATE"]}, False),
            ({"kinds": ["Pod"], "namespaceSelector": {"matchLabels": {"env": "prod"}}}, True),
            ({"kinds": ["Pod"], "namespaceSelector": {"matchLabels": {"env": "test"}}}, False),
            ({}, False),
        ],
    )
    def test_filters(self, resources: Body, expected: bool) -> None:
        body = pod(labels={"app": "web"})
        body["metadata"]["annotations"] = {"k/a": "1"}
        request = Request(body, namespace=namespace("team", env="prod"))
        assert bool(statuses(policy(cel("true"), {"any": [{"resources": resources}]}), request)) is expected

    def test_any_all_and_exclude(self) -> None:
        named, other = {"resources": {"kinds": ["Pod"], "names": ["a"]}}, {"resources": {"kinds": ["Pod"], "names": ["b"]}}
        assert statuses(policy(cel("true"), {"any": [other, named]}), pod())
        assert not statuses(policy(cel("true"), {"all": [other, named]}), pod())
        assert not statuses(policy({**cel("true"), "exclude": {"any": [named]}}), pod())
        assert statuses(policy({**cel("true"), "exclude": {"all": [named, other]}}), pod())

    def test_users_count_where_there_is_one(self) -> None:
        match = {"any": [{"resources": {"kinds": ["Pod"]}, "subjects": [{"kind": "Group", "name": "dev*"}]}]}
        assert statuses(policy(cel("true"), match), pod())
        assert statuses(policy(cel("true"), match), Request(pod(), user={"username": "jo", "groups": ["devs"]}))
        assert not statuses(policy(cel("true"), match), Request(pod(), user={"username": "jo", "groups": ["ops"]}))
        roles = {"any": [{"resources": {"kinds": ["Pod"]}, "clusterRoles": ["admin"]}]}
        assert statuses(policy(cel("true"), roles), Request(pod(), user={"username": "jo"})) == [("r", Status.NOT_EVALUATED)]
        assert statuses(policy(cel("true"), roles), Request(pod(), user={"username": "jo", "clusterRoles": ["admin"]})) == [("r", Status.PASS)]

    def test_ephemeral_containers_belong_to_pods(self) -> None:
        assert statuses(policy(cel("true")), Request(pod(), subresource="ephemeralcontainers", resource=Resource("", "v1", "pods", "Pod")))
        assert not statuses(policy(cel("true")), Request(pod(), subresource="exec"))


class TestAutogen:
    RULE = cel("object.spec.containers.all(c, c.image != 'x')")

    @pytest.mark.parametrize(
        ("body", "rule"),
        [(workload("Deployment", "x"), "autogen-r"), (workload("CronJob", "x", api_version="batch/v1"), "autogen-cronjob-r")],
    )
    def test_rules_for_controllers(self, body: Body, rule: str) -> None:
        assert statuses(policy(self.RULE), body) == [(rule, Status.FAIL)]

    @pytest.mark.parametrize(
        ("match", "annotations", "expected"),
        [
            (None, {"pod-policies.kyverno.io/autogen-controllers": "none"}, 0),
            (None, {"pod-policies.kyverno.io/autogen-controllers": "Deployment"}, 1),
            (None, {"pod-policies.kyverno.io/autogen-controllers": "CronJob"}, 0),
            ({"any": [{"resources": {"kinds": ["Pod"], "names": ["a"]}}]}, None, 0),
            ({"any": [{"resources": {"kinds": ["Pod", "Service"]}}]}, None, 0),
            ({"any": [{"resources": {"kinds": ["Pod"], "selector": {}}}]}, None, 0),
        ],
    )
    def test_when_there_is_autogen(self, match: Body | None, annotations: Body | None, expected: int) -> None:
        assert len(review(policy(self.RULE, match, annotations=annotations), workload("Deployment", "x"))) == expected


class TestExceptions:
    @staticmethod
    def exception(*rules: str, **spec: Any) -> Body:
        match = {"any": [{"resources": {"kinds": ["Pod", "Deployment"], "names": ["a", "d"]}}]}
        body = {"exceptions": [{"policyName": "p", "ruleNames": list(rules)}], "match": match, **spec}
        return {"apiVersion": "kyverno.io/v2", "kind": "PolicyException", "metadata": {"name": "e", "namespace": "team"}, "spec": body}

    def test_the_rules_it_names_are_skipped_for_what_it_matches(self) -> None:
        assert statuses([policy(cel("false")), self.exception("r")], pod()) == [("r", Status.SKIP)]
        assert statuses([policy(cel("false")), self.exception("r")], pod(name="b")) == [("r", Status.FAIL)]
        assert statuses([policy(cel("false")), self.exception("other")], pod()) == [("r", Status.FAIL)]
        assert statuses([policy(cel("false")), self.exception("*")], workload("Deployment")) == [("autogen-r", Status.SKIP)]

    def test_conditions_are_not_evaluated_and_let_nobody_off(self) -> None:
        given = [policy(cel("false")), self.exception("r", conditions={"any": []} | {"all": [1]})]
        assert [problem.unsupported for problem in PolicySet(given).problems] == [True]
        assert statuses(given, pod()) == [("r", Status.FAIL)]
