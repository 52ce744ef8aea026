"""The connections of a running cluster, tried and judged against the offline matrix.

A refusal is believed only after its positive control: the destination answers its own node, and the source reaches something. What nobody can tell apart, such
as a pod and the node it runs on, is left open with the reason.
"""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.live.faults import LABEL, applied
from harness.live.findings import NotEvaluatedError
from harness.live.ground.facts import addresses_of
from harness.live.network.flows import METADATA, Plan, Trial, control, expected_of, explained, plan, populate
from harness.live.network.netprobe import THERE, WAIT, Probe, Seen, outside, probe
from harness.live.reach.run import RunError
from harness.live.reach.wait import WaitTimeoutError, wait
from harness.live.rules.access import PASSES, REFUSED
from harness.model.shapes import items, mapping, text
from harness.rules.net_intent import ANY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from harness.live.bringup import Platform
    from harness.model import Finding, Location, Object
    from harness.rules.net_intent import Expectation

#: An address outside that no public range holds.
PRIVATE: Final = "10.77.77.77"
#: Seconds until a policy that was changed has its effect.
SETTLED: Final = 25.0
#: Seconds after which what came out otherwise stays so: other proofs break a policy or a pod for a moment.
_STAYS: Final = 150.0
_OPEN: Final = "plimsoll-proof-open"
_POLICIES: Final = "networkpolicies.networking.k8s.io"
#: The pod that nobody wrote a policy for, and where it is put: at the tenants, and beside what is on the host's network.
STRANGER: Final = "plimsoll-proof-stranger"
_LIKE: Final = "podinfo"
_PEOPLES: Final = ("tenant-a", "tenant-b", "node-exporter")


@dataclass
class Round:
    """What was tried, what came of it, and what of it can be believed."""

    platform: Platform
    plan: Plan
    addresses: tuple[str, ...]
    nodes: Mapping[str, str]
    seen: dict[Probe, Seen] = field(default_factory=dict)
    controls: dict[Probe, Seen] = field(default_factory=dict)

    def judge(self, trials: Iterable[Trial] | None = None) -> tuple[list[Trial], dict[str, list[Trial]]]:
        """The trials that came out otherwise than expected, and those that cannot be judged, by reason."""
        reaching = {each.source for each, came in self.seen.items() if came.arrived}
        wrong: list[Trial] = []
        open_: dict[str, list[Trial]] = {}
        for trial in self.plan.trials if trials is None else trials:
            why = self._doubt(trial, reaching)
            if why:
                open_.setdefault(why, []).append(trial)
            elif self.seen[trial.probe].arrived != trial.allowed:
                wrong.append(trial)
        return wrong, open_

    def _doubt(self, trial: Trial, reaching: set[str]) -> str:
        """Why an outcome says nothing; empty when it does."""
        came = self.seen.get(trial.probe, Seen.BROKEN)
        if came in (Seen.ABSENT, Seen.BROKEN):
            return "a pod was gone when it was tried"
        if not self.controls.get(control(trial.probe), Seen.BROKEN).arrived:
            return "positive control: the destination does not answer its own node either"
        if not came.arrived and trial.probe.source not in reaching:
            return "positive control: the source reaches nothing at all"
        if came.arrived and not trial.allowed and trial.probe.address == self.nodes.get(trial.probe.node):
            return "a pod and the node it runs on: NetworkPolicy does not say whether they may be kept apart"
        return ""

    def again(self, trials: Iterable[Trial]) -> None:
        """Try some once more, and their positive controls."""
        several = list(trials)
        came = probe(self.platform.cluster, [each for trial in several for each in (trial.probe, control(trial.probe))])
        self.seen |= {trial.probe: came[trial.probe] for trial in several}
        self.controls |= {control(trial.probe): came[control(trial.probe)] for trial in several}


