"""Plain manifests become a world: lists are taken apart, namespaces defaulted, and nothing is passed over in silence."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from harness.flux.plain import plain_world

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 23)
LIST = """\
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata:
      name: a
  - apiVersion: v1
    kind: Namespace
    metadata:
      name: b
  - 7
---
just: data
"""


def test_lists_are_taken_apart_and_the_rest_is_named(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(LIST)
    world = plain_world([tmp_path], today=TODAY)
    assert [str(item.id) for item in world.objects] == ["manifests/ConfigMap/default/a", "manifests/Namespace/b"]
    assert str(world.objects[0].locate("metadata", "name")) == "all.yaml:7"
    assert [entry.subject for entry in world.not_evaluated] == ["all.yaml:12", "all.yaml:14"]


def test_items_of_a_typed_list_have_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "pods.json"
    path.write_text('{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "x", "namespace": "y"}}]}')
    assert [str(item.id) for item in plain_world([path], today=TODAY).objects] == ["manifests/Pod/y/x"]


def test_what_is_there_twice_and_what_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: b\n"
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text)
    (tmp_path / "c.yaml").write_text("{{ template }}\n")
    world = plain_world([tmp_path], today=TODAY)
    assert len(world.objects) == 1
    assert [(problem.code, problem.location.path) for problem in world.problems] == [("yaml-non-string-key", "c.yaml"), ("object-twice", "b.yaml")]


def test_every_document_is_kept_where_each_is_judged_by_itself(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: b\n"
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text)
    world = plain_world([tmp_path], today=TODAY, every=True)
    assert [str(item.locate()) for item in world.objects] == ["a.yaml:1", "b.yaml:1"]
    assert world.problems == ()


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        plain_world([tmp_path / "nowhere"], today=TODAY)
