"""Rules about the way of telemetry through NetworkPolicies: scrapes (OBS108) and data sources (OBS610)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.rules.base import Clusters, Registry, Violation
from harness.rules.net_intent import network_of
from harness.rules.obs_common import scraping
from harness.rules.obs_dashboards import loading, service_of, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.netpol.network import Network
    from harness.engines.netpol.workloads import Workload
    from harness.engines.telemetry.scraping import Scrape
    from harness.flux.world import World
    from harness.model import Object

OBS: Final = Registry()


def workloads(world: World) -> dict[int, list[Workload]]:
    """The workloads of a cluster's network, by the object that makes their pods."""
    return world.derive(_workloads)


def _workloads(world: World) -> dict[int, list[Workload]]:
    found: dict[int, list[Workload]] = defaultdict(list)
    for each in world.derive(network_of).workloads:
        if each.object is not None:
            found[id(each.object)].append(each)
    return found


def _runners(world: World, scrape: Scrape) -> list[Workload]:
    """The pods of the Prometheus that runs a job."""
    prometheus = scrape.prometheus
    if prometheus is None or prometheus.group != "monitoring.coreos.com":
        return []
    name = f"{'prometheus' if prometheus.kind == 'Prometheus' else 'prom-agent'}-{prometheus.name}"
    made = world.find("StatefulSet.apps", prometheus.namespace, name)
    return workloads(world).get(id(made), []) if made is not None else []


@OBS.rule(
    "OBS108",
    title="NetworkPolicies let every Prometheus reach what it scrapes",
    why="the scrape times out, and `up` is 0 for as long as nobody looks: both the target's ingress and Prometheus' own egress must allow the port",
    fix="an ingress rule from Prometheus' pods to the port in the target's namespace, and an egress rule to it in Prometheus' own",
    scope=Clusters(),
    controls=("NIST-SI-4", "NIST-SC-7"),
)
def scrapes_get_through(world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    told = set()
    for scrape in scraping(world).taken:
        for runner in _runners(world, scrape):
            for target in scrape.result.targets:
                made = target.pod.template.object if target.pod is not None and target.pod.template is not None else None
                if made is None or target.port is None or target.pod is None or target.pod.host_network:
                    continue
                place = (scrape.job.name, id(made), target.port)
                if place not in told and not _reaches(network, runner, workloads(world).get(id(made), []), target.port):
                    told.add(place)
                    found = f"{scrape.job.name}: {runner} cannot reach port {target.port} of {made.kind} {made.namespace}/{made.name}"
                    yield Violation(found, "a way through the NetworkPolicies", scrape.job.locate())


def _reaches(network: Network, source: Workload, destinations: list[Workload], port: int) -> bool:
    """Whether one of the destinations lets a source in, and the source itself out. What is not known of counts as reached."""
    return not destinations or any(each is source or ("TCP", port) in network.allowed(source, each) for each in destinations)


@OBS.rule(
    "OBS610",
    title="NetworkPolicies let every Grafana reach its data sources",
    why="every panel of the source shows a time-out, while the source itself is well",
    fix="an egress rule of Grafana's pods to the source's port, and an ingress rule from Grafana there",
    scope=Clusters(),
    controls=("NIST-SC-7",),
)
def sources_get_through(world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    discovery = scraping(world).discovery
    grafanas = [each for pod in loading(world).pods for each in workloads(world).get(id(pod.object), [])]
    for source in sources(world):
        place = service_of(source)
        service = discovery.service(place[0], place[1]) if place is not None else None
        if place is None or service is None or not service.spec.get("selector"):
            continue
        behind = [
            address
            for address in discovery.behind(service)
            if address.pod is not None and (address.labels.get(_PORT) or None) == _name(service.ports, place[2])
        ]
        made: dict[int, tuple[Object, int]] = {}
        for address in behind:
            if address.pod is not None and address.pod.template is not None and address.port is not None:
                made[id(address.pod.template.object)] = (address.pod.template.object, address.port)
        for grafana in grafanas:
            for item, port in made.values():
                if not _reaches(network, grafana, workloads(world).get(id(item), []), port):
                    found = f"{source.name}: {grafana} cannot reach port {port} of {item.kind} {item.namespace}/{item.name}"
                    yield Violation(found, "a way through the NetworkPolicies", source.locate("url"))


_PORT: Final = "__meta_kubernetes_endpointslice_port_name"


def _name(ports: list[dict[str, object]], number: int) -> object:
    return next((each.get("name") or None for each in ports if each.get("port") == number), None)


RULES: Final = tuple(OBS.rules)