def look(platform: Platform) -> Round:
    """Try everything; what came out otherwise than expected is tried again until it does, or stays so. Use it with ``platform.once``.

    Raises NotEvaluatedError where nodes cannot be entered from here.
    """
    expectation = _checked(platform)
    # What an interrupted run left open would be found as a flow that nobody named.
    for item in platform.cluster.kubectl.list(_POLICIES, selector=LABEL):
        if item["metadata"]["name"] == _OPEN:
            platform.cluster.kubectl.delete(_POLICIES, _OPEN, item["metadata"]["namespace"])
    with strangers(platform, expectation) as strange:
        found = prepared(platform, expectation, strange)
        with beyond(found):
            found.seen = probe(platform.cluster, [trial.probe for trial in found.plan.trials])
            found.controls = probe(platform.cluster, [control(trial.probe) for trial in found.plan.trials])

            def settled() -> bool:
                wrong, _ = found.judge()
                if wrong:
                    found.again(wrong)
                    known = alive(platform)
                    found.seen |= {trial.probe: Seen.ABSENT for trial in wrong if not _stands(trial, known)}
                    wrong, _ = found.judge(wrong)
                return not wrong

            try:
                # A busy machine answers late, and other proofs change policies for a moment.
                wait(settled, timeout=_STAYS, delay=5, what="connections as the model has them")
            except WaitTimeoutError:
                return found
    return found


def between(platform: Platform, source: str, destination: str) -> Round:
    """What pods of one namespace get from those of another, tried now: pods may have been replaced since everything was looked at.

    Raises NotEvaluatedError where nodes cannot be entered from here.
    """
    found = prepared(platform, _checked(platform))
    found.plan.trials = [trial for trial in found.plan.trials if _spaces(trial) == (source, destination)]
    found.again(found.plan.trials)
    return found


def _spaces(trial: Trial) -> tuple[str, ...]:
    return tuple(end.workload.namespace if end.workload is not None else "" for end in (trial.source, trial.destination))


def _checked(platform: Platform) -> Expectation:
    world, cluster = platform.world, platform.cluster
    if cluster.foreign:
        raise NotEvaluatedError(world.cluster.name, "connections from pod to pod", "the nodes of this cluster cannot be entered from here")
    expectation = expected_of(world)
    if expectation is None:
        raise NotEvaluatedError(world.cluster.name, "connections from pod to pod", "there is no table of flows (tests/intent/network.yaml)")
    return expectation


def prepared(platform: Platform, expectation: Expectation, strange: Collection[str] = ()) -> Round:
    """What will be tried."""
    world, cluster = platform.world, platform.cluster
    nodes = {item["metadata"]["name"]: next(iter(addresses_of(item)), "") for item in cluster.kubectl.list("nodes")}
    addresses = (THERE, METADATA, PRIVATE, *([_neighbour(platform.facts.network)] if platform.facts is not None else []))
    population = populate(expectation, cluster.kubectl.list("pods"), strange)
    return Round(platform, plan(world, expectation, population, addresses, nodes, platform.random()), addresses, nodes)


@contextmanager
def strangers(platform: Platform, expectation: Expectation) -> Iterator[list[str]]:
    """Pods that nobody wrote a policy for, one in each namespace of a tenant and in one of the platform's, for a moment. Yields ``namespace/name``.

    Where admission lets none in, none can be there: that is left open, with what it says.
    """
    kubectl, world = platform.cluster.kubectl, platform.world
    images = (item.get("spec", "template", "spec", "containers", 0, "image") for item in world.of("Deployment.apps") if item.name == _LIKE)
    image = next((str(each) for each in images if each), "")
    made: list[str] = []
    with ExitStack() as stack:
        for space in _PEOPLES if image else ():
            if space not in expectation.network.namespaces:
                continue
            try:
                stack.enter_context(applied(kubectl, *stranger(space, image)))
                made.append(f"{space}/{STRANGER}")
            except RunError as error:
                platform.left_open(f"{world.cluster.name}/Namespace/{space}", "connections of a pod that nobody wrote a policy for", error.reason)
        try:
            wait(lambda: all(_runs(kubectl.get("pods", STRANGER, each.partition("/")[0])) for each in made), timeout=90, what="strangers that run")
        except WaitTimeoutError as error:
            platform.left_open(world.cluster.name, "connections of a pod that nobody wrote a policy for", error.status or "it did not start in time")
        yield made


