"""ValidatingPolicies say of pods and their controllers what Kyverno says."""

from __future__ import annotations

from typing import Any

from harness.engines.policy import PolicyId, PolicySet, Request, Status

POD_RULES = {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}]}


def policy(*validations: dict[str, Any], name: str = "p", **spec: Any) -> dict[str, Any]:
    body = {"matchConstraints": POD_RULES, "validations": list(validations), **spec}
    return {"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": name}, "spec": body}


def pod(*images: str, name: str = "a", namespace: str = "team", **spec: Any) -> dict[str, Any]:
    containers = [{"name": f"c{index}", "image": image} for index, image in enumerate(images)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": {"containers": containers, **spec}}


def deployment(*images: str) -> dict[str, Any]:
    template = {key: value for key, value in pod(*images).items() if key == "spec"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "team"}, "spec": {"template": template}}


NO_LATEST = {"expression": "object.spec.containers.all(c, !c.image.endsWith(':latest'))", "message": "no latest"}


def test_violation_is_reported_with_its_message() -> None:
    (result,) = PolicySet([policy(NO_LATEST)]).review(Request(pod("nginx:latest")))
    assert (result.policy, result.status, result.index, result.message) == (PolicyId("ValidatingPolicy", "", "p"), Status.FAIL, 0, "no latest")
    assert result.denied


def test_controllers_are_judged_by_their_template() -> None:
    policies = PolicySet([policy(NO_LATEST)])
    assert [(result.rule, result.status) for result in policies.review(Request(deployment("nginx:latest")))] == [("autogen-defaults", Status.FAIL)]
    assert [(result.rule, result.status) for result in policies.review(Request(deployment("nginx:1.0")))] == [("autogen-defaults", Status.PASS)]


def test_other_kinds_are_none_of_its_business() -> None:
    assert PolicySet([policy(NO_LATEST)]).review(Request({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})) == ()
