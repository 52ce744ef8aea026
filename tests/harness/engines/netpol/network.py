"""Who can talk to whom: the policies of a cluster, compiled against its workloads.

Sets of workloads are bit masks over their positions, so that a selector costs an AND and a row of the matrix a few. Workloads that are
selected by the same policies share one :class:`Side`.

Source: concepts/services-networking/network-policies of the Kubernetes documentation, and the API reference of networking.k8s.io/v1.
What these leave open is decided so:

* pods on the host's network are nodes: policies that select them are void, peers match them by the nodes' addresses only ("The impact of
  NetworkPolicy on hostNetwork pods", second possibility, the most common);
* a pod always reaches itself, and the node it runs on reaches it;
* addresses are those after translation: a ClusterIP is the pod behind it ("IP block" with Services: undefined, and most plugins see the pod);
* an ipBlock matches by address, also pods (as the conformance suite has it). A pod whose address is not known is matched when every address
  it could have is in the block. With ``blocks_match_pods`` false no block matches a pod, which is what Cilium does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from harness.engines.netpol.addresses import EVERYWHERE, IPV4, IPV6
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.labels import LabelIndex, Selector, positions
from harness.engines.netpol.others import other_policies
from harness.engines.netpol.policies import EGRESS, INGRESS, KIND, Peer, Policy, Refused, Rule, read_policy
from harness.engines.netpol.ports import ALL, NONE, Ports
from harness.engines.netpol.workloads import ORDINALS, Namespace, Workload, populate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.model import NotEvaluated, Object

Segments = tuple[tuple[int, Ports], ...]
Reach = tuple[tuple[Intervals, Ports], ...]


@dataclass(frozen=True, slots=True)
class Addresses:
    """What is known of a cluster's addresses; empty sets are unknown."""

    pods: Intervals = EMPTY
    nodes: Intervals = EMPTY
    services: Intervals = EMPTY


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One direction of some workloads: whether policies isolate them, and what these allow.

    ``segments`` are disjoint sets of workloads with the ports towards them; ``addresses`` disjoint sets of addresses outside with theirs.
    """

    isolated: bool
    policies: tuple[Policy, ...]
    segments: Segments
    addresses: Reach

    def toward(self, position: int) -> Ports:
        """The ports allowed to or from one workload."""
        for mask, ports in self.segments:
            if mask >> position & 1:
                return ports
        return NONE

    def at(self, addresses: Intervals) -> Ports:
        """The ports allowed to or from every one of some addresses."""
        found, left = ALL, addresses
        for where, ports in self.addresses:
            common = left & where
            if common:
                found &= ports
                left -= common
        return NONE if left else found

    def somewhere(self, addresses: Intervals) -> Ports:
        """The ports allowed to or from at least one of some addresses."""
        found = NONE
        for where, ports in self.addresses:
            if where & addresses:
                found |= ports
        return found


class Network:
    """The workloads and policies of some objects, compiled. Building it costs a pass over policies and workloads; everything else is on demand."""

    def __init__(
        self,
        objects: Sequence[Object],
        *,
        addresses: Addresses | None = None,
        assumed: Iterable[Workload] = (),
        blocks_match_pods: bool = True,
    ) -> None:
        self.known: Final = addresses or Addresses()
        self.blocks_match_pods: Final = blocks_match_pods
        read = [read_policy(item) for item in objects if item.kind == KIND and item.body.get("apiVersion") == "networking.k8s.io/v1"]
        self.policies: Final = tuple(each for each in read if isinstance(each, Policy))
        self.refused: Final = tuple(each for each in read if isinstance(each, Refused))
        #: Policies of other kinds, which are not evaluated.
        self.others: Final[tuple[NotEvaluated, ...]] = tuple(other_policies(objects))
        population = populate(objects, assumed, ordinals=self._tells_ordinals())
        self.workloads: Final = tuple(population.workloads)
        self.namespaces: Final[Mapping[str, Namespace]] = population.namespaces
        self.completed: Final = tuple(population.completed)
        self._index = LabelIndex(each.labels for each in self.workloads)
        self._namespace_names = tuple(self.namespaces)
        self._namespace_index = LabelIndex(each.labels for each in self.namespaces.values())
        self._members = self._by_namespace()
        self.every: Final = self._index.all
        self.hosts: Final = sum(1 << position for position, each in enumerate(self.workloads) if each.host_network)
        self.position: Final[Mapping[Workload, int]] = {each: position for position, each in enumerate(self.workloads)}
        self.selected: Final[Mapping[Policy, int]] = {each: self.selects(each) & ~self.hosts for each in self.policies}
        self._selecting = self._by_workload()
        self._named: dict[tuple[str, str], tuple[tuple[Ports, int], ...]] = {}
        self._blocks: dict[Intervals, int] = {}
        self._sides: dict[tuple[object, ...], Side] = {}
        self._by_position: dict[tuple[str, int], Side] = {}

    def _tells_ordinals(self) -> bool:
        def mentions(selector: Selector | None) -> bool:
            return selector is not None and any(each.key in ORDINALS for each in selector.requirements)

        return any(mentions(policy.selector) or any(mentions(peer.pods) for rule in policy.rules for peer in rule.peers or ()) for policy in self.policies)

    def _by_namespace(self) -> dict[str, int]:
        members = dict.fromkeys(self._namespace_names, 0)
        for position, each in enumerate(self.workloads):
            members[each.namespace] |= 1 << position
        return members

    def _by_workload(self) -> dict[str, list[list[Policy]]]:
        found: dict[str, list[list[Policy]]] = {direction: [[] for _ in self.workloads] for direction in (INGRESS, EGRESS)}
        for policy, mask in self.selected.items():
            for direction in policy.directions:
                for position in positions(mask):
                    found[direction][position].append(policy)
        return found

    # What selectors and blocks match.

    def selects(self, policy: Policy) -> int:
        """The workloads that a policy's podSelector matches, also those on the host's network, for which it is void."""
        return self._members.get(policy.namespace, 0) & self._index.matching(policy.selector)

    def labelled(self, namespace: str, selector: Selector) -> list[Workload]:
        """The workloads of a namespace that a selector matches, also those on the host's network."""
        return [self.workloads[position] for position in positions(self._members.get(namespace, 0) & self._index.matching(selector))]

    def in_namespaces(self, selector: Selector) -> list[Namespace]:
        """The namespaces that a selector matches."""
        return [self.namespaces[self._namespace_names[position]] for position in positions(self._namespace_index.matching(selector))]

    def peers(self, policy: Policy, peer: Peer) -> int:
        """The workloads that a peer matches."""
        if peer.cidr:
            return self.inside(peer.addresses)
        if peer.namespaces is None:
            candidates = self._members.get(policy.namespace, 0)
        else:
            candidates = 0
            for each in self.in_namespaces(peer.namespaces):
                candidates |= self._members[each.name]
        if peer.pods is not None:
            candidates &= self._index.matching(peer.pods)
        return candidates & ~self.hosts

    def inside(self, addresses: Intervals) -> int:
        """The workloads all of whose addresses of a family, known or possible, are in a set."""
        found = self._blocks.get(addresses)
        if found is None:
            found = 0
            for position, each in enumerate(self.workloads):
                if self._is_inside(each, addresses):
                    found |= 1 << position
            self._blocks[addresses] = found
        return found

    def _is_inside(self, each: Workload, addresses: Intervals) -> bool:
        if each.host_network:
            possible = each.addresses or self.known.nodes or IPV4
        elif not self.blocks_match_pods:
            return False
        else:
            possible = each.addresses or self.known.pods or IPV4
        return any(part and part.issubset(addresses) for part in (possible & IPV4, possible & IPV6))

    def uncertain(self, each: Workload, addresses: Intervals) -> bool:
        """Whether a set holds some, but not all, of the addresses that a workload could have, so that nobody can say whether it is in."""
        if each.host_network:
            possible = each.addresses or self.known.nodes or EVERYWHERE
        else:
            possible = each.addresses or self.known.pods or EVERYWHERE
            if not self.blocks_match_pods:
                return False
        return bool(possible & addresses) and not self._is_inside(each, addresses)

    # The two sides of a workload.

    def side(self, direction: str, position: int) -> Side:
        """What policies say of one direction of the workload at a position."""
        found = self._by_position.get((direction, position))
        if found is None:
            found = self._by_position[direction, position] = self._side(direction, self.workloads[position], tuple(self._selecting[direction][position]))
        return found

    def ingress(self, workload: Workload) -> Side:
        return self.side(INGRESS, self.position[workload])

    def egress(self, workload: Workload) -> Side:
        return self.side(EGRESS, self.position[workload])

    def _side(self, direction: str, workload: Workload, policies: tuple[Policy, ...]) -> Side:
        names = sorted({name for policy in policies for rule in policy.rules_of(direction) for name in rule.named}) if direction == INGRESS else []
        resolved = {name: workload.named(*name) for name in names}
        key = (direction, policies, tuple(resolved.values()))
        found = self._sides.get(key)
        if found is None:
            found = self._sides[key] = self._compile(direction, policies, resolved)
        return found

    def _compile(self, direction: str, policies: tuple[Policy, ...], resolved: Mapping[tuple[str, str], Ports]) -> Side:
        if not policies:
            return Side(False, (), ((self.every, ALL),), ((EVERYWHERE, ALL),))
        segments: list[tuple[int, Ports]] = []
        reach: list[tuple[Intervals, Ports]] = []
        for policy in policies:
            for rule in policy.rules_of(direction):
                outside = rule.numbers
                if direction == INGRESS:
                    for name in rule.named:
                        outside |= resolved[name]
                for mask, ports in self.allowed_by(policy, rule, outside):
                    spread(segments, mask, ports)
                addresses = rule_addresses(rule)
                if addresses and outside:
                    spread_addresses(reach, addresses, outside)
        return Side(True, policies, _grouped(segments), tuple(reach))

    def allowed_by(self, policy: Policy, rule: Rule, ports: Ports) -> Iterator[tuple[int, Ports]]:
        """The workloads at the other end of a rule, with the ports: ``ports``, and for egress what each resolves the named ones to."""
        mask = self.rule_mask(policy, rule)
        if mask and ports:
            yield mask, ports
        if rule.direction == EGRESS:
            for name in rule.named:
                for numbers, having in self.having(name):
                    if mask & having:
                        yield mask & having, numbers

    def rule_mask(self, policy: Policy, rule: Rule) -> int:
        """The workloads that some peer of a rule matches."""
        if rule.peers is None:
            return self.every
        mask = 0
        for peer in rule.peers:
            mask |= self.peers(policy, peer)
        return mask

    def having(self, name: tuple[str, str]) -> tuple[tuple[Ports, int], ...]:
        """The workloads that have a named port, by what it means for them."""
        found = self._named.get(name)
        if found is None:
            groups: dict[Ports, int] = {}
            for position, each in enumerate(self.workloads):
                ports = each.named(*name)
                if ports:
                    groups[ports] = groups.get(ports, 0) | 1 << position
            found = self._named[name] = tuple(groups.items())
        return found

    # The matrix.

    def allowed(self, source: Workload, destination: Workload) -> Ports:
        """The ports on which pods of one workload reach pods of another. For the same workload: another pod of it; a pod that stands alone reaches itself."""
        if source is destination and source.kind == "Pod" and source.object is not None:
            return ALL
        here, there = self.position[source], self.position[destination]
        return self.side(EGRESS, here).toward(there) & self.side(INGRESS, there).toward(here)

    @cached_property
    def _accepted(self) -> list[dict[Ports, int]]:
        """For every workload, who lets it in: the receivers by ports. Receivers with the same ingress side are taken together."""
        sides: dict[int, tuple[Side, int]] = {}
        for position in range(len(self.workloads)):
            side = self.side(INGRESS, position)
            known = sides.get(id(side))
            sides[id(side)] = (side, (known[1] if known else 0) | 1 << position)
        found: list[dict[Ports, int]] = [{} for _ in self.workloads]
        for side, members in sides.values():
            for mask, ports in side.segments:
                for position in positions(mask):
                    accepted = found[position]
                    accepted[ports] = accepted.get(ports, 0) | members
        return found

    def row(self, source: Workload, *, itself: bool = False) -> dict[Ports, int]:
        """All workloads that a workload reaches, as disjoint sets by ports; with ``itself`` also other pods of its own."""
        position = self.position[source]
        mine = 0 if itself else 1 << position
        accepted = self._accepted[position]
        found: dict[Ports, int] = {}
        for mask, sent in self.side(EGRESS, position).segments:
            for ports, members in accepted.items():
                common = mask & members & ~mine
                if common and (both := sent & ports):
                    found[both] = found.get(both, 0) | common
        return found

    def connections(self) -> Iterator[tuple[Workload, Workload, Ports]]:
        """Every pair of different workloads that can talk, with the ports."""
        for source in self.workloads:
            pairs = sorted(((position, ports) for ports, mask in self.row(source).items() for position in positions(mask)), key=itemgetter(0))
            for position, ports in pairs:
                yield source, self.workloads[position], ports

    def outside(self, workload: Workload, direction: str) -> Reach:
        """The addresses outside of the cluster's pods that a workload may reach (Egress) or be reached from (Ingress), with the ports."""
        side = self.side(direction, self.position[workload])
        left = ((addresses - self.known.pods, ports) for addresses, ports in side.addresses)
        return merged((addresses, ports) for addresses, ports in left if addresses)


