"""What selects, allows or serves nothing (NET2xx): selectors, peers, ports and blocks that no traffic can ever meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.engines.netpol.addresses import address, describe
from harness.engines.netpol.labels import positions
from harness.engines.netpol.policies import EGRESS, INGRESS
from harness.engines.netpol.ports import NONE, Ports
from harness.engines.netpol.services import ports_of, selector_of
from harness.model import Severity
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.net_common import CONTROLS, POLICY, SYSTEM, has_pods, is_made_at_run_time, listening, mentions, network_of, policy_of, served, services_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.netpol.network import Network
    from harness.engines.netpol.policies import Peer, Policy, Rule
    from harness.engines.netpol.workloads import Workload
    from harness.flux.world import World
    from harness.model import Object

NET: Final = Registry()


@NET.rule(
    "NET201",
    title="a policy selects a pod",
    why="a podSelector that matches nothing protects nothing: the label was renamed, or the pod it was for is gone",
    fix="correct the podSelector, or delete the policy",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def policy_selects(item: Object, world: World) -> Iterator[Violation]:
    policy, network = policy_of(item, world), world.derive(network_of)
    if policy is None or not policy.selector.requirements or network.selects(policy):
        return
    if has_pods(network, item.namespace) and not is_made_at_run_time(network, policy.selector):
        yield violation(item, "spec", "podSelector", found=f"no pod of {item.namespace} has {policy.selector}", expect="a selector that matches a pod")


@NET.rule(
    "NET202",
    title="every peer of a policy matches somebody",
    why="a peer that matches nothing allows nothing: what it was written for is blocked, or has gone and left a door for whoever takes its labels",
    fix="correct the selectors; a namespace and its pods are selected together in one item, apart in two",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def peers_match(item: Object, world: World) -> Iterator[Violation]:
    policy, network = policy_of(item, world), world.derive(network_of)
    for direction in (INGRESS, EGRESS):
        for rule in policy.rules_of(direction) if policy is not None else ():
            for peer in rule.peers or ():
                if policy is not None and not peer.cidr and (found := _dead_peer(network, policy, peer)):
                    yield violation(item, *peer.at, found=found, expect="selectors that match a pod")


def _dead_peer(network: Network, policy: Policy, peer: Peer) -> str:
    if network.peers(policy, peer):
        return ""
    spaces = [policy.namespace] if peer.namespaces is None else [each.name for each in network.in_namespaces(peer.namespaces)]
    if not spaces and peer.namespaces is not None:
        asked = {value for each in peer.namespaces.requirements if each.operator == "In" for value in each.values}
        return "" if asked & SYSTEM else f"no namespace here has {peer.namespaces}"
    if peer.pods is None or not any(has_pods(network, space) for space in spaces) or is_made_at_run_time(network, peer.pods):
        return ""
    hosts = [str(each) for space in spaces for each in network.labelled(space, peer.pods) if each.host_network]
    if hosts:
        return f"{peer}: only {hosts[0]}, which is on the host's network and so matched by the nodes' addresses alone"
    return f"no pod of {', '.join(spaces[:3])} has {peer.pods}"


@NET.rule(
    "NET203",
    title="a Service selects a pod",
    why="a Service whose selector matches nothing has no endpoints: connections to it are refused",
    fix="correct the selector, or delete the Service",
    scope=Objects(("Service",), where=lambda item: not item.origin.synthesised),
    severity=Severity.WARNING,
    controls=("NIST-SC-5",),
)
def service_selects(item: Object, world: World) -> Iterator[Violation]:
    network, selector = world.derive(network_of), selector_of(item)
    if not selector.requirements or item.spec.get("type") == "ExternalName" or network.labelled(item.namespace, selector):
        return
    if has_pods(network, item.namespace) and not is_made_at_run_time(network, selector):
        yield violation(item, "spec", "selector", found=f"no pod of {item.namespace} has {selector}", expect="a selector that matches a pod")


@NET.rule(
    "NET204",
    title="a policy's port numbers are ones that the destination pods serve",
    why="a rule for a port nobody listens on is a mistake in the number, often the Service's port in place of the pod's: policies see the pod's",
    fix="write the container's port; declare it when it is served and not declared, or name it under listens in tests/intent/network.yaml",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def ports_are_served(item: Object, world: World) -> Iterator[Violation]:
    policy, network = policy_of(item, world), world.derive(network_of)
    if policy is None:
        return
    listens = world.derive(listening)
    for rule in (*policy.rules_of(INGRESS), *policy.rules_of(EGRESS)):
        destinations = _destinations(network, policy, rule)
        known = [(each, served(each, listens)) for each in destinations]
        if not known or any(ports is None for _, ports in known):
            continue
        everything = NONE
        for _, ports in known:
            everything |= ports or NONE
        for each in rule.ports or ():
            number = _single(each.numbers)
            if number and not each.numbers & everything and not any(mentions(workload, number) for workload in destinations):
                found = f"{each} is served by none of {_names(destinations)}, which serve {everything}"
                yield violation(item, *each.at, "port", found=found, expect="a port that the pods serve")


def _single(ports: Ports) -> int:
    """The number of a set of one port; 0 for ranges and for names."""
    spans = [span for _, numbers in ports.sets for span in numbers]
    return spans[0][0] if len(spans) == 1 and spans[0][0] == spans[0][1] else 0


def _destinations(network: Network, policy: Policy, rule: Rule) -> list[Workload]:
    """The pods a rule's ports are about: the selected ones, or those of pod peers when no peer is an address. Empty when they are not all known."""
    if rule.direction == INGRESS:
        # A policy for every pod of its namespace is also for the next one.
        return [network.workloads[position] for position in positions(network.selected[policy])] if policy.selector.requirements else []
    if rule.peers is None or any(peer.cidr or (peer.namespaces is not None and not peer.namespaces.requirements and peer.pods is None) for peer in rule.peers):
        return []
    return [network.workloads[position] for position in positions(network.rule_mask(policy, rule))]


