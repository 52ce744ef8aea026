"""The rules about access on roles, bindings and intents of any shape: findings or silence, never a traceback, and the table means what its words say."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness.flux.world import World
from harness.rules import all_rules
from harness.rules.context import Context
from harness.rules.engine import evaluate_repository, evaluate_world
from harness.rules.rbc_cells import rows
from harness.rules.rbc_common import holdings
from harness.rules.rbc_intent import not_evaluated
from harness.rules.rbc_odd import not_evaluated as odd_not_evaluated
from harness.rules.rbc_paths import not_evaluated as paths_not_evaluated
from harness.source.repository import Repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 23)
RULES = [rule for rule in all_rules() if rule.family == "RBC"]
KINDS = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
words = st.sampled_from(
    ["*", "", "get", "create", "secrets", "pods/*", "nodes", "apps", "rbac.authorization.k8s.io", "ServiceAccount", "Group", "system:masters", "/x"]
)
shapes = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
RULE_FIELDS, SUBJECT_FIELDS = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"], ["kind", "name", "namespace", "apiGroup"]
rule_bodies = st.dictionaries(st.sampled_from(RULE_FIELDS), st.lists(words, max_size=3) | shapes, max_size=5)
subject_bodies = st.dictionaries(st.sampled_from(SUBJECT_FIELDS), words | shapes, max_size=4)
objects = st.fixed_dictionaries(
    {"apiVersion": st.just("rbac.authorization.k8s.io/v1"), "kind": st.sampled_from(KINDS), "metadata": st.just({"name": "x", "namespace": "shop"})},
    optional={
        "rules": st.lists(rule_bodies, max_size=3) | shapes,
        "subjects": st.lists(subject_bodies, max_size=3) | shapes,
        "roleRef": st.fixed_dictionaries({"kind": st.sampled_from(KINDS), "name": st.just("x")}) | shapes,
        "aggregationRule": shapes,
    },
)


def world(folder: Path, bodies: list[Any], intent: object = None) -> World:
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(bodies), encoding="utf-8")
    target = folder / "tests" / "intent" / "access.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(intent, sort_keys=False), encoding="utf-8") if intent is not None else target.unlink(missing_ok=True)
    repository = Repository(folder)
    return World.of_documents(
        repository, "test", [document for document in repository.documents("objects.yaml") if isinstance(document.body, dict)], today=TODAY
    )


def findings(built: World) -> list[str]:
    context = Context(built.repository, TODAY, own=False)
    context.add(built)
    cases = [*evaluate_world(built, RULES), *evaluate_repository(context, RULES, ())]
    return [f"{finding.rule} {finding.found}" for case in cases for finding in case.findings]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(objects, max_size=4))
def test_roles_and_bindings_of_any_shape(tmp_path: Path, bodies: list[Any]) -> None:
    built = world(tmp_path, bodies)
    assert all(text.startswith("RBC") for text in findings(built))
    assert all(holding.place is not None for holding in holdings(built))


PLACES: list[tuple[str | int, ...]] = [
    (),
    ("namespaces",),
    ("access",),
    ("access", 0),
    ("access", 0, "subjects"),
    ("access", 0, "can"),
    ("dangerous",),
    ("administrators",),
]
INTENT = {
    "namespaces": {"all": ["shop"]},
    "access": [{"row": "people", "subjects": ["user:alice"], "can": {"shop": {"get": ["pods"]}}}],
    "dangerous": [],
    "administrators": [],
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([("namespaces",), ("access",), ("access", 0), ("access", 0, "subjects"), ("access", 0, "can"), ("dangerous",), ("administrators",), ()]),
    shapes,
)
def test_an_intent_of_any_shape(tmp_path: Path, at: tuple[str | int, ...], shape: Any) -> None:
    def put(body: Any, path: tuple[str | int, ...]) -> Any:
        if not path:
            return shape
        head, rest = path[0], path[1:]
        if isinstance(body, list):
            return [put(entry, rest) if index == head else entry for index, entry in enumerate(body)]
        return {**body, head: put(body[head], rest)}

    built = world(tmp_path, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}], put(INTENT, at))
    assert all(text.startswith("RBC2") for text in findings(built))


def table(tmp_path: Path, **entry: Any) -> list[tuple[bool, tuple[str, ...], tuple[str, ...], list[str]]]:
    """The lines of one row in a cluster of three namespaces."""
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("one", "three", "two")]
    intent = {**INTENT, "namespaces": {"few": ["one", "two"], "rest": ["three"]}, "resources": {"keys": ["secrets", "serviceaccounts/token"]}}
    built = world(tmp_path, namespaces, {**intent, "access": [{"row": "row", "subjects": ["sa:two/app"], **entry}]})
    (row,) = rows(built)
    return [(line.allowed, line.verbs, line.places, [str(target) for target in line.targets]) for line in row.lines]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ("*", ("one", "three", "two")),
        ("cluster", ("",)),
        ("own", ("two",)),
        ("few, cluster", ("one", "two", "")),
        ("three one", ("three", "one")),
        ("others", ("one", "three", "two")),
        ("moon", ()),
    ],
)
def test_the_words_for_places(tmp_path: Path, places: str, expected: tuple[str, ...]) -> None:
    assert table(tmp_path, can={places: {"get": ["pods"]}})[0][2] == expected


def test_others_are_what_no_side_of_the_row_names(tmp_path: Path) -> None:
    lines = table(tmp_path, can={"own": {"get": ["pods"]}}, cannot={"rest": {"get": ["pods"]}, "others": {"get": ["pods"]}})
    assert [line[2] for line in lines] == [("two",), ("three",), ("one",)]


def test_the_words_for_verbs_and_resources(tmp_path: Path) -> None:
    (line,) = table(tmp_path, cannot={"cluster": {"read change": ["@keys", "deployments.apps/scale web", "/metrics"]}})
    assert line == (False, ("get", "list", "watch", "update", "patch"), ("",), ["secrets", "serviceaccounts/token", "deployments.apps/scale web", "/metrics"])


def test_without_a_table_it_is_said_that_nothing_was_held_against_it(tmp_path: Path) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
    }
    built = world(tmp_path, [binding])
    assert [entry.subject for entry in (*not_evaluated(built), *paths_not_evaluated(built))] == ["RBC202, RBC203, RBC204", "RBC401, RBC402"]
    assert [*not_evaluated(world(tmp_path, [])), *paths_not_evaluated(world(tmp_path, []))] == []


def test_what_other_authorizers_grant_is_not_evaluated(tmp_path: Path) -> None:
    binding = {"apiVersion": "authorization.openshift.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"}}
    told = [(entry.what, entry.why) for entry in odd_not_evaluated(world(tmp_path, [binding]))]
    assert told == [("1 objects of authorization.openshift.io", "OpenShift's own roles are turned into RBAC by a controller in the cluster")]
