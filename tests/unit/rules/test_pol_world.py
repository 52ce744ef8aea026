"""What the policies of a cluster are asked: about whom, by whom, through which filters; and the table that shows what they do."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from harness.flux.world import World
from harness.model import Link, Location, Object, ObjectId, Origin, fixed
from harness.rules.pol_coverage import policies_of
from harness.rules.pol_table import BEGIN, END, README, document, rows
from harness.rules.pol_world import is_expired, requests, reviewed
from harness.source.repository import Repository
from harness.source.yaml import parse

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 23)
USER = """\
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata:
  name: restrict-users
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules:
      - apiGroups: ['']
        apiVersions: [v1]
        operations: [CREATE]
        resources: [configmaps]
  validations:
    - expression: 'false'
      messageExpression: request.userInfo.username
"""
KUSTOMIZATION = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: flux-system
spec:
  serviceAccountName: tenant
"""
CRON_JOB = """\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: x
  namespace: app
spec:
  jobTemplate:
    spec:
      template:
        metadata:
          labels: {a: b}
        spec:
          hostNetwork: true
          containers:
            - name: c
              ports:
                - containerPort: 80
                - containerPort: 81
                  hostPort: 8081
"""
PATCH = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: policies-a
spec:
  patches:
    - target:
        kind: ValidatingPolicy
        name: restrict-users
      patch: |
"""


def world(tmp_path: Path, *texts: str) -> World:
    documents = [found for text in texts for found in parse(text, "clusters/test/objects.yaml").documents]
    return World.of_documents(Repository(tmp_path), "test", documents, today=TODAY)


def config_map(*chain: Link, namespace: str = "app") -> Object:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace}}
    return Object(ObjectId("test", "", "ConfigMap", namespace, "x"), body, Origin(fixed(Location("x.yaml", 1)), chain))


def said(found: World) -> list[str]:
    return [each.result.message for spoken in reviewed(found).by_object.values() for each in spoken]


@pytest.mark.parametrize(
    ("chain", "user"),
    [
        pytest.param((), "system:serviceaccount:flux-system:kustomize-controller", id="bootstrap"),
        pytest.param((Link("Kustomization", "flux-system", "apps"),), "system:serviceaccount:flux-system:tenant", id="kustomization"),
        pytest.param((Link("Kustomization", "flux-system", "other"),), "system:serviceaccount:flux-system:kustomize-controller", id="unknown"),
        pytest.param((Link("HelmRelease", "app", "web"),), "system:serviceaccount:flux-system:helm-controller", id="release"),
    ],
)
def test_objects_are_applied_by_their_applier(tmp_path: Path, chain: tuple[Link, ...], user: str) -> None:
    found = world(tmp_path, USER, KUSTOMIZATION)
    found.objects = (*found.objects, config_map(*chain))
    assert said(found) == [user]


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease"])
def test_kyverno_leaves_system_namespaces_alone(tmp_path: Path, namespace: str) -> None:
    found = world(tmp_path, USER)
    found.objects = (*found.objects, config_map(namespace=namespace))
    assert said(found) == []


def test_every_template_is_a_pod(tmp_path: Path) -> None:
    found = [(body["kind"], body) for _item, body, pod in requests(world(tmp_path, CRON_JOB)) if pod]
    expected: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {"a": "b"}, "name": "x-0", "namespace": "app"},
        "spec": {"hostNetwork": True, "containers": [{"name": "c", "ports": [{"hostPort": 80, "containerPort": 80}, {"hostPort": 8081, "containerPort": 81}]}]},
    }
    assert found == [("Pod", expected)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("2026-11-22T23:59:59Z", True), ("2026-11-23T00:00:00Z", False), ("2026-11-22T00:00:00", False), ("soon", False), (None, False), (7, False)],
)
def test_exceptions_expire(tmp_path: Path, given: object, expected: bool) -> None:
    found = world(tmp_path, f"apiVersion: policies.kyverno.io/v1\nkind: PolicyException\nmetadata:\n  name: x\nspec:\n  expiresAt: {given!r}\n")
    assert is_expired(found.objects[0], found) is expected


def test_policy_of_a_namespace_covers_its_own_only(tmp_path: Path) -> None:
    text = USER.replace("kind: ValidatingPolicy", "kind: NamespacedValidatingPolicy").replace(
        "name: restrict-users", "name: restrict-users\n  namespace: other"
    )
    found = world(tmp_path, text)
    found.objects = (*found.objects, config_map())
    assert [covers for _where, covers in policies_of(found).values()] == [False]


def test_table_reads_back_what_it_says(tmp_path: Path) -> None:
    audit = USER.replace("[Deny]", "[Audit]")
    files = {
        "policies/a/restrict-users.yaml": audit,
        "clusters/one/patches/policies-a.yaml": PATCH + "        - op: replace\n          path: /spec/validationActions\n          value: [Deny]\n",
        "clusters/two/patches/policies-a.yaml": PATCH + "        spec:\n          validationActions: [Warn, Audit]\n",
        README: f"# Policies\n\n{BEGIN}\n{END}\n\nEnd.\n",
    }
    for path, text in files.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    made = document(Repository(tmp_path), {"one": "clusters/one", "two": "clusters/two", "three": "clusters/three"})
    (tmp_path / README).write_text(made, encoding="utf-8")
    repository = Repository(tmp_path)
    assert rows(repository)["restrict-users"].actions == {"one": "Deny", "two": "Warn, Audit", "three": "Audit"}
    assert document(repository, {"one": "clusters/one", "two": "clusters/two", "three": "clusters/three"}) == made
    assert made.endswith("\n\nEnd.\n")


def test_table_needs_its_place(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / README).write_text("# Policies\n", encoding="utf-8")
    with pytest.raises(ValueError, match="stands between the lines"):
        document(Repository(tmp_path), {})
