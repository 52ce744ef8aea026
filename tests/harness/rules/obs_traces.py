"""Rules about the OpenTelemetry Collector and the way of spans (OBS5xx)."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from harness.engines.quantity import parse_or_none
from harness.engines.telemetry import collector
from harness.engines.telemetry.endpoints import Endpoint
from harness.flux.texts import ConfigText, config_texts
from harness.model import Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.obs_common import asserted, scraping, telemetry_intent
from harness.rules.obs_routes import addresses_in, blocked_by, lead, mounting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.flux.world import World
    from harness.model.pods import Container, PodTemplate

OBS: Final = Registry()

_PROTOCOL: Final = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
#: The paths that take OTLP over HTTP, by what serves them.
_PATHS: Final[Mapping[str, str]] = {"prometheus": "/api/v1/otlp", "loki": "/otlp"}


def _collectors(world: World) -> tuple[ConfigText, ...]:
    return tuple(config for config in world.derive(config_texts) if collector.is_collector(config.body))


def _containers(config: ConfigText, pods: Iterable[PodTemplate]) -> Iterator[tuple[PodTemplate, Container]]:
    """The containers that mount a configuration."""
    for pod in pods:
        volumes = {
            text(mapping(volume).get("name"))
            for volume in items(pod.spec.get("volumes"))
            if config.object.name in (mapping(mapping(volume).get("configMap")).get("name"), mapping(mapping(volume).get("secret")).get("secretName"))
        }
        for container in pod.containers("containers"):
            if any(mapping(mount).get("name") in volumes for mount in items(container.body.get("volumeMounts"))):
                yield pod, container


def _memory(container: Container) -> float | None:
    limits = mapping(mapping(container.body.get("resources")).get("limits"))
    found = parse_or_none(limits.get("memory")) if "memory" in limits else None
    return float(found) if found is not None else None


def _setting_faults(world: World, config: ConfigText) -> Iterator[collector.Fault]:
    held = list(_containers(config, mounting(world, config.object)))
    seen = set()
    for memory in [_memory(container) for _, container in held] or [float("inf")]:
        for fault in collector.setting_faults(config.body, memory):
            if fault not in seen:
                seen.add(fault)
                yield fault


@OBS.rule(
    "OBS501",
    title="the collector starts with its configuration: what pipelines name is declared, connectors have two ends, variables and files are there",
    why="the Collector refuses a configuration with one dangling name and restarts for ever; what is sent to it is lost (OpenTelemetry: configuration)",
    fix="declare the component, correct its name, give the container the variable, or mount the file",
    scope=Clusters(),
    controls=("NIST-AU-12", "NIST-SI-4"),
)
def collector_starts(world: World) -> Iterator[Violation]:
    for config in world.derive(_collectors):
        for fault in (*collector.faults(config.body), *_setting_faults(world, config)):
            if fault.fatal:
                yield Violation(fault.found, fault.expect, config.locate(*fault.at))
        for _, container in _containers(config, mounting(world, config.object)):
            known = {text(mapping(entry).get("name")) for entry in items(container.body.get("env"))}
            if not items(container.body.get("envFrom")):
                for at, name in collector.variables(config.body):
                    if name not in known:
                        yield Violation(f"variable {name}, which container {container.name} does not have", "an entry of env", config.locate(*at))
            mounts = [text(mapping(mount).get("mountPath")).rstrip("/") for mount in items(container.body.get("volumeMounts"))]
            for at, path in collector.files(config.body):
                if not any(path == mount or path.startswith(f"{mount}/") for mount in mounts) and not path.startswith("/var/run/secrets/kubernetes.io/"):
                    yield Violation(f"{path}, where container {container.name} mounts nothing", "a volume mounted there", config.locate(*at))


@OBS.rule(
    "OBS502",
    title="the collector's processors are in an order that loses nothing, within the memory it has, and nothing declared is idle",
    why=(
        "memory_limiter protects only what comes after it; after batch and tail sampling the sender's address is gone, so Kubernetes attributes cannot be "
        "found; what is declared and unused is what somebody believes to be on (OpenTelemetry: recommended processors)"
    ),
    fix="order them: memory_limiter, k8s_attributes, resource, filters and samplers, attributes and transforms, batch",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-AU-5",),
)
def processors_are_in_order(world: World) -> Iterator[Violation]:
    for config in world.derive(_collectors):
        for fault in (*collector.faults(config.body), *collector.order_faults(config.body), *_setting_faults(world, config)):
            if not fault.fatal:
                yield Violation(fault.found, fault.expect, config.locate(*fault.at))


@OBS.rule(
    "OBS503",
    title="each exporter of the collector leads to a Service that exists, speaks its protocol and may be reached",
    why="the Collector retries for minutes and then drops, and only its own metrics say so: traces, metrics and logs end here without an error anywhere else",
    fix="correct the exporter's endpoint, the receiver's switch (Prometheus: enableOTLPReceiver), or the NetworkPolicy on either side",
    scope=Clusters(),
    controls=("NIST-AU-5", "NIST-SC-7"),
)
def exporters_lead_somewhere(world: World) -> Iterator[Violation]:
    for config in world.derive(_collectors):
        pods = mounting(world, config.object)
        for at, address, kind in collector.endpoints(config.body):
            found = lead(world, address, pods, config.object.namespace)
            where = config.locate(*at)
            if isinstance(found, str):
                yield Violation(f"{address}: {found}", "a Service, a port of it, and policies that let the collector through", where)
            elif found is not None:
                for wrong in _protocol(world, kind, address, found):
                    yield Violation(f"{address}: {wrong}", "the address and path that take OTLP", where)


def _protocol(world: World, kind: str, address: str, found: Endpoint) -> Iterator[str]:
    if kind == "otlp_http":
        if not _PROTOCOL.match(address):
            yield "otlp_http needs a URL with http:// or https://"
        for pod, _ in found.pods:
            owner = pod.template.object if pod.template is not None else None
            if owner is None:
                continue
            if owner.origin.synthesised.startswith("Prometheus/") or pod.labels.get("app.kubernetes.io/name") == "prometheus":
                yield from _to_prometheus(world, found)
                return
            if pod.labels.get("app.kubernetes.io/name") == "loki" and found.path.rstrip("/") not in ("/otlp", "/otlp/v1/logs"):
                yield f"Loki takes OTLP at {_PATHS['loki']}"
                return


def _to_prometheus(world: World, found: Endpoint) -> Iterator[str]:
    if not found.path.rstrip("/").startswith(_PATHS["prometheus"]):
        yield f"Prometheus takes OTLP at {_PATHS['prometheus']}"
    for item in world.of("Prometheus.monitoring.coreos.com"):
        made = {pod.template.object.origin.synthesised for pod, _ in found.pods if pod.template is not None}
        if f"Prometheus/{item.namespace}/{item.name}" in made and item.spec.get("enableOTLPReceiver") is not True:
            yield f"Prometheus {item.namespace}/{item.name} has its OTLP receiver off"


@OBS.rule(
    "OBS504",
    title="the collector listens where its Service leads",
    why="a receiver on localhost, or on another port than the Service's, refuses every client; their SDKs drop in silence (OpenTelemetry: receivers)",
    fix="listen on 0.0.0.0:<port> with the port that the Service and the container name",
    scope=Clusters(),
    controls=("NIST-AU-12",),
)
def receivers_listen(world: World) -> Iterator[Violation]:
    for config in world.derive(_collectors):
        local = [each for each in collector.listeners(config.body) if each[1].strip("[]") in ("localhost", "127.0.0.1", "::1")]
        owners = {id(pod.object) for pod in mounting(world, config.object)}
        for at, host, port in local:
            for name in _serving(world, owners, port):
                yield Violation(f"{host}:{port}, and Service {name} leads there", f"0.0.0.0:{port}", config.locate(*at))


def _serving(world: World, owners: set[int], port: int) -> Iterator[str]:
    """The Services that lead to a port of pods of some objects."""
    discovery = scraping(world).discovery
    for namespace in sorted({item.namespace for item in world.of("Service")}):
        for service in discovery.services.get(namespace, ()):
            pods = discovery.select_pods(namespace, {"matchLabels": mapping(service.spec.get("selector"))}) if service.spec.get("selector") else []
            ours = [pod for pod in pods if pod.template is not None and id(pod.template.object) in owners]
            if any(pod.port(each.get("targetPort") or each.get("port")) == port for pod in ours for each in service.ports):
                yield f"{namespace}/{service.name}"


@OBS.rule(
    "OBS505",
    title="spans have a way from each workload that tests/intent/telemetry.yaml names to the store",
    why="a trace with a hole looks like a fast request: nobody misses a span that never came",
    fix="correct the sender's endpoint, the receiver, the exporter or the NetworkPolicy of the hop that is named",
    scope=Clusters(),
    controls=("NIST-AU-12", "NIST-SC-7"),
)
def routes_hold(world: World) -> Iterator[Violation]:
    intent = telemetry_intent(world)
    if intent is None:
        return
    workloads = {f"{pod.object.kind}/{pod.namespace}/{pod.object.name}": pod for pod in world.pods}
    for index, route in asserted(world, "traces", "routes"):
        hops = [text(name) for name in items(route.get("hops"))]
        for number, (source, target) in enumerate(itertools.pairwise(hops)):
            where = intent.locate("traces", "routes", index, "hops", number)
            if source not in workloads or target not in workloads:
                missing = source if source not in workloads else target
                yield Violation(f"there is no {missing}", "a workload of the cluster", where)
                continue
            found = _hop(world, workloads[source], workloads[target])
            if found:
                yield Violation(f"{source} -> {target}: {found}", "an address that leads there and may be reached", where)


def _hop(world: World, sender: PodTemplate, receiver: PodTemplate) -> str:
    """Why spans do not get from one pod to another; empty when they do."""
    addresses = _configured(world, sender)
    reasons = []
    for address in sorted(addresses):
        found = lead(world, address, (), sender.namespace)
        if isinstance(found, Endpoint) and any(pod.template is not None and pod.template.object is receiver.object for pod, _ in found.pods):
            blocked = blocked_by(world, sender.object, found.pods)
            if not blocked:
                return ""
            reasons.append(blocked)
    return reasons[0] if reasons else "nothing in its configuration names it"


def _configured(world: World, pod: PodTemplate) -> set[str]:
    """The addresses in a pod's environment and arguments, and in the ConfigMaps it mounts or is pointed to."""
    found = set()
    names = set()
    for container in pod.containers():
        found |= addresses_in([container.body.get("env"), container.body.get("args"), container.body.get("command")])
        names |= {word.rpartition("/")[2] for word in items(container.body.get("args")) if isinstance(word, str) and "configmap" in word.lower()}
    for item in world.of("ConfigMap"):
        if item.namespace == pod.namespace and (item.name in names or any(each.object is pod.object for each in mounting(world, item))):
            found |= addresses_in(item.body.get("data"))
    return found


RULES: Final = tuple(OBS.rules)
