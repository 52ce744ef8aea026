"""The table of faults: every entry means something, and what it breaks is admitted and named as it must be."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from harness.live.faults import LABEL
from harness.live.findings import NotEvaluatedError
from harness.live.reach.run import RunError
from harness.live.reach.web import Answer
from harness.live.telemetry import alert_faults, broken
from harness.live.telemetry.alert_faults import ALWAYS, BREAKS, FAULTS, REASONS, STANDING, USES, without
from unit.live.fakes import Time


def test_each_alert_has_one_place() -> None:
    provoked = [name for fault in FAULTS.values() for name in fault.alerts]
    assert len(set(provoked)) == len(provoked)
    assert not {*provoked, STANDING, ALWAYS} & REASONS.keys()
    assert BREAKS.keys() | USES.keys() <= FAULTS.keys()


def test_what_is_not_in_git_cannot_be_taken_away() -> None:
    platform = SimpleNamespace(world=SimpleNamespace(find=lambda *_arguments: None))
    with pytest.raises(NotEvaluatedError, match="NetworkPolicy/monitoring/none: fault: the model has no such object"):
        without("none")(platform)  # type: ignore[arg-type]


class Kubectl:
    """Applies and deletes; a dry run is denied with the given words, or let through."""

    def __init__(self, denied: str = "") -> None:
        self.denied = denied
        self.applied: list[dict[str, Any]] = []
        self.tries = 0

    def apply(self, objects: list[dict[str, Any]], *, dry_run: bool = False, timeout: float = 60) -> None:
        assert timeout > 0
        if not dry_run:
            self.applied += objects
            return
        self.tries += 1
        if self.denied:
            raise RunError(["kubectl"], "ended with code 1", code=1, stderr=self.denied)

    def delete(self, _kind: str, name: str, _namespace: str, *, timeout: float) -> None:
        assert timeout > 0
        self.applied = [each for each in self.applied if each["metadata"]["name"] != name]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    monkeypatch.setattr(alert_faults, "time", SimpleNamespace(monotonic=clock.clock.now, time_ns=lambda: 10**18))
    monkeypatch.setattr(alert_faults, "_pause", lambda until: clock.clock.sleep(max(0.0, until - clock.clock.now())))


@pytest.mark.usefixtures("no_waiting")
def test_denied_requests_come_in_three_lots() -> None:
    kubectl = Kubectl('admission webhook "x" denied the request: no')
    with FAULTS["denied"].breaking(SimpleNamespace(cluster=SimpleNamespace(kubectl=kubectl))):  # type: ignore[arg-type]
        assert kubectl.tries == 3


@pytest.mark.usefixtures("no_waiting")
def test_requests_that_are_let_through_prove_nothing() -> None:
    platform: Any = SimpleNamespace(cluster=SimpleNamespace(kubectl=Kubectl()))
    with pytest.raises(NotEvaluatedError, match="lets a Service"), FAULTS["denied"].breaking(platform):
        pass
    platform.cluster.kubectl = Kubectl("connection refused")
    with pytest.raises(RunError), FAULTS["denied"].breaking(platform):
        pass


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [400, 204])
def test_old_lines_must_be_refused(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    sent = []
    monkeypatch.setattr(alert_faults.Client, "ask", lambda _self, path, **more: sent.append((path, len(more["body"]))) or Answer(status))
    with ExitStack() as stack:
        if status == 204:
            stack.enter_context(pytest.raises(NotEvaluatedError, match="Loki takes lines of a year ago"))
        stack.enter_context(FAULTS["old-lines"].breaking(SimpleNamespace(forwards=None)))  # type: ignore[arg-type]
        assert len(sent) == 3
    assert sent[0][0] == "/loki/api/v1/push"


@pytest.mark.parametrize("name", ["certificates", "flux", "pool", "sealed", "workloads"])
def test_objects_carry_the_label_of_what_goes_again(name: str) -> None:
    kubectl = Kubectl()
    with FAULTS[name].breaking(SimpleNamespace(cluster=SimpleNamespace(kubectl=kubectl))):  # type: ignore[arg-type]
        assert kubectl.applied
        assert all(each["metadata"]["labels"][LABEL] == "true" for each in kubectl.applied)
        assert all("plimsoll-proof-" in each["metadata"].get("namespace", "") + each["metadata"]["name"] for each in kubectl.applied)
    assert kubectl.applied == []


def test_pods_are_as_the_policies_want_them() -> None:
    for body in broken.workloads("n"):
        template = body["spec"].get("template")
        for container in template["spec"]["containers"] if template else ():
            assert container["resources"]["limits"]["memory"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert ("livenessProbe" in container) == (body["kind"] != "Job")
