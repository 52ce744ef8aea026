"""The network against what people say of it in ``tests/intent/network.yaml`` (NET104 to NET108)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.netpol.decide import Decision, End, decide
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.labels import positions
from harness.engines.netpol.network import spread, spread_addresses
from harness.engines.netpol.policies import EGRESS, INGRESS
from harness.model import Location, NotEvaluated
from harness.rules.base import Clusters, Registry, Violation, WholeRepository
from harness.rules.net_intent import PATH, Expectation, Flow, expectation_of, intent_of, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.engines.netpol.network import Reach
    from harness.engines.netpol.ports import Ports
    from harness.flux.world import World
    from harness.model import Pointer
    from harness.rules.context import Context

NET: Final = Registry()
_CONTROLS: Final = ("CIS-5.3.2", "NIST-AC-4", "NIST-SC-7")
_SHOWN: Final = 4


class Deviation(NamedTuple):
    """A flow that is not as the file says: its ends, the ports, and the entry (None: no entry at all)."""

    source: End
    destination: End
    ports: Ports
    flow: Flow | None

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination} {self.ports}"


@NET.rule(
    "NET104",
    title=f"{PATH} can be read, and names only what it defines",
    why="an entry that is misspelt allows or forbids nothing, and nobody notices",
    fix="correct the entry; tests/harness/rules/net_intent.schema.json describes the file",
    scope=WholeRepository(),
    controls=_CONTROLS,
)
def file_is_sound(context: Context) -> Iterator[Violation]:
    intent = read(context.repository)
    if intent is None:
        if context.own:
            yield Violation(f"no {PATH}", "every flow of the clusters, with its reason", Location(PATH))
        return
    for fault in intent.faults:
        yield Violation(fault.message, "what the schema describes", fault.location)
    if not intent.faults and context.clusters:
        for flow in (*intent.allow, *intent.deny):
            for name in flow.clusters:
                if name not in context.clusters:
                    yield Violation(f"there is no cluster {name}", ", ".join(sorted(context.clusters)), intent.locate(*flow.at, "clusters"))


@NET.rule(
    "NET105",
    title=f"everything that {PATH} names is there, and it names every namespace",
    why="an entry for what has gone hides that its flows have gone too; a namespace nobody names is one nobody thought about",
    fix="remove or correct the entry, limit it with clusters:, or name the namespace in a group",
    scope=Clusters(),
    controls=_CONTROLS,
)
def nothing_is_stale(world: World) -> Iterator[Violation]:
    expectation = world.derive(expectation_of)
    if expectation is None:
        return
    intent, named = expectation.intent, set[str]()
    patterns: list[tuple[str, Pointer]] = [(word, ("groups", name, index)) for name, listed in intent.groups.items() for index, word in enumerate(listed)]
    for flow in (*intent.allow, *intent.deny):
        for side, words in (("from", flow.sources), ("to", flow.destinations)):
            patterns += [(word, (*flow.at, side)) for word in words if "/" in word and flow.speaks_of(world.cluster.name)]
            mask, addresses = expectation.party(words)
            if flow.speaks_of(world.cluster.name) and not mask and not addresses:
                found = f"{side} {', '.join(words)}: nothing of {world.cluster.name}"
                yield Violation(found, "a workload or an address", intent.locate(*flow.at, side))
    for word, at in patterns:
        pattern = word.lstrip("!")
        mask = expectation.party((pattern,))[0]
        if not mask and at[0] == "groups":
            yield Violation(f"{pattern} matches no workload of {world.cluster.name}", "a workload", intent.locate(*at))
        space = pattern.partition("/")[0]
        if space != "*":
            named |= {expectation.network.workloads[position].namespace for position in positions(mask)}
    for name, namespace in expectation.network.namespaces.items():
        if name not in named:
            where = namespace.object.locate("metadata", "name") if namespace.object is not None else intent.locate("groups")
            yield Violation(f"{PATH} says nothing of namespace {name}", "a pattern that names it", where)


@NET.rule(
    "NET106",
    title=f"no flow is allowed that {PATH} does not name",
    why="every connection that is possible and not needed is a way for an intruder; the matrix is computed from all policies together (NIST SP 800-53 SC-7(5))",
    fix=f"narrow the rule, or name the flow in {PATH} with the reason it is needed",
    scope=Clusters(),
    controls=_CONTROLS,
)
def nothing_undeclared(world: World) -> Iterator[Violation]:
    expectation = world.derive(expectation_of)
    if expectation is None:
        return
    grouped: dict[tuple[Location, str], list[Deviation]] = defaultdict(list)
    for each in undeclared(expectation):
        grouped[_culprit(expectation, each)].append(each)
    for (location, policy), found in grouped.items():
        yield Violation(f"{policy} allows {_some(found)}", f"flows that {PATH} names", location)


@NET.rule(
    "NET107",
    title=f"every flow that {PATH} names is allowed",
    why="what a component needs and policies block shows as time-outs, alerts that never come and webhooks that refuse everything",
    fix="add the missing rule at the end that refuses, or remove the entry when the flow is no longer needed",
    scope=Clusters(),
    controls=_CONTROLS,
)
def nothing_blocked(world: World) -> Iterator[Violation]:
    expectation = world.derive(expectation_of)
    if expectation is None:
        return
    grouped: dict[tuple[Location, str, tuple[str | int, ...]], list[Deviation]] = defaultdict(list)
    for each in blocked(expectation):
        location, policy = _refuser(expectation, each)
        grouped[location, policy, each.flow.at if each.flow is not None else ()].append(each)
    for (location, policy, at), found in grouped.items():
        entry = expectation.intent.locate(*at)
        reason = found[0].flow.reason if found[0].flow is not None else ""
        yield Violation(f"{policy} refuses {_some(found)}", f"allowed, as {entry} says: {reason}", location)


@NET.rule(
    "NET108",
    title=f"no flow is possible that {PATH} forbids",
    why="these are the boundaries the platform promises: between tenants, around Vault, around the nodes' credentials; one rule too wide breaks one",
    fix="narrow the rule that allows it; the entry that forbids it says why",
    scope=Clusters(),
    controls=(*_CONTROLS, "NIST-AC-6"),
)
def nothing_forbidden(world: World) -> Iterator[Violation]:
    expectation = world.derive(expectation_of)
    if expectation is None:
        return
    grouped: dict[tuple[Location, str, tuple[str | int, ...]], list[Deviation]] = defaultdict(list)
    for flow in expectation.intent.deny:
        if flow.speaks_of(world.cluster.name):
            for each in forbidden(expectation, flow):
                grouped[(*_culprit(expectation, each), flow.at)].append(each)
    for (location, policy, at), found in grouped.items():
        entry, reason = expectation.intent.locate(*at), found[0].flow.reason if found[0].flow is not None else ""
        yield Violation(f"{policy} allows {_some(found)}", f"impossible, as {entry} says: {reason}", location)


def not_evaluated(world: World) -> list[NotEvaluated]:
    """What the rules of this module could not look at."""
    intent = world.derive(intent_of)
    if intent is None:
        return [NotEvaluated(world.cluster.name, "NET105 to NET108: the network against what people say of it", f"there is no {PATH}")]
    if intent.faults:
        return [NotEvaluated(world.cluster.name, "NET105 to NET108: the network against what people say of it", f"{PATH} has faults (NET104)")]
    return []


# The comparison.


def undeclared(expectation: Expectation) -> Iterator[Deviation]:
    """The flows that policies allow and no entry names."""
    network, flows = expectation.network, _resolved(expectation)
    for position, source in enumerate(network.workloads):
        if source.host_network:
            continue
        declared: list[tuple[int, Ports]] = []
        for sources, _, destinations, _, flow in flows:
            if sources >> position & 1 and destinations:
                spread(declared, destinations, flow.ports)
        for ports, mask in network.row(source, itself=source.object is None or source.kind != "Pod").items():
            for where, extra in _beyond([(mask & ~network.hosts, ports)], declared):
                for other in positions(where):
                    yield Deviation(End(source), End(network.workloads[other]), extra, None)
        for direction in (EGRESS, INGRESS):
            known: list[tuple[Intervals, Ports]] = []
            for sources, origins, destinations, targets, flow in flows:
                mine, others = (sources, targets) if direction == EGRESS else (destinations, origins)
                if mine >> position & 1 and others:
                    spread_addresses(known, others, flow.ports)
            for addresses, extra in beyond(network.outside(source, direction), known):
                ends = (End(source), End(addresses=addresses))
                yield Deviation(*(ends if direction == EGRESS else ends[::-1]), extra, None)


def blocked(expectation: Expectation) -> Iterator[Deviation]:
    """The flows that entries name and policies refuse."""
    network = expectation.network
    rows: dict[int, list[tuple[int, Ports]]] = {}
    for sources, origins, destinations, targets, flow in _resolved(expectation):
        for position in positions(sources):
            source = network.workloads[position]
            if destinations:
                row = rows.get(position)
                if row is None:
                    row = rows[position] = [(mask, ports) for ports, mask in network.row(source, itself=True).items()]
                for where, missing in _beyond([(destinations, flow.ports)], row):
                    for other in positions(where):
                        yield Deviation(End(source), End(network.workloads[other]), missing, flow)
            for addresses, missing in beyond([(targets - network.known.pods, flow.ports)], network.outside(source, EGRESS)):
                yield Deviation(End(source), End(addresses=addresses), missing, flow)
        for position in positions(destinations if origins else 0):
            workload = network.workloads[position]
            for addresses, missing in beyond([(origins - network.known.pods, flow.ports)], network.outside(workload, INGRESS)):
                yield Deviation(End(addresses=addresses), End(workload), missing, flow)


def forbidden(expectation: Expectation, flow: Flow) -> Iterator[Deviation]:
    """The flows that a deny entry forbids and policies allow."""
    network = expectation.network
    sources, origins = expectation.party(flow.sources)
    destinations, targets = expectation.party(flow.destinations)
    for position in positions(sources):
        source = network.workloads[position]
        for ports, mask in network.row(source).items():
            for other in positions(mask & destinations):
                if both := ports & flow.ports:
                    yield Deviation(End(source), End(network.workloads[other]), both, flow)
        for addresses, ports in network.outside(source, EGRESS):
            if (common := addresses & targets) and (both := ports & flow.ports):
                yield Deviation(End(source), End(addresses=common), both, flow)
    for position in positions(destinations if origins else 0):
        workload = network.workloads[position]
        for addresses, ports in network.outside(workload, INGRESS):
            if (common := addresses & origins) and (both := ports & flow.ports):
                yield Deviation(End(addresses=common), End(workload), both, flow)


def _resolved(expectation: Expectation) -> list[tuple[int, Intervals, int, Intervals, Flow]]:
    flows = [flow for flow in expectation.intent.allow if flow.speaks_of(expectation.cluster)]
    return [(*expectation.party(flow.sources), *expectation.party(flow.destinations), flow) for flow in flows]


def _beyond(found: Iterable[tuple[int, Ports]], known: list[tuple[int, Ports]]) -> Iterator[tuple[int, Ports]]:
    """What of some workloads and ports is not in a disjoint partition."""
    for mask, ports in found:
        left = mask
        for where, had in known:
            common = left & where
            if common:
                left &= ~common
                if rest := ports - had:
                    yield common, rest
        if left and ports:
            yield left, ports


def beyond(found: Iterable[tuple[Intervals, Ports]], known: Iterable[tuple[Intervals, Ports]]) -> Reach:
    """What of some addresses and ports is not in a disjoint partition, united by ports."""
    over: dict[Ports, Intervals] = {}
    partition = list(known)
    for addresses, ports in found:
        left = addresses
        for where, had in partition:
            common = left & where
            if common:
                left -= common
                if rest := ports - had:
                    over[rest] = over.get(rest, EMPTY) | common
        if left and ports:
            over[ports] = over.get(ports, EMPTY) | left
    return tuple((addresses, ports) for ports, addresses in over.items())


# Who would have to change.


def _culprit(expectation: Expectation, each: Deviation) -> tuple[Location, str]:
    """The rule that lets a flow pass: that of the destination, unless it is for everyone."""
    decision = decide(expectation.network, each.source, each.destination, each.ports)
    grants = [*decision.ingress.grants, *decision.egress.grants]
    grants.sort(key=lambda grant: grant.rule.peers is None)
    if grants:
        return grants[0].location, f"NetworkPolicy {grants[0].policy} {grants[0].rule.direction.lower()}[{grants[0].rule.index}]"
    return _open_end(expectation, decision)


def _open_end(expectation: Expectation, decision: Decision) -> tuple[Location, str]:
    for side in (decision.ingress, decision.egress):
        workload = side.end.workload
        if workload is not None and not side.isolated:
            namespace = expectation.network.namespaces[workload.namespace].object
            where = workload.locate() or (namespace.locate() if namespace is not None else None)
            return where or expectation.intent.locate(), f"no policy isolates {workload} for {side.direction.lower()}, which"
    return expectation.intent.locate(), "a pod that stands alone"


def _refuser(expectation: Expectation, each: Deviation) -> tuple[Location, str]:
    """The end that refuses a flow, and the rule there that comes nearest to allowing it."""
    decision = decide(expectation.network, each.source, each.destination, each.ports)
    for side in (decision.ingress, decision.egress):
        if side.isolated and not each.ports.issubset(side.ports):
            for miss in side.misses:
                if miss.distance == 1:
                    why = "; ".join(miss.why)
                    return miss.location, f"NetworkPolicy {miss.policy} {miss.rule.direction.lower()}[{miss.rule.index}] ({why})"
            policy = side.policies[0]
            return policy.locate(), f"NetworkPolicy {policy} isolates {side.end} for {side.direction.lower()}, and no rule near it: it"
    return expectation.intent.locate(*(each.flow.at if each.flow is not None else ())), "something"


def _some(found: list[Deviation]) -> str:
    shown = "; ".join(sorted({str(each) for each in found})[:_SHOWN])
    more = len({str(each) for each in found}) - _SHOWN
    return shown + (f"; and {more} more" if more > 0 else "")


RULES: Final = tuple(NET.rules)
