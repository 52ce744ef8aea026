"""Whatever stands in a policy, an exception or Kyverno's configuration, the POL rules answer."""

from __future__ import annotations

import copy
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness.flux.world import World
from harness.rules import all_rules
from harness.rules.context import Context
from harness.rules.engine import evaluate_repository, evaluate_world
from harness.rules.pol_platform import not_evaluated
from harness.source.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = [rule for rule in all_rules() if rule.family == "POL"]
TODAY = date(2026, 11, 23)
OBJECTS = """\
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata:
  name: restrict-things
  annotations:
    plimsoll.io/controls: NIST-SC-7
spec:
  validationActions: [Deny]
  failurePolicy: Fail
  evaluation:
    background:
      enabled: true
  matchConstraints:
    namespaceSelector:
      matchExpressions:
        - key: a
          operator: NotIn
          values: [b]
    resourceRules:
      - apiGroups: ['']
        apiVersions: [v1]
        operations: [CREATE]
        resources: [pods, configmaps]
  matchConditions:
    - name: c
      expression: object.kind != 'Secret'
  variables:
    - name: containers
      expression: object.?spec.?containers.orValue([])
  validations:
    - expression: variables.containers.all(c, c.image != 'bad')
      message: No. Change it.
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: restrict-admission
spec:
  policyName: restrict-admission
  validationActions: [Deny]
---
apiVersion: policies.kyverno.io/v1
kind: PolicyException
metadata:
  name: x
  namespace: kyverno
  annotations:
    plimsoll.io/owner: platform
spec:
  expiresAt: "2027-04-30T00:00:00Z"
  policyRefs:
    - kind: ValidatingPolicy
      name: restrict-things
  matchConditions:
    - name: c
      expression: object.metadata.name == 'x'
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kyverno
  namespace: kyverno
data:
  resourceFilters: '[Pod,kube-system,*]'
  webhooks: '{"namespaceSelector":{"matchExpressions":[]}}'
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: reports
  labels:
    rbac.kyverno.io/aggregate-to-reports-controller: 'true'
rules:
  - apiGroups: ['']
    resources: [pods]
    verbs: [get, list, watch]
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: x
  namespace: app
spec:
  template:
    metadata:
      labels: {a: b}
    spec:
      hostNetwork: true
      containers:
        - name: x
          image: bad
          args: [--exceptionNamespace=kyverno]
          ports:
            - containerPort: 80
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata:
  name: restrict-others
spec:
  matchConstraints:
    resourceRules:
      - apiGroups: ['*']
        apiVersions: ['*']
        operations: ['*']
        resources: ['*']
  validations:
    - expression: object.metadata.name != 'bad'
"""
ODD: tuple[Any, ...] = (None, 7, "odd", ["odd", None, 3], {"odd": [{}]})


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a value, but what makes a document an object at all."""
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        if (*at, key) not in {("apiVersion",), ("kind",), ("metadata",)}:
            yield (*at, key)
            yield from places(entry, (*at, key))


def changed(body: dict[str, Any], at: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    found = copy.deepcopy(body)
    inner: Any = found
    for part in at[:-1]:
        inner = inner[part]
    inner[at[-1]] = value
    return found


BODIES = list(yaml.safe_load_all(OBJECTS))


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("number", range(len(BODIES)), ids=[f"{body['kind']}-{body['metadata']['name']}" for body in BODIES])
def test_odd_shapes_get_an_answer(number: int, odd: Any, tmp_path: Path) -> None:
    others = [body for position, body in enumerate(BODIES) if position != number]
    twisted = [changed(BODIES[number], at, odd) for at in places(BODIES[number])]
    assert twisted
    # One world holds every twist, each as an object of another name.
    named = []
    for position, body in enumerate(twisted):
        metadata = body["metadata"] if isinstance(body["metadata"], dict) else {}
        named.append({**body, "metadata": {**metadata, "name": metadata.get("name") if position == 0 else f"odd-{position}"}})
    path = tmp_path / "clusters" / "test" / "objects.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump_all([*others, *named]), encoding="utf-8")
    repository = Repository(tmp_path)
    documents = [document for document in repository.documents("clusters/test/objects.yaml") if isinstance(document.body, dict)]
    world = World.of_documents(repository, "test", documents, today=TODAY)
    context = Context(repository, TODAY, own=True)
    context.add(world)
    cases = evaluate_world(world, RULES) + evaluate_repository(context, RULES, ())
    assert {case.rule.id for case in cases} >= {"POL101", "POL201", "POL203"}
    assert [entry for entry in not_evaluated(world) if not entry.why] == []
