"""The record of a bootstrap: what is taken from events and logs, and whose it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from harness.live.ground.cluster import RECORD, Cluster, Programs, Wanted
from harness.live.reach.run import Output, RunError
from harness.live.sync.record import Complaint, Record, Step, complaints_of, note, remember, remembered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def event(reason: str, when: str, kind: str = "Warning") -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": "apps", "name": "web-1"}
    return {"type": kind, "reason": reason, "message": f"{reason}!", "firstTimestamp": when, "involvedObject": about}


def log(message: str, when: str, level: str = "info", name: str = "apps", **more: str) -> str:
    return json.dumps({"level": level, "ts": when, "msg": message, "namespace": "flux-system", "name": name, **more})


LOG = [
    log("metadata.finalizers", "2026-11-28T04:00:00.000Z"),
    log("Dependencies do not meet ready condition, retrying in 5s", "2026-11-28T04:00:01Z"),
    log("All dependencies are ready, proceeding with reconciliation", "2026-11-28T04:00:10Z"),
    log("Reconciliation failed after 1s", "2026-11-28T04:00:11Z", "error", error='secrets "a" not found'),
    log("All dependencies are ready, proceeding with reconciliation", "2026-11-28T04:00:12Z"),
    log("Reconciliation finished in 1s", "2026-11-28T04:00:30Z"),
    log("All dependencies are ready, proceeding with reconciliation", "2026-11-28T05:00:12Z"),
    "starting manager",
    log("starting", "2026-11-28T04:00:00Z", name=""),
]


def test_warnings_are_complaints_and_reports_of_policies_are_not() -> None:
    events = [event("FailedMount", "2026-01-01T00:00:02Z"), event("PolicyViolation", "2026-01-01T00:00:00Z"), event("Pulled", "x", "Normal")]
    found = complaints_of([*events, event("BackOff", "2026-01-01T00:00:01Z")])
    assert [str(item) for item in found] == [
        "2026-01-01T00:00:01Z Pod/apps/web-1 BackOff: BackOff!",
        "2026-01-01T00:00:02Z Pod/apps/web-1 FailedMount: FailedMount!",
    ]


def test_steps_and_errors_come_from_the_log() -> None:
    record = Record("uid")
    note(record, "Kustomization", LOG)
    step = record.steps["flux-system/apps"]
    assert step == Step("2026-11-28T04:00:00.000Z", "2026-11-28T04:00:10Z", "2026-11-28T04:00:30Z")
    assert (step.waited, step.took) == (10, 20)
    assert (Step("2026-11-28T04:00:00Z").waited, Step("2026-11-28T04:00:00Z").took) == (0, 0)
    assert [(item.key.kind, item.message) for item in record.complaints] == [("Kustomization", 'secrets "a" not found')]


def test_what_is_kept_can_be_read() -> None:
    record = Record("uid", [Complaint("Pod", "apps", "web", "BackOff", "no", "2026-01-01T00:00:00Z")], {"a/b": Step("x", "y", "z")})
    assert Record.read(record.text()) == record


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cluster": "x", "steps": [], "complaints": []}', '{"cluster": "x", "steps": {}, "complaints": [1]}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"record|Expecting"):
        Record.read(text)


class Answers:
    """A cluster with one event, and the logs of one of the two controllers."""

    uid = "uid-1"

    def __call__(self, argv: Sequence[str], **_options: object) -> Output:
        if argv[:2] == ["kubectl", "config"] or "current-context" in argv:
            return Output("kind-test")
        if "events" in argv:
            return Output(json.dumps({"items": [event("BackOff", "2026-01-01T00:00:01Z")]}))
        if "namespaces" in argv:
            return Output(json.dumps({"metadata": {"uid": self.uid}}))
        if "deployment/kustomize-controller" in argv:
            return Output("\n".join(LOG))
        raise RunError(argv, "ended with code 1", stderr="no such deployment")


def cluster(tmp_path: Path, answers: Answers, *, made: bool) -> Cluster:
    found = Cluster(Wanted("test"), Programs("kind", "kubectl", "docker"), tmp_path, answers)
    found.made = made
    return found


def test_the_run_that_made_the_cluster_keeps_its_record_for_later_ones(tmp_path: Path) -> None:
    remember(cluster(tmp_path, Answers(), made=True))
    record = remembered(cluster(tmp_path, Answers(), made=False))
    assert record is not None
    assert (len(record.complaints), list(record.steps)) == (2, ["flux-system/apps"])


def test_what_happens_later_is_no_part_of_it(tmp_path: Path) -> None:
    made = cluster(tmp_path, Answers(), made=True)
    remember(made)
    kept = (tmp_path / RECORD).read_text() + "\n"
    (tmp_path / RECORD).write_text(kept)
    remember(made)
    assert (tmp_path / RECORD).read_text() == kept


def test_a_later_run_takes_none(tmp_path: Path) -> None:
    remember(cluster(tmp_path, Answers(), made=False))
    assert remembered(cluster(tmp_path, Answers(), made=False)) is None


def test_another_cluster_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    remember(cluster(tmp_path, Answers(), made=True))
    other = Answers()
    other.uid = "uid-2"
    assert remembered(cluster(tmp_path, other, made=False)) is None


def test_one_that_cannot_be_asked_has_no_record(tmp_path: Path) -> None:
    def silent(argv: Sequence[str], **_options: object) -> Output:
        raise RunError(argv, "did not end within 60 s")

    (tmp_path / RECORD).write_text("old")
    made = Cluster(Wanted("test"), Programs("kind", "kubectl", "docker"), tmp_path, silent)
    made.made = True
    remember(made)
    assert not (tmp_path / RECORD).exists()