def _runs(pod: Mapping[str, Any] | None) -> bool:
    return pod is not None and mapping(pod.get("status")).get("phase") == "Running"


def stranger(namespace: str, image: str) -> list[dict[str, Any]]:
    """An account and a pod as admission wants them. No policy selects its label."""
    metadata = {"name": STRANGER, "namespace": namespace, "labels": {"app.kubernetes.io/name": STRANGER}}
    container = {
        "name": "stranger",
        "image": image,
        "command": ["./podinfo", "--port=9898"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "livenessProbe": {"tcpSocket": {"port": 9898}},
        "readinessProbe": {"tcpSocket": {"port": 9898}},
    }
    spec = {
        "serviceAccountName": STRANGER,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}
    return [account, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}]


@contextmanager
def beyond(found: Round) -> Iterator[None]:
    """The addresses outside that a round speaks of, for a moment."""
    node = next(iter(found.nodes))
    with outside(found.platform.cluster, node, [each for each in found.addresses if each != THERE]):
        yield


def findings(found: Round, *, allowed: bool) -> list[Finding]:
    """What came out otherwise, of what policies allow or of what they refuse: one finding for each pair, with the rule that decides."""
    wrong, _ = found.judge()
    pairs: dict[str, list[Trial]] = {}
    for trial in wrong:
        if trial.allowed == allowed:
            pairs.setdefault(trial.whose, []).append(trial)
    return [_finding(found, several) for several in pairs.values()]


def _finding(found: Round, several: list[Trial]) -> Finding:
    trial = several[0]
    decision = explained(found.plan.expectation, trial)
    ports = ", ".join(f"{each.probe.port}/{each.probe.protocol} {found.seen[each.probe]}" for each in several)
    named = "; ".join(f"{found.plan.expectation.intent.locate(*flow.at)}: {flow.reason}" for flow in trial.flows)
    grants = [*decision.ingress.grants, *decision.egress.grants]
    sides = [side for side in (decision.ingress, decision.egress) if side.isolated]
    where: Location | None = grants[0].location if grants else next((side.policies[0].locate() for side in sides if not side.ports), None)
    says = "; ".join(str(grant) for grant in grants) if trial.allowed else "; ".join(side.note or f"{side.policies[0]} isolates {side.end}" for side in sides)
    expect = f"{'allowed' if trial.allowed else 'refused'}: {says or 'no policy isolates either end'}{f'; the intent: {named}' if named else ''}"
    rule = PASSES if trial.allowed else REFUSED
    subject: Object | str = trial.whose
    return rule.finding(subject, f"tried {trial.whose}: {ports}; from the node: {found.controls.get(control(trial.probe))}", expect, location=where)


