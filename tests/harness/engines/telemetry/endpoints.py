"""Where an address inside a cluster leads: ``http://loki.loki.svc:3100/push``, ``tempo.tempo.svc:4317``, ``dns:///collector:4317``.

Source: Kubernetes' DNS for Services and Pods (names of Services, of headless Services' pods, search domains of a pod).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.model.shapes import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.telemetry.discovery import Discovery, Pod, Service

_HOST: Final = r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
_URL: Final = re.compile(rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?:[^/@]*@)?/?{_HOST}(?P<path>/[^?#]*)?(?:[?#].*)?")
_SERVICE_SCHEMES: Final = {"http": 80, "https": 443}


class EndpointError(ValueError):
    """An address of the cluster that leads nowhere; the message says why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an address leads: a Service's port, and the pods behind it with the port's number there."""

    scheme: str
    path: str
    service: Service
    port: Mapping[str, Any]
    pods: tuple[tuple[Pod, int], ...]


def endpoint(address: str, namespace: str, discovery: Discovery) -> Endpoint | None:
    """Where an address leads for a pod of a namespace; None for one outside the cluster, or that names no host.

    Raises EndpointError when it is one of this cluster and there is no such Service or port, or no pod behind it.
    """
    match = _URL.fullmatch(address.strip())
    if match is None:
        return None
    names = _names(match["host"], namespace)
    if names is None:
        return None
    where, name, pod = names
    service = discovery.service(where, name)
    if service is None:
        if "." not in match["host"] and where not in discovery.namespaces:
            return None
        raise EndpointError(f"there is no Service {name} in namespace {where}")
    if service.spec.get("type") == "ExternalName":
        return None
    scheme = (match["scheme"] or "").lower()
    number = int(match["port"]) if match["port"] else _SERVICE_SCHEMES.get(scheme)
    headless = service.spec.get("clusterIP") == "None"
    ports = [port for port in service.ports if number is None or port.get("port") == number]
    backends = _behind(service, discovery, pod)
    if service.on_nodes or service.given(discovery.objects):
        if not ports:
            raise EndpointError(f"Service {where}/{name} has no port {number}, it has {_ports(service)}")
        return Endpoint(scheme, match["path"] or "", service, ports[0], ())
    if not backends:
        raise EndpointError(f"Service {where}/{name} selects no pod" + (f" {pod}" if pod else ""))
    if headless and not ports and number is not None:
        # A name of a headless Service is its pods' addresses: any port that they listen on can be asked for.
        reached = tuple((each, number) for each in backends if any(port.number == number for port in each.ports) or not each.ports)
        if not reached:
            raise EndpointError(f"no pod of Service {where}/{name} declares port {number}")
        return Endpoint(scheme, match["path"] or "", service, {"port": number, "targetPort": number}, reached)
    if not ports:
        raise EndpointError(f"Service {where}/{name} has no port {number}, it has {_ports(service)}")
    port = ports[0]
    wanted = port.get("targetPort") or port.get("port")
    pods = tuple((each, found) for each in backends if (found := each.port(wanted, str(port.get("protocol") or "TCP"))) is not None)
    if not pods:
        raise EndpointError(f"port {port.get('port')} of Service {where}/{name} leads to {wanted}, which no container of its pods declares")
    return Endpoint(scheme, match["path"] or "", service, port, pods)


def _names(host: str, namespace: str) -> tuple[str, str, str] | None:
    """Namespace and name of the Service that a host name may be, and of a pod in it; None for a name that is not the cluster's."""
    parts = host.rstrip(".").split(".")
    if parts[-1].isdigit() or host.startswith("["):
        return None
    if "svc" in parts[1:]:
        at = len(parts) - 1 - parts[::-1].index("svc")
        head, domain = parts[:at], parts[at + 1 :]
        if domain not in ([], ["cluster", "local"]) and len(domain) < 2:
            return None
        if len(head) == 2:
            return head[1], head[0], ""
        return (head[2], head[1], head[0]) if len(head) == 3 else None
    if len(parts) == 1:
        return (namespace, parts[0], "") if parts[0] != "localhost" else None
    return None


def _behind(service: Service, discovery: Discovery, pod: str) -> list[Pod]:
    selector = mapping(service.spec.get("selector"))
    found = discovery.select_pods(service.namespace, {"matchLabels": selector}) if selector else []
    if not pod:
        return found
    # A name of a StatefulSet's pod: its ordinal is not told from others here.
    stem = re.sub(r"-[0-9]+$", "", pod)
    return [each for each in found if re.sub(r"-[0-9]+$", "", each.name) == stem]


def _ports(service: Service) -> str:
    return ", ".join(str(port.get("port")) for port in service.ports) or "none"
