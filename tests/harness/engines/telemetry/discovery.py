"""What Prometheus' Kubernetes discovery would find: the addresses behind services and pods, with their ``__meta_kubernetes_*`` labels.

Source: Prometheus 3.13 ``discovery/kubernetes/{pod,endpoints,endpointslice,service}.go``. Each pod template stands for its pods: names and addresses
that only a cluster knows are represented by one of the right form (``podinfo-0000000000-00000``, ``192.0.2.1``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from harness.engines.selectors import selector_matches
from harness.engines.telemetry import builtin
from harness.model.pods import pods_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.model import Object
    from harness.model.pods import PodTemplate

_NO_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")
_ADDRESS: Final = "192.0.2.1"
_SUFFIX: Final[Mapping[str, str]] = {
    "Deployment": "-0000000000-00000",
    "ReplicaSet": "-00000",
    "ReplicationController": "-00000",
    "DaemonSet": "-00000",
    "StatefulSet": "-0",
    "Job": "-00000",
    "CronJob": "-00000000-00000",
}


@lru_cache(maxsize=8192)
def sanitized(name: str) -> str:
    """A label's name as Prometheus can write it (``strutil.SanitizeLabelName``)."""
    return _NO_LABEL.sub("_", name)


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a container. ``init``: of a container that starts before the others."""

    name: str
    number: int
    protocol: str
    container: str
    image: str = ""
    init: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Pod:
    """A pod that a template describes; ``template`` is None for those of the cluster itself."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ports: tuple[Port, ...]
    host_network: bool
    controller: tuple[str, str]
    template: PodTemplate | None = None

    def port(self, wanted: object, protocol: str = "TCP") -> int | None:
        """The number of a Service's ``targetPort`` on this pod; None for a name that no container declares (``podutil.FindPort``)."""
        if isinstance(wanted, int) and not isinstance(wanted, bool):
            return wanted
        named = str(wanted)
        return next((each.number for each in self.ports if each.name == named and each.protocol == protocol), None)


@dataclass(frozen=True, slots=True, eq=False)
class Address:
    """Something that could be scraped: one port of one pod, node or outside address, and what discovery knows of it."""

    labels: Mapping[str, str]
    pod: Pod | None
    port: int | None
    service: str = ""
    """The Service it was found through."""
    node: bool = False


