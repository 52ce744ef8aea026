"""What components need and policies must not take away (NET3xx): webhooks, metrics, routes, the API server, probes, the way in.

Probes come from the kubelet of the pod's own node, whose traffic no policy can refuse: only their ports are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.engines.netpol.addresses import EVERYWHERE
from harness.engines.netpol.labels import EVERYTHING, read_selector
from harness.engines.netpol.policies import INGRESS
from harness.engines.netpol.ports import NONE, Ports
from harness.engines.netpol.workloads import labels_of
from harness.model import NotEvaluated, Severity
from harness.model.pods import TEMPLATES
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.net_common import by_object, entrances_of, network_of, probes, services_of
from harness.rules.net_intent import intent_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.netpol.intervals import Intervals
    from harness.engines.netpol.network import Network
    from harness.engines.netpol.workloads import Workload
    from harness.flux.world import World
    from harness.model import Object, Pointer

NET: Final = Registry()
_PODS: Final = tuple(kind for kind in TEMPLATES if kind != "PodTemplate")
_API_PORTS: Final = (Ports.parse("443"), Ports.parse("6443"))
_CALLED: Final = (
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    "MutatingWebhookConfiguration.admissionregistration.k8s.io",
    "CustomResourceDefinition.apiextensions.k8s.io",
    "APIService.apiregistration.k8s.io",
)
_MONITORS: Final = ("ServiceMonitor.monitoring.coreos.com", "PodMonitor.monitoring.coreos.com")


@NET.rule(
    "NET301",
    title="the API server reaches every webhook it is told to ask",
    why=(
        "it calls from a node's address, which no pod selector matches; a webhook that is blocked refuses or delays every request it is for "
        "(Kubernetes: Dynamic Admission Control)"
    ),
    fix="allow ingress on the pod's port with no from, or from an ipBlock of the nodes' network",
    scope=Objects(_CALLED),
    controls=("NIST-SC-5",),
)
def webhooks_answer(item: Object, world: World) -> Iterator[Violation]:
    network, services = world.derive(network_of), world.derive(services_of)
    for at, reference in _called(item):
        service = services.every.get((text(reference.get("namespace")), text(reference.get("name"))))
        if service is None:
            continue
        port = reference.get("port")
        for backend in services.resolve(service, port if isinstance(port, int) else 443).backends:
            workload = backend.workload
            if workload is None or _from_nodes(network, workload, backend.ports):
                continue
            found = f"{workload} is isolated and lets nothing from the nodes in on {backend.ports}"
            yield violation(item, *at, found=found, expect="an ingress rule on that port for the nodes' addresses")


def _called(item: Object) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    """The references to Services that the API server calls."""
    if item.kind == "APIService":
        places: list[Pointer] = [("spec", "service")]
    elif item.kind == "CustomResourceDefinition":
        places = [("spec", "conversion", "webhook", "clientConfig", "service")]
    else:
        places = [("webhooks", index, "clientConfig", "service") for index, _ in enumerate(items(item.body.get("webhooks")))]
    for at in places:
        reference = mapping(item.get(*at))
        if reference:
            yield at, reference


def _from_nodes(network: Network, workload: Workload, ports: Ports) -> bool:
    """Whether nodes reach a workload on ports; where nobody says which addresses nodes have, whether any address does."""
    if workload.host_network:
        return True
    side = network.ingress(workload)
    return ports.issubset(side.at(network.known.nodes) if network.known.nodes else side.somewhere(EVERYWHERE))


@NET.rule(
    "NET302",
    title="Prometheus reaches what monitors tell it to scrape",
    why="a target that policies block is down for Prometheus: its alerts fire for nothing, or those that compare values never do",
    fix="allow ingress from Prometheus on the metrics port, and egress of Prometheus to it",
    scope=Objects(_MONITORS),
    controls=("NIST-AU-6", "NIST-SI-4"),
)
def metrics_are_reachable(item: Object, world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    scrapers = [each for each in network.workloads if _is_prometheus(each)]
    for at, workload, ports in _targets(item, world) if scrapers else ():
        for scraper in scrapers:
            reached = _to_host(network, scraper) if workload.host_network else network.allowed(scraper, workload)
            if scraper is not workload and not ports.issubset(reached):
                yield violation(item, *at, found=f"{scraper} does not reach {workload} on {ports - reached}", expect="allowed at both ends")


def _to_host(network: Network, scraper: Workload) -> Ports:
    side = network.egress(scraper)
    return side.at(network.known.nodes) if network.known.nodes else side.somewhere(EVERYWHERE)


def _is_prometheus(each: Workload) -> bool:
    if each.template is None:
        return False
    return any(
        text(container.body.get("image")).partition("@")[0].partition(":")[0].endswith("/prometheus") for container in each.template.containers("containers")
    )


def _targets(item: Object, world: World) -> Iterator[tuple[Pointer, Workload, Ports]]:
    """The pods and ports that a monitor means: simply, by labels and names; relabelling is not followed."""
    network, services = world.derive(network_of), world.derive(services_of)
    selector, faults = read_selector(item.spec.get("selector"))
    if faults:
        return
    spaces = _namespaces(item, network)
    field = "endpoints" if item.kind == "ServiceMonitor" else "podMetricsEndpoints"
    for index, each in enumerate(items(item.spec.get(field))):
        endpoint = mapping(each)
        at: Pointer = ("spec", field, index)
        name = endpoint.get("port") or endpoint.get("targetPort") or endpoint.get("portNumber")
        if item.kind == "PodMonitor":
            for space in spaces:
                for workload in network.labelled(space, selector):
                    ports = _pod_port(workload, name)
                    if ports:
                        yield at, workload, ports
            continue
        for (space, _), service in services.every.items():
            if space in spaces and selector.matches(labels_of(service.labels)):
                if endpoint.get("port"):
                    for backend in services.resolve(service, text(endpoint["port"])).backends:
                        if backend.workload is not None:
                            yield at, backend.workload, backend.ports
                else:
                    for workload in services.selected(service):
                        if ports := _pod_port(workload, name):
                            yield at, workload, ports


def _namespaces(item: Object, network: Network) -> list[str]:
    chosen = mapping(item.spec.get("namespaceSelector"))
    if chosen.get("any") is True:
        return [each.name for each in network.in_namespaces(EVERYTHING)]
    return [text(each) for each in items(chosen.get("matchNames"))] or [item.namespace]


def _pod_port(workload: Workload, name: object) -> Ports:
    if isinstance(name, int) and not isinstance(name, bool) and 1 <= name <= 65535:
        return Ports.single(name)
    return workload.named(name, "TCP") if isinstance(name, str) else NONE


@NET.rule(
    "NET303",
    title="whoever forwards to a Service reaches its pods",
    why="an Ingress or route whose backend refuses its controller answers 502 or 504 to everybody",
    fix="allow ingress from the controller's pods on the target port, and egress of the controller to it",
    scope=Clusters(),
    controls=("NIST-SC-5",),
)
def backends_are_reachable(world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    for entrance in world.derive(entrances_of):
        for controller in entrance.controllers if not entrance.direct else ():
            for backend in entrance.resolution.backends:
                workload = backend.workload
                if workload is None:
                    continue
                reached = network.allowed(controller, workload)
                if not backend.ports.issubset(reached):
                    found = f"{entrance.what}: {controller} does not reach {workload} on {backend.ports - reached}"
                    yield violation(entrance.object, *entrance.at, found=found, expect="allowed at both ends")


@NET.rule(
    "NET304",
    title="a pod whose account has rights can reach the API server",
    why=(
        "a controller that cannot list or watch does nothing, and says so only in its log; policies see the API server's own address and port, mostly 6443, "
        "not those of the Service kubernetes"
    ),
    fix="allow egress to the API server's addresses on its port, or take the token from the pod (automountServiceAccountToken: false)",
    scope=Objects(_PODS),
    severity=Severity.WARNING,
    controls=("NIST-SC-5",),
)
def api_server_is_reachable(item: Object, world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    for workload in world.derive(by_object).get(item, ()):
        side = network.egress(workload)
        if not side.isolated or workload.template is None:
            continue
        account = workload.template.service_account
        if (item.namespace, account) not in world.derive(bound_accounts) or not _has_token(workload, world):
            continue
        where = world.derive(api_addresses)
        ports = side.at(where) if where else side.somewhere(EVERYWHERE)
        if not any(port.issubset(ports) for port in _API_PORTS):
            found = f"{workload} runs as {account}, which has rights, and may not leave for the API server"
            yield violation(item, "metadata", "name", found=found, expect="egress to the API server on 6443 or 443")


def api_addresses(world: World) -> Intervals:
    """The API server's addresses, as far as somebody says them. Use it with ``world.derive``."""
    intent = world.derive(intent_of)
    known = world.derive(network_of).known.nodes
    return known if intent is None or intent.faults else intent.addresses("api-server", world.cluster.name) or known


