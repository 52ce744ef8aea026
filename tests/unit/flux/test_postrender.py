from __future__ import annotations

from typing import Any

import pytest
from harness.flux.postrender import post_render
from unit.flux.releases import TOOLS

AT = ("spec", "postRenderers", 0, "kustomize")
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "annotations": {"kept": "yes"}},
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "a", "image": "registry.example.com/a:1"}, {"name": "b", "image": "b:1"}]}}},
}
CRD = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"}, "spec": {}}


def applied(*kustomize: dict[str, Any], bodies: Any = (SERVICE, DEPLOYMENT, CRD)) -> Any:
    return post_render(list(bodies), [{"kustomize": item} for item in kustomize], TOOLS)


def test_patches_change_what_they_name_and_say_where_they_stand() -> None:
    patches = [
        {"target": {"kind": "Service"}, "patch": "- {op: replace, path: /spec/ports/0/port, value: 8080}"},
        {
            "patch": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
            "spec: {replicas: 3, template: {spec: {containers: [{name: b, image: 'b:2'}]}}}"
        },
    ]
    result = applied({"patches": patches})
    service, deployment, crd = result.bodies
    assert service["spec"]["ports"] == [{"port": 8080}]
    assert deployment["spec"]["replicas"] == 3
    assert {item["name"]: item["image"] for item in deployment["spec"]["template"]["spec"]["containers"]} == {"a": "registry.example.com/a:1", "b": "b:2"}
    assert deployment["metadata"]["annotations"] == {"kept": "yes"}
    assert crd is CRD
    assert dict(result.patched[0]) == {("spec", "ports", 0, "port"): (*AT, "patches", 0)}
    assert dict(result.patched[1])["spec", "replicas"] == (*AT, "patches", 1)
    assert result.patched[2] == ()


def test_images() -> None:
    result = applied(
        {"images": [{"name": "registry.example.com/a", "newTag": "2"}, {"name": "b", "newName": "mirror.example.com/b", "digest": "sha256:" + "0" * 64}]}
    )
    containers = result.bodies[1]["spec"]["template"]["spec"]["containers"]
    assert [item["image"] for item in containers] == ["registry.example.com/a:2", "mirror.example.com/b@sha256:" + "0" * 64]
    pointer = ("spec", "template", "spec", "containers", 0, "image")
    assert dict(result.patched[1])[pointer] == (*AT, "images")


def test_renderers_run_one_after_the_other() -> None:
    add = {"patches": [{"target": {"kind": "Service"}, "patch": "- {op: add, path: /metadata/labels, value: {a: '1'}}"}]}
    change = {"patches": [{"target": {"labelSelector": "a=1"}, "patch": "- {op: replace, path: /metadata/labels/a, value: '2'}"}]}
    assert applied(add, change).bodies[0]["metadata"]["labels"] == {"a": "2"}
    assert dict(applied(add, change).patched[0])["metadata", "labels", "a"] == ("spec", "postRenderers", 1, "kustomize", "patches", 0)


def test_a_patch_can_delete() -> None:
    result = applied({"patches": [{"patch": "$patch: delete\napiVersion: v1\nkind: Service\nmetadata: {name: web}"}]})
    assert result.bodies[0] is None
    assert result.bodies[1] is DEPLOYMENT


def test_crds_are_patched_when_a_patch_means_them() -> None:
    # It also takes away the annotation that the document is recognised by.
    result = applied({"patches": [{"target": {"kind": "CustomResourceDefinition"}, "patch": "- {op: add, path: /metadata/annotations, value: {a: b}}"}]})
    assert result.bodies[2]["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    ("kustomize", "message"),
    [
        ({"patches": [{"target": {"kind": "Service"}, "patch": "- {op: replace, path: /spec/nothing/0, value: 1}"}]}, "replace operation does not apply"),
        ({"patches": [{"patch": "apiVersion: v1\nkind: Nothing\nmetadata: {name: x}"}]}, "no resource matches strategic merge patch"),
        ({"patches": [{"target": {"kind": "("}, "patch": "a"}]}, "unable to parse SM or JSON patch"),
    ],
)
def test_failures_are_kustomizes_own_words(kustomize: dict[str, Any], message: str) -> None:
    result = applied(kustomize)
    assert result.problem is not None
    assert result.problem[0] == AT
    assert message in result.problem[1]
    assert "plimsoll-post" not in result.problem[1]
    assert result.bodies == (SERVICE, DEPLOYMENT, CRD)


@pytest.mark.parametrize("renderers", [None, [], {}, ["x"], [{"kustomize": None}], [{"kustomize": {}}], [{"kustomize": {"patches": "x", "images": [1]}}]])
def test_nothing_to_do(renderers: Any) -> None:
    result = post_render([SERVICE], renderers, TOOLS)
    assert (result.bodies, result.problem) == ((SERVICE,), None)