@dataclass(eq=False)
class Discovery:
    """The services, pods and namespaces of one cluster."""

    objects: tuple[Object, ...]
    _pods: dict[str, list[Pod]] = field(default_factory=dict, repr=False)

    @cached_property
    def namespaces(self) -> dict[str, dict[str, str]]:
        """The labels of every namespace that an object names, with the one that the API server sets."""
        found: dict[str, dict[str, str]] = {name: {"kubernetes.io/metadata.name": name} for name in ("default", "kube-system", "kube-public")}
        for item in self.objects:
            if item.namespace:
                found.setdefault(item.namespace, {"kubernetes.io/metadata.name": item.namespace})
        for item in self.objects:
            if item.kind == "Namespace" and not item.group:
                found[item.name] = {**item.labels, "kubernetes.io/metadata.name": item.name}
        return found

    @cached_property
    def pods(self) -> dict[str, list[Pod]]:
        """The pods by namespace, those of the cluster itself included."""
        found: dict[str, list[Pod]] = defaultdict(list)
        for template in pods_of(self.objects):
            if template.object.kind != "PodTemplate":
                found[template.namespace].append(_pod(template))
        mine = found.get(builtin.NAMESPACE, [])
        for name, labels, ports in builtin.PODS:
            if not any(labels.items() <= dict(pod.labels).items() for pod in mine):
                kinds = tuple(Port(port, number, "UDP" if port == "dns" else "TCP", name) for port, number in ports.items())
                host = name in builtin.HOST_NETWORK
                found[builtin.NAMESPACE].append(Pod(builtin.NAMESPACE, f"{name}-00000", labels, {}, kinds, host, ("", "")))
        return found

    @cached_property
    def all_pods(self) -> list[Pod]:
        """The pods of every namespace, in the order of their names."""
        return [pod for namespace in sorted(self.pods) for pod in self.pods[namespace]]

    @cached_property
    def services(self) -> dict[str, list[Service]]:
        """The services by namespace; those that the cluster makes itself where none of the same name is in Git."""
        found: dict[str, list[Service]] = defaultdict(list)
        taken = set()
        for item in self.objects:
            if item.kind == "Service" and not item.group:
                found[item.namespace].append(Service(item.namespace, item.name, item.body, item))
                taken.add((item.namespace, item.name))
        for body in builtin.services(self.objects):
            metadata = body["metadata"]
            if (metadata["namespace"], metadata["name"]) not in taken:
                found[metadata["namespace"]].append(Service(metadata["namespace"], metadata["name"], body))
        return found

    def service(self, namespace: str, name: str) -> Service | None:
        return next((each for each in self.services.get(namespace, ()) if each.name == name), None)

    def select_pods(self, namespace: str, selector: Mapping[str, Any]) -> list[Pod]:
        """The pods of a namespace that a label selector matches."""
        return [pod for pod in self.pods.get(namespace, ()) if selector_matches(selector, pod.labels)]

    def behind(self, service: Service, *, slices: bool = True) -> Iterator[Address]:
        """What a Service leads to: one address for every port and pod, as roles ``endpointslice`` or ``endpoints`` find it."""
        base = service.labels_found | {
            f"__meta_kubernetes_{'endpointslice' if slices else 'endpoints'}_name": service.name + ("-00000" if slices else ""),
        }
        if service.spec.get("type") == "ExternalName":
            return
        kind, name_label = ("endpointslice", "endpointslice_port_name") if slices else ("endpoint", "endpoint_port_name")
        pods = self._backends(service)
        for port in service.ports:
            protocol = str(port.get("protocol") or "TCP")
            wanted = port.get("targetPort")
            wanted = port.get("port") if wanted in (None, "", 0) else wanted
            common = {
                **base,
                f"__meta_kubernetes_{name_label}": text(port.get("name")),
                f"__meta_kubernetes_{kind}_port_protocol": protocol,
                "__meta_kubernetes_endpointslice_endpoint_conditions_ready" if slices else "__meta_kubernetes_endpoint_ready": "true",
            }
            for pod in pods:
                number = pod.port(wanted, protocol)
                if number is not None:
                    found = next((each for each in pod.ports if each.number == number and each.protocol == protocol), None)
                    labels = {**common, **_target(kind, "Pod", pod.name), **_of_pod(pod), **(_of_port(found) if found else {})}
                    yield Address({**labels, "__address__": f"{_ADDRESS}:{number}"}, pod, number, service.name)
            outside = {**common, "__address__": f"{_ADDRESS}:{wanted}"}
            if service.on_nodes:
                yield Address({**outside, **_target(kind, "Node", "node")}, None, _number(wanted), service.name, node=True)
            elif service.given(self.objects):
                yield Address(outside, None, _number(wanted), service.name)
        # The other ports of the same pods are found too, without a port of the Service.
        for pod in pods:
            bound = {pod.port(port.get("targetPort") or port.get("port"), str(port.get("protocol") or "TCP")) for port in service.ports}
            for each in pod.ports:
                if each.number not in bound and not each.init:
                    labels = {**base, **_target(kind, "Pod", pod.name), **_of_pod(pod), **_of_port(each)}
                    yield Address({**labels, "__address__": f"{_ADDRESS}:{each.number}"}, pod, each.number, service.name)

    def ports_of(self, pod: Pod) -> Iterator[Address]:
        """What role ``pod`` finds: every port of every container; a container without one by the pod's address alone."""
        base = _of_pod(pod)
        bound = {each.container for each in pod.ports}
        for container in pod.template.containers("initContainers", "containers") if pod.template is not None else ():
            if container.name not in bound:
                init = container.list == "initContainers"
                yield Address({**base, **_of_container(container.name, text(container.body.get("image")), init=init), "__address__": _ADDRESS}, pod, None)
        for each in pod.ports:
            yield Address({**base, **_of_port(each), "__address__": f"{_ADDRESS}:{each.number}"}, pod, each.number)

    def _backends(self, service: Service) -> list[Pod]:
        selector = mapping(service.spec.get("selector"))
        return self.select_pods(service.namespace, {"matchLabels": selector}) if selector else []


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A Service, of Git or of the cluster itself (``object`` is None then)."""

    namespace: str
    name: str
    body: Mapping[str, Any]
    object: Object | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return mapping(self.body.get("spec"))

    @property
    def labels(self) -> dict[str, str]:
        return _texts(mapping(self.body.get("metadata")).get("labels"))

    @property
    def ports(self) -> list[dict[str, Any]]:
        return [port for port in items(self.spec.get("ports")) if isinstance(port, dict)]

    @property
    def on_nodes(self) -> bool:
        return self.body.get("endpoints") == "nodes"

    def given(self, objects: Iterable[Object]) -> bool:
        """Whether somebody wrote its addresses down: a Service without a selector, with Endpoints or an EndpointSlice."""
        if self.spec.get("selector"):
            return False
        return any(
            item.namespace == self.namespace
            and (
                (item.kind == "Endpoints" and item.name == self.name)
                or (item.kind == "EndpointSlice" and item.labels.get("kubernetes.io/service-name") == self.name)
            )
            for item in objects
        )

    @property
    def labels_found(self) -> dict[str, str]:
        """What discovery says of the Service itself."""
        annotations = _texts(mapping(self.body.get("metadata")).get("annotations"))
        return {
            "__meta_kubernetes_namespace": self.namespace,
            "__meta_kubernetes_service_name": self.name,
            **_marked("service_label", self.labels),
            **_marked("service_annotation", annotations),
        }


def _pod(template: PodTemplate) -> Pod:
    owner = template.object
    ports = []
    for container in template.containers("initContainers", "containers"):
        for port in items(container.body.get("ports")):
            number = _number(mapping(port).get("containerPort"))
            if number is not None:
                name, protocol = text(mapping(port).get("name")), str(mapping(port).get("protocol") or "TCP")
                init = container.list == "initContainers" and container.body.get("restartPolicy") != "Always"
                ports.append(Port(name, number, protocol, container.name, str(container.body.get("image") or ""), init))
    controller = ("ReplicaSet", f"{owner.name}-0000000000") if owner.kind == "Deployment" else ("" if owner.kind == "Pod" else owner.kind, owner.name)
    name = owner.name + _SUFFIX.get(owner.kind, "")
    return Pod(
        template.namespace, name, _texts(template.labels), _texts(template.annotations), tuple(ports), template.host_network,
        controller if controller[0] else ("", ""), template,
    )  # fmt: skip


def _of_pod(pod: Pod) -> dict[str, str]:
    labels = {
        "__meta_kubernetes_namespace": pod.namespace,
        "__meta_kubernetes_pod_name": pod.name,
        "__meta_kubernetes_pod_ip": _ADDRESS,
        "__meta_kubernetes_pod_ready": "true",
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_pod_node_name": "node",
        "__meta_kubernetes_pod_host_ip": "192.0.2.254",
        "__meta_kubernetes_pod_uid": "00000000-0000-0000-0000-000000000000",
        **_marked("pod_label", pod.labels),
        **_marked("pod_annotation", pod.annotations),
    }
    if pod.controller[0]:
        labels["__meta_kubernetes_pod_controller_kind"], labels["__meta_kubernetes_pod_controller_name"] = pod.controller
    return labels


def _of_port(port: Port) -> dict[str, str]:
    return {
        **_of_container(port.container, port.image, init=port.init),
        "__meta_kubernetes_pod_container_port_name": port.name,
        "__meta_kubernetes_pod_container_port_number": str(port.number),
        "__meta_kubernetes_pod_container_port_protocol": port.protocol,
    }


def _of_container(name: str, image: str, *, init: bool) -> dict[str, str]:
    return {
        "__meta_kubernetes_pod_container_name": name,
        "__meta_kubernetes_pod_container_image": image,
        "__meta_kubernetes_pod_container_init": "true" if init else "false",
    }


def _target(role: str, kind: str, name: str) -> dict[str, str]:
    part = "endpointslice_address_target" if role == "endpointslice" else "endpoint_address_target"
    return {f"__meta_kubernetes_{part}_kind": kind, f"__meta_kubernetes_{part}_name": name}


def _marked(part: str, values: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in values.items():
        name = sanitized(key)
        found[f"__meta_kubernetes_{part}_{name}"] = value
        found[f"__meta_kubernetes_{part.replace('label', 'labelpresent').replace('annotation', 'annotationpresent')}_{name}"] = "true"
    return found


def _texts(value: object) -> dict[str, str]:
    return {str(key): item for key, item in mapping(value).items() if isinstance(item, str)}


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdigit() else None
