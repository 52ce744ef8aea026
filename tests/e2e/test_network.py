"""The network: connections from pod to pod and across the border, tried one by one and equal to the offline matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness.live.faults import deleted, maker
from harness.live.findings import LiveError, NotEvaluatedError, expect
from harness.live.network.connections import between, beyond, findings, look, opened, refused, still_refused, unknown_pods, webhooks
from harness.live.network.flows import control
from harness.live.network.netprobe import Seen, probe
from harness.live.proofs import CLOSED
from harness.live.rules.access import POD_KNOWN, POLICIES_REFUSE, TRIED, WEBHOOK_REACHED
from harness.rules.net_intent import ANY

if TYPE_CHECKING:
    from harness.live.bringup import Platform
    from harness.live.ground.cluster import Cluster
    from harness.live.network.connections import Round
    from harness.live.network.flows import Trial
    from harness.live.reach.kubectl import Kubectl

POLICY = "NetworkPolicy.networking.k8s.io"
#: What changes policies below breaks this one, so that nobody looks meanwhile.
BROKEN = "sealed-secrets"


@pytest.mark.proof(uses=(BROKEN,))
def test_connections_are_those_of_the_offline_matrix(platform: Platform) -> None:
    found = platform.once(look)
    plan = found.plan
    _wrong, doubts = found.judge()
    for name, why in {**plan.population.unknown, **plan.population.idle}.items():
        platform.left_open(f"Pod/{name}", "its connections", why)
    network = plan.expectation.network
    for workload in plan.population.without(network.workloads):
        if not workload.host_network and workload.name != ANY:
            platform.left_open(str(workload), "its connections", "no pod of it runs with an address of its own")
    for flow, why in plan.untouched():
        platform.left_open(f"{plan.expectation.intent.locate(*flow.at)}", f"flow {', '.join(flow.sources)} -> {', '.join(flow.destinations)}", why)
    for why, trials in doubts.items():
        for whose in sorted({trial.whose for trial in trials}):
            platform.left_open(whose, "connections", why)
    ends = {end.workload for trial in plan.trials for end in (trial.source, trial.destination) if end.workload is not None}
    for policy in network.policies:
        if not any(network.selected[policy] >> network.position[workload] & 1 for workload in ends):
            platform.left_open(policy.object, "connections that it decides about", "it selects no pod that runs")
    counts = {kind: sum(trial.allowed is kind for trial in plan.trials) for kind in (True, False)}
    platform.notes.append(
        f"network: {len(plan.trials)} connections between {len(plan.population.pods)} pods ({plan.pairs} of {plan.whole} pairs) and outside, "
        f"{counts[True]} of them allowed, {sum(map(len, doubts.values()))} left open"
    )
    missing = {pod.namespace for pod in plan.population.pods} - {workload.namespace for workload in ends}
    enough = min(counts.values()) > 0 and not missing
    expect(TRIED, platform.world.cluster.name, enough, found=f"{counts}, nothing of {missing or 'no namespace'}", expected="both kinds, every namespace")
    unknown = unknown_pods(found)
    expect(POD_KNOWN, platform.world.cluster.name, not unknown, found="; ".join(f"{name}: {why}" for name, why in unknown.items()), expected="none")
    wrong = [*findings(found, allowed=True), *findings(found, allowed=False)]
    if wrong:
        raise LiveError(*wrong[:20])


@pytest.mark.proof(breaks=(BROKEN, CLOSED), seconds=300)
def test_refusals_end_when_policies_allow(platform: Platform) -> None:
    found = platform.once(look)
    with beyond(found):
        trials = refused(found)
        with opened(found, trials) as spaces:
            left = still_refused(found, trials)
    words = "; ".join(sorted({trial.words for trial in left})[:8])
    expect(POLICIES_REFUSE, "; ".join(spaces), not left, found=f"{len(left)} of {len(trials)} are refused without policies too: {words}", expected="all pass")
    platform.notes.append(f"network: all {len(trials)} refused connections pass once policies of {len(spaces)} namespaces allow them")


def test_api_server_reaches_every_webhook(platform: Platform, cluster: Cluster) -> None:
    if cluster.foreign:
        raise NotEvaluatedError("API server", "its webhooks", "the nodes of this cluster cannot be entered from here")
    known = webhooks(platform)
    expect(WEBHOOK_REACHED, "API server", bool(known), found="no webhook at all", expected="those of the platform's operators")
    came = probe(cluster, [each for several in known.values() for each in several])
    for name, several in known.items():
        seen = {f"{each.address}:{each.port}": came[each] for each in several}
        expect(WEBHOOK_REACHED, name, Seen.OPEN in seen.values(), found=f"{seen or 'no endpoint'}", expected="an open port")


@pytest.mark.proof(uses=("kube-prometheus-stack",), breaks=(BROKEN,), seconds=360)
def test_changed_policies_change_what_passes(platform: Platform, cluster: Cluster, kubectl: Kubectl) -> None:
    name, space = "allow-prometheus-to-sealed-secrets-8081", BROKEN
    found, policy = between(platform, "monitoring", space), platform.world.find(POLICY, space, name)
    scrape, denied = _trial(found, 8081, allowed=True, workload="prometheus"), _trial(found, 8081, allowed=False)
    if policy is None or scrape is None or denied is None:
        raise NotEvaluatedError(
            f"NetworkPolicy/{space}/{name}", "red proof", "it is not in the build any more, or no pod that it is about runs: name another one here"
        )

    def passes() -> str:
        came = probe(cluster, [scrape.probe], wait=2)[scrape.probe]
        return "" if came.arrived else f"{scrape.words}: {came}"

    def refuses() -> str:
        came = probe(cluster, [denied.probe], wait=2)[denied.probe]
        return f"{denied.words}: {came}" if came.arrived else ""

    dropping = deleted(kubectl, "networkpolicies.networking.k8s.io", name, space, suspending=maker(policy))
    platform.red(f"NetworkPolicy {space}/{name} -> Prometheus' scrape", "the policy is deleted", dropping, passes)
    platform.red(f"default deny of {space} and monitoring -> {denied.whose}", "policies that open both are added", opened(found, [denied]), refuses)


def _trial(found: Round, port: int, *, allowed: bool, workload: str = "") -> Trial | None:
    """A connection to a port that came out as it should, to a destination that answers its own node. That the source reaches anything is shown later."""
    asked = (trial for trial in found.plan.trials if trial.probe.port == port and trial.allowed is allowed)
    fit = (trial for trial in asked if found.seen[trial.probe].arrived is allowed and found.controls[control(trial.probe)].arrived)
    return next((trial for trial in fit if trial.source.workload is not None and trial.source.workload.name.startswith(workload)), None)
