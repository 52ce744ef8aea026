"""Isolation (NET101 to NET103, NET109): every namespace denies by default, nothing undoes it, and what it must not deny is not denied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.engines.netpol.addresses import blocks
from harness.engines.netpol.network import rule_addresses
from harness.engines.netpol.policies import EGRESS, INGRESS
from harness.engines.netpol.ports import Ports
from harness.model import NotEvaluated, Severity
from harness.model.pods import TEMPLATES
from harness.rules.base import Objects, Registry, Violation, violation
from harness.rules.net_common import CONTROLS, DNS_LABEL, POLICY, by_object, network_of, policy_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.netpol.network import Network
    from harness.engines.netpol.workloads import Workload
    from harness.flux.world import World
    from harness.model import Object

NET: Final = Registry()
_METADATA: Final = blocks(["169.254.169.254", "fd00:ec2::254"])
_HTTP: Final = Ports.parse("80")
_UDP, _TCP = Ports.parse("53/UDP"), Ports.parse("53/TCP")
#: Ports by which a rule shows that its author thought of the resolver, wherever that is.
_RESOLVER_PORTS: Final = Ports.parse("53/UDP,5353/UDP,53/TCP,5353/TCP")


@NET.rule(
    "NET101",
    title="every namespace isolates its pods in both directions",
    why=(
        "a pod that no policy selects may talk to everything and everything may talk to it, also the next one somebody adds "
        "(Kubernetes: Network Policies, default policies; CIS 5.3.2)"
    ),
    fix="add a NetworkPolicy with podSelector: {} and policyTypes [Ingress, Egress] and no rules, then allow what is needed",
    scope=Objects(("Namespace",)),
    severity=Severity.WARNING,
    controls=(*CONTROLS, "NIST-AC-4"),
)
def namespace_isolates(namespace: Object, world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    if _others(network, namespace.name):
        return
    if not network.policies:
        # Said once: where nobody uses policies at all, a line for each namespace tells nothing more. Where nothing runs, nothing is open.
        spaces = world.of("Namespace")
        if namespace is spaces[0] and any(each.object is not None for each in network.workloads):
            found = f"no NetworkPolicy in any of {len(spaces)} namespaces" if len(spaces) > 1 else "no NetworkPolicy"
            yield violation(namespace, "metadata", "name", found=found, expect="a default deny in each")
        return
    covered: frozenset[str] = frozenset()
    for policy in network.policies:
        if policy.namespace == namespace.name and not policy.selector.requirements:
            covered |= policy.directions
    missing = [direction for direction in (INGRESS, EGRESS) if direction not in covered]
    if missing:
        found = f"no policy of {namespace.name} isolates all its pods for {' and '.join(missing).lower()}"
        yield violation(namespace, "metadata", "name", found=found, expect="a NetworkPolicy with podSelector: {} and policyTypes [Ingress, Egress]")


def _others(network: Network, namespace: str) -> bool:
    """Whether policies of another kind, which are not evaluated, decide about a namespace too."""
    for each in network.others:
        parts = each.subject.split("/")
        if len(parts) == 3 or (len(parts) == 4 and parts[2] == namespace):
            return True
    return False


@NET.rule(
    "NET102",
    title="no policy allows everything to every pod of its namespace",
    why="policies only add up: one rule {} for all pods undoes every default deny beside it (Kubernetes: Network Policies, allow all)",
    fix="name the peers and the ports, or the pods that need it",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=CONTROLS,
)
def allows_everything(item: Object, world: World) -> Iterator[Violation]:
    policy = policy_of(item, world)
    if policy is None or policy.selector.requirements:
        return
    for direction in sorted(policy.directions):
        for rule in policy.rules_of(direction):
            if rule.peers is None and rule.ports is None:
                yield violation(item, *rule.at, found=f"{direction.lower()} of every pod is open to anyone on every port", expect="peers and ports")


@NET.rule(
    "NET103",
    title="a pod that may connect to something can ask the resolvers for its address",
    why="egress that is limited to pods leaves names unresolved: the connection is allowed and never made (Kubernetes: DNS for Services and Pods)",
    fix=f"allow egress to pods of kube-system with {DNS_LABEL[0]}: {DNS_LABEL[1]} on 53 UDP and TCP",
    scope=Objects(tuple(kind for kind in TEMPLATES if kind != "PodTemplate")),
    severity=Severity.WARNING,
    controls=("NIST-SC-7",),
)
def resolves_names(item: Object, world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    for workload in world.derive(by_object).get(item, ()):
        side = network.egress(workload)
        if not side.isolated or not (side.segments or side.addresses):
            continue
        if workload.template is not None and workload.template.spec.get("dnsPolicy") in ("None", "Default"):
            continue
        resolvers = [each for each in network.workloads if _is_resolver(each)]
        allowed = [network.allowed(workload, each) for each in resolvers]
        missing = [protocol for protocol, port in (("UDP", _UDP), ("TCP", _TCP)) if not any(port.issubset(each) for each in allowed)]
        if missing == ["UDP", "TCP"] and _thinks_of_dns(network, workload):
            continue
        if missing:
            found = f"{workload} may connect to others, and not to the resolvers on 53/{' and 53/'.join(missing)}"
            yield violation(item, "metadata", "name", found=found, expect="egress to the cluster's resolvers on 53/UDP and 53/TCP")


def _is_resolver(each: Workload) -> bool:
    return each.namespace == "kube-system" and each.labels.get(DNS_LABEL[0]) == DNS_LABEL[1] and not each.host_network


def _thinks_of_dns(network: Network, workload: Workload) -> bool:
    """Whether some egress rule names a port of resolvers: they may be somewhere that nobody here knows of (node-local, OpenShift)."""
    for policy in network.egress(workload).policies:
        for rule in policy.rules_of(EGRESS):
            somewhere = rule.ports is not None or any(peer.cidr for peer in rule.peers or ())
            if (somewhere and rule.numbers & _RESOLVER_PORTS) or any("dns" in name for name, _ in rule.named):
                return True
    return False


@NET.rule(
    "NET109",
    title="no policy lets pods reach the node metadata service",
    why="169.254.169.254 hands out the node's cloud credentials to whoever asks on port 80 (CIS benchmarks of EKS and GKE; MITRE ATT&CK T1552.005)",
    fix="add 169.254.0.0/16 to the ipBlock's except, or name the ports that are needed",
    scope=Objects((POLICY,)),
    severity=Severity.WARNING,
    controls=("NIST-SC-7", "NIST-AC-6"),
)
def metadata_is_out_of_reach(item: Object, world: World) -> Iterator[Violation]:
    policy = policy_of(item, world)
    for rule in policy.rules_of(EGRESS) if policy is not None else ():
        if rule_addresses(rule) & _METADATA and rule.numbers & _HTTP:
            at = rule.at
            for peer in rule.peers or ():
                if peer.addresses & _METADATA:
                    at = (*peer.at, "ipBlock")
                    break
            yield violation(item, *at, found=f"egress {rule} reaches 169.254.169.254 on port 80", expect="a rule that leaves it out")


def not_evaluated(world: World) -> list[NotEvaluated]:
    """Policies that are not part of the matrix."""
    network = world.derive(network_of)
    refused = [NotEvaluated(str(each.object.id), "NetworkPolicy", f"the API server refuses it: {each.faults[0][1]}") for each in network.refused]
    return [*network.others, *refused]


RULES: Final = tuple(NET.rules)
