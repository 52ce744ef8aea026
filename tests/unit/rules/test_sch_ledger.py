"""What the schema rules did not look at stands in the ledger."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from harness.flux.world import World
from harness.model import Location, NotEvaluated, Object, ObjectId, Origin, fixed
from harness.rules.sch import keeps_cel_rules, not_evaluated, validates
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}, "colour": {"type": "string", "maxLength": 5}}}},
                        "x-kubernetes-validations": [{"rule": "self.spec.size > 1", "message": "too small"}],
                    }
                },
            }
        ],
    },
}


def world_of(tmp_path: Path, spec: dict[str, Any], *, elided: bool = False, unknown: frozenset[str] = frozenset()) -> tuple[World, Object]:
    world = World.of_documents(Repository(tmp_path), "test", [], today=date(2026, 11, 23))
    body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "one", "namespace": "default"}, "spec": spec}
    where = fixed(Location("x.yaml", 1))
    item = Object(ObjectId("test", "example.com", "Widget", "default", "one"), body, Origin(where, elided=elided))
    world.objects = (item,)
    world.schemas = type(world.schemas).for_cluster("1.36", [CRD])
    world.unknown_values = unknown
    return world, item


def test_rules_of_a_definition_are_not_run_on_what_does_not_fit_its_schema(tmp_path: Path) -> None:
    world, item = world_of(tmp_path, {"size": "big"})
    assert [found.found for found in validates(item, world)] == ['spec.size: must be an integer, not "big"']
    assert list(keeps_cel_rules(item, world)) == []
    expected = NotEvaluated("test/Widget/default/one", "schema: x-kubernetes-validations", "the object does not fit its schema")
    assert list(not_evaluated(world)) == [expected]


def test_elided_text_is_no_error_and_stands_in_the_ledger(tmp_path: Path) -> None:
    world, item = world_of(tmp_path, {"size": 2, "colour": "sha256:0123456789abcdef"}, elided=True)
    assert list(validates(item, world)) == []
    assert [entry.subject for entry in not_evaluated(world)] == ["test/Widget/default/one"]


def test_a_value_that_only_the_cluster_knows_is_not_judged(tmp_path: Path) -> None:
    world, item = world_of(tmp_path, {"size": 2, "colour": "unknown-variable"}, unknown=frozenset({"unknown-variable"}))
    assert list(validates(item, world)) == []
    known, same = world_of(tmp_path, {"size": 2, "colour": "unknown-variable"})
    assert len(list(validates(same, known))) == 1


def test_a_kind_whose_definition_nobody_can_see_stands_in_the_ledger(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path, {"size": 2})
    body = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "x", "namespace": "default"}, "spec": {}}
    item = Object(ObjectId("test", "helm.toolkit.fluxcd.io", "HelmRelease", "default", "x"), body, Origin(fixed(Location("x.yaml", 1))))
    world.objects = (item,)
    assert list(validates(item, world)) == []
    why = "Flux is installed by other means than this repository, and its definitions with it"
    assert list(not_evaluated(world)) == [NotEvaluated("test/HelmRelease/default/x", "schema of HelmRelease.helm.toolkit.fluxcd.io", why)]
