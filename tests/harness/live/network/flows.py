"""Which connections of a running cluster are tried, and what the offline model says of each.

Every running pod is paired with every other, at the ports it is known to serve and at one that nobody names; and with addresses outside, as client and as
server. With many pods it is a sample that holds each pair of namespaces. What is expected comes from the offline matrix of the build that runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.netpol.addresses import address as interval
from harness.engines.netpol.decide import Decision, End, decide
from harness.engines.netpol.intervals import EMPTY
from harness.engines.netpol.ports import Ports
from harness.engines.netpol.workloads import SET
from harness.live.faults import LABEL
from harness.live.network.netprobe import NODE, Probe
from harness.model.shapes import mapping, text
from harness.rules.net_common import listening, served
from harness.rules.net_intent import ANY, expectation_of

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from harness.engines.netpol.intervals import Intervals
    from harness.engines.netpol.workloads import Workload
    from harness.flux.world import World
    from harness.rules.net_intent import Expectation, Flow

#: Pairs of pods that are tried at most; beyond, a sample.
PAIRS: Final = 2500
#: How other proofs call what they make; not all of it carries the label.
_PROOFS: Final = re.compile(r"(plimsoll-)?proof-")
#: What helm-controller adds to the version of a chart, as labels have it, and the letter that semantic versions have not.
_DIGEST: Final = re.compile(r"[+_][0-9a-f]{12}$")
_V: Final = re.compile(r"(?<![A-Za-z0-9])v(?=[0-9])")
#: Ports in a row that are still named one by one.
_WIDE: Final = 8
#: The metadata service calls nobody.
METADATA: Final = "169.254.169.254"
_NO_CLIENTS: Final = frozenset({METADATA})
#: Ports that nobody serves or names.
_ODD: Final = (20000, 29999)


class Pod(NamedTuple):
    """A running pod with an address of its own, and the workload of the build that it belongs to."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    workload: Workload

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Trial(NamedTuple):
    """A connection to try: its ends in the model, what policies say of it, and the entries of the intent that speak of it."""

    probe: Probe
    source: End
    destination: End
    allowed: bool
    whose: str
    flows: tuple[Flow, ...] = ()

    @property
    def words(self) -> str:
        return f"{self.whose} {self.probe.port}/{self.probe.protocol}"


@dataclass
class Population:
    """The pods of a cluster. ``unknown`` are those that no workload of the build describes, ``idle`` those that do not run, each with the reason."""

    pods: list[Pod] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    idle: dict[str, str] = field(default_factory=dict)

    def without(self, workloads: Iterable[Workload]) -> list[Workload]:
        """The workloads of which no pod runs."""
        running = {pod.workload for pod in self.pods}
        return [each for each in workloads if each not in running]


def populate(expectation: Expectation, bodies: Iterable[Mapping[str, Any]], strangers: Collection[str] = ()) -> Population:
    """The running pods with their workloads. Pods of other proofs, and those on the host's network, are none.

    ``strangers`` are the pods (``namespace/name``) that were made to stand for those that nobody wrote a policy for.
    """
    found = Population()
    unlabelled = {each.namespace: each for each in expectation.network.workloads if each.name == ANY}
    by_space: dict[str, list[Workload]] = {}
    for each in expectation.network.workloads:
        if not each.host_network:
            by_space.setdefault(each.namespace, []).append(each)
    for body in bodies:
        metadata, spec, status = (mapping(body.get(name)) for name in ("metadata", "spec", "status"))
        name, space = text(metadata.get("name")), text(metadata.get("namespace"))
        labels = mapping(metadata.get("labels"))
        strange = f"{space}/{name}" in strangers
        proofs = LABEL in labels or _PROOFS.match(name) is not None
        if spec.get("hostNetwork") is True or (proofs and not strange) or status.get("phase") in ("Succeeded", "Failed"):
            continue
        workload = unlabelled.get(space) if strange else _workload(by_space.get(space, ()), name, labels)
        if workload is None:
            found.unknown[f"{space}/{name}"] = "no workload of the build has its name and labels"
        elif status.get("phase") != "Running" or not status.get("podIP") or metadata.get("deletionTimestamp"):
            found.idle[f"{space}/{name}"] = f"it is {text(status.get('phase')) or 'nothing'} and serves nobody"
        else:
            found.pods.append(Pod(space, name, text(metadata.get("uid")), text(spec.get("nodeName")), text(status.get("podIP")), workload))
    found.pods.sort(key=lambda pod: (pod.namespace, pod.name))
    return found


