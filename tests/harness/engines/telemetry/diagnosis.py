"""Why a scrape job finds nothing, in words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.selectors import selector_matches
from harness.engines.telemetry import builtin
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.telemetry.discovery import Discovery, Service
    from harness.engines.telemetry.scrape import Job, Sought


def namespaces_of(job: Job) -> tuple[str, ...]:
    """The namespaces a job looks in; empty where it looks in all."""
    if any(sought.namespaces is None for sought in job.sought):
        return ()
    return tuple(dict.fromkeys(name for sought in job.sought for name in sought.namespaces or ()))


def why_nothing(job: Job, discovery: Discovery) -> str:
    """The first step between a monitor's endpoint and a port of a pod that is missing."""
    endpoint = mapping(job.object.get(*job.at))
    sought = job.sought[0] if job.sought else None
    if sought is None or sought.role not in ("endpoints", "endpointslice", "pod"):
        return "no address is found"
    where = "any namespace" if sought.namespaces is None else " or ".join(sought.namespaces)
    places = sorted({*discovery.services, *discovery.pods}) if sought.namespaces is None else sought.namespaces
    if sought.role == "pod":
        return _pods(job, sought, places, where, discovery, endpoint)
    services = [each for name in places for each in discovery.services.get(name, ()) if selector_matches(sought.selector, each.labels)]
    if not services:
        return f"no Service in {where} has the labels {_selector(sought.selector)}"
    port = text(endpoint.get("port"))
    if port:
        having = [service for service in services if any(each.get("name") == port for each in service.ports)]
        if not having:
            known = sorted({text(each.get("name")) or "(unnamed)" for service in services for each in service.ports})
            return f"Service {_names(services)} has no port {port}, only {', '.join(known) or 'none at all'}"
        services = having
    lonely = [service for service in services if service.spec.get("selector") and not discovery.select_pods(service.namespace, _of(service))]
    if len(lonely) == len(services):
        return f"no pod has the labels that Service {_names(services)} selects: {_selector(_of(services[0]))}"
    if not any(service.spec.get("selector") or service.on_nodes or service.given(discovery.objects) for service in services):
        return f"Service {_names(services)} has no selector, and nobody gives it addresses"
    wanted = endpoint.get("targetPort")
    ports = {
        f"{each.name or '(unnamed)'} {each.number}"
        for service in services
        for pod in discovery.select_pods(service.namespace, _of(service))
        for each in pod.ports
    }
    if wanted not in (None, "") and not port:
        return f"no container behind Service {_names(services)} declares the port {wanted}, only {', '.join(sorted(ports)) or 'none at all'}"
    found = any(True for service in services for address in discovery.behind(service) if address.labels.get("__meta_kubernetes_endpointslice_port_name"))
    if not found and port:
        target = next((each.get("targetPort") for service in services for each in service.ports if each.get("name") == port), None)
        return f"targetPort {target} of Service {_names(services)} is no port of its pods, only {', '.join(sorted(ports)) or 'none at all'}"
    return "its relabelings drop every target"


def _pods(job: Job, sought: Sought, places: Iterable[str], where: str, discovery: Discovery, endpoint: Mapping[str, Any]) -> str:
    pods = [pod for name in places for pod in discovery.select_pods(name, sought.selector)]
    if not pods:
        return f"no pod in {where} has the labels {_selector(sought.selector)}"
    wanted = endpoint.get("port") or endpoint.get("portNumber") or endpoint.get("targetPort")
    ports = sorted({f"{each.name or '(unnamed)'} {each.number}" for pod in pods for each in pod.ports})
    if wanted not in (None, "") and not any(str(wanted) in (each.name, str(each.number)) for pod in pods for each in pod.ports):
        return f"no container of {pods[0].name} declares the port {wanted}, only {', '.join(ports) or 'none at all'}"
    return "its relabelings drop every target"


def leads_to_the_cluster_itself(job: Job) -> bool:
    """Whether a job looks for what an installer may run in kube-system, of which Git knows nothing."""
    return builtin.NAMESPACE in namespaces_of(job)


def _of(service: Service) -> dict[str, Any]:
    return {"matchLabels": mapping(service.spec.get("selector"))}


def _names(services: list[Service]) -> str:
    return " or ".join(dict.fromkeys(f"{service.namespace}/{service.name}" for service in services[:3]))


def _selector(selector: Mapping[str, Any]) -> str:
    parts = [f"{key}={value}" for key, value in mapping(selector.get("matchLabels")).items()]
    for entry in items(selector.get("matchExpressions")):
        body = mapping(entry)
        parts.append(
            " ".join(str(part) for part in (body.get("key"), body.get("operator"), ",".join(str(value) for value in items(body.get("values")))) if part)
        )
    return ", ".join(parts) or "(any)"
