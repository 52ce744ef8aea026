"""Requests to Flux, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.reach.kubectl import Kubectl
from harness.live.reach.run import Output, RunError
from harness.live.reach.wait import WaitTimeoutError
from harness.live.sync import reconcile
from harness.live.sync.readiness import Key
from harness.live.sync.reconcile import attempted, busy, handled, history, look, moment, plural, reconciled, revision, said, seconds
from unit.live.fakes import Time, condition

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = Key("Kustomization", "apps", "web")


class Flux:
    """A Kustomization that sees to a request after so many looks, with the same condition all along."""

    def __init__(self, after: int, ready: dict[str, Any]) -> None:
        self.after, self.ready, self.mark = after, ready, ""

    def __call__(self, argv: Sequence[str], **_options: object) -> Output:
        if "annotate" in argv:
            self.mark = argv[-1].partition("=")[2]
            return Output("")
        self.after -= 1
        status = {"lastHandledReconcileAt": self.mark if self.after < 0 else "1", "conditions": [self.ready]}
        return Output(json.dumps({"kind": "Kustomization", "metadata": {"name": "web"}, "status": status}))


def test_a_request_is_waited_for_whatever_comes_of_it() -> None:
    flux, time = Flux(3, condition("Ready", "False", "BuildFailed", "no such\n file")), Time()
    body = reconciled(Kubectl("kubectl", Path("/k"), runner=flux), KEY, clock=time.clock)
    assert said(body) == "BuildFailed: no such file"
    assert len(time.slept) == 3


def test_one_that_is_at_work_has_not_been_seen_to() -> None:
    flux, time = Flux(0, condition("Ready", "Unknown", "Progressing", "at it")), Time()
    with pytest.raises(WaitTimeoutError, match="Kustomization/apps/web to be looked at"):
        reconciled(Kubectl("kubectl", Path("/k"), runner=flux), KEY, timeout=5, clock=time.clock)


def test_what_is_not_there_says_so() -> None:
    def missing(argv: Sequence[str], **_options: object) -> Output:
        raise RunError(argv, "ended with code 1", stderr="(NotFound)")

    body = look(Kubectl("kubectl", Path("/k"), runner=missing), KEY)
    assert (body, said(body), handled(body), busy(body)) == ({}, "it is not there", "", False)


def test_revisions_and_history() -> None:
    entry = {
        "metadata": {"revision": "kind@sha256:1", "originRevision": "main@sha1:2"},
        "lastReconciledStatus": "ReconciliationSucceeded",
        "lastReconciled": "2026-11-28T04:49:53Z",
    }
    body = {"kind": "Kustomization", "status": {"lastAppliedRevision": "a", "lastAttemptedRevision": "b", "history": [entry, {"digest": "odd"}]}}
    assert (revision(body), attempted(body)) == ("a", "b")
    assert history(body) == [reconcile.Reconciled("kind@sha256:1", "main@sha1:2", "ReconciliationSucceeded", moment("2026-11-28T04:49:53+00:00"))]


@pytest.mark.parametrize(("text", "value"), [("1h0m0s", 3600), ("2.5s", 2.5), ("300ms", 0.3), ("1m30s", 90), ("0s", 0)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1", "1 s", "s", "1d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


def test_kinds_have_their_group() -> None:
    assert plural("HelmRelease") == "helmreleases.helm.toolkit.fluxcd.io"