def _workload(candidates: Sequence[Workload], name: str, labels: Mapping[str, Any]) -> Workload | None:
    """The workload whose name a pod's begins with and whose labels it has; of several the one with the longest name."""
    fitting = [each for each in candidates if _named(each, name) and all(value == SET or _same(labels.get(key), value) for key, value in each.labels.items())]
    return max(fitting, key=lambda each: len(each.name), default=None)


def _named(workload: Workload, name: str) -> bool:
    """Whether a pod may have a name. What something else than the build makes is known by its labels alone."""
    outside_ = workload.object is None and bool(workload.labels)
    return outside_ or name == workload.name or name.startswith(f"{workload.name}-")


def _same(there: object, ours: str) -> bool:
    """Whether a label has its value. Flux puts the digest behind the version of a chart that comes from an OCI registry, and writes the version in full."""
    return there == ours or (isinstance(there, str) and _DIGEST.search(there) is not None and _plain(there) == _plain(ours))


def _plain(value: str) -> str:
    return _V.sub("", _DIGEST.sub("", value))


@dataclass
class Plan:
    """What is tried, and the entries of the intent that nothing of it is about."""

    expectation: Expectation
    population: Population
    trials: list[Trial] = field(default_factory=list)
    pairs: int = 0
    whole: int = 0

    def untouched(self) -> Iterator[tuple[Flow, str]]:
        """The entries of which no connection was tried, each with the reason."""
        touched = {flow.at for trial in self.trials for flow in trial.flows}
        network = self.expectation.network
        running = {network.position[pod.workload] for pod in self.population.pods}
        for flow in (*self.expectation.intent.allow, *self.expectation.intent.deny):
            if flow.at in touched or not flow.speaks_of(self.expectation.cluster):
                continue
            for side, words in (("from", flow.sources), ("to", flow.destinations)):
                mask, addresses = self.expectation.party(words)
                if mask and not addresses and not any(mask >> position & 1 for position in running):
                    yield flow, f"nothing of {side}: {', '.join(words)} runs"
                    break
            else:
                yield flow, "only one pod of it runs, and a pod always reaches itself; or its addresses cannot be had here"


def plan(world: World, expectation: Expectation, population: Population, outside: Sequence[str], nodes: Mapping[str, str], rng: random.Random) -> Plan:
    """What to try. ``outside`` are addresses that a host outside has, ``nodes`` those of nodes by name."""
    found = Plan(expectation, population)
    listens = world.derive(listening)
    ports = {pod: _ports(pod, listens, expectation, rng) for pod in population.pods}
    pairs = [(one, other) for one in population.pods for other in population.pods if one.workload is not other.workload]
    found.whole = len(pairs)
    chosen = _sample(pairs, PAIRS, rng)
    found.pairs = len(chosen)
    for one, other in chosen:
        allowed = expectation.network.allowed(one.workload, other.workload)
        for protocol, port in ports[other]:
            probe = Probe(one.node, one.uid, other.address, port, protocol)
            ends = End(one.workload), End(other.workload)
            found.trials.append(_trial(expectation, probe, *ends, (protocol, port) in allowed, f"{one} -> {other}"))
    for pod in population.pods:
        found.trials += _outgoing(expectation, pod, outside, nodes)
        for address in (each for each in outside if each not in _NO_CLIENTS):
            side = expectation.network.ingress(pod.workload).at(_at(address))
            for protocol, port in ports[pod]:
                probe = Probe(pod.node, address, pod.address, port, protocol)
                ends = End(addresses=_at(address)), End(pod.workload)
                found.trials.append(_trial(expectation, probe, *ends, (protocol, port) in side, f"{address} -> {pod}"))
    return found


