"""What the rules about the network share: one network a world, its Services, and what of it only run time knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.engines.netpol.entrances import entrances
from harness.engines.netpol.network import Network
from harness.engines.netpol.ports import NONE, Ports
from harness.engines.netpol.services import Services
from harness.engines.netpol.workloads import Port, Workload
from harness.model.shapes import items, mapping, text
from harness.rules.net_intent import assumed_pods, intent_of, known_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.netpol.entrances import Entrance
    from harness.engines.netpol.labels import Selector
    from harness.engines.netpol.policies import Policy
    from harness.flux.world import World
    from harness.model import Object

POLICY: Final = "NetworkPolicy.networking.k8s.io"
CONTROLS: Final = ("CIS-5.3.2", "NIST-SC-7")
#: The resolvers of a cluster, where no object and no intent says otherwise: CoreDNS as kubeadm and most providers run it.
DNS_LABEL: Final = ("k8s-app", "kube-dns")
_DNS_PORTS: Final = (Port("dns", 53, "UDP"), Port("dns-tcp", 53, "TCP"))
#: Domains of labels that people put on pods themselves; pods with labels of others are often made at run time.
_OWN_DOMAINS: Final = ("app.kubernetes.io", "kubernetes.io", "k8s.io", "helm.sh")
#: Labels that software puts on its own pods: Vault's service registration, Patroni and its like on the leader.
_SET_BY_ITSELF: Final = frozenset({"vault-active", "vault-initialized", "vault-perf-standby", "vault-sealed", "vault-version", "role", "spilo-role"})
#: Namespaces of the cluster itself: their pods are seldom in Git.
SYSTEM: Final = frozenset({"kube-system", "kube-public", "kube-node-lease"})


def network_of(world: World) -> Network:
    """The network of a world, with the resolvers every cluster has. Use it with ``world.derive``."""
    intent = world.derive(intent_of)
    name = world.cluster.name
    assumed = assumed_pods(intent, name)
    key, value = DNS_LABEL
    templates = (pod.labels for pod in world.pods if pod.namespace == "kube-system")
    if not any(labels.get(key) == value for labels in (*templates, *(each.labels for each in assumed if each.namespace == "kube-system"))):
        assumed.append(Workload("Pod", "kube-system", "(dns)", {key: value}, _DNS_PORTS, note="the resolvers of the cluster"))
    return Network(world.objects, addresses=known_addresses(intent, name), assumed=assumed)


def services_of(world: World) -> Services:
    """The Services of a world. Use it with ``world.derive``."""
    return Services.of(world.derive(network_of), world.objects)


def entrances_of(world: World) -> list[Entrance]:
    """The ways into a world. Use it with ``world.derive``."""
    return entrances(world.objects, world.derive(network_of), world.derive(services_of))


def policies_by_object(world: World) -> dict[Object, Policy]:
    """The policies of a world by their object; those that the API server refuses have none. Use it with ``world.derive``."""
    return {policy.object: policy for policy in world.derive(network_of).policies}


def policy_of(item: Object, world: World) -> Policy | None:
    return world.derive(policies_by_object).get(item)


def by_object(world: World) -> dict[Object, list[Workload]]:
    """The workloads of a world by what makes them. Use it with ``world.derive``."""
    found: dict[Object, list[Workload]] = {}
    for each in world.derive(network_of).workloads:
        if each.object is not None:
            found.setdefault(each.object, []).append(each)
    return found


def has_pods(network: Network, namespace: str) -> bool:
    """Whether anything is known of the pods of a namespace; of a system namespace never enough."""
    return namespace not in SYSTEM and any(each.namespace == namespace for each in network.workloads)


def is_made_at_run_time(network: Network, selector: Selector) -> bool:
    """Whether a selector asks for a label that only run time sets: one of an operator's own domain, or of software's own, that no known pod has."""
    for each in selector.requirements:
        domain, slash, _ = each.key.partition("/")
        foreign = bool(slash) and not any(domain == own or domain.endswith(f".{own}") for own in _OWN_DOMAINS)
        if (foreign or each.key in _SET_BY_ITSELF) and not any(each.key in workload.labels for workload in network.workloads):
            return True
    return False


def served(workload: Workload, listens: dict[str, Ports]) -> Ports | None:
    """The ports a workload is known to serve: declared, probed, said in the intent or written in its command line. None when it declares none."""
    declared = workload.declared | listens.get(f"{workload.namespace}/{workload.name}", NONE)
    if not declared:
        return None
    return declared | probed(workload)


def probed(workload: Workload) -> Ports:
    """The ports that the kubelet asks."""
    found = NONE
    for _, probe in probes(workload):
        for kind in ("httpGet", "tcpSocket", "grpc"):
            port = mapping(probe.get(kind)).get("port")
            if isinstance(port, int) and 1 <= port <= 65535:
                found |= Ports.single(port)
    return found


def probes(workload: Workload) -> Iterator[tuple[tuple[str | int, ...], dict[str, object]]]:
    """The probes of a workload's containers, with pointers into its pod."""
    if workload.template is None:
        return
    for container in workload.template.containers("containers", "initContainers"):
        for name in ("livenessProbe", "readinessProbe", "startupProbe"):
            if isinstance(container.body.get(name), dict):
                yield ("spec", container.list, container.index, name), container.body[name]


def mentions(workload: Workload, number: int) -> bool:
    """Whether a number stands in a container's command line or environment: a port that is served need not be declared."""
    if workload.template is None:
        return False
    pattern = re.compile(rf"(?<![0-9]){number}(?![0-9])")
    for container in workload.template.containers("containers", "initContainers"):
        words = [*items(container.body.get("command")), *items(container.body.get("args"))]
        words += [mapping(each).get("value") for each in items(container.body.get("env"))]
        if any(pattern.search(text(word)) for word in words):
            return True
    return False


def listening(world: World) -> dict[str, Ports]:
    """What the intent says of ports that are served and not declared. Use it with ``world.derive``."""
    intent = world.derive(intent_of)
    if intent is None or intent.faults:
        return {}
    found: dict[str, Ports] = {}
    for name, ports in mapping(intent.file.body.get("listens")).items():
        for each in ports:
            found[name] = found.get(name, NONE) | Ports.parse(str(each))
    return found
