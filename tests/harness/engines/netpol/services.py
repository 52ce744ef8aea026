"""What stands behind a Service: the pods and addresses that its traffic ends at, after translation, with the port there.

Source: concepts/services-networking/service of the Kubernetes documentation; ``FindPort`` of ``k8s.io/kubernetes/pkg/api/v1/pod/util.go``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.netpol.addresses import address
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.labels import Requirement, Selector
from harness.engines.netpol.ports import NONE, PROTOCOLS, Ports
from harness.engines.netpol.workloads import labels_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.netpol.network import Network
    from harness.engines.netpol.workloads import Workload
    from harness.model import Object, Pointer

SERVICE: Final = "Service"
_DEPTH: Final = 4


@dataclass(frozen=True, slots=True)
class Backend:
    """Where traffic of a Service ends: a workload or addresses, and the ports there."""

    workload: Workload | None
    ports: Ports
    addresses: Intervals = EMPTY


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a port of a Service leads to. ``unknown`` says why nobody can tell, ``faults`` what leads nowhere (with the pointer of the port)."""

    backends: tuple[Backend, ...] = ()
    unknown: str = ""
    faults: tuple[tuple[Pointer, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service. ``target`` is a number or the name of a container's port."""

    at: Pointer
    name: str
    port: int
    protocol: str
    target: int | str
    node_port: int = 0


@dataclass(slots=True)
class Services:
    """The Services among some objects, and how they lead to the workloads of a network."""

    network: Network
    every: dict[tuple[str, str], Object] = field(default_factory=dict)
    _slices: dict[tuple[str, str], list[Object]] = field(default_factory=lambda: defaultdict(list))
    _endpoints: dict[tuple[str, str], Object] = field(default_factory=dict)

    @classmethod
    def of(cls, network: Network, objects: Sequence[Object]) -> Services:
        found = cls(network)
        for item in objects:
            if item.kind == SERVICE and not item.group:
                found.every[item.namespace, item.name] = item
            elif item.kind == "Endpoints" and not item.group:
                found._endpoints[item.namespace, item.name] = item
            elif item.kind == "EndpointSlice" and item.group == "discovery.k8s.io":
                found._slices[item.namespace, text(item.labels.get("kubernetes.io/service-name"))].append(item)
        return found

    def at_address(self, addresses: Intervals) -> Object | None:
        """The Service with this ClusterIP."""
        for item in self.every.values():
            for words in (item.spec.get("clusterIP"), *items(item.spec.get("clusterIPs"))):
                if isinstance(words, str) and words != "None" and addresses == address(words):
                    return item
        return None

    def selected(self, item: Object) -> list[Workload]:
        """The workloads a Service selects; none when it has no selector."""
        selector = selector_of(item)
        return self.network.labelled(item.namespace, selector) if selector.requirements else []

    def resolve(self, item: Object, port: int | str | None = None, protocol: str = "", *, depth: int = 0) -> Resolution:
        """Where a Service leads: one of its ports by number or name, or all of them.

        A headless Service translates nothing: who asks it for a number goes to that port of the pods.
        """
        if item.spec.get("type") == "ExternalName":
            return self._external(item, port, protocol, depth)
        chosen = [each for each in ports_of(item) if port is None or port in (each.port, each.name)]
        chosen = [each for each in chosen if not protocol or each.protocol == protocol]
        if not chosen:
            if port is not None and item.spec.get("clusterIP") == "None" and isinstance(port, int) and selector_of(item).requirements:
                direct = Ports.single(port, protocol or "TCP")
                return Resolution(tuple(Backend(each, direct) for each in self.selected(item)))
            return Resolution(faults=(((("spec", "ports")), f"has no port {port if port is not None else ''}".rstrip()),))
        if not selector_of(item).requirements:
            return self._listed(item, chosen)
        workloads = self.selected(item)
        if not workloads:
            return Resolution(faults=((("spec", "selector"), f"selects no pod ({selector_of(item)})"),))
        backends: list[Backend] = []
        faults: list[tuple[Pointer, str]] = []
        headless = item.spec.get("clusterIP") == "None"
        for each in chosen:
            target = each.port if headless and isinstance(port, int) else each.target
            ends = [(workload, _target(workload, target, each.protocol)) for workload in workloads]
            if not any(ports for _, ports in ends):
                faults.append((each.at, f"no pod it selects has a port named {target} ({each.protocol})"))
            backends += [Backend(workload, ports) for workload, ports in ends if ports]
        return Resolution(tuple(backends), faults=tuple(faults))

    def _external(self, item: Object, port: int | str | None, protocol: str, depth: int) -> Resolution:
        name = text(item.spec.get("externalName")).rstrip(".")
        parts = name.split(".")
        inner = self.every.get((parts[1], parts[0])) if len(parts) >= 3 and parts[2] == "svc" else None
        if inner is not None and depth < _DEPTH:
            return self.resolve(inner, port, protocol, depth=depth + 1)
        return Resolution(unknown=f"is another name for {name}, whose address only DNS knows")

    def _listed(self, item: Object, chosen: list[ServicePort]) -> Resolution:
        """A Service without a selector leads to what its EndpointSlices or Endpoints list."""
        key = (item.namespace, item.name)
        listed: list[tuple[str, str, str, Ports]] = []
        for each in self._slices.get(key, ()):
            ports = [mapping(port) for port in items(each.body.get("ports"))]
            for end in (mapping(value) for value in items(each.body.get("endpoints"))):
                target = text(mapping(end.get("targetRef")).get("name"))
                for words in items(end.get("addresses")):
                    listed += [(text(words), target, text(port.get("name")), _number(port)) for port in ports]
        if key not in self._slices and key in self._endpoints:
            for subset in (mapping(value) for value in items(self._endpoints[key].body.get("subsets"))):
                for end in (mapping(value) for value in items(subset.get("addresses"))):
                    target = text(mapping(end.get("targetRef")).get("name"))
                    listed += [(text(end.get("ip")), target, text(mapping(port).get("name")), _number(mapping(port))) for port in items(subset.get("ports"))]
        if not listed:
            return Resolution(unknown="has no selector, and no EndpointSlice says where it leads")
        names = {each.name for each in chosen}
        backends = []
        for words, target, name, number in listed:
            if name in names and number:
                workload, where = self._pod(item.namespace, target, words)
                backends.append(Backend(workload, number, where))
        return Resolution(tuple(backends))

    def _pod(self, namespace: str, name: str, words: str) -> tuple[Workload | None, Intervals]:
        where = address(words) or EMPTY
        for each in self.network.workloads:
            if (where and each.addresses and where.issubset(each.addresses)) or (name and each.namespace == namespace and name in each.pods):
                return each, where
        return None, where


def selector_of(item: Object) -> Selector:
    """A Service's selector; without requirements it selects nothing."""
    labels = labels_of(mapping(item.spec.get("selector")))
    return Selector(tuple(Requirement(key, "In", frozenset((value,))) for key, value in labels.items()))


def ports_of(item: Object) -> list[ServicePort]:
    """The ports of a Service that are well formed."""
    found = []
    for index, each in enumerate(items(item.spec.get("ports"))):
        body = mapping(each)
        port, protocol, target = body.get("port"), body.get("protocol") or "TCP", body.get("targetPort")
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535 or protocol not in PROTOCOLS:
            continue
        # An empty or zero targetPort is the port itself (SetDefaults_Service).
        wanted: int | str = target if isinstance(target, int | str) and target and not isinstance(target, bool) else port
        if isinstance(wanted, str) and wanted.isdecimal():
            wanted = int(wanted)
        node_port = body.get("nodePort")
        found.append(ServicePort(("spec", "ports", index), text(body.get("name")), port, protocol, wanted, node_port if isinstance(node_port, int) else 0))
    return found


def _target(workload: Workload, target: int | str, protocol: str) -> Ports:
    if isinstance(target, str):
        return workload.named(target, protocol)
    return Ports.single(target, protocol) if 1 <= target <= 65535 else NONE


def _number(port: dict[str, Any]) -> Ports:
    number, protocol = port.get("port"), port.get("protocol") or "TCP"
    return Ports.single(number, protocol) if isinstance(number, int) and 1 <= number <= 65535 and protocol in PROTOCOLS else NONE
