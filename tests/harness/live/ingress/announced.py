"""MetalLB: which addresses Services got, of which pool, and which node announces them.

Source: MetalLB 0.16 ``IPAddressPool``, ``L2Advertisement`` (metallb.io/v1beta1) and ``ServiceL2Status``, which a speaker writes for what it announces.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from harness.live.ingress.edge import addresses
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.world import World
    from harness.live.reach.kubectl import Kubectl
    from harness.live.reach.outside import Outside
    from harness.model import Object

POOL: Final = "IPAddressPool.metallb.io"
STATUS: Final = "servicel2statuses.metallb.io"


def pools_of(world: World, namespace: str) -> tuple[Object, ...]:
    """The pools of a cluster's build that a namespace's Services may take from; those without an allocation are open to all."""
    found = []
    for pool in world.of(POOL):
        allocation = mapping(pool.spec.get("serviceAllocation"))
        if not allocation.get("namespaces") or namespace in items(allocation.get("namespaces")):
            found.append(pool)
    return tuple(found)


def holds(pool: Mapping[str, Any], address: str) -> bool:
    """Whether a pool has an address: its ranges are ``first-last`` or networks."""
    wanted = ipaddress.ip_address(address)
    for entry in map(text, items(mapping(pool.get("spec")).get("addresses"))):
        first, _, last = entry.partition("-")
        if last:
            low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
            if low.version == wanted.version and int(low) <= int(wanted) <= int(high):
                return True
        elif wanted in ipaddress.ip_network(entry, strict=False):
            return True
    return False


def misplaced(kubectl: Kubectl, world: World, service: Object) -> str:
    """Empty text when a LoadBalancer's addresses are of its namespace's pools, as those are in the cluster; else what is wrong."""
    body = kubectl.get("services", service.name, service.namespace)
    found = addresses(body or {})
    if not found:
        return "it has no address"
    names = [pool.name for pool in pools_of(world, service.namespace)]
    live = [pool for pool in kubectl.list("ipaddresspools.metallb.io") if mapping(pool.get("metadata")).get("name") in names]
    strays = [address for address in found if not any(holds(pool, address) for pool in live)]
    return f"it has {', '.join(strays)}, of none of the pools {', '.join(names) or '(none)'}" if strays else ""


def announcer(kubectl: Kubectl, service: Object) -> str:
    """The node that MetalLB says announces a Service's address; empty when none does."""
    for body in kubectl.list(STATUS):
        status = mapping(body.get("status"))
        if (status.get("serviceNamespace"), status.get("serviceName")) == (service.namespace, service.name):
            return text(status.get("node"))
    return ""


def unannounced(outside: Outside, kubectl: Kubectl, service: Object, nodes: Mapping[str, str]) -> str:
    """Empty text when the network finds a Service's address at the node that announces it, and something answers there; else what is seen.

    ``nodes``: each node's hardware address.
    """
    found = addresses(kubectl.get("services", service.name, service.namespace) or {})
    if not found:
        return "the Service has no address"
    seen, says = outside.neighbour(found[0]), announcer(kubectl, service)
    if not seen:
        return f"nobody on the network answers for {found[0]}"
    at = next((node for node, address in nodes.items() if address == seen), f"a stranger ({seen})")
    if at != says:
        return f"{found[0]} is found at {at}, MetalLB says that {says or 'no node'} announces it"
    answer = outside.ask(found[0])
    return "" if answer.isdigit() and answer != "000" else f"{found[0]} at {at}: {answer}"
