"""Harm to objects, and what is seen of it afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError
from harness.live.sync.healing import applier_of, comes_back_changed, comes_back_deleted, tampering
from harness.live.sync.readiness import Key
from harness.model import Link, Location, Object, ObjectId, Origin, fixed
from unit.live.fakes import Time

if TYPE_CHECKING:
    from collections.abc import Sequence

LINK = Link("Kustomization", "flux-system", "apps")


def item(kind: str = "ConfigMap", *, applied: bool = True, **body: Any) -> Object:
    whole = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web", "namespace": "apps"}, **body}
    origin = Origin(fixed(Location("a.yaml", 1)), (LINK,) if applied else ())
    return Object(ObjectId("kind", "", kind, "apps", "web"), whole, origin)


MAP = item(data={"b": "2", "a": "1"})


class World:
    """A cluster with one object, which Flux mends after so many looks when it was asked to."""

    def __init__(self, mends_after: int | None) -> None:
        self.left, self.asked = mends_after, False
        self.body: dict[str, Any] | None = dict(MAP.body)

    def __call__(self, argv: Sequence[str], **_options: object) -> Output:
        verb = argv[2]
        if verb == "patch":
            self.body = {**MAP.body, "data": {**MAP.body["data"], **json.loads(argv[-1].partition("=")[2])["data"]}}
        elif verb == "delete":
            self.body = None
        elif verb == "annotate":
            assert argv[4:6] == ["kustomizations.kustomize.toolkit.fluxcd.io", "apps"]
            self.asked = True
        else:
            if self.left is not None and self.asked:
                self.left -= 1
                self.body = dict(MAP.body) if self.left < 0 else self.body
            if self.body is None:
                raise RunError(argv, "ended with code 1", stderr="(NotFound)")
        return Output(json.dumps(self.body) if verb == "get" else "")


def cluster(mends_after: int | None) -> Kubectl:
    return Kubectl("kubectl", Path("/k"), runner=World(mends_after))


def test_what_is_mended_leaves_nothing_to_say() -> None:
    assert comes_back_changed(cluster(2), MAP, patience=10, clock=Time().clock) == ""
    assert comes_back_deleted(cluster(2), MAP, patience=10, clock=Time().clock) == ""


def test_what_stays_is_said_with_both_sides() -> None:
    seen = comes_back_changed(cluster(None), MAP, patience=3, clock=Time().clock)
    assert seen == 'ConfigMap web has {"data": {"a": "tampered"}}, Git has {"data": {"a": "1"}}'
    assert comes_back_deleted(cluster(None), MAP, patience=3, clock=Time().clock) == "ConfigMap web is gone"


def test_something_that_git_says_is_changed() -> None:
    assert tampering(item("ResourceQuota", spec={"hard": {"pods": "5"}})) == {"spec": {"hard": {"pods": "1"}}}
    labelled = item("Service", metadata={"name": "web", "labels": {"b": "x", "a": "y"}})
    assert tampering(labelled) == {"metadata": {"labels": {"a": "tampered"}}}
    with pytest.raises(ValueError, match="nothing to change"):
        tampering(item("Service"))


def test_what_applies_it() -> None:
    assert applier_of(MAP) == Key("Kustomization", "flux-system", "apps")
    with pytest.raises(ValueError, match="nothing applies it"):
        applier_of(item(applied=False))
