"""Who changed an object, from lines of an audit log, and whether that leads to a commit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness.live.sync.reconcile import Reconciled
from harness.live.sync.trail import FLUX, Write, explained, writes

NOON = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)


def line(**changes: Any) -> str:
    event = {
        "verb": "patch",
        "user": {"username": FLUX},
        "impersonatedUser": {"username": "system:serviceaccount:apps:flux"},
        "userAgent": "kustomize-controller/v0.0.0",
        "objectRef": {"resource": "configmaps", "namespace": "apps", "name": "web"},
        "responseStatus": {"code": 200},
        "requestURI": "/api/v1/namespaces/apps/configmaps/web?force=true",
        "stageTimestamp": "2026-11-28T12:00:00.000000Z",
    }
    return json.dumps({**event, **changes}, separators=(",", ":"))


def found(*lines: str) -> list[Write]:
    return writes(lines, "configmaps", "apps", "web")


def test_a_change_names_who_acted_as_whom() -> None:
    assert str(found(line())[0]) == f"patch by {FLUX} as system:serviceaccount:apps:flux (kustomize-controller) at 12:00:00"


@pytest.mark.parametrize(
    "other",
    [
        line(verb="get"),
        line(responseStatus={"code": 403}),
        line(responseStatus={}),
        line(requestURI="/api/v1/namespaces/apps/configmaps/web?dryRun=All&force=true"),
        line(objectRef={"resource": "configmaps", "namespace": "other", "name": "web"}),
        line(objectRef={"resource": "secrets", "namespace": "apps", "name": "web"}),
        line(objectRef={"resource": "configmaps", "namespace": "apps", "name": "web", "subresource": "status"}),
        '{"name":"web"',
        "nothing of it",
    ],
)
def test_what_changed_nothing_of_the_object_is_no_change(other: str) -> None:
    assert found(other) == []


def test_changes_are_in_the_order_of_their_times() -> None:
    assert [write.verb for write in found(line(), line(verb="create", stageTimestamp="2026-11-28T11:00:00Z"))] == ["create", "patch"]


def entry(minutes: int, revision: str = "kind@sha256:1", origin: str = "main@sha1:1") -> Reconciled:
    return Reconciled(revision, origin, "ReconciliationSucceeded", NOON + timedelta(minutes=minutes))


def test_a_change_of_flux_belongs_to_the_revision_that_it_came_up_to() -> None:
    write = found(line())[0]
    assert explained(write, [entry(5)]) == ""
    assert explained(write, [entry(5, revision=""), entry(1)]) == ""
    assert explained(write, [entry(5, revision=""), entry(-1)]) == f"{write}, for a revision without a name"
    assert explained(write, [entry(5, origin="")]) == f"{write}, for a revision without a name"
    assert explained(write, [entry(-1)]) == f"{write}, after all that the history names"
    assert explained(write, []) == f"{write}, after all that the history names"


def test_a_change_by_hand_leads_nowhere() -> None:
    write = found(line(user={"username": "kubernetes-admin"}, impersonatedUser={}))[0]
    assert explained(write, [entry(5)]) == f"changed by hand: {write}"
    assert explained(None, [entry(5)]) == "the audit log has no change of it"