def bound_accounts(world: World) -> frozenset[tuple[str, str]]:
    """The service accounts that some binding gives rights. Use it with ``world.derive``."""
    found = set()
    for item in world.of("RoleBinding.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io"):
        for each in items(item.body.get("subjects")):
            subject = mapping(each)
            if subject.get("kind") == "ServiceAccount":
                found.add((text(subject.get("namespace")) or item.namespace, text(subject.get("name"))))
    return frozenset(found)


def _has_token(workload: Workload, world: World) -> bool:
    """Whether the pod gets a token: by itself, by its account, or by a projected volume."""
    template = workload.template
    if template is None:
        return False
    for volume in items(template.spec.get("volumes")):
        for source in items(mapping(mapping(volume).get("projected")).get("sources")):
            token = mapping(mapping(source).get("serviceAccountToken"))
            if "serviceAccountToken" in mapping(source) and not token.get("audience"):
                return True
    own = template.spec.get("automountServiceAccountToken")
    if isinstance(own, bool):
        return own
    account = world.find("ServiceAccount", workload.namespace, template.service_account)
    return account is None or account.body.get("automountServiceAccountToken") is not False


@NET.rule(
    "NET305",
    title="a probe asks a port that its container names",
    why="the kubelet cannot resolve the name: the probe fails for ever, and the pod never gets ready or is killed again and again",
    fix="name the container's port, or write its number",
    scope=Objects(_PODS),
    controls=("NIST-SC-5",),
)
def probes_have_ports(item: Object, world: World) -> Iterator[Violation]:
    for workload in world.derive(by_object).get(item, ())[:1]:
        for at, probe in probes(workload):
            template = workload.template
            container = mapping(mapping(template.spec).get(str(at[1]), [])[at[2]]) if template is not None and isinstance(at[2], int) else {}
            names = {text(mapping(port).get("name")) for port in items(container.get("ports"))}
            for kind in ("httpGet", "tcpSocket"):
                port = mapping(probe.get(kind)).get("port")
                if isinstance(port, str) and not port.isdecimal() and port not in names and template is not None:
                    found = f"{at[-1]} asks for port {port}, and the container names {', '.join(sorted(names - {''})) or 'none'}"
                    yield Violation(found=found, expect="the name of one of its ports", location=template.locate(*at, kind, "port"))


