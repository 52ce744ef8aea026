"""Flux's status read as Flux means it, and the root cause of what is not ready."""

from __future__ import annotations

import pytest
from harness.live.sync.readiness import Key, State, Status, Tree, status_of
from hypothesis import given
from hypothesis import strategies as st
from unit.live.fakes import condition

KS = "Kustomization"


def body(
    kind: str,
    name: str,
    ready: dict[str, object] | None,
    *,
    namespace: str = "flux-system",
    generation: int = 1,
    spec: dict[str, object] | None = None,
    **status: object,
) -> dict[str, object]:
    conditions = [ready] if ready is not None else []
    metadata = {"name": name, "namespace": namespace, "generation": generation}
    return {"kind": kind, "metadata": metadata, "spec": spec or {}, "status": {"observedGeneration": generation, "conditions": conditions, **status}}


READY = condition("Ready", "True", "ReconciliationSucceeded")


def waiting(*names: str) -> dict[str, object]:
    return {"dependsOn": [{"name": name} for name in names]}


@pytest.mark.parametrize(("given_body", "state"), [
    (body(KS, "a", READY), State.READY),
    (body(KS, "a", condition("Ready", "False", "ReconciliationFailed", "no such kind")), State.FAILED),
    (body(KS, "a", condition("Ready", "False", "DependencyNotReady", "dependency 'flux-system/b' is not ready")), State.WAITING),
    (body(KS, "a", condition("Ready", "Unknown", "Progressing", "running")), State.PROGRESSING),
    (body(KS, "a", condition("Ready", "False", "HealthCheckCanceled", "New reconciliation triggered by OCIRepository")), State.PROGRESSING),
    (body(KS, "a", None), State.PROGRESSING),
    (body(KS, "a", READY, generation=3, observedGeneration=2), State.PROGRESSING),
    (body(KS, "a", condition("Ready", "False", "ReconciliationFailed", observedGeneration=1), generation=2), State.PROGRESSING),
    # What a controller says before it has finished the first time: its generation is -1, its condition is of this one.
    (body(KS, "a", condition("Ready", "False", "DependencyNotReady", "b", observedGeneration=1), observedGeneration=-1), State.WAITING),
    (body(KS, "a", READY, spec={"suspend": True}), State.SUSPENDED),
    (body("HelmRepository", "a", None, spec={"type": "oci"}), State.READY),
    (body("HelmRepository", "a", None, spec={"type": "default"}), State.PROGRESSING),
])  # fmt: skip
def test_state(given_body: dict[str, object], state: State) -> None:
    assert status_of(given_body).state is state


@pytest.mark.parametrize(("given_body", "revision"), [
    (body(KS, "a", READY, lastAppliedRevision="kind@sha256:1"), "kind@sha256:1"),
    (body("OCIRepository", "a", READY, artifact={"revision": "kind@sha256:1"}), "kind@sha256:1"),
    (body("HelmRelease", "a", READY, history=[{"chartVersion": "1.2.3+abc"}, {"chartVersion": "1.2.2"}]), "1.2.3+abc"),
    (body("HelmRelease", "a", READY), ""),
])  # fmt: skip
def test_revision(given_body: dict[str, object], revision: str) -> None:
    assert status_of(given_body).revision == revision


def test_needs_of_every_kind_of_reference() -> None:
    spec = {
        "dependsOn": [{"name": "b"}, {"name": "c", "namespace": "other"}],
        "chart": {"spec": {"sourceRef": {"kind": "HelmRepository", "name": "charts"}}},
    }
    assert status_of(body("HelmRelease", "a", READY, namespace="apps", spec=spec)).needs == {
        Key("HelmRelease", "apps", "b"),
        Key("HelmRelease", "other", "c"),
        Key("HelmRepository", "apps", "charts"),
    }
    reference = {"chartRef": {"kind": "OCIRepository", "name": "chart", "namespace": "sources"}}
    assert status_of(body("HelmRelease", "a", READY, spec=reference)).needs == {Key("OCIRepository", "sources", "chart")}