def _outgoing(expectation: Expectation, pod: Pod, outside: Sequence[str], nodes: Mapping[str, str]) -> Iterator[Trial]:
    """From a pod to addresses outside and to nodes, at every port that some entry names for addresses."""
    side = expectation.network.egress(pod.workload)
    for address in (*outside, *nodes.values()):
        allowed = side.at(_at(address))
        for protocol, port in _addressed(expectation):
            probe = Probe(pod.node, pod.uid, address, port, protocol)
            ends = End(pod.workload), End(addresses=_at(address))
            yield _trial(expectation, probe, *ends, (protocol, port) in allowed, f"{pod} -> {address}")


def _addressed(expectation: Expectation) -> list[tuple[str, int]]:
    flows = (*expectation.intent.allow, *expectation.intent.deny)
    ports = {each for flow in flows if flow.speaks_of(expectation.cluster) and expectation.party(flow.destinations)[1] for each in _few(flow.ports)}
    return sorted(ports)


def _few(ports: Ports) -> Iterator[tuple[str, int]]:
    """The ports among some that are named one by one; wide ranges name none in particular."""
    for protocol, numbers in ports.sets:
        for first, last in numbers if protocol != "SCTP" else ():
            yield from ((protocol, port) for port in range(first, last + 1) if last - first < _WIDE)


def _trial(expectation: Expectation, probe: Probe, source: End, destination: End, allowed: bool, whose: str) -> Trial:
    return Trial(probe, source, destination, allowed, whose, tuple(_flows(expectation, probe, source, destination)))


def _flows(expectation: Expectation, probe: Probe, source: End, destination: End) -> Iterator[Flow]:
    """The entries that speak of a connection."""
    for flow in (*expectation.intent.allow, *expectation.intent.deny):
        if (probe.protocol, probe.port) in flow.ports and flow.speaks_of(expectation.cluster):
            parties = (source, *expectation.party(flow.sources)), (destination, *expectation.party(flow.destinations))
            if all(_is_of(expectation, *party) for party in parties):
                yield flow


def _is_of(expectation: Expectation, end: End, mask: int, addresses: Intervals) -> bool:
    if end.workload is not None:
        return bool(mask >> expectation.network.position[end.workload] & 1)
    return bool(end.addresses) and bool(end.addresses.issubset(addresses))


def _ports(pod: Pod, listens: dict[str, Ports], expectation: Expectation, rng: random.Random) -> list[tuple[str, int]]:
    """The ports to try at a pod: served ones, those that entries name for it, and one that nobody knows."""
    found = set(_few(served(pod.workload, listens) or Ports()))
    position = expectation.network.position[pod.workload]
    for flow in (*expectation.intent.allow, *expectation.intent.deny):
        if flow.speaks_of(expectation.cluster) and expectation.party(flow.destinations)[0] >> position & 1:
            found |= set(_few(flow.ports))
    return sorted(found | {("TCP", rng.randint(*_ODD))})


def _sample(pairs: list[tuple[Pod, Pod]], count: int, rng: random.Random) -> list[tuple[Pod, Pod]]:
    """At most ``count`` pairs (or one for each pair of namespaces, when those are more), every pair of namespaces among them."""
    if len(pairs) <= count:
        return pairs
    groups: dict[tuple[str, str], list[tuple[Pod, Pod]]] = {}
    for pair in pairs:
        groups.setdefault((pair[0].namespace, pair[1].namespace), []).append(pair)
    first = [rng.choice(group) for group in groups.values()]
    rest = [pair for pair in pairs if pair not in set(first)]
    return first + rng.sample(rest, max(0, min(len(rest), count - len(first))))


def control(probe: Probe) -> Probe:
    """The same destination from its node, which nothing keeps from its pods."""
    return probe._replace(source=NODE)


def explained(expectation: Expectation, trial: Trial) -> Decision:
    """Why the model says what it says."""
    return decide(expectation.network, trial.source, trial.destination, Ports.single(trial.probe.port, trial.probe.protocol))


def expected_of(world: World) -> Expectation | None:
    """The build's network against the intent."""
    return world.derive(expectation_of)


def _at(address: str) -> Intervals:
    return interval(address) or EMPTY