@NET.rule(
    "NET306",
    title="a Service that outsiders are given can be reached by some of them",
    why="a LoadBalancer or NodePort whose pods let no address in takes an address and answers nobody",
    fix="allow ingress on the pods' port with no from or from an ipBlock, or make the Service a ClusterIP",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-SC-5",),
)
def entrances_are_open(world: World) -> Iterator[Violation]:
    network = world.derive(network_of)
    for entrance in world.derive(entrances_of):
        for backend in entrance.resolution.backends if entrance.direct else ():
            workload = backend.workload
            if workload is None or workload.host_network:
                continue
            allowed = NONE
            for _, ports in network.outside(workload, INGRESS):
                allowed |= ports
            if not backend.ports & allowed:
                found = f"{entrance.what}: {workload} lets no address in on {backend.ports}"
                yield violation(entrance.object, *entrance.at, found=found, expect="an ingress rule for the addresses that use it")


def not_evaluated(world: World) -> list[NotEvaluated]:
    """Routes whose controller nobody knows, and monitors without a Prometheus."""
    name = world.cluster.name
    unknown = sorted({entrance.what for entrance in world.derive(entrances_of) if not entrance.direct and not entrance.controllers})
    found = (
        [NotEvaluated(name, f"NET303: whether a controller reaches the pods of {len(unknown)} routes", f"no controller's pods are known for {unknown[0]}")]
        if unknown
        else []
    )
    monitors = len(world.of(*_MONITORS))
    if monitors and not any(_is_prometheus(each) for each in world.derive(network_of).workloads):
        found.append(NotEvaluated(name, f"NET302: whether {monitors} monitors reach their targets", "there is no Prometheus among the pods"))
    return found


RULES: Final = tuple(NET.rules)
