"""What the rules about certificates and ingress share, and what the command prints: the listeners, issuers and the matrix of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.certificates.chains import CERTIFICATE, CLUSTER_ISSUER, ISSUER, Issuers
from harness.engines.certificates.listeners import KINDS, Classes, Listener, listeners
from harness.engines.certificates.matrix import Row, rows
from harness.model.shapes import items, text
from harness.rules.order_makers import makers

if TYPE_CHECKING:
    from harness.flux.world import World


def resource_namespaces(world: World) -> tuple[str, ...]:
    """Where cert-manager looks for what a ClusterIssuer names: its flag, else its own namespace; every namespace when it is not in the cluster."""
    found = []
    for pod in world.pods:
        for container in pod.containers("containers"):
            for argument in items(container.body.get("args")):
                name, _, value = text(argument).partition("=")
                if name == "--cluster-resource-namespace":
                    found.append(pod.namespace if "$(" in value or not value else value)
    if found:
        return tuple(dict.fromkeys(found))
    return tuple(sorted({item.namespace for item in world.objects if item.namespace}))


def classes(world: World) -> Classes:
    """The ingress classes and controllers of a cluster."""
    return Classes(world.of("IngressClass.networking.k8s.io"), world.pods, world.of("ConfigMap"))


def all_listeners(world: World) -> tuple[Listener, ...]:
    """Every host that a cluster serves."""
    found = world.derive(classes)
    return tuple(listener for item in world.of(*KINDS) for listener in listeners(item, found))


def issuers(world: World) -> Issuers:
    """The issuers and Certificates of a cluster."""
    return Issuers(world.of(ISSUER, CLUSTER_ISSUER), world.of(CERTIFICATE), world.derive(resource_namespaces))


def matrix(world: World) -> list[Row]:
    """The TLS matrix of a cluster."""

    def maker(namespace: str, name: str) -> str:
        made = makers(world).of("Secret", namespace, name)
        return f"{made[0].maker.kind} {made[0].maker.name}" if made else ""

    return rows(world.derive(all_listeners), world.derive(issuers), maker)
