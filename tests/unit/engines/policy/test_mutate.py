"""Mutating policies of Kyverno and of Kubernetes: what their expressions make of objects, in which order, and when they make nothing."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.policy import Request, Resources, Sources, Status
from harness.engines.policy.lookup import Objects
from harness.engines.policy.mutate import convert
from harness.engines.policy.mutate_set import Mutations

Body = dict[str, Any]


def pod(name: str = "p", **fields: Any) -> Body:
    spec = {"containers": [{"name": "a", "image": "nginx"}], **fields.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "d", **fields}, "spec": spec}


def constraints(plural: str = "pods", group: str = "") -> Body:
    return {"resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [plural]}]}


def apply(expression: str) -> Body:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patch(expression: str) -> Body:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def policy(*mutations: Body, name: str = "m", **spec: Any) -> Body:
    body = {"matchConstraints": constraints(), "mutations": list(mutations), **spec}
    return {"apiVersion": "policies.kyverno.io/v1", "kind": "MutatingPolicy", "metadata": {"name": name}, "spec": body}


def admission(*mutations: Body, name: str = "m", **spec: Any) -> Body:
    return {**policy(*mutations, name=name, **spec), "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy"}


def made(body: Body, *policies: Body, **options: Any) -> tuple[Any, list[tuple[Status, str]]]:
    outcome = Mutations(policies, bind_all=True, **options).mutate(Request(body))
    return outcome.object, [(step.status, step.reason) for step in outcome.steps]


LABEL = 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'


@pytest.mark.parametrize("make", [policy, admission])
def test_apply_configurations(make: Any) -> None:
    body, steps = made(pod(labels={"c": "d"}), make(apply(LABEL)))
    assert body["metadata"]["labels"] == {"c": "d", "a": "b"}
    assert steps == [(Status.PASS, "")]


@pytest.mark.parametrize("make", [policy, admission])
def test_lists_in_apply_configurations(make: Any) -> None:
    expression = """Object{
      spec: Object.spec{
        containers: object.spec.containers.map(c, Object.spec.containers{
          name: c.name,
          env: [Object.spec.containers.env{name: "K", value: "v"}]
        })
      }
    }"""
    body, _ = made(pod(), make(apply(expression)))
    assert body["spec"]["containers"] == [{"name": "a", "image": "nginx", "env": [{"name": "K", "value": "v"}]}]


@pytest.mark.parametrize("make", [policy, admission])
def test_json_patches(make: Any) -> None:
    expression = """[
      JSONPatch{op: "test", path: "/metadata/name", value: "p"},
      JSONPatch{op: "add", path: "/metadata/annotations", value: {"x": "y"}},
      JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("a/b~c"), value: string(1)},
      JSONPatch{op: "add", path: "/spec/volumes", value: [Object.spec.volumes{name: "v", emptyDir: Object.spec.volumes.emptyDir{}}]}
    ]"""
    body, steps = made(pod(), make(patch(expression)))
    assert steps == [(Status.PASS, "")]
    assert body["metadata"]["annotations"] == {"x": "y", "a/b~c": "1"}
    assert body["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]


@pytest.mark.parametrize("make", [policy, admission])
def test_a_test_that_fails_leaves_the_object(make: Any) -> None:
    operations = '[JSONPatch{op: "test", path: "/metadata/name", value: "q"}, JSONPatch{op: "remove", path: "/spec"}]'
    body, steps = made(pod(), make(patch(operations)))
    assert body == pod()
    assert steps == [(Status.PASS, "")]


@pytest.mark.parametrize(
    ("mutation", "reason"),
    [
        pytest.param(patch('[JSONPatch{op: "remove", path: "/nosuch"}]'), "JSON Patch: remove operation does not apply", id="no-such-key"),
        pytest.param(apply("Object{spec: Object.wrong{}}"), 'type mismatch: unexpected type name "Object.wrong", expected "Object.spec"', id="wrong-type"),
        pytest.param(apply("Object{spec: Object.spec{nosuch: 1}}"), "error applying patch: .spec.nosuch: field not declared in schema", id="unknown-field"),
        pytest.param(
            apply('Object{spec: Object.spec{nodeSelector: {"a": "b"}}}'),
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.nodeSelector",
            id="atomic",
        ),
        pytest.param(apply("Object{spec: Object.spec{nodeName: object.spec.nosuch}}"), "no such key: nosuch", id="evaluation"),
        pytest.param(apply("object"), "output is expected to be of type message object, and is dyn", id="no-object"),
        pytest.param(patch('[JSONPatch{op: "add", wrong: 1}]'), "undefined field 'wrong'", id="no-patch"),
        pytest.param(apply("Nosuch{}"), "undeclared reference to 'Nosuch' (in container '')", id="no-such-type"),
    ],
)
@pytest.mark.parametrize("make", [policy, admission])
def test_mutations_that_fail(make: Any, mutation: Body, reason: str) -> None:
    body, ((status, why),) = made(pod(), make(mutation))
    assert body == pod()
    assert status is Status.ERROR
    assert why.startswith(reason)


def test_atomic_fields_with_server_side_apply() -> None:
    mutation = apply('Object{spec: Object.spec{nodeSelector: {"a": "b"}}}')
    body, _ = made(pod(spec={"nodeSelector": {"c": "d"}}), policy(mutation, evaluation={"useServerSideApply": True}))
    assert body["spec"]["nodeSelector"] == {"a": "b"}


def test_kinds_without_a_schema_are_not_evaluated() -> None:
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "d"}}
    _, ((status, why),) = made(thing, policy(apply(LABEL), matchConstraints=constraints("things", "example.com")))
    assert status is Status.NOT_EVALUATED
    assert why == "the merge is not evaluated: the schema of example.com/v1 Thing is not known"


@pytest.mark.parametrize("make", [policy, admission])
def test_match_conditions(make: Any) -> None:
    conditional = make(apply(LABEL), matchConditions=[{"name": "n", "expression": "object.metadata.name != 'p'"}])
    assert made(pod(), conditional) == (pod(), [(Status.SKIP, "the match conditions do not hold")])
    broken = make(apply(LABEL), matchConditions=[{"name": "n", "expression": "object.spec.nosuch"}])
    assert made(pod(), broken)[1][0][0] is Status.ERROR


def test_failure_policy_of_admission_policies() -> None:
    broken = apply("Object{spec: Object.spec{nodeName: object.spec.nosuch}}")
    body, ((status, why),) = made(pod(), admission(broken, failurePolicy="Ignore"))
    assert (body, status, why) == (pod(), Status.SKIP, "failurePolicy Ignore: no such key: nosuch")


COUNT = apply('Object{metadata: Object.metadata{labels: {"n": string(variables.n), "was": string(object.metadata.?labels[?"n"].orValue("none"))}}}')


def test_variables_keep_their_value_in_kyverno_and_are_new_in_kubernetes() -> None:
    variables = [{"name": "n", "expression": "size(object.metadata.?labels.orValue({}))"}]
    body, _ = made(pod(), policy(COUNT, COUNT, variables=variables))
    assert body["metadata"]["labels"] == {"n": "0", "was": "0"}
    body, _ = made(pod(), admission(COUNT, COUNT, variables=variables))
    assert body["metadata"]["labels"] == {"n": "2", "was": "0"}


def test_policies_run_in_order_on_what_was_made() -> None:
    append = 'Object{metadata: Object.metadata{annotations: {"log": object.metadata.?annotations.?log.orValue("") + "%s"}}}'
    policies = [
        policy(apply(append % "1"), name="z"),
        policy(apply(append % "2"), name="a"),
        admission(apply(append % "3"), name="z"),
        admission(apply(append % "4"), name="a"),
    ]
    body, _ = made(pod(), *policies)
    assert body["metadata"]["annotations"] == {"log": "4312"}


def test_reinvocation() -> None:
    first = apply('Object{metadata: Object.metadata{labels: {"seen": string(has(object.metadata.labels) && "b" in object.metadata.labels)}}}')
    second = apply('Object{metadata: Object.metadata{labels: {"b": "x"}}}')
    for reinvocation, seen in (("Never", "false"), ("IfNeeded", "true")):
        body, _ = made(pod(), admission(first, name="a", reinvocationPolicy=reinvocation), admission(second, name="b"))
        assert body["metadata"]["labels"] == {"seen": seen, "b": "x"}
    _, steps = made(pod(), admission(second, name="a", reinvocationPolicy="IfNeeded"), admission(second, name="b"))
    assert len(steps) == 2


def test_autogen() -> None:
    mutation = apply('Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, imagePullPolicy: "Always"})}}')
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w", "namespace": "d"}, "spec": {"template": {"spec": pod()["spec"]}}}
    body, steps = made(deployment, policy(mutation))
    assert body["spec"]["template"]["spec"]["containers"] == [{"name": "a", "image": "nginx", "imagePullPolicy": "Always"}]
    assert steps == [(Status.PASS, "")]


@pytest.mark.parametrize(
    ("source", "config", "converted"),
    [
        ("object.spec.x == oldObject.spec.y", "defaults", "object.spec.template.spec.x == oldObject.spec.template.spec.y"),
        ("object.metadata.labels.a", "cronjobs", "object.spec.jobTemplate.spec.template.metadata.labels.a"),
        ("object.metadata.name", "defaults", "object.metadata.name"),
        (
            "Object{spec: Object.spec{a: 1}}",
            "defaults",
            "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{a: 1}}}}",
        ),
        ("[JSONPatch{}]", "defaults", "[JSONPatch{}]"),
    ],
)
def test_expressions_on_pods_become_those_on_controllers(source: str, config: str, converted: str) -> None:
    assert convert(source, config) == converted


def test_parameters_of_admission_policies() -> None:
    mutation = apply('Object{metadata: Object.metadata{labels: {"team": params.data.team}}}')
    spec = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "b"},
        "spec": {"policyName": "m", "paramRef": {"name": "p", "namespace": "d", "parameterNotFoundAction": "Deny"}},
    }
    resources = Resources()
    param = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p", "namespace": "d"}, "data": {"team": "x"}}
    body, _ = made(pod(), admission(mutation, **spec), binding, resources=resources, sources=Sources(lookup=Objects([param], resources)))
    assert body["metadata"]["labels"] == {"team": "x"}
    _, ((status, why),) = made(pod(), admission(mutation, **spec), binding, sources=Sources(lookup=Objects([], resources)))
    assert (status, why) == (Status.ERROR, "no params found for policy binding with `Deny` parameterNotFoundAction")


def test_exceptions() -> None:
    exception = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": "e", "namespace": "d"},
        "spec": {"policyRefs": [{"kind": "MutatingPolicy", "name": "m"}], "matchConditions": [{"name": "n", "expression": "object.metadata.name == 'p'"}]},
    }
    assert made(pod(), policy(apply(LABEL)), exception) == (pod(), [(Status.SKIP, "rule is skipped due to policy exception: d/e")])
    assert made(pod("q"), policy(apply(LABEL)), exception)[0]["metadata"]["labels"] == {"a": "b"}


def test_existing_objects() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "d"}}
    other = {**secret, "metadata": {"name": "s2", "namespace": "e"}}
    by_rules = {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}]}
    by_expression = {"expression": 'resource.Get("v1", "secrets", object.metadata.namespace, "s")'}
    resources = Resources()
    for targets, names in ((by_rules, ["s", "s2"]), (by_expression, ["s"])):
        touch = policy(apply(LABEL), evaluation={"mutateExisting": {"enabled": True}}, targetMatchConstraints=targets)
        mutations = Mutations([touch], resources=resources, sources=Sources(lookup=Objects([secret, other], resources)))
        changed = mutations.existing(Request(pod()), [secret, other])
        assert [step.object["metadata"]["name"] for step in changed if step.object is not None] == names
        assert all(step.object is not None and step.object["metadata"]["labels"] == {"a": "b"} for step in changed)
        assert mutations.existing(Request(secret), [secret]) == ()
