"""Where configured addresses lead in a cluster, and whether NetworkPolicies let the connection through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.netpol.ports import Ports
from harness.engines.telemetry.endpoints import Endpoint, EndpointError, endpoint
from harness.model.shapes import items, mapping, text
from harness.rules.net_common import network_of
from harness.rules.obs_common import scraping
from harness.rules.order_makers import may_be_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.engines.netpol.network import Network
    from harness.engines.netpol.workloads import Workload
    from harness.engines.telemetry.discovery import Pod
    from harness.flux.world import World
    from harness.model import Object
    from harness.model.pods import PodTemplate

_ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?[a-z0-9][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)*:[0-9]{2,5}(?:/[^\s\"',;]*)?", re.IGNORECASE)


def _by_object(world: World) -> dict[int, list[Workload]]:
    found: dict[int, list[Workload]] = {}
    for workload in world.derive(network_of).workloads:
        if workload.object is not None:
            found.setdefault(id(workload.object), []).append(workload)
    return found


def mounting(world: World, item: Object) -> tuple[PodTemplate, ...]:
    """The pods that mount a ConfigMap or Secret, or take their environment from it."""
    return world.derive(_mounts).get((item.kind, item.namespace, item.name), ())


def _mounts(world: World) -> Mapping[tuple[str, str, str], tuple[PodTemplate, ...]]:
    found: dict[tuple[str, str, str], list[PodTemplate]] = {}
    for pod in world.pods:
        for kind, name in set(_sources(pod)):
            found.setdefault((kind, pod.namespace, name), []).append(pod)
    return {key: tuple(pods) for key, pods in found.items()}


def _sources(pod: PodTemplate) -> Iterator[tuple[str, str]]:
    for volume in items(pod.spec.get("volumes")):
        body = mapping(volume)
        for part in (body, *(mapping(each) for each in items(mapping(body.get("projected")).get("sources")))):
            yield "ConfigMap", text(mapping(part.get("configMap")).get("name"))
            secret = mapping(part.get("secret"))
            yield "Secret", text(secret.get("secretName")) or text(secret.get("name"))
    for container in pod.containers():
        for source in items(container.body.get("envFrom")):
            yield "ConfigMap", text(mapping(mapping(source).get("configMapRef")).get("name"))
            yield "Secret", text(mapping(mapping(source).get("secretRef")).get("name"))


def lead(world: World, address: str, senders: Iterable[PodTemplate], namespace: str) -> Endpoint | str | None:
    """Where an address leads for pods of a namespace: the endpoint, why it leads nowhere, or None when it is outside or cannot be told."""
    if world.is_unknown(address) or "${" in address:
        return None
    try:
        found = endpoint(address, namespace, scraping(world).discovery)
    except EndpointError as error:
        return None if may_be_elsewhere(world, _namespace_of(str(error)) or namespace) else str(error)
    if found is None:
        return None
    for sender in senders:
        blocked = blocked_by(world, sender.object, found.pods)
        if blocked:
            return blocked
    return found


def _namespace_of(message: str) -> str:
    match = re.search(r"namespace (\S+)$|Service ([^/\s]+)/", message)
    return (match[1] or match[2]) if match else ""


def blocked_by(world: World, sender: Object, receivers: Iterable[tuple[Pod, int]]) -> str:
    """Why NetworkPolicies keep a workload from every one of some pods' ports; empty when they let it through to one, or nobody can tell."""
    network, by_object = world.derive(network_of), world.derive(_by_object)
    sources = by_object.get(id(sender), [])
    told = ""
    for pod, port in receivers:
        targets = by_object.get(id(pod.template.object), []) if pod.template is not None else []
        if not sources or not targets or all(source.host_network for source in sources):
            return ""
        wanted = Ports.single(port)
        if any(network.allowed(source, target) & wanted for source in sources for target in targets):
            return ""
        told = told or _reason(network, sources[0], targets[0], wanted)
    return told


def _reason(network: Network, source: Workload, target: Workload, wanted: Ports) -> str:
    sent = network.egress(source).toward(network.position[target]) & wanted
    side, of = ("ingress", target) if sent else ("egress", source)
    policies = ", ".join(sorted(policy.name for policy in (network.ingress(target) if sent else network.egress(source)).policies)[:4])
    return f"no NetworkPolicy lets {source} through to {target} on port {wanted}: {side} of {of} is isolated by {policies}"


def addresses_in(value: Any) -> set[str]:
    """What looks like an address with a port, in any text below a value."""
    found: set[str] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            pending += current.values()
        elif isinstance(current, list):
            pending += current
        elif isinstance(current, str):
            found.update(_ADDRESS.findall(current))
    return found
