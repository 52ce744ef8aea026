"""Logs: lines that containers write, found in Loki as the model of the shipper's pipeline predicts, also across restarts of the shipper."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness.live.faults import applied, maker, patched
from harness.live.findings import NotEvaluatedError, expect
from harness.live.proofs import CLOSED
from harness.live.reach.wait import WaitError, wait
from harness.live.rules.logs import AS_MODELLED, BUDGET, NEW_POD, NO_SECRET, RESTART
from harness.live.telemetry.emit import a_pod_of, process, shell_image, writer
from harness.live.telemetry.logs import lines_of, numbers, workloads_of
from harness.live.telemetry.loki import Loki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.live.bringup import Platform

pytestmark = pytest.mark.proof(uses=("loki", "promtail"))

SAMPLES = yaml.safe_load((Path(__file__).parents[1] / "intent" / "telemetry.yaml").read_text(encoding="utf-8"))["logs"]["samples"]
SHIPPER = "DaemonSet/promtail/promtail"
#: The Kustomizations of namespaces that are not named after theirs.
APPLIED_BY = {"flux-system": "flux", "metallb-system": "metallb", "monitoring": "kube-prometheus-stack", "node-exporter": "kube-prometheus-stack"}
#: Seconds after which a line does not come any more, for a probe that looks again until it does. The usual way takes 4.
PATIENCE = 12.0
#: Where pods that only write may run.
SCRATCH = "tenant-b"
#: A restart: lines, ten a second, and for how long a killed shipper may repeat what it read: the time between two writes of its positions.
LINES, A_SECOND, REPEATED = 200, 10, 12.0


def uses(workload: str) -> tuple[str, ...]:
    namespace, name = workload.split("/")[1:]
    return ("grafana",) if name == "grafana" else (APPLIED_BY.get(namespace, namespace),)


@pytest.mark.parametrize("workload", [pytest.param(name, marks=pytest.mark.proof(uses=uses(name))) for name in workloads_of(SAMPLES)])
def test_lines_become_what_the_model_says(platform: Platform, workload: str) -> None:
    pod = a_pod_of(platform.cluster.kubectl, workload)
    loki, run = Loki(platform.forwards), secrets.token_hex(6)
    lines = lines_of(platform.world, workload, run)
    for line in lines:
        process(platform.cluster, pod, line.container).write(line.text)
    kind, namespace, name = workload.split("/")
    subject = platform.world.find(f"{kind}.apps", namespace, name) or workload
    last = {line.mark for line in lines if not line.dropped}
    expected = f"{len(last)} of {len(lines)} lines in Loki within {BUDGET:g} s, the others dropped"
    try:
        wait(lambda: len([mark for mark in last if loki.with_text(mark)]) == len(last), timeout=BUDGET, what="the lines in Loki")
    except WaitError:
        missing = [line.text for line in lines if line.mark in last and not loki.with_text(line.mark)]
        expect(AS_MODELLED, subject, False, found=f"not in Loki: {missing}", expected=expected)
    for line in lines:
        stored = loki.with_text(line.mark)
        for word in line.lacks:
            expect(NO_SECRET, subject, all(word not in entry.line for entry in stored), found=f"{word!r} in {[entry.line for entry in stored]}", expected="***")
        found = line.differences(stored, pod=pod["metadata"]["name"], node=pod["spec"]["nodeName"])
        expect(AS_MODELLED, subject, not found, found=f"{line.text!r}: {'; '.join(found)}", expected=f"as predicted from {SHIPPER}'s configuration")


def test_a_pod_of_seconds_leaves_its_last_line(platform: Platform) -> None:
    kubectl, loki, run = platform.cluster.kubectl, Loki(platform.forwards), secrets.token_hex(6)
    script = f"echo 'first {run}'; sleep 2; echo 'last {run}'; exit 3"
    image = shell_image(platform.world)
    name = f"proof-{run}-told"
    told = writer(name, SCRATCH, image, script)
    untold = writer(f"proof-{run}-untold", SCRATCH, image, script, annotations={"logs.plimsoll.example.com/drop": "true"})
    with applied(kubectl, *told, *untold):
        seen: list[tuple[str, str]] = []

        def stored() -> bool:
            seen[:] = [(entry.labels.get("app", ""), entry.line.split()[0]) for entry in loki.with_text(run, selector=f'{{namespace="{SCRATCH}"}}')]
            return (name, "last") in seen

        wait(lambda: _ended(kubectl.get("pods", name, SCRATCH)), timeout=90, what="the end of the pod")
        try:
            wait(stored, timeout=BUDGET, what="the last line in Loki")
        except WaitError as error:
            expect(NEW_POD, f"Pod/{SCRATCH}/{name}", False, found=f"in Loki: {sorted(seen)} ({error})", expected="first and last")
        wanted = [(name, "first"), (name, "last")]
        expect(NEW_POD, f"Pod/{SCRATCH}/{name}", sorted(seen) == wanted, found=f"in Loki: {sorted(seen)}", expected=f"{wanted}")


@pytest.mark.proof(breaks=("promtail",))
def test_a_restarted_shipper_loses_nothing(platform: Platform) -> None:
    kubectl, loki, run = platform.cluster.kubectl, Loki(platform.forwards), secrets.token_hex(6)
    pause = 1 / A_SECOND
    script = f"i=0; while [ $i -lt {LINES} ]; do echo {run} $i; i=$((i+1)); sleep {pause:g}; done; sleep 600"
    name = f"proof-{run}"

    def seen() -> list[int]:
        return numbers(loki.entries(f'{{namespace="{SCRATCH}", app="{name}"}}'), run)

    with applied(kubectl, *writer(name, SCRATCH, shell_image(platform.world), script)):
        wait(lambda: len(seen()) > 0, timeout=60, what="the first line in Loki")
        shipper = a_pod_of(kubectl, SHIPPER)["metadata"]["name"]
        kubectl.delete("pods", shipper, "promtail")
        wait(lambda: _ships(platform), timeout=60, what="a new pod of the shipper")
        gentle = max(seen(), default=0)
        # Killed: nothing is written down at the end.
        process(platform.cluster, a_pod_of(kubectl, SHIPPER)).kill()
        wait(lambda: _ships(platform), successes=3, timeout=90, what="the shipper's container to run again")
        try:
            wait(lambda: set(range(LINES)) <= set(seen()), timeout=LINES * pause + BUDGET, what="every line in Loki")
        except WaitError:
            lost = sorted(set(range(LINES)) - set(seen()))
            expect(RESTART, f"Pod/{SCRATCH}/{name}", False, found=f"{len(lost)} of {LINES} lines are lost: {lost[:20]}", expected="none")
        found = seen()
        twice = sorted({number for number in found if found.count(number) > 1})
        platform.notes.append(f"shipper restarted and killed: {LINES} lines, none lost, {len(twice)} twice")
        early = [number for number in twice if number < gentle - REPEATED * A_SECOND]
        expect(RESTART, f"Pod/{SCRATCH}/{name}", not early, found=f"twice without having been killed: {early[:20]}", expected="none")
        expect(
            RESTART,
            f"Pod/{SCRATCH}/{name}",
            len(twice) <= REPEATED * A_SECOND,
            found=f"{len(twice)} lines are there twice: {twice[:5]} ... {twice[-5:]}",
            expected=f"those of {REPEATED:g} s at most",
        )


@pytest.mark.proof(uses=(CLOSED,), breaks=("promtail",))
def test_red_promtail_to_loki(platform: Platform) -> None:
    kubectl = platform.cluster.kubectl
    policy = platform.world.find("NetworkPolicy.networking.k8s.io", "promtail", "allow-egress-loki-3100")
    if policy is None:
        raise NotEvaluatedError("promtail", "red proof", "this cluster has no NetworkPolicy promtail/allow-egress-loki-3100")

    @contextmanager
    def closed() -> Iterator[None]:
        with patched(kubectl, "networkpolicies.networking.k8s.io", policy.name, "promtail", {"spec": {"egress": []}}, suspending=maker(policy)):
            # A connection that is open stays open.
            kubectl.delete("pods", a_pod_of(kubectl, SHIPPER)["metadata"]["name"], "promtail")
            wait(lambda: _ships(platform), timeout=60, what="a new pod of the shipper")
            yield

    with ExitStack() as stack:
        probe = _probe(platform, stack)
        fault = "its NetworkPolicy lets nothing out, the shipper starts anew"
        platform.red("Promtail -> Loki", fault, closed(), probe, broken_within=BUDGET + 30, mended_within=150)


def _ships(platform: Platform) -> bool:
    """Whether a pod of the shipper is ready."""
    pods = platform.cluster.kubectl.list("pods", namespace="promtail")
    return any(condition["type"] == "Ready" and condition["status"] == "True" for pod in pods for condition in pod["status"].get("conditions", ()))


def _probe(platform: Platform, stack: ExitStack) -> Callable[[], str]:
    """Every look writes a line, and says what became of it. After a fault, also of those that were written while it lasted: none may be lost."""
    kubectl, loki, run = platform.cluster.kubectl, Loki(platform.forwards), secrets.token_hex(6)
    name = f"proof-{run}"
    stack.enter_context(applied(kubectl, *writer(name, SCRATCH, shell_image(platform.world), "sleep 900")))
    wait(lambda: _runs(kubectl.get("pods", name, SCRATCH)), timeout=60, what="the pod that writes to run")
    pod = process(platform.cluster, kubectl.json("get", "pods", name, f"--namespace={SCRATCH}"))
    written: list[int] = []

    def probe() -> str:
        written.append(len(written))
        pod.write(f"{run} {written[-1]}")

        def missing() -> list[int]:
            return sorted(set(written) - set(numbers(loki.entries(f'{{namespace="{SCRATCH}", app="{name}"}}'), run)))

        try:
            wait(lambda: not missing(), timeout=PATIENCE, what="the lines in Loki")
        except WaitError:
            return f"{len(missing())} of {len(written)} lines are not in Loki {PATIENCE:g} s later"
        return ""

    return probe


def _ended(pod: Mapping[str, Any] | None) -> bool:
    return ((pod or {}).get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _runs(pod: Mapping[str, Any] | None) -> bool:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or ()
    return any("running" in (status.get("state") or {}) for status in statuses)
