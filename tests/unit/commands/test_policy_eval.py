"""``policy eval``: what it prints of policies and plain manifests, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Said

POLICY = """\
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata:
  name: no-latest
spec:
  validationActions: [{action}]
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE]
        resources: [pods]
  validations:
    - expression: {expression}
      message: no latest
"""
PODS = """\
apiVersion: v1
kind: Pod
metadata:
  name: bad
  namespace: team
spec:
  containers:
    - name: c
      image: nginx:latest
---
apiVersion: v1
kind: Pod
metadata:
  name: good
  namespace: team
spec:
  containers:
    - name: c
      image: nginx:1.0
"""
EXPRESSION = "object.spec.containers.all(c, !c.image.endsWith(':latest'))"


@pytest.fixture
def said(command: Callable[..., Said], tmp_path: Path) -> Callable[..., Said]:
    def run(*arguments: str, action: str = "Deny", expression: str = EXPRESSION, manifests: str = PODS) -> Said:
        (tmp_path / "policies.yaml").write_text(POLICY.format(action=action, expression=json.dumps(expression)))
        (tmp_path / "pods.yaml").write_text(manifests)
        return command("policy", "eval", "--policies", str(tmp_path / "policies.yaml"), "--manifests", str(tmp_path / "pods.yaml"), *arguments)

    return run


def test_what_is_denied_is_listed_with_its_line(said: Callable[..., Said]) -> None:
    found = said()
    assert found.code == 1
    assert "pods.yaml:1: manifests/Pod/team/bad: ValidatingPolicy/no-latest: FAIL (denied): no latest" in found.out
    assert "good" not in found.out
    assert found.out.splitlines()[-1] == "2 results: 1 pass, 1 fail"


def test_what_is_only_audited_is_no_finding(said: Callable[..., Said]) -> None:
    found = said(action="Audit")
    assert (found.code, "FAIL: no latest" in found.out) == (0, True)


def test_everything_with_all(said: Callable[..., Said]) -> None:
    assert "manifests/Pod/team/good: ValidatingPolicy/no-latest: PASS: success" in said("--all").out


def test_json(said: Callable[..., Said]) -> None:
    found = said("--format", "json")
    document: dict[str, Any] = json.loads(found.out)
    assert document["summary"] == {"pass": 1, "fail": 1, "skip": 0, "error": 0, "not-evaluated": 0}
    (result,) = document["results"]
    assert (result["object"], result["policy"], result["status"], result["denied"], result["index"]) == (
        "manifests/Pod/team/bad",
        "ValidatingPolicy/no-latest",
        "fail",
        True,
        0,
    )


def test_what_cannot_be_evaluated_says_so(said: Callable[..., Said]) -> None:
    found = said(expression="image.getMetadata(object.spec.containers[0].image).config.User == ''")
    assert (found.code, found.out.count("NOT-EVALUATED: image.getMetadata() is not evaluated: it asks a registry for nginx")) == (0, 2)


def test_a_broken_policy_is_said_and_denies(said: Callable[..., Said]) -> None:
    found = said(expression="nobody == 1")
    assert found.code == 1
    assert "ValidatingPolicy/no-latest: broken: undeclared reference to 'nobody'" in found.err


def test_another_operation(said: Callable[..., Said]) -> None:
    assert said("--operation", "DELETE").out == "no policy is about any of the objects\n"


def test_no_policy_is_nothing_to_check(command: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text(PODS)
    found = command("policy", "eval", "--manifests", str(tmp_path / "pods.yaml"))
    assert (found.code, found.err) == (2, "error: there is no policy in what was given\n")


def test_what_is_generated_is_told_and_other_kinds_are_named(command: Callable[..., Said], tmp_path: Path) -> None:
    generating = """\
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata:
  name: g
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  generate:
    - template:
        value: |
          {apiVersion: v1, kind: ConfigMap, metadata: {name: made, namespace: team}}
---
apiVersion: policies.kyverno.io/v1
kind: DeletingPolicy
metadata:
  name: d
spec:
  schedule: "@daily"
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], resources: [pods]}
  conditions:
    - {name: bad, expression: object.metadata.name == 'bad'}
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata:
  name: m
spec: {}
"""
    (tmp_path / "policies.yaml").write_text(generating)
    (tmp_path / "pods.yaml").write_text(PODS)
    found = command("policy", "eval", "--all", "--policies", str(tmp_path / "policies.yaml"), "--manifests", str(tmp_path / "pods.yaml"))
    assert found.code == 0
    assert found.out.count("GeneratingPolicy/g: PASS: generates ConfigMap/team/made") == 2
    assert "Pod/team/bad: DeletingPolicy/d: PASS: is deleted at @daily" in found.out
    assert "Pod/team/good: DeletingPolicy/d: SKIP: the conditions do not hold" in found.out
    assert "MutatingPolicy/m: not evaluated: policies of this kind say nothing of objects here" in found.err
