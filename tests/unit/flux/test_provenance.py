from __future__ import annotations

from typing import Any

import pytest
from harness.flux.provenance import Provenance
from harness.flux.values import compose
from unit.flux.releases import Cluster, release

VALUES = """\
controller:
  replicaCount: 3
  image:
    tag: 1.2.3
  resources:
    limits: {memory: 128Mi}
    requests: {memory: 64Mi}
  securityContext: {runAsNonRoot: true, runAsUser: 101}
  hostNetwork: true
webhook:
  replicaCount: 3
  resources:
    limits: {memory: 128Mi}
    requests: {memory: 32Mi}
  nodeSelector: {}
args: [--a, --b]
"""


def body(name: str, **container: Any) -> dict[str, Any]:
    spec = {"replicas": 3, "template": {"spec": {"hostNetwork": True, "containers": [{"name": "main", **container}]}}}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}


CONTAINER = ("spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize(
    ("item", "pointer", "path"),
    [
        (body("x-webhook"), ("spec", "replicas"), ("webhook", "replicaCount")),
        (body("x-controller"), ("spec", "replicas"), ("controller", "replicaCount")),
        (
            body("x-webhook", resources={"limits": {"memory": "128Mi"}}),
            (*CONTAINER, "resources", "limits", "memory"),
            ("webhook", "resources", "limits", "memory"),
        ),
        (
            body("x", resources={"requests": {"memory": "32Mi"}}),
            (*CONTAINER, "resources", "requests", "memory"),
            ("webhook", "resources", "requests", "memory"),
        ),
        (body("x", image="registry.example.com/x:1.2.3"), (*CONTAINER, "image"), ("controller", "image", "tag")),
        (body("x", image="registry.example.com/x:9"), (*CONTAINER, "image"), None),
        (body("x", securityContext={"runAsUser": 101}), (*CONTAINER, "securityContext", "runAsUser"), ("controller", "securityContext", "runAsUser")),
        # A field that is not there: the nearest thing around it that a value gives as a whole.
        (
            body("x", securityContext={"runAsNonRoot": True, "runAsUser": 101}),
            (*CONTAINER, "securityContext", "capabilities"),
            ("controller", "securityContext"),
        ),
        (body("x-controller"), ("spec", "template", "spec", "hostNetwork"), ("controller", "hostNetwork")),
        # "true" in one place and "true" in another is no evidence without a word in common.
        (body("x"), ("spec", "template", "spec", "hostNetwork"), None),
        (body("x", args=["--a", "--b"]), (*CONTAINER, "args", 1), ("args",)),
        (body("x"), ("metadata", "name"), None),
        (body("x"), (), None),
    ],
)
def test_the_value_behind_a_field(item: dict[str, Any], pointer: tuple[str | int, ...], path: tuple[str, ...] | None) -> None:
    view = Cluster(release(values=VALUES))
    provenance = Provenance(view.release, compose(view.release, view.find))
    assert provenance.find(item, pointer, "templates/a.yaml") == path


def test_the_template_tells_sub_charts_apart() -> None:
    view = Cluster(release(values="one: {port: 8080}\ntwo: {port: 8080}"))
    provenance = Provenance(view.release, compose(view.release, view.find))
    item = {"kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 8080}}
    assert provenance.find(item, ("spec", "port"), "charts/two/templates/service.yaml") == ("two", "port")


def test_lines() -> None:
    text = release(values=VALUES, spec="postRenderers: []\ncommonMetadata:\n  labels:\n    team: a")
    view = Cluster(text)
    provenance = Provenance(view.release, compose(view.release, view.find))
    lines = text.splitlines()
    item = body("x-controller", image="x:1.2.3")
    assert lines[provenance.locate(item, (*CONTAINER, "image"), "", {}).line - 1] == "        tag: 1.2.3"
    patched = {("metadata", "labels", "team"): ("spec", "commonMetadata", "labels", "team")}
    assert lines[provenance.locate(item, ("metadata", "labels", "team"), "", patched).line - 1] == "      team: a"
    # The chart's own: the release.
    assert lines[provenance.locate(item, ("metadata", "name"), "", {}).line - 1] == "apiVersion: helm.toolkit.fluxcd.io/v2"
