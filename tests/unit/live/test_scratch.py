"""What a proof publishes."""

from __future__ import annotations

import yaml
from harness.live.faults import LABEL
from harness.live.ground.oci import Registry
from harness.live.sync.scratch import REPOSITORY, Scratch, config_map, tree
from unit.live.fakes import FakeRegistry


def made(registry: FakeRegistry) -> Scratch:
    return Scratch(Registry("127.0.0.1:1", registry), "beside:5000", "apps", "flux-apps", name="proof-1")


def test_every_version_is_another_artifact_of_one_tag() -> None:
    registry = FakeRegistry()
    scratch = made(registry)
    first, second = scratch.push({"a.yaml": "1"}), scratch.push({"a.yaml": "2"})
    assert (first.repository, first.tag, second.tag) == (REPOSITORY, "proof-1", "proof-1")
    assert first.revision != second.revision
    assert scratch.pushed == 2
    assert f"{1:040x}" in str(registry.manifests[REPOSITORY, first.digest])


def test_its_objects_belong_together() -> None:
    scratch = made(FakeRegistry())
    source, kustomization = scratch.objects
    assert source["spec"]["url"] == f"oci://beside:5000/{REPOSITORY}"
    assert kustomization["spec"]["sourceRef"] == {"kind": scratch.source.kind, "name": source["metadata"]["name"]}
    assert kustomization["spec"]["serviceAccountName"] == "flux-apps"
    assert (scratch.kustomization.namespace, scratch.kustomization.name) == ("apps", "proof-1")


def test_names_differ() -> None:
    registry = Registry("127.0.0.1:1", FakeRegistry())
    assert Scratch(registry, "h", "n", "a").name != Scratch(registry, "h", "n", "a").name


def test_a_tree_may_name_what_is_not_there() -> None:
    files = tree(config_map("one", "apps", a="1"), missing="two.yaml")
    assert yaml.safe_load(files["kustomization.yaml"])["resources"] == ["0.yaml", "two.yaml"]
    assert sorted(files) == ["0.yaml", "kustomization.yaml"]
    body = yaml.safe_load(files["0.yaml"])
    assert (body["data"], body["metadata"]["labels"][LABEL]) == ({"a": "1"}, "true")
