"""Why a connection is allowed or refused: the rules that allow it, and how little the others missed it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from harness.engines.netpol.addresses import describe
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.policies import EGRESS, INGRESS, Peer, Policy, Rule
from harness.engines.netpol.ports import ALL, NONE, Ports
from harness.engines.netpol.workloads import SET, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.netpol.network import Network
    from harness.model import Location


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection: a workload, or addresses outside."""

    workload: Workload | None = None
    addresses: Intervals = EMPTY

    def __str__(self) -> str:
        return str(self.workload) if self.workload is not None else describe(self.addresses)


class Grant(NamedTuple):
    """A rule that allows the connection, or part of it."""

    policy: Policy
    rule: Rule
    ports: Ports

    @property
    def location(self) -> Location:
        return self.policy.locate(*self.rule.at)

    def __str__(self) -> str:
        return f"NetworkPolicy {self.policy} {self.rule.direction.lower()}[{self.rule.index}] allows {self.ports} ({self.location})"


class Miss(NamedTuple):
    """A rule that does not allow the connection: what keeps it from that. ``distance`` counts the conditions that fail."""

    policy: Policy
    rule: Rule
    why: tuple[str, ...]
    distance: int

    @property
    def location(self) -> Location:
        return self.policy.locate(*self.rule.at)

    def __str__(self) -> str:
        return f"NetworkPolicy {self.policy} {self.rule.direction.lower()}[{self.rule.index}] misses: {'; '.join(self.why)} ({self.location})"