@contextmanager
def opened(found: Round, trials: Iterable[Trial]) -> Iterator[list[str]]:
    """The namespaces of some trials with a policy more, which lets every pod and the addresses outside in and out. Yields the namespaces."""
    kubectl = found.platform.cluster.kubectl
    spaces = sorted({end.workload.namespace for trial in trials for end in (trial.source, trial.destination) if end.workload is not None})
    peers: list[dict[str, Any]] = [{"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}}]
    peers += [{"ipBlock": {"cidr": f"{each}/32"}} for each in (*found.addresses, *found.nodes.values())]
    with applied(kubectl, *(opening(space, peers) for space in spaces)):
        yield spaces


def opening(namespace: str, peers: list[dict[str, Any]]) -> dict[str, Any]:
    """A policy that lets peers in and out of every pod of a namespace."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": peers}], "egress": [{"to": peers}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": _OPEN, "namespace": namespace}, "spec": spec}


def refused(found: Round) -> list[Trial]:
    """What was refused, and is believed."""
    wrong, open_ = found.judge()
    out = {id(trial) for several in (wrong, *open_.values()) for trial in several}
    gone = {end.workload for trial in found.plan.trials for end in (trial.source, trial.destination) if end.workload is not None and end.workload.name == ANY}
    there = (trial for trial in found.plan.trials if not gone & {trial.source.workload, trial.destination.workload})
    return [trial for trial in there if not trial.allowed and id(trial) not in out]


def still_refused(found: Round, trials: list[Trial], seconds: float = SETTLED) -> list[Trial]:
    """Which of some trials do not pass within a time."""
    left = list(trials)

    def all_pass() -> bool:
        came = probe(found.platform.cluster, [each for trial in left for each in (trial.probe, control(trial.probe))], wait=WAIT)
        # A pod that was replaced in the meantime is nobody to ask; something else may answer in its place.
        known = alive(found.platform)
        there = [trial for trial in left if came[trial.probe] is not Seen.ABSENT and came[control(trial.probe)].arrived and _stands(trial, known)]
        left[:] = [trial for trial in there if not came[trial.probe].arrived]
        return not left

    try:
        wait(all_pass, timeout=seconds, delay=1, what="refused connections that pass")
    except WaitTimeoutError:
        return left
    return []


def alive(platform: Platform) -> set[str]:
    """The addresses and uids of the pods that are there now."""
    found = set()
    for item in platform.cluster.kubectl.list("pods"):
        if not item["metadata"].get("deletionTimestamp") and mapping(item.get("status")).get("phase") == "Running":
            found |= {text(item["metadata"].get("uid")), text(mapping(item.get("status")).get("podIP"))}
    return found


def _stands(trial: Trial, known: set[str]) -> bool:
    """Whether the pods of a trial are still there."""
    ends = ((trial.source, trial.probe.source), (trial.destination, trial.probe.address))
    return all(end.workload is None or name in known for end, name in ends)


def unknown_pods(found: Round) -> dict[str, str]:
    """Running pods of the platform's namespaces that no workload of the build describes; not those that other proofs made."""
    ours = set(found.plan.expectation.network.namespaces)
    return {name: why for name, why in found.plan.population.unknown.items() if name.partition("/")[0] in ours}


def webhooks(platform: Platform) -> dict[str, list[Probe]]:
    """The pods behind every webhook of the API server, as its node reaches them, by the webhook's name."""
    kubectl = platform.cluster.kubectl
    slices = kubectl.list("endpointslices.discovery.k8s.io")
    nodes = {item["metadata"]["name"]: next(iter(addresses_of(item)), "") for item in kubectl.list("nodes", selector="node-role.kubernetes.io/control-plane")}
    found: dict[str, list[Probe]] = {}
    for item in kubectl.list("validatingwebhookconfigurations.admissionregistration.k8s.io", "mutatingwebhookconfigurations.admissionregistration.k8s.io"):
        if LABEL in mapping(item["metadata"].get("labels")):
            continue
        for webhook in items(item.get("webhooks")):
            service = mapping(mapping(webhook.get("clientConfig")).get("service"))
            if not service:
                continue
            name = f"{item['kind']}/{item['metadata']['name']}: {text(webhook.get('name'))}"
            found[name] = [
                Probe(node, "node", address, port)
                for node in nodes
                for address, port in _endpoints(slices, text(service.get("namespace")), text(service.get("name")), kubectl, service.get("port", 443))
            ]
    return found


def _endpoints(slices: list[dict[str, Any]], namespace: str, name: str, kubectl: Any, number: object) -> Iterator[tuple[str, int]]:
    service = kubectl.get("services", name, namespace) or {}
    port: dict[str, Any] = next((each for each in items(mapping(service.get("spec")).get("ports")) if each.get("port") == number), {})
    for item in slices:
        labels = mapping(item["metadata"].get("labels"))
        if item["metadata"].get("namespace") != namespace or labels.get("kubernetes.io/service-name") != name:
            continue
        numbers = [each["port"] for each in items(item.get("ports")) if text(each.get("name")) == text(port.get("name"))]
        ready = [each for each in items(item.get("endpoints")) if mapping(each.get("conditions")).get("ready") is not False]
        yield from ((address, each) for endpoint in ready for address in items(endpoint.get("addresses")) for each in numbers)


def _neighbour(network: str) -> str:
    """An address of the nodes' network near its end, where docker gives out none and no LoadBalancer is: another node's."""
    return str(ipaddress.ip_network(network)[-3])