def _names(workloads: list[Workload]) -> str:
    names = [f"{each.namespace}/{each.name}" for each in workloads[:3]]
    return ", ".join(names) + (f" and {len(workloads) - 3} more" if len(workloads) > 3 else "")


@NET.rule(
    "NET205",
    title="a Service's named target port is one that its pods have",
    why="pods that have no port of that name are no endpoints of the Service, and the API server accepts it all the same",
    fix="name the container's port, or write its number as targetPort",
    scope=Objects(("Service",)),
    controls=("NIST-SC-5",),
)
def target_ports_exist(item: Object, world: World) -> Iterator[Violation]:
    workloads = world.derive(services_of).selected(item)
    # A template without containers was not read: nothing is known of its ports.
    known = [each for each in workloads if each.template is None or any(each.template.containers("containers"))]
    for each in ports_of(item) if known and len(known) == len(workloads) else ():
        if isinstance(each.target, str) and not any(workload.named(each.target, each.protocol) for workload in known):
            names = sorted({port.name for workload in known for port in workload.ports if port.name})
            found = f"no pod it selects has a port named {each.target} ({each.protocol}); they have {', '.join(names) or 'none with a name'}"
            yield violation(item, *each.at, "targetPort", found=found, expect="the name of a container's port")


@NET.rule(
    "NET206",
    title="a policy's named port is one that a destination pod has",
    why="a name is resolved pod by pod, with its protocol; where no pod has it the rule allows nothing",
    fix="name the container's port, or write its number",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def named_ports_exist(item: Object, world: World) -> Iterator[Violation]:
    policy, network = policy_of(item, world), world.derive(network_of)
    for rule in (*policy.rules_of(INGRESS), *policy.rules_of(EGRESS)) if policy is not None else ():
        if policy is None or not rule.named:
            continue
        destinations = _destinations(network, policy, rule)
        addresses_only = rule.direction == EGRESS and rule.peers is not None and all(peer.cidr for peer in rule.peers)
        for each in rule.ports or ():
            if each.name and addresses_only:
                yield violation(item, *each.at, "port", found=f"{each} towards addresses, which have no named ports", expect="a number")
            elif each.name and destinations and not any(workload.named(each.name, each.protocol) for workload in destinations):
                yield violation(item, *each.at, "port", found=f"none of {_names(destinations)} has a port {each}", expect="the name of a container's port")


@NET.rule(
    "NET207",
    title="no ipBlock stands for a Service's address",
    why="policies see the pod behind a ClusterIP, after translation: a rule for the ClusterIP matches nothing on most networks (Kubernetes: Network Policies)",
    fix="select the pods behind the Service; for the API server name the nodes it runs on and port 6443",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def no_cluster_ip(item: Object, world: World) -> Iterator[Violation]:
    policy, network = policy_of(item, world), world.derive(network_of)
    for rule in (*policy.rules_of(INGRESS), *policy.rules_of(EGRESS)) if policy is not None else ():
        for peer in rule.peers or ():
            if not peer.addresses:
                continue
            if network.known.services and peer.addresses.issubset(network.known.services):
                found = f"{peer.cidr} is within {describe(network.known.services)}, the addresses of Services"
                yield violation(item, *peer.at, "ipBlock", "cidr", found=found, expect="pods or outside addresses")
            elif peer.addresses.size == 1 and (service := world.derive(cluster_ips).get(peer.cidr.partition("/")[0])):
                found = f"{peer.cidr} is the address of {service}"
                yield violation(item, *peer.at, "ipBlock", "cidr", found=found, expect="the pods behind it")


def cluster_ips(world: World) -> dict[str, str]:
    """The Services of a world by the ClusterIP they ask for. Use it with ``world.derive``."""
    return {
        str(item.spec["clusterIP"]): f"Service {item.namespace}/{item.name}"
        for item in world.of("Service")
        if isinstance(item.spec.get("clusterIP"), str) and address(item.spec["clusterIP"]) is not None
    }


@NET.rule(
    "NET208",
    title="a policy selects a pod that policies can hold",
    why="pods on the host's network are nodes to most networks: a policy that selects only such pods is void, and looks like protection",
    fix="delete the policy and restrict the node's firewall, or take hostNetwork from the pod",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def not_void(item: Object, world: World) -> Iterator[Violation]:
    policy, network = policy_of(item, world), world.derive(network_of)
    if policy is None or not policy.selector.requirements:
        return
    matched = network.selects(policy)
    if matched and not matched & ~network.hosts:
        names = _names([network.workloads[position] for position in positions(matched)])
        yield violation(item, "spec", "podSelector", found=f"it selects only {names}, on the host's network", expect="pods with a network of their own")


@NET.rule(
    "NET209",
    title="what a policy allows at one end is allowed at the other",
    why="a connection needs both ends: a rule whose every connection the other end refuses is half a door, and somebody believes that it opens",
    fix="add the rule at the other end, or delete this one",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def other_end_agrees(item: Object, world: World) -> Iterator[Violation]:
    policy, network = policy_of(item, world), world.derive(network_of)
    for direction in (INGRESS, EGRESS):
        for rule in policy.rules_of(direction) if policy is not None else ():
            if policy is None or rule.peers is None or any(peer.cidr for peer in rule.peers):
                continue
            mine, others = network.selected[policy], network.rule_mask(policy, rule)
            if mine and others and not _meets(network, rule, mine, others):
                word = "leave from" if direction == INGRESS else "enter"
                names = _names([network.workloads[position] for position in positions(others)])
                yield violation(item, *rule.at, found=f"nothing of it may {word} {names}", expect="a rule at the other end too")


def _meets(network: Network, rule: Rule, mine: int, others: int) -> bool:
    """Whether some connection of a rule is allowed by the other end."""
    back = EGRESS if rule.direction == INGRESS else INGRESS
    for here in positions(mine):
        for there in positions(others):
            ports = network.side(back, there).toward(here)
            destination = network.workloads[here if rule.direction == INGRESS else there]
            wanted = rule.numbers
            for name in rule.named:
                wanted |= destination.named(*name)
            if ports & wanted or not wanted:
                return True
    return False


RULES: Final = tuple(NET.rules)
