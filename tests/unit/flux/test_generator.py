from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.flux.generator import Generated, common_metadata, generate
from harness.model import Location, Pointer, format_pointer
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

HEAD = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def where(pointer: Pointer) -> Location:
    return Location(f"ks.yaml:{format_pointer(pointer)}", 1)


def make(root: Path, files: dict[str, str], spec: dict[str, Any], directory: str = "app") -> Generated:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return generate(Repository(root), directory, spec, where, lambda path: not path.endswith(".ignored.yaml"))


def shown(generated: Generated) -> list[tuple[str, str, str]]:
    return [(each.code, str(each.location), each.message) for each in generated.problems]


def test_every_manifest_becomes_a_resource_when_there_is_no_kustomization(tmp_path: Path) -> None:
    generated = make(tmp_path, {"app/a.yaml": "", "app/sub/b.yml": "", "app/c.ignored.yaml": "", "app/notes.txt": ""}, {})
    assert generated.body == {**HEAD, "resources": ["./a.yaml", "./sub/b.yml"]}
    assert (generated.path, generated.document) == ("app/kustomization.yaml", None)
    assert generated.locate(("resources", 0), where).path == "ks.yaml:path"


def test_a_directory_without_manifests_builds_nothing(tmp_path: Path) -> None:
    assert make(tmp_path, {"app/notes.txt": ""}, {}).body == {**HEAD, "namespace": "_placeholder"}


def test_the_first_name_wins(tmp_path: Path) -> None:
    files = {"app/Kustomization": "resources: [k]\n", "app/kustomization.yml": "resources: [yml]\n"}
    assert make(tmp_path, files, {}).path == "app/kustomization.yml"


def test_spec_is_merged(tmp_path: Path) -> None:
    files = {
        "app/kustomization.yaml": "namespace: old\nnamePrefix: p-\nresources: [a.yaml]\npatches:\n  - path: p.yaml\ncomponents: [../c]\n",
        "c/kustomization.yaml": "kind: Component\n",
        "here/kustomization.yaml": "kind: Component\n",
    }
    spec = {
        "targetNamespace": "new",
        "nameSuffix": "-s",
        "patches": [{"patch": "kind: X", "target": {"kind": "Deployment", "name": "", "unknown": "x"}}, {"patch": "kind: Y"}],
        "components": ["../gone", "../here"],
        "ignoreMissingComponents": True,
        "wait": True,
    }
    generated = make(tmp_path, files, spec)
    assert generated.body == {
        **HEAD,
        "namespace": "new",
        "namePrefix": "p-",
        "nameSuffix": "-s",
        "resources": ["a.yaml"],
        "patches": [{"path": "p.yaml"}, {"patch": "kind: X", "target": {"kind": "Deployment"}}, {"patch": "kind: Y"}],
        "components": ["../c", "../here"],
    }
    places = [("namespace",), ("nameSuffix",), ("namePrefix",), ("patches", 0, "path"), ("patches", 2, "patch"), ("components", 1), ("resources", 0)]
    assert [str(generated.locate(place, where)) for place in places] == [
        "ks.yaml:targetNamespace:1",
        "ks.yaml:nameSuffix:1",
        "app/kustomization.yaml:2",
        "app/kustomization.yaml:5",
        "ks.yaml:patches[1].patch:1",
        "ks.yaml:components[1]:1",
        "app/kustomization.yaml:3",
    ]
    assert (generated.problems, generated.fatal) == ((), False)


def test_missing_components_stay_unless_ignored(tmp_path: Path) -> None:
    assert make(tmp_path, {"app/kustomization.yaml": "resources: [a]\n"}, {"components": ["../gone"]}).body["components"] == ["../gone"]


def test_components_must_be_local(tmp_path: Path) -> None:
    generated = make(tmp_path, {"app/a.yaml": ""}, {"components": ["github.com/org/repo", "/abs", "ok"]})
    assert generated.fatal
    assert shown(generated) == [
        ("kustomize-build", "ks.yaml:components[0]:1", "component path 'github.com/org/repo' must be local and relative"),
        ("kustomize-build", "ks.yaml:components[1]:1", "component path '/abs' must be local and relative"),
    ]


def test_images_of_spec_are_merged_by_name(tmp_path: Path) -> None:
    """A digest replaces a tag and the other way round; what spec leaves out stays (kustomize-controller 1.9.4)."""
    text = "resources: [a]\nimages:\n  - {name: a, newName: x/a, newTag: v1}\n  - {name: b, newTag: v1}\n  - {name: c, digest: 'sha256:1'}\n"
    spec = {"images": [{"name": "b", "digest": "sha256:2"}, {"name": "a", "newName": "y/a"}, {"name": "c", "newTag": "v2"}, {"name": "d", "newTag": "v3"}]}
    generated = make(tmp_path, {"app/kustomization.yaml": text}, spec)
    assert generated.body["images"] == [
        {"name": "a", "newName": "y/a", "newTag": "v1"},
        {"name": "b", "digest": "sha256:2"},
        {"name": "c", "newTag": "v2"},
        {"name": "d", "newTag": "v3"},
    ]
    assert [str(generated.locate(("images", index), where)) for index in (0, 3)] == ["ks.yaml:images[1]:1", "ks.yaml:images[3]:1"]


def test_a_kustomization_without_resources_is_marked_as_the_controller_does(tmp_path: Path) -> None:
    assert make(tmp_path, {"app/kustomization.yaml": "components: [../c]\n"}, {}).body["buildMetadata"] == ["originAnnotations"]
    spec = {"buildMetadata": ["transformerAnnotations"]}
    assert make(tmp_path, {}, spec).body["buildMetadata"] == ["transformerAnnotations"]


def test_unknown_fields_are_dropped_and_reported(tmp_path: Path) -> None:
    generated = make(tmp_path, {"app/kustomization.yaml": "resources: [a]\nresourcez: [b]\n"}, {})
    assert generated.body == {**HEAD, "resources": ["a"]}
    assert shown(generated) == [("kustomize-unknown-field", "app/kustomization.yaml:2", "kustomize has no field 'resourcez': Flux drops it without a word")]


def test_a_kustomization_that_cannot_be_read_is_fatal(tmp_path: Path) -> None:
    assert make(tmp_path, {"app/kustomization.yaml": "resources: [\n"}, {}).fatal


def test_odd_spec_values_are_passed_over(tmp_path: Path) -> None:
    spec = {"patches": "x", "images": [1], "components": [1], "targetNamespace": 3, "namePrefix": "", "buildMetadata": []}
    assert make(tmp_path, {"app/kustomization.yaml": "resources: [a]\n"}, spec).body == {**HEAD, "resources": ["a"]}


def test_common_metadata_overrides() -> None:
    body = {"kind": "X", "metadata": {"name": "x", "labels": {"a": "1", "b": "1"}}}
    spec = {"commonMetadata": {"labels": {"b": "2", "c": "2"}, "annotations": {"d": "2"}}}
    assert common_metadata(body, spec)["metadata"] == {"name": "x", "labels": {"a": "1", "b": "2", "c": "2"}, "annotations": {"d": "2"}}
    assert body["metadata"] == {"name": "x", "labels": {"a": "1", "b": "1"}}
    assert common_metadata(body, {}) is body
