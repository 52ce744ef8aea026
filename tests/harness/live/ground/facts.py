"""What only a run knows: the addresses of its docker network and of its cluster, as the variables that the platform asks for."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Addresses of the network's upper end that services get, counted from the last one: docker gives out the lower end.
_POOL = (55, 5)


class FactsError(Exception):
    """The network or the cluster does not say what is needed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The addresses of one cluster. ``control_plane`` are those of its API servers."""

    network: str
    control_plane: tuple[str, ...]
    pods: str
    services: str
    kubernetes: str

    @property
    def pool(self) -> str:
        """Addresses for LoadBalancers, ``first-last``: 51 of them near the end of the network, where docker does not go."""
        network = ipaddress.ip_network(self.network)
        if network.num_addresses < 256:
            raise FactsError(f"the network {self.network} is too small for a pool of addresses")
        last = int(network[-1])
        return "-".join(str(ipaddress.ip_address(last - back)) for back in _POOL)

    def variables(self) -> dict[str, str]:
        """The values of the variables of this platform that a run decides."""
        alone = len(self.control_plane) == 1
        return {
            "KUBERNETES_VERSION": self.kubernetes.removeprefix("v"),
            "API_SERVER_CIDR": f"{self.control_plane[0]}/32" if alone else self.network,
            "NODE_CIDR": self.network,
            "POD_CIDR": self.pods,
            "SERVICE_CIDR": self.services,
            "LB_POOL": self.pool,
            "OPERATOR_CIDR": self.network,
        }


def subnet_of(inspected: str) -> str:
    """The IPv4 network in what ``docker network inspect`` prints."""
    try:
        networks = json.loads(inspected)
    except ValueError as error:
        raise FactsError("docker network inspect did not answer with JSON") from error
    configurations = mapping(mapping(networks[0] if isinstance(networks, list) and networks else None).get("IPAM")).get("Config")
    for item in configurations if isinstance(configurations, list) else ():
        try:
            network = ipaddress.ip_network(str(mapping(item).get("Subnet")))
        except ValueError:
            continue
        if network.version == 4:
            return str(network)
    raise FactsError("the docker network has no IPv4 subnet")


def facts_of(network: str, nodes: Iterable[Mapping[str, Any]], kubeadm: str) -> Facts:
    """The facts of a cluster from its docker network, its Node objects and the ``ClusterConfiguration`` in ``kube-system/kubeadm-config``."""
    known = [item for item in nodes if isinstance(item, dict)]
    control = [item for item in known if "node-role.kubernetes.io/control-plane" in mapping(mapping(item.get("metadata")).get("labels"))]
    addresses = tuple(sorted(address for item in control for address in addresses_of(item)))
    if not addresses:
        raise FactsError("no node of the control plane has an internal IPv4 address")
    version = str(mapping(mapping(control[0].get("status")).get("nodeInfo")).get("kubeletVersion") or "")
    ranges = {key: value.strip() for line in kubeadm.splitlines() for key, _, value in (line.strip().partition(":"),) if key in ("podSubnet", "serviceSubnet")}
    missing = {"podSubnet", "serviceSubnet"} - ranges.keys()
    if missing:
        raise FactsError(f"kubeadm-config does not say {' and '.join(sorted(missing))}")
    return Facts(network, addresses, ranges["podSubnet"].split(",")[0], ranges["serviceSubnet"].split(",")[0], version)


def addresses_of(node: Mapping[str, Any]) -> list[str]:
    """The internal IPv4 addresses of a Node."""
    found = mapping(node.get("status")).get("addresses")
    addresses = [str(mapping(item).get("address")) for item in found if mapping(item).get("type") == "InternalIP"] if isinstance(found, list) else []
    return [address for address in addresses if "." in address]
