"""Small objects and networks for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from harness.engines.netpol.addresses import blocks
from harness.engines.netpol.network import Addresses, Network
from harness.engines.netpol.ports import Ports
from harness.model import Location, Object, ObjectId, Origin, group_of

if TYPE_CHECKING:
    from harness.engines.netpol.workloads import Workload

Json = dict[str, Any]


def thing(body: Json) -> Object:
    """An object from a manifest; its locator gives the pointer's length as line."""
    metadata = body.get("metadata") or {}
    identity = ObjectId("c", group_of(body["apiVersion"]), body["kind"], metadata.get("namespace", ""), metadata.get("name", ""))
    return Object(identity, body, Origin(lambda pointer: Location(metadata.get("name", ""), len(pointer))))


def things(text: str) -> list[Object]:
    """The objects of YAML documents."""
    return [thing(body) for body in yaml.safe_load_all(text) if body]


def pod(name: str, namespace: str = "x", labels: Json | None = None, ports: list[Json] | None = None, **more: Any) -> Json:
    spec: Json = {"containers": [{"name": "c", "ports": ports or []}], **more.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "spec": spec, **more}


def namespace(name: str, **labels: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def policy(name: str, spec: Json, namespace: str = "x") -> Json:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def network(*bodies: Json, pods: str = "", nodes: str = "", **options: Any) -> Network:
    known = Addresses(blocks(pods.split()), blocks(nodes.split()))
    return Network([thing(body) for body in bodies], addresses=known, **options)


def named(found: Network, name: str) -> Workload:
    """The workload ``namespace/name``."""
    (one,) = [each for each in found.workloads if f"{each.namespace}/{each.name}" == name]
    return one


def between(found: Network, source: str, destination: str) -> str:
    """The allowed ports between two workloads, as printed."""
    return str(found.allowed(named(found, source), named(found, destination)))


def passes(found: Network, source: str, destination: str, port: str) -> bool:
    return Ports.parse(port).issubset(found.allowed(named(found, source), named(found, destination)))
