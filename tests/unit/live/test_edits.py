"""Changes to a tree that only a proof publishes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from harness.flux.workspace import Options, Workspace
from harness.live.ground.overlay import needs_of
from harness.live.sync.edits import EditError, broken, leaf, with_object

ROOT = Path(__file__).parents[3]
FILES = {
    "clusters/a/kustomization.yaml": b"kind: Kustomization\nresources:\n  - one.yaml\n",
    "clusters/a/one.yaml": b"kind: Pod\n",
    "odd/kustomization.yaml": b"[]",
}


def listed(files: dict[str, bytes]) -> list[str]:
    found: list[str] = yaml.safe_load(files["clusters/a/kustomization.yaml"])["resources"]
    return found


def test_an_object_more() -> None:
    files = with_object(FILES, "clusters/a/", "two.yaml", {"kind": "ConfigMap"})
    assert listed(files) == ["one.yaml", "two.yaml"]
    assert yaml.safe_load(files["clusters/a/two.yaml"]) == {"kind": "ConfigMap"}
    assert listed(FILES) == ["one.yaml"]


def test_something_broken() -> None:
    files = broken(FILES, "./clusters/a", "gone.yaml")
    assert listed(files) == ["one.yaml", "gone.yaml"]
    assert files.keys() == FILES.keys()


@pytest.mark.parametrize("folder", ["clusters/b", "odd"])
def test_a_folder_without_a_kustomization_is_refused(folder: str) -> None:
    with pytest.raises(EditError, match="is no kustomization"):
        broken(FILES, folder, "x.yaml")


def test_a_leaf_has_nothing_behind_it() -> None:
    workspace = Workspace(ROOT, Options(clusters=("kind",)))
    world = workspace.world(workspace.selected[0])
    found = leaf(world)
    assert all((found.namespace, found.name) not in needs_of(item) for item in world.of("Kustomization.kustomize.toolkit.fluxcd.io"))
    assert all(link.name != found.name for item in world.objects for link in item.origin.chain if item.kind == "Kustomization")
    assert world.kustomizations[found.namespace, found.name].built