@dataclass(frozen=True, slots=True)
class SideDecision:
    """One direction: of which end, whether policies isolate it, the ports allowed among those asked for, and why."""

    direction: str
    end: End
    isolated: bool
    policies: tuple[Policy, ...]
    ports: Ports
    grants: tuple[Grant, ...] = ()
    misses: tuple[Miss, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A connection: ``ports`` are those of the asked ones that both ends allow."""

    source: End
    destination: End
    asked: Ports
    ports: Ports
    egress: SideDecision
    ingress: SideDecision
    note: str = ""

    @property
    def allowed(self) -> bool:
        """Whether every port that was asked for is allowed."""
        return bool(self.ports) and self.asked.issubset(self.ports)


def decide(network: Network, source: End, destination: End, asked: Ports = ALL) -> Decision:
    """What the policies of both ends say. For a pod that stands alone and itself: everything, whatever they say."""
    egress = _side(network, EGRESS, source, destination, asked)
    ingress = _side(network, INGRESS, destination, source, asked)
    ports, note = egress.ports & ingress.ports, ""
    here = source.workload
    if here is not None and here is destination.workload:
        if here.kind == "Pod" and here.object is not None:
            ports, note = asked, "a pod always reaches itself"
        else:
            note = "this is about another pod of the same workload; a pod always reaches itself"
    elif any(_is_node(network, end) for end in (source, destination)):
        note = "a pod and the node it runs on always reach each other; this is about another node"
    return Decision(source, destination, asked, ports, egress, ingress, note)


def _is_node(network: Network, end: End) -> bool:
    if end.workload is not None:
        return end.workload.host_network
    return bool(end.addresses) and end.addresses.issubset(network.known.nodes)


def _side(network: Network, direction: str, mine: End, other: End, asked: Ports) -> SideDecision:
    if mine.workload is None:
        return SideDecision(direction, mine, False, (), asked, note="policies decide about pods only")
    if mine.workload.host_network:
        return SideDecision(direction, mine, False, (), asked, note="on the host's network: NetworkPolicies do not apply")
    side = network.side(direction, network.position[mine.workload])
    if not side.isolated:
        return SideDecision(direction, mine, False, (), asked, note=f"no policy isolates it for {direction.lower()}")
    ports = side.toward(network.position[other.workload]) & asked if other.workload is not None else side.at(other.addresses) & asked
    grants, misses = [], []
    for policy in side.policies:
        for rule in policy.rules_of(direction):
            allowed = allowed_by(network, policy, rule, mine.workload, other) & asked
            if allowed:
                grants.append(Grant(policy, rule, allowed))
            else:
                misses.append(_miss(network, policy, rule, mine.workload, other, asked))
    if not ports:
        misses += _unselected(network, direction, mine.workload, other, asked)
    misses.sort(key=lambda each: (each.distance, str(each.policy), each.rule.index))
    note = _uncertainty(network, side.policies, direction, other) if not ports else ""
    # What isolates everything comes first: it is the reason, the others are exceptions.
    policies = tuple(sorted(side.policies, key=lambda each: (len(each.selector.requirements), len(each.rules_of(direction)), each.name)))
    return SideDecision(direction, mine, True, policies, ports, tuple(grants), tuple(misses), note)


def allowed_by(network: Network, policy: Policy, rule: Rule, mine: Workload, other: End) -> Ports:
    """The ports that one rule of a policy that selects a workload allows to or from the other end."""
    if rule.peers is not None and not any(_peer_matches(network, policy, peer, other) for peer in rule.peers):
        return NONE
    return _ports(rule, mine, other)


def _ports(rule: Rule, mine: Workload, other: End) -> Ports:
    found = rule.numbers
    destination = mine if rule.direction == INGRESS else other.workload
    if destination is not None:
        for name in rule.named:
            found |= destination.named(*name)
    return found


def _peer_matches(network: Network, policy: Policy, peer: Peer, other: End) -> bool:
    if other.workload is not None:
        return bool(network.peers(policy, peer) >> network.position[other.workload] & 1)
    return bool(peer.cidr) and other.addresses.issubset(peer.addresses)


def _unselected(network: Network, direction: str, mine: Workload, other: End, asked: Ports) -> list[Miss]:
    """Policies of the namespace that would allow it, if only they selected the pod."""
    found = []
    for policy in network.policies:
        if policy.namespace != mine.namespace or direction not in policy.directions or network.selected[policy] >> network.position[mine] & 1:
            continue
        missed = policy.selector.missed(mine.labels)
        for rule in policy.rules_of(direction):
            if missed and allowed_by(network, policy, rule, mine, other) & asked:
                why = tuple(f"podSelector wants {each}, the pod has {_has(mine.labels, each.key)}" for each in missed)
                found.append(Miss(policy, rule, why, len(missed)))
    return found


def _miss(network: Network, policy: Policy, rule: Rule, mine: Workload, other: End, asked: Ports) -> Miss:
    why: list[str] = []
    distance = 0
    if rule.peers is not None and not any(_peer_matches(network, policy, peer, other) for peer in rule.peers):
        distance, why = min((_peer_miss(network, policy, peer, other) for peer in rule.peers), key=lambda each: each[0])
    if not _ports(rule, mine, other) & asked:
        distance += 1
        names = [f"{name}/{protocol}" for name, protocol in rule.named]
        shown = ", ".join([*names, *([str(rule.numbers)] if rule.numbers or not names else [])])
        why = [*why, f"it is for {shown}" + (f", and the destination has no port {' or '.join(names)}" if names and not rule.numbers else "")]
    return Miss(policy, rule, tuple(why), max(distance, 1))


def _peer_miss(network: Network, policy: Policy, peer: Peer, other: End) -> tuple[int, list[str]]:
    word = "from" if peer.at[1] == "ingress" else "to"
    index = peer.at[-1]
    where = f"{word}[{index}]"
    if peer.cidr:
        return (1, [f"{where} is {peer.cidr}"]) if other.workload is None else (3, [f"{where} is {peer.cidr}, not a pod"])
    workload = other.workload
    if workload is None:
        return 3, [f"{where} is {peer}, not an address"]
    if workload.host_network:
        return 3, [f"{where} is {peer}, and no selector matches a pod on the host's network"]
    why = []
    if peer.namespaces is None:
        if workload.namespace != policy.namespace:
            why.append(f"{where} is for pods of namespace {policy.namespace} only")
    else:
        labels = network.namespaces[workload.namespace].labels
        why += [f"{where} wants a namespace with {each}, {workload.namespace} has {_has(labels, each.key)}" for each in peer.namespaces.missed(labels)]
    if peer.pods is not None:
        why += [f"{where} wants a pod with {each}, this one has {_has(workload.labels, each.key)}" for each in peer.pods.missed(workload.labels)]
    return len(why), why


def _has(labels: Mapping[str, str], key: str) -> str:
    value = labels.get(key)
    return f"no {key}" if value is None else f"{key} that its controller sets" if value == SET else f"{key}={value}"


def _uncertainty(network: Network, policies: tuple[Policy, ...], direction: str, other: End) -> str:
    """What would decide, if the other end's address were known."""
    if other.workload is None:
        return ""
    blocks = {
        peer.cidr
        for policy in policies
        for rule in policy.rules_of(direction)
        for peer in rule.peers or ()
        if peer.cidr and network.uncertain(other.workload, peer.addresses)
    }
    if not blocks:
        return ""
    what, option = ("its node", "--node-cidr") if other.workload.host_network else ("the pod", "--pod-cidr")
    return f"unless the address of {what} is in {', '.join(sorted(blocks))}: addresses are not known, {option} says them"
