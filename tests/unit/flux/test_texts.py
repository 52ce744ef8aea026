"""Configuration inside ConfigMaps is read, and every entry of it has the line somebody can edit."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from harness.flux.texts import config_texts, elided_texts
from harness.flux.workspace import Options, Workspace
from harness.flux.world import World
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: app
  namespace: web
data:
  note: just words
  config.yaml: |
    # comment
    limits:
      rate: 5
  board.json: |
    {
      "uid": "x"
    }
  gone.yaml: sha256:0123456789abcdef
"""
SYNC = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: flux-system
  namespace: flux-system
spec:
  path: ./clusters/one
  sourceRef:
    kind: GitRepository
    name: flux-system
"""


def test_block_scalars_are_located_inside_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(PLAIN)
    repository = Repository(tmp_path)
    world = World.of_documents(repository, "test", repository.documents("all.yaml"), today=date(2026, 11, 23))
    found = {text.key: text for text in config_texts(world)}
    assert {key: text.body for key, text in found.items()} == {"config.yaml": {"limits": {"rate": 5}}, "board.json": {"uid": "x"}}
    assert str(found["config.yaml"].locate("limits", "rate")) == "all.yaml:11"
    assert str(found["board.json"].locate("uid")) == "all.yaml:14"
    assert [(item.name, key) for item, key in elided_texts(world)] == [("app", "gone.yaml")]


def test_a_generators_file_is_located_by_itself(tmp_path: Path) -> None:
    root = tmp_path / "clusters/one"
    root.mkdir(parents=True)
    (root / "sync.yaml").write_text(SYNC)
    (root / "settings.yaml").write_text("a: 1\nb:\n  c: 2\n")
    (root / "kustomization.yaml").write_text("resources: [sync.yaml]\nconfigMapGenerator:\n  - name: app\n    namespace: web\n    files: [settings.yaml]\n")
    workspace = Workspace(tmp_path, Options(cache=False))
    (found,) = config_texts(workspace.world(workspace.clusters[0]))
    assert found.body == {"a": 1, "b": {"c": 2}}
    assert str(found.locate("b", "c")) == "clusters/one/settings.yaml:3"
