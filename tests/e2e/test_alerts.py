"""Alerts: the one that always fires arrives where it must, and each of the others becomes active when what it is about is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ground.facts import addresses_of
from harness.live.reach.listener import listening
from harness.live.reach.run import RunError
from harness.live.reach.wait import Waiter, WaitError, wait
from harness.live.rules.metrics import DELIVERED, PROVOKED, TABLE, WATCHDOG
from harness.live.telemetry.alarms import ALWAYS, Provocation, Wanted, notified, provoke, receivers_of, receiving, tables_unlike
from harness.live.telemetry.alert_faults import BREAKS, ELSEWHERE, FAULTS, REASONS, STANDING, USES
from harness.live.telemetry.metrics import prometheus_of, unready
from harness.rules.obs_alerts import alerts

if TYPE_CHECKING:
    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl

pytestmark = pytest.mark.proof(uses=("kube-prometheus-stack", "kube-prometheus-stack-config"))


def test_every_alert_is_in_the_table(platform: Platform) -> None:
    provoked = [name for fault in FAULTS.values() for name in fault.alerts]
    wrong = tables_unlike((rule.name for rule in alerts(platform.world)), [*provoked, *ELSEWHERE, STANDING, ALWAYS], REASONS)
    expect(TABLE, platform.world.cluster.name, not wrong, found="; ".join(wrong), expected="each alert once")


@pytest.mark.parametrize("alert", sorted(REASONS))
def test_alert_that_is_not_provoked(alert: str) -> None:
    raise NotEvaluatedError(alert, "provoked by a real fault", REASONS[alert])


def test_receivers_that_do_not_exist_are_told(platform: Platform) -> None:
    if platform.sealed is None:
        raise NotEvaluatedError(STANDING, "provoked by a real fault", "this run did not make the receivers up")
    prometheus = prometheus_of(platform)
    try:
        Waiter(lambda: Wanted(STANDING).among(prometheus.alerts())).wait(bool, successes=1, timeout=240)
    except WaitError as error:
        expect(PROVOKED, STANDING, False, found=f"not active, although no receiver of this run exists: {error}", expected="pending or firing")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=name, marks=pytest.mark.proof(uses=USES.get(name, ()), breaks=BREAKS.get(name, ()), seconds=900, long=fault.long))
        for name, fault in FAULTS.items()
    ],
)
def test_fault_makes_its_alerts_active(platform: Platform, name: str) -> None:
    fault, why, prometheus = FAULTS[name], unready(platform), prometheus_of(platform)
    wanted = []
    for alert, (system, labels) in fault.alerts.items():
        if why(system):
            platform.left_open(alert, "provoked by a real fault", f"{system} is not there: {why(system)}"[:200])
        else:
            wanted.append(Wanted(alert, labels))
    if not wanted:
        raise NotEvaluatedError(", ".join(fault.alerts), "provoked by a real fault", "what they are about is not there")
    provocation = Provocation(wanted, prometheus.alerts)
    flow = fault.flow(platform) if fault.flow is not None else None
    provoke(platform, fault.what, fault.breaking(platform), provocation, within=fault.within, comes_back=fault.comes_back, flow=flow)


@pytest.mark.proof(uses=("sealed-secrets",), seconds=600)
def test_alerts_reach_the_receivers_of_their_routes(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    if cluster.foreign:
        raise NotEvaluatedError(ALWAYS, "test receiver", "its receivers' addresses are not changed on a cluster that is not of this run")
    nodes = [address for node in kubectl.list("nodes") for address in addresses_of(node)]
    model = receivers_of(platform.world)
    with listening(nodes[0]) as listener:
        try:
            cluster.docker("exec", f"{cluster.wanted.name}-control-plane", "curl", "-sf", "--max-time", "5", f"{listener.url}/")
        except RunError as error:
            raise NotEvaluatedError(ALWAYS, "test receiver", f"the nodes do not reach this machine at {listener.url}") from error
        with receiving(kubectl, listener):
            wait(lambda: ALWAYS in dict(notified(listener)), timeout=330, what=f"{ALWAYS} at its receiver", status=lambda: f"{len(listener.got)} notifications")
        came = set(notified(listener))
    expect(WATCHDOG, ALWAYS, (ALWAYS, "watchdog") in came, found=f"came for {sorted(came)}", expected="the receiver watchdog")
    wrong = sorted(f"{alert} for {receiver}, in the model {', '.join(sorted(model[alert])) or 'nobody'}" for alert, receiver in came
                   if alert in model and receiver not in model[alert])  # fmt: skip
    expect(DELIVERED, platform.world.cluster.name, not wrong, found="; ".join(wrong), expected="the receivers of the model")