def rule_addresses(rule: Rule) -> Intervals:
    """The addresses that a rule's peers allow."""
    if rule.peers is None:
        return EVERYWHERE
    found = EMPTY
    for peer in rule.peers:
        found |= peer.addresses
    return found


def merged(reach: Iterable[tuple[Intervals, Ports]]) -> Reach:
    """The sets of addresses, those with equal ports united."""
    groups: dict[Ports, Intervals] = {}
    for addresses, ports in reach:
        groups[ports] = groups.get(ports, EMPTY) | addresses
    return tuple((addresses, ports) for ports, addresses in groups.items())


def spread(segments: list[tuple[int, Ports]], mask: int, ports: Ports) -> None:
    """Adds ports towards some workloads to a disjoint partition."""
    for position in range(len(segments)):
        there, had = segments[position]
        common = there & mask
        if not common:
            continue
        mask ^= common
        together = had | ports
        if together == had:
            continue
        if common == there:
            segments[position] = (there, together)
        else:
            segments[position] = (there ^ common, had)
            segments.append((common, together))
    if mask:
        segments.append((mask, ports))


def spread_addresses(reach: list[tuple[Intervals, Ports]], addresses: Intervals, ports: Ports) -> None:
    """Adds ports towards some addresses to a disjoint partition."""
    for position in range(len(reach)):
        there, had = reach[position]
        common = there & addresses
        if not common:
            continue
        addresses -= common
        together = had | ports
        if together == had:
            continue
        rest = there - common
        reach[position] = (common, together)
        if rest:
            reach.append((rest, had))
    if addresses:
        reach.append((addresses, ports))


def _grouped(segments: Iterable[tuple[int, Ports]]) -> Segments:
    groups: dict[Ports, int] = {}
    for mask, ports in segments:
        groups[ports] = groups.get(ports, 0) | mask
    return tuple((mask, ports) for ports, mask in groups.items())
