"""Scrape jobs: where a Prometheus looks for targets, how it relabels them, and the targets that result.

A :class:`Job` is one entry of ``scrape_configs``: as somebody wrote it (:mod:`.scrape_config`), or as prometheus-operator generates it from a monitor
(:mod:`.scrape_monitors`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.selectors import selector_matches
from harness.engines.telemetry.discovery import Address
from harness.engines.telemetry.relabel import RelabelError, relabel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.engines.telemetry.discovery import Discovery, Pod, Service
    from harness.engines.telemetry.relabel import Step
    from harness.model import Location, Object, Pointer

#: The port of an address that names none (Prometheus ``scrape/target.go`` PopulateLabels; since 3.0 left to the scheme).
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Sought:
    """One way a job finds addresses: a role of Kubernetes' discovery in some namespaces (None: in all), or fixed addresses.

    ``selector`` narrows services (pods for role ``pod``) as the API would; it only saves work where relabelling does the same.
    """

    role: str
    namespaces: tuple[str, ...] | None = None
    selector: Mapping[str, Any] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One scrape job. ``at`` points to what makes it inside ``object``; ``faults`` are relabellings that Prometheus or the operator refuses.

    ``unknown`` says why its targets cannot be told from Git.
    """

    name: str
    object: Object
    at: Pointer
    sought: tuple[Sought, ...] = ()
    scheme: str = "http"
    path: str = "/metrics"
    params: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    metric_steps: tuple[Step, ...] = ()
    honor_labels: bool = False
    faults: tuple[tuple[Pointer, str], ...] = ()
    unknown: str = ""
    place: Callable[..., Location] | None = None
    """What finds the lines of ``at``, where that is not the object itself."""

    def locate(self, *pointer: str | int) -> Location:
        """The line of what a pointer below the job points to."""
        return (self.place or self.object.locate)(*self.at, *pointer)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is scraped: the labels its series get, and where it is. ``pod`` and ``port`` are None where they are not in this cluster."""

    job: Job
    labels: Mapping[str, str]
    scheme: str
    address: str
    path: str
    pod: Pod | None
    port: int | None
    service: str = ""
    node: bool = False

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}{self.path}"


@dataclass(frozen=True, slots=True)
class Result:
    """The targets of a job. ``dropped`` counts the addresses that relabelling left out; ``unknown`` says why there may be others."""

    targets: tuple[Target, ...]
    dropped: int = 0
    unknown: str = ""


def resolve(job: Job, discovery: Discovery) -> Result:
    """What a job scrapes. Never raises."""
    targets: list[Target] = []
    # Equal targets of one job are one (Prometheus ``scrape/scrape.go`` sync): the TCP and the UDP port of the same number.
    seen: set[tuple[object, ...]] = set()
    dropped, unknown = 0, job.unknown
    for sought in job.sought:
        for address in _addresses(sought, discovery):
            labels = {
                **address.labels,
                **{name: value for name, value in sought.labels.items() if value},
                "job": sought.labels.get("job") or job.name,
                "__scheme__": job.scheme,
                "__metrics_path__": job.path,
                **{f"__param_{name}": str(values[0]) for name, values in job.params.items() if isinstance(values, list) and values},
            }
            try:
                kept = relabel(labels, job.steps)
            except RelabelError as error:
                unknown = unknown or str(error)
                continue
            if kept is None or not kept.get("__address__"):
                dropped += 1
                continue
            target = _target(job, kept, address)
            key = (target.url, id(target.pod), *sorted(target.labels.items()))
            if key not in seen:
                seen.add(key)
                targets.append(target)
    return Result(tuple(targets), dropped, unknown)


def _target(job: Job, labels: dict[str, str], address: Address) -> Target:
    place = labels["__address__"]
    labels.setdefault("instance", place)
    scheme = labels.get("__scheme__", job.scheme)
    own = place == address.labels.get("__address__")
    port = address.port if own else _port(place, scheme)
    final = {name: value for name, value in labels.items() if not name.startswith("__")}
    # An address that relabelling replaced leads elsewhere, unless only its port is another one.
    same_host = own or place.partition(":")[0] == address.labels.get("__address__", "").partition(":")[0]
    return Target(job, final, scheme, place, labels.get("__metrics_path__", job.path), address.pod if same_host else None, port, address.service, address.node)


def _port(address: str, scheme: str) -> int | None:
    tail = address.rpartition(":")[2]
    return int(tail) if tail.isdigit() and ":" in address else _DEFAULT_PORT.get(scheme)


def _addresses(sought: Sought, discovery: Discovery) -> Iterator[Address]:
    if sought.role == "static":
        yield from _fixed(sought)
        return
    for namespace in sought.namespaces if sought.namespaces is not None else sorted({*discovery.services, *discovery.pods}):
        if sought.role in ("endpoints", "endpointslice"):
            for service in discovery.services.get(namespace, ()):
                if selector_matches(sought.selector, service.labels):
                    yield from discovery.behind(service, slices=sought.role == "endpointslice")
        elif sought.role == "pod":
            for pod in discovery.select_pods(namespace, sought.selector):
                yield from discovery.ports_of(pod)
        elif sought.role == "service":
            for service in discovery.services.get(namespace, ()):
                if selector_matches(sought.selector, service.labels):
                    yield from _service(service, discovery)
    if sought.role == "node":
        yield from _nodes()


def _fixed(sought: Sought) -> Iterator[Address]:
    for address in sought.addresses:
        yield Address({"__address__": address}, None, _port(address, "http"))


def _service(service: Service, discovery: Discovery) -> Iterator[Address]:
    """Role ``service``: each port of the Service, by its name. The pod is the first behind it."""
    pods = discovery.select_pods(service.namespace, {"matchLabels": service.spec.get("selector")}) if service.spec.get("selector") else []
    for port in service.ports:
        number = port.get("port")
        labels = {
            **service.labels_found,
            "__meta_kubernetes_service_port_name": str(port.get("name") or ""),
            "__meta_kubernetes_service_port_number": str(number),
            "__meta_kubernetes_service_port_protocol": str(port.get("protocol") or "TCP"),
            "__meta_kubernetes_service_type": str(service.spec.get("type") or "ClusterIP"),
            "__address__": f"{service.name}.{service.namespace}.svc:{number}",
        }
        yield Address(labels, pods[0] if pods else None, number if isinstance(number, int) else None, service.name)


def _nodes() -> Iterator[Address]:
    labels = {
        "__address__": "192.0.2.254:10250",
        "__meta_kubernetes_node_name": "node",
        "__meta_kubernetes_node_address_InternalIP": "192.0.2.254",
        "__meta_kubernetes_node_label_kubernetes_io_hostname": "node",
        "__meta_kubernetes_node_label_kubernetes_io_os": "linux",
        "__meta_kubernetes_node_labelpresent_kubernetes_io_hostname": "true",
        "__meta_kubernetes_node_labelpresent_kubernetes_io_os": "true",
        "instance": "node",
    }
    yield Address(labels, None, 10250, "", node=True)
