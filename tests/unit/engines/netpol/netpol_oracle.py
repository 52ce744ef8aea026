"""An independent, slow reading of the NetworkPolicy API reference: one packet at a time, straight over the manifests. Shares nothing with the engine."""

from __future__ import annotations

import ipaddress
from typing import Any

Json = dict[str, Any]


def labels_match(selector: Json, labels: dict[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, operator, values = expression["key"], expression["operator"], expression.get("values")
        held = {
            "In": key in labels and labels[key] in (values or []),
            "NotIn": not (key in labels and labels[key] in (values or [])),
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[operator]
        if not held:
            return False
    return True


class End:
    """One end of a packet: a pod (namespace, labels, container ports, address), or an address outside."""

    def __init__(self, address: str, namespace: str = "", labels: dict[str, str] | None = None, ports: list[Json] | None = None, host: bool = False) -> None:
        self.address = address
        self.namespace = namespace
        self.labels = labels or {}
        self.ports = ports or []
        self.is_pod = bool(namespace) and not host
        self.host = host


def namespace_labels(namespaces: dict[str, dict[str, str]], name: str) -> dict[str, str]:
    return {**namespaces.get(name, {}), "kubernetes.io/metadata.name": name}


def directions(spec: Json) -> list[str]:
    if spec.get("policyTypes"):
        return list(spec["policyTypes"])
    return ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def peer_matches(peer: Json, other: End, policy_namespace: str, namespaces: dict[str, dict[str, str]]) -> bool:
    if peer.get("ipBlock") is not None:
        address = ipaddress.ip_address(other.address)
        if address not in ipaddress.ip_network(peer["ipBlock"]["cidr"], strict=False):
            return False
        return all(address not in ipaddress.ip_network(each, strict=False) for each in peer["ipBlock"].get("except") or [])
    if not other.is_pod:
        return False
    if peer.get("namespaceSelector") is None:
        right_namespace = other.namespace == policy_namespace
    else:
        right_namespace = labels_match(peer["namespaceSelector"], namespace_labels(namespaces, other.namespace))
    return right_namespace and (peer.get("podSelector") is None or labels_match(peer["podSelector"], other.labels))


def port_matches(entry: Json, protocol: str, port: int, destination: End) -> bool:
    if (entry.get("protocol") or "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        if not destination.namespace or destination.host:
            return False
        return any(each.get("name") == wanted and (each.get("protocol") or "TCP") == protocol and each["containerPort"] == port for each in destination.ports)
    return wanted <= port <= (entry.get("endPort") or wanted)


def side_allows(direction: str, mine: End, other: End, protocol: str, port: int, policies: list[Json], namespaces: dict[str, dict[str, str]]) -> bool:
    """Whether the policies of one end let a packet through. ``mine`` is the end whose policies decide; the port is always the destination's."""
    if not mine.is_pod:
        return True
    isolated = False
    for policy in policies:
        if policy["metadata"]["namespace"] != mine.namespace or not labels_match(policy["spec"].get("podSelector") or {}, mine.labels):
            continue
        if direction not in directions(policy["spec"]):
            continue
        isolated = True
        for rule in policy["spec"].get(direction.lower()) or []:
            peers = rule.get("from" if direction == "Ingress" else "to")
            if peers and not any(peer_matches(peer, other, mine.namespace, namespaces) for peer in peers):
                continue
            destination = mine if direction == "Ingress" else other
            ports = rule.get("ports")
            if ports and not any(port_matches(entry, protocol, port, destination) for entry in ports):
                continue
            return True
    return not isolated


def packet_passes(source: End, destination: End, protocol: str, port: int, policies: list[Json], namespaces: dict[str, dict[str, str]]) -> bool:
    return side_allows("Egress", source, destination, protocol, port, policies, namespaces) and side_allows(
        "Ingress", destination, source, protocol, port, policies, namespaces
    )
