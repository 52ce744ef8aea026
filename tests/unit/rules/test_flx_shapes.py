"""Rules never raise, whatever stands where a mapping, list or text should: input of any shape is data."""

from __future__ import annotations

import copy
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from harness.flux.world import Build, World
from harness.model import Location, Object, ObjectId, Origin, fixed, group_of
from harness.rules import all_rules
from harness.rules.base import Clusters, Objects
from harness.rules.engine import evaluate_world
from harness.source.repository import Repository
from harness.source.yaml import parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from fixtures import ROOT, read

FAMILIES = ("FLX1", "FLX3", "FLX4", "FLX5", "FLX6", "FLX7", "FLX8", "KUS")
RULES = [rule for rule in all_rules() if rule.id.startswith(FAMILIES) and isinstance(rule.scope, Objects | Clusters)]
ODD = st.sampled_from([None, "", "x", 0, -1, 1.5, True, [], {}, [None], [{}], [[]], {"a": None}, {"name": 3}, {"kind": []}])


def _bodies() -> list[dict[str, Any]]:
    """Every document of the fixtures that are taken as they stand."""
    found: list[dict[str, Any]] = []
    for path in sorted(ROOT.glob("FLX[1345678]*/*.yaml")):
        fixture = read(path)
        if not fixture.build:
            found += [document for text in fixture.files.values() for document in _documents(text)]
    return found


def _documents(text: str) -> list[dict[str, Any]]:
    return [document.body for document in parse(text, "x.yaml").documents if {"apiVersion", "kind", "metadata"} <= document.body.keys()]


BODIES = _bodies()


def _places(value: Any, pointer: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [pointer, *(place for key, inner in children for place in _places(inner, (*pointer, key)))]


def _damaged(body: dict[str, Any], draw: st.DataObject) -> dict[str, Any]:
    result = copy.deepcopy(body)
    places = [place for place in _places(result.get("spec", {})) if place]
    place = ("spec", *draw.draw(st.sampled_from(places))) if places else ("spec",)
    parent: Any = result
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = draw.draw(ODD)
    return result


def _world(repository: Repository, bodies: list[dict[str, Any]]) -> World:
    objects = []
    for body in bodies:
        metadata = body["metadata"]
        identity = ObjectId("test", group_of(body["apiVersion"]), body["kind"], str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        objects.append(Object(identity, body, Origin(fixed(Location("clusters/test/objects.yaml", 1)))))
    plain = World.of_documents(repository, "test", (), today=date(2026, 11, 23))
    builds = {
        (item.namespace, item.name): Build(item, "apps", built=tuple(objects), files=frozenset({"apps/a.yaml"}))
        for item in objects
        if item.kind == "Kustomization"
    }
    return World(plain.cluster, repository, "1.36", date(2026, 11, 23), tuple(sorted(objects, key=lambda item: item.id)), plain.schemas, kustomizations=builds)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("empty"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_rule_raises_on_odd_shapes(repository: Repository, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(range(len(BODIES))), min_size=1, max_size=6))
    world = _world(repository, [_damaged(BODIES[index], data) for index in chosen])
    for case in evaluate_world(world, RULES):
        for finding in case.findings:
            assert finding.found
            assert finding.expect
            assert "\n" not in finding.found


def test_order_of_objects_does_not_matter(repository: Repository) -> None:
    """All rules over one object of each name in the fixtures, in two orders."""
    bodies = list({(body["kind"], body["metadata"].get("namespace"), body["metadata"].get("name")): body for body in BODIES}.values())
    first = [finding for case in evaluate_world(_world(repository, bodies), RULES) for finding in case.findings]
    second = [finding for case in evaluate_world(_world(repository, bodies[::-1]), RULES) for finding in case.findings]
    assert first == second
    assert len(first) > 50