def test_root_cause_comes_first_and_names_what_waits_for_it() -> None:
    stuck = condition("Ready", "False", "DependencyNotReady", "not ready")
    tree = Tree(
        [
            body(KS, "apps", stuck, spec=waiting("vault")),
            body(KS, "vault", stuck, spec=waiting("cert-manager")),
            body(KS, "cert-manager", condition("Ready", "False", "HealthCheckFailed", "timeout waiting for: [Deployment/cert-manager/webhook]")),
            body(KS, "loki", condition("Ready", "Unknown", "Progressing", "running health checks")),
            body(KS, "flux", READY),
        ]
    )
    assert [str(status.key) for status in tree.causes()] == ["Kustomization/flux-system/cert-manager", "Kustomization/flux-system/loki"]
    assert [key.name for key in tree.behind(Key(KS, "flux-system", "cert-manager"))] == ["apps", "vault"]
    assert not tree.ready
    assert tree.report().splitlines() == [
        "1 of 5 ready",
        "cause    Kustomization/flux-system/cert-manager: failed: timeout waiting for: [Deployment/cert-manager/webhook]",
        "         2 wait for it: Kustomization/flux-system/apps, Kustomization/flux-system/vault",
        "cause    Kustomization/flux-system/loki: progressing: running health checks",
        "waiting  Kustomization/flux-system/apps: waiting: not ready",
        "waiting  Kustomization/flux-system/vault: waiting: not ready",
    ]
    assert tree.summary(limit=1) == (
        "1 of 5 ready; waiting for Kustomization/flux-system/cert-manager (timeout waiting for: [Deployment/cert-manager/webhook]) and 1 more"
    )


def test_what_is_not_there_waits_for_its_maker() -> None:
    maker, child = Key(KS, "flux-system", "loki"), Key("HelmRelease", "loki", "loki")
    tree = Tree([body(KS, "loki", condition("Ready", "False", "BuildFailed", "kustomize"))], {maker: None, child: maker})
    assert [status.key for status in tree.causes()] == [maker]
    assert tree.statuses[child].state is State.ABSENT


def test_one_that_waits_for_what_it_applied_is_not_the_cause() -> None:
    maker, child = Key(KS, "flux-system", "loki"), Key("HelmRelease", "flux-system", "loki")
    release = body("HelmRelease", "loki", condition("Ready", "False", "InstallFailed", "timeout"))
    tree = Tree([body(KS, "loki", condition("Ready", "Unknown", "Progressing", "health checks")), release], {maker: None, child: maker})
    assert [status.key for status in tree.causes()] == [child]


def test_a_missing_object_nobody_makes_is_a_cause() -> None:
    assert [str(status) for status in Tree([], {Key(KS, "a", "b"): None}).causes()] == ["Kustomization/a/b: absent: not there yet"]


def test_a_circle_is_its_own_cause() -> None:
    stuck = condition("Ready", "False", "DependencyNotReady", "")
    tree = Tree([body(KS, "a", stuck, spec=waiting("b")), body(KS, "b", stuck, spec=waiting("a")), body(KS, "c", stuck, spec=waiting("a"))])
    assert [status.key.name for status in tree.causes()] == ["a", "b"]


def test_nothing_at_all_is_not_ready() -> None:
    assert not Tree([]).ready
    assert Tree([body(KS, "a", READY)]).ready
    assert Tree([body(KS, "a", READY)]).summary() == "1 of 1 ready"


WORDS = st.sampled_from(["kind", "metadata", "spec", "status", "conditions", "type", "Ready", "name", "dependsOn", "sourceRef", "chart"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["kind", "metadata", "spec", "status"]), JSON))
def test_an_object_of_any_shape_has_a_status(odd: dict[str, object]) -> None:
    assert isinstance(status_of(odd), Status)
    assert len(Tree([odd]).statuses) == 1


@given(st.dictionaries(st.integers(0, 7), st.tuples(st.booleans(), st.sets(st.integers(0, 7), max_size=3)), min_size=1))
def test_every_unready_object_is_a_cause_or_waits_for_one(graph: dict[int, tuple[bool, set[int]]]) -> None:
    bodies = [
        body(KS, str(name), READY if ready else condition("Ready", "False", "DependencyNotReady"), spec=waiting(*map(str, needs)))
        for name, (ready, needs) in graph.items()
    ]
    tree = Tree(bodies)
    causes = {status.key for status in tree.causes()}
    # The slow way: from each cause, everything that leads to it through what is not ready.
    explained = set(causes)
    unready = {status.key: status for status in tree.unready}
    for _ in graph:
        explained |= {key for key, status in unready.items() if status.needs & explained}
    if any(not (status.needs & unready.keys()) for status in unready.values()):
        circles = {key for key in unready if key not in explained}
        assert all(unready[key].needs & circles for key in circles)
    else:
        assert explained == set(unready)
