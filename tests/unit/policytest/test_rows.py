"""Test files of Kyverno's command line: rows hold, fail or are not evaluated, and nothing passes that matched nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from harness.policytest import find_tests, read_tests
from harness.policytest.files import InputError
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.policytest.policytest_suite import Json, pod, policy, run, said, validating, write

if TYPE_CHECKING:
    from pathlib import Path

NAMED = validating("named", "object.metadata.name != 'bad'", "a bad name")
PODS = [pod("good"), pod("bad"), pod("good", "other")]


def row(policy_name: str, result: str, *resources: str, **fields: Any) -> Json:
    return {"policy": policy_name, "result": result, **({"resources": list(resources)} if resources else {}), **fields}


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param(
            [row("named", "pass", "good")], [("ok", "Pod/default/good", "success"), ("ok", "Pod/other/good", "success")], id="a-name-in-every-namespace"
        ),
        pytest.param([row("named", "fail", "bad")], [("ok", "Pod/default/bad", "a bad name")], id="a-failure-that-is-expected"),
        pytest.param([row("named", "pass", "bad")], [("FAIL", "Pod/default/bad", "a bad name")], id="a-failure-that-is-not"),
        pytest.param([row("named", "pass", "other/good")], [("ok", "Pod/other/good", "success")], id="a-name-with-its-namespace"),
        pytest.param([row("any/named", "fail", "bad")], [("ok", "Pod/default/bad", "a bad name")], id="a-policy-with-a-namespace"),
        pytest.param(
            [row("named", "fail", resourceSpecs=[{"version": "v1", "namespace": "default", "name": "bad"}])],
            [("ok", "Pod/default/bad", "a bad name")],
            id="resource-specs",
        ),
        pytest.param([row("named", "pass", "nobody")], [("FAIL", "nobody", "there is no object nobody")], id="no-such-object"),
        pytest.param([row("other", "pass", "good")], [("FAIL", "", "there is no policy other")], id="no-such-policy"),
        pytest.param(
            [row("named", "maybe", "good")],
            [("FAIL", "", "the row expects 'maybe': pass, fail, skip, error and warn can be expected")],
            id="no-such-result",
        ),
        pytest.param(
            [row("named", "pass")],
            [("ok", "Pod/default/good", "success"), ("FAIL", "Pod/default/bad", "a bad name"), ("ok", "Pod/other/good", "success")],
            id="all-objects",
        ),
    ],
)
def test_rows_about_objects(tmp_path: Path, results: list[Json], expected: list[tuple[str, str, str]]) -> None:
    assert said(write(tmp_path / "t", results, policies=[NAMED], resources=PODS)) == expected


def test_what_a_policy_is_not_about_is_no_pass(tmp_path: Path) -> None:
    services = policy("ValidatingPolicy", "services", "services", validations=[{"expression": "true"}])
    results = [row("services", expected, "good") for expected in ("pass", "fail", "skip")]
    about = "the policy services is not about Pod/default/good"
    found = said(write(tmp_path / "t", results, policies=[services], resources=PODS[:1]))
    assert found == [("FAIL", "Pod/default/good", about), ("FAIL", "Pod/default/good", about), ("ok", "Pod/default/good", "")]
    assert said(write(tmp_path / "u", [row("services", "pass")], policies=[services], resources=PODS)) == [
        ("FAIL", "", "the policy services is about none of the objects")
    ]


def test_skip_and_error(tmp_path: Path) -> None:
    policies = [
        validating("conditional", "true", matchConditions=[{"name": "c", "expression": "object.metadata.name == 'bad'"}]),
        validating("broken", "object.spec.nosuch == 1"),
    ]
    results = [row("conditional", "skip", "other/good"), row("conditional", "pass", "bad"), row("broken", "error", "bad"), row("broken", "pass", "bad")]
    found = run(write(tmp_path / "t", results, policies=policies, resources=PODS))
    assert [(str(each.outcome), each.got) for each in found] == [("ok", "skip"), ("ok", "pass"), ("ok", "error"), ("FAIL", "error")]


def test_values_namespaces_users_and_operations(tmp_path: Path) -> None:
    policies = [
        validating("team", "namespaceObject.metadata.labels.team == 'a'"),
        validating("who", "request.userInfo.username == 'jane'"),
        validating("kept", "request.operation != 'DELETE' || oldObject.metadata.name != 'bad'"),
        validating("values", "request.operation == 'UPDATE' && oldObject.metadata.name == object.metadata.name"),
    ]
    results = [
        row("team", "pass", "other/good"),
        row("who", "pass", "bad"),
        row("kept", "fail", "bad", operation="DELETE"),
        row("kept", "pass", "bad", operation="CREATE"),
        row("values", "pass", "bad"),
    ]
    values = {"kind": "Values", "namespaceSelector": [{"name": "other", "labels": {"team": "a"}}], "globalValues": {"request.operation": "UPDATE"}}
    user = {"kind": "UserInfo", "userInfo": {"username": "jane", "groups": ["g"]}}
    found = said(write(tmp_path / "t", results, policies=policies, resources=PODS, variables=[values], userinfo=[user]))
    assert [outcome for outcome, _, _ in found] == ["ok"] * 5


def test_exceptions(tmp_path: Path) -> None:
    exception = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": "let-off", "namespace": "default"},
        "spec": {
            "policyRefs": [{"name": "named", "kind": "ValidatingPolicy"}],
            "matchConditions": [{"name": "n", "expression": "object.metadata.name == 'bad'"}],
        },
    }
    found = said(write(tmp_path / "t", [row("named", "skip", "bad")], policies=[NAMED], resources=PODS, exceptions=[exception]))
    assert found == [("ok", "Pod/default/bad", "rule is skipped due to policy exception: default/let-off")]


def patching(name: str, path: str, value: str) -> Json:
    expression = f'[JSONPatch{{op: "add", path: "{path}", value: "{value}"}}]'
    return policy("MutatingPolicy", name, mutations=[{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}])


def test_patched_objects(tmp_path: Path) -> None:
    folder, wrong, right = tmp_path / "t", patching("label", "/spec/nodeName", "m"), patching("label", "/spec/nodeName", "n")
    expected = {**pod("good"), "spec": {**pod("good")["spec"], "nodeName": "n"}}
    path = write(folder, [row("label", "pass", "default/good", patchedResources="patched.yaml")], policies=[wrong], resources=PODS)
    (folder / "patched.yaml").write_text(json.dumps(expected), encoding="utf-8")
    (found,) = said(path)
    assert found == ("FAIL", "Pod/default/good", "the patched object differs from patched.yaml: spec.nodeName is 'm': 'n' is expected")
    write(folder, [row("label", "pass", "default/good", patchedResources="patched.yaml")], policies=[right], resources=PODS)
    (folder / "patched.yaml").write_text(json.dumps(expected), encoding="utf-8")
    assert said(path) == [("ok", "Pod/default/good", "")]


def test_validation_sees_what_mutation_made(tmp_path: Path) -> None:
    policies = [validating("scheduled", "has(object.spec.nodeName)"), patching("schedule", "/spec/nodeName", "n")]
    assert said(write(tmp_path / "t", [row("scheduled", "pass", "bad")], policies=policies, resources=PODS)) == [("ok", "Pod/default/bad", "success")]


def test_existing_objects_that_are_mutated(tmp_path: Path) -> None:
    mutating = policy(
        "MutatingPolicy",
        "touch",
        evaluation={"mutateExisting": {"enabled": True}},
        targetMatchConstraints={"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}]},
        mutations=[{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'}}],
    )
    target = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}}
    folder = tmp_path / "t"
    path = write(folder, [row("touch", "pass", "s", patchedResources="p.yaml")], policies=[mutating], resources=PODS[:1], targetResources=[target])
    (folder / "p.yaml").write_text(json.dumps({**target, "metadata": {**target["metadata"], "labels": {"a": "b"}}}), encoding="utf-8")  # type: ignore[dict-item]
    assert [(outcome, subject) for outcome, subject, _ in said(path)] == [("ok", "Secret/default/s")]


def test_generated_objects(tmp_path: Path) -> None:
    made = '[{"apiVersion": dyn("v1"), "kind": dyn("ConfigMap"), "metadata": dyn({"name": "made", "namespace": string(object.metadata.namespace)})}]'
    generating = policy("GeneratingPolicy", "make", generate=[{"expression": f"generator.apply(object.metadata.namespace, {made})"}])
    folder = tmp_path / "t"
    results = [row("make", "pass", "other/good", generatedResource="g.yaml")]
    path = write(folder, results, policies=[generating], resources=PODS)
    (folder / "g.yaml").write_text(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made", "namespace": "other"}}), encoding="utf-8")
    assert [outcome for outcome, _, _ in said(path)] == ["ok"]
    (folder / "g.yaml").write_text(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}}), encoding="utf-8")
    assert said(path) == [("FAIL", "Pod/other/good", "g.yaml has no object like the generated one")]


def test_payloads_images_and_services(tmp_path: Path) -> None:
    payload = validating("payload", "object.replicas == 2", evaluation={"mode": "JSON"})
    asks = validating("asks", "http.Get('https://a.example/x').body.ok && globalContext.Get('known', '').n == 1")
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "p.json").write_text('{"replicas": 2}', encoding="utf-8")
    path = write(
        folder,
        [row("payload", "pass", "p.json"), row("asks", "pass", "bad")],
        policies=[payload, asks],
        resources=PODS,
        jsonPayloads=["p.json"],
        globalContextEntries=[{"name": "known", "data": {"n": 1}}],
        apiCallResponses=[{"url": "https://a.example/x", "method": "GET", "response": {"body": {"ok": True}}}],
    )
    assert [(outcome, subject) for outcome, subject, _ in said(path)] == [("ok", "p.json"), ("ok", "Pod/default/bad")]


def test_rules_that_are_not_cel_are_not_evaluated(tmp_path: Path) -> None:
    rules = [
        {"name": "old", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": {"message": "m", "pattern": {"metadata": {"name": "?*"}}}},
        {"name": "new", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": {"cel": {"expressions": [{"expression": "true"}]}}},
    ]
    legacy = {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "legacy"}, "spec": {"rules": rules}}
    results = [row("legacy", "pass", "bad", rule="old"), row("legacy", "pass", "bad", rule="new"), row("legacy", "pass", "bad", rule="none")]
    found = run(write(tmp_path / "t", results, policies=[legacy], resources=PODS))
    assert [str(each.outcome) for each in found] == ["not evaluated", "ok", "FAIL"]
    assert found[0].message == "validate rules of ClusterPolicy are not evaluated (but validate.cel)"
    assert found[2].message == "the policy legacy has no rule none"


def test_admission_policies_with_parameters(tmp_path: Path) -> None:
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]},
        "validations": [{"expression": "object.metadata.name != params.data.name", "message": "taken"}],
    }
    binding = {"policyName": "names", "validationActions": ["Deny"], "paramRef": {"name": "p", "namespace": "default", "parameterNotFoundAction": "Deny"}}
    group = "admissionregistration.k8s.io/v1"
    policies = [
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "names"}, "spec": spec},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": binding},
    ]
    params = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"name": "bad"}}]
    results = [row("names", "fail", "bad"), row("names", "pass", "other/good")]
    assert [outcome for outcome, _, _ in said(write(tmp_path / "t", results, policies=policies, resources=PODS, paramResources=params))] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("kind: Other\n", "there is no document of kind Test", id="no-test"),
        pytest.param("kind: Test\nresults: []\n", "the test has no results", id="no-rows"),
        pytest.param("kind: Test\nresults: [\n", "kyverno-test.yaml:", id="no-yaml"),
    ],
)
def test_what_is_no_test(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "kyverno-test.yaml"
    path.write_text(content, encoding="utf-8")
    (test,) = read_tests(path)
    assert problem in test.problems[0]


def test_files_that_are_missing_or_elsewhere(tmp_path: Path) -> None:
    for name, why in (("nosuch.yaml", "there is no such file"), ("https://example.com/p.yaml", "it is not on this machine")):
        path = write(tmp_path / "t", [row("named", "pass")], policies=[name], resources=PODS)
        with pytest.raises(InputError, match=why):
            run(path)


def test_tests_are_found_by_their_name(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a", [row("named", "pass")]), write(tmp_path / "b" / "c", [row("named", "pass")], name="other.yaml")
    assert find_tests(tmp_path) == [one]
    assert find_tests(tmp_path, "other.yaml") == [two]
    assert find_tests(one) == [one]


def test_a_row_says_its_line(tmp_path: Path) -> None:
    path = tmp_path / "kyverno-test.yaml"
    path.write_text("kind: Test\npolicies: []\nresults:\n- policy: a\n  result: pass\n- policy: b\n  result: pass\n", encoding="utf-8")
    (test,) = read_tests(path)
    assert [(each.policy, each.line) for each in test.rows] == [("a", 4), ("b", 6)]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(["pass", "named", "good", "policies.yaml", "resources.yaml", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["policy", "result", "resources", "name", "spec", "kind"]), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["policies", "resources", "results", "variables", "values", "userinfo", "exceptions", "context", "targetResources", "paramResources", "jsonPayloads"]
)


@given(changes=st.dictionaries(FIELDS, ODD, max_size=3), row_changes=st.dictionaries(st.sampled_from(["policy", "rule", "resources", "kind"]), ODD, max_size=2))
@settings(max_examples=60, deadline=None)
def test_odd_tests_are_answered(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any], row_changes: dict[str, Any]) -> None:
    path = write(tmp_path_factory.mktemp("odd"), [{**row("named", "pass", "good"), **row_changes}], policies=[NAMED], resources=PODS)
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    (test,) = read_tests(path)
    with suppress(InputError):
        assert len(run(path)) >= len(test.rows)


@given(
    policies=st.lists(ODD, max_size=2), spec=st.dictionaries(st.sampled_from(["matchConstraints", "validations", "mutations", "variables"]), ODD, max_size=3)
)
@settings(max_examples=60, deadline=None)
def test_odd_policies_are_answered(tmp_path_factory: pytest.TempPathFactory, policies: list[Any], spec: dict[str, Any]) -> None:
    odd = [{**policy(kind, "named"), "spec": spec} for kind in ("ValidatingPolicy", "MutatingPolicy", "GeneratingPolicy", "DeletingPolicy")]
    path = write(tmp_path_factory.mktemp("odd"), [row("named", "pass", "good")], policies=odd, resources=PODS)
    (path.parent / "more.yaml").write_text("\n---\n".join(json.dumps(each) for each in policies), encoding="utf-8")
    body = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**body, "policies": [*body["policies"], "more.yaml"]}), encoding="utf-8")
    assert run(path)
