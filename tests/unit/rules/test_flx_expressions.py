"""What the text of a readiness expression, a patch target, an image or a flag says."""

from __future__ import annotations

import pytest
from harness.model import Location, Object, ObjectId, Origin, fixed
from harness.rules.flx_common import is_on
from harness.rules.flx_health import weakness
from harness.rules.flx_patches import _bare, _images, fits, may_be_removed
from harness.rules.flx_sources import _is_local
from harness.rules.yml import _mismatch

VACUOUS = "it is true for an empty list of conditions, that is before the operator has written them"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("status.conditions.exists(e, e.type == 'Ready' && e.status == 'True')", ""),
        ("status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True' && e.observedGeneration == metadata.generation)", ""),
        ("status.conditions.filter(e, e.type == 'Ready').size() > 0 && status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')", ""),
        ("status.phase == 'Running'", ""),
        ("has(status.ready) && status.ready", ""),
        ("dep.metadata.labels['app/version'] == self.metadata.labels['app/version']", ""),
        ("status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')", VACUOUS),
        ("status.conditions.all(e, e.status == 'True')", VACUOUS),
        ("status.conditions.filter(e, e.type == 'all(').all(e, e.status == 'exists(')", VACUOUS),
        ("true", "it is constant"),
        (" (true) ", "it is constant"),
        ("!false", "it is constant"),
        ("status.ready || true", "it is constant"),
        ("status.phase == status.phase", "it compares a value with itself"),
        ("metadata.name == 'x'", "it is true before there is a status"),
        ("!has(status.failed)", "it is true before there is a status"),
        ("spec.unknownFunction().all(e, e)", "all() is true for an empty list, that is before the operator has written the condition"),
        ("not an expression", ""),
    ],
)
def test_weakness(expression: str, why: str) -> None:
    assert weakness(expression) == why


def _object(kind: str, name: str, group: str = "apps", version: str = "v1") -> Object:
    body = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind, "metadata": {"name": name}}
    return Object(ObjectId("test", group, kind, "apps", name), body, Origin(fixed(Location("x.yaml", 1))))


MADE = (_object("Deployment", "blue-web-v2"), _object("ConfigMap", "settings-5m8h2k7t9f", ""))


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ({"kind": "Deployment"}, True),
        ({"kind": "Deployment", "name": "web"}, True),
        ({"kind": "Deployment|StatefulSet", "name": "^web$"}, True),
        ({"kind": "(Deployment|StatefulSet)"}, True),
        ({"name": "settings"}, True),
        ({"group": "apps", "version": "v1", "kind": "Deployment"}, True),
        ({"kind": "Deploy"}, False),
        ({"kind": "StatefulSet"}, False),
        ({"kind": "ConfigMap", "name": "web"}, False),
        ({"group": "batch"}, False),
        ({"kind": "(unclosed"}, True),
        ({"labelSelector": "app=web"}, True),
    ],
)
def test_patch_target(target: dict[str, str], found: bool) -> None:
    assert fits(target, MADE) is found


@pytest.mark.parametrize("removal", ["kind: Deployment\n$patch: delete\n", '{"$patch": "delete"}'])
def test_removal_hides_the_objects_it_may_be_for(removal: str) -> None:
    assert may_be_removed({"kind": "Deployment"}, [{"patch": removal}])
    assert may_be_removed({"kind": "Deployment", "name": "web"}, [{"patch": removal, "target": {"name": "w.*"}}])
    assert not may_be_removed({"name": "web"}, [{"patch": removal, "target": {"name": "db"}}])


def test_what_removes_no_object_hides_none() -> None:
    assert not may_be_removed({}, [{"patch": "- op: remove\n  path: /spec/replicas\n"}])
    assert not may_be_removed({}, "nonsense")


@pytest.mark.parametrize(
    ("image", "bare"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("registry.example.com:5000/team/web:1.0.0", "registry.example.com:5000/team/web"),
        ("registry.example.com:5000/team/web", "registry.example.com:5000/team/web"),
        ("web@sha256:0123", "web"),
        ("web:1.0.0@sha256:0123", "web"),
    ],
)
def test_image_without_version(image: str, bare: str) -> None:
    assert _bare(image) == bare


def test_images_are_found_at_any_depth() -> None:
    body = {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"initContainers": [{"image": "a"}], "containers": [{"image": "b"}, "odd"]}}}}}}
    assert sorted(_images(body)) == ["a", "b"]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("kind-registry", True),
        ("registry.registry.svc", True),
        ("10.1.2.3", True),
        ("192.0.2.1", True),
        ("8.8.8.8", False),
        ("example.com", False),
    ],
)
def test_hosts_of_the_cluster(host: str, local: bool) -> None:
    assert _is_local(host) is local


@pytest.mark.parametrize(
    ("arguments", "on"),
    [((), False), (("--x",), True), (("--x=true",), True), (("-x=1",), True), (("--x=false",), False), (("--x", "--x=false"), False), (("--xy",), False)],
)
def test_flags_of_go_programs(arguments: tuple[str, ...], on: bool) -> None:
    assert is_on(arguments, "x") is on


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://schemas.example.com/helm.toolkit.fluxcd.io/helmrelease_v2.json", ""),
        ("https://schemas.example.com/helm.toolkit.fluxcd.io/helmrelease_v2beta1.json", "helmrelease helm.toolkit.fluxcd.io/v2beta1"),
        ("https://example.com/v1.36.0-standalone-strict/deployment-apps-v1.json", "deployment apps/v1"),
        ("https://json.schemastore.org/kustomization", "kustomization.yaml"),
        ("https://example.com/values.schema.json", ""),
    ],
)
def test_schema_comment(url: str, other: str) -> None:
    assert _mismatch(url, "helm.toolkit.fluxcd.io/v2", "HelmRelease") == other
