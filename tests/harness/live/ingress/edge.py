"""The platform's ingress as a client outside the cluster meets it: at the LoadBalancer's address, by name, with what its log says of each request.

Names are not in any DNS here: a request goes to the address and says which host it means (Host, SNI).
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from harness.engines.certificates.chains import CLUSTER_ISSUER
from harness.engines.certificates.listeners import INGRESS
from harness.live.faults import maker, patched
from harness.live.findings import NotEvaluatedError
from harness.live.reach.wait import Waiter
from harness.live.reach.web import Answer, Tls, WebError, request
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from harness.engines.certificates.matrix import Row
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.model import Object

SERVICE: Final = "Service"
POLICY: Final = "Policy.k8s.nginx.org"
#: What a request is found again by: its user agent begins with this.
AGENT: Final = "plimsoll-proof-"
#: HTTPS whatever the certificate.
_ANY: Final = Tls()
#: Seconds for a line to get from nginx to where kubectl logs reads it.
_LOGGED: Final = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """A path of a host and what Git says answers there: a Service's name, or the ``status`` of a fixed answer. ``example`` is a path below it to ask for."""

    path: str
    example: str
    service: str = ""
    status: int = 0


def load_balancers(world: World) -> tuple[Object, ...]:
    """The Services of a cluster that want an address of the network's."""
    return tuple(item for item in world.of(SERVICE) if item.spec.get("type") == "LoadBalancer")


def targets(row: Row) -> Iterator[Target]:
    """The paths of a host of the TLS matrix, longest first, as its object in Git has them."""
    item = row.listener.item
    for route in sorted(row.listener.routes, key=lambda route: -len(route.path)):
        entry = mapping(item.get(*route.pointer))
        path = "/" + route.path.strip("/") + "/" if route.path.strip("/") else "/"
        example = route.path if route.type == "Exact" else f"{path}{secrets.token_hex(4)}"
        if str(item.group_kind) == INGRESS:
            yield Target(route.path, example, text(mapping(mapping(entry.get("backend")).get("service")).get("name")))
            continue
        action = mapping(entry.get("action"))
        fixed = mapping(action.get("return"))
        upstream = text(action.get("pass")) or text(mapping(action.get("proxy")).get("upstream"))
        known = {text(mapping(each).get("name")): text(mapping(each).get("service")) for each in items(item.spec.get("upstreams"))}
        if fixed:
            yield Target(route.path, example, status=int(fixed.get("code") or 200))
        elif upstream in known:
            yield Target(route.path, example, known[upstream])


def policies(world: World, item: Object, field: str) -> Iterator[Object]:
    """The Policies of NGINX Ingress Controller with a field (``rateLimit``) that a VirtualServer names for all its routes."""
    for entry in map(mapping, items(item.spec.get("policies"))):
        found = world.find(POLICY, text(entry.get("namespace")) or item.namespace, text(entry.get("name")))
        if found is not None and field in found.spec:
            yield found


def rate_of(policy: Object) -> tuple[float, int, int]:
    """Requests a second, burst and status beyond it of a rateLimit Policy. Raises ValueError for a rate that is none (``20r/s``, ``300r/m``)."""
    limit = mapping(policy.spec.get("rateLimit"))
    number, _, unit = text(limit.get("rate")).partition("r/")
    if not number.isdigit() or unit not in ("s", "m"):
        raise ValueError(f"{limit.get('rate')} is no rate")
    return int(number) / (1 if unit == "s" else 60), int(limit.get("burst") or 0), int(limit.get("rejectCode") or 503)


@dataclass(eq=False)
class Edge:
    """The ingress of a running platform. ``service`` is its LoadBalancer in the cluster's build."""

    platform: Platform
    service: Object

    @classmethod
    def of(cls, platform: Platform) -> Edge:
        """The one that the hosts of the TLS matrix are served by. Raises NotEvaluatedError where the build has none, or not one."""
        found = load_balancers(platform.world)
        if len(found) != 1:
            raise NotEvaluatedError(platform.world.cluster.name, "ingress", f"it has {len(found)} Services of type LoadBalancer")
        return cls(platform, found[0])

    @cached_property
    def address(self) -> str:
        """The address that MetalLB gave it. Raises NotEvaluatedError when it has none."""
        body = self.platform.cluster.kubectl.get("services", self.service.name, self.service.namespace)
        found = addresses(body or {})
        if not found:
            raise NotEvaluatedError(str(self.service.id), "ingress", "the Service has no address")
        return found[0]

    @cached_property
    def selector(self) -> str:
        """What kubectl chooses its pods by."""
        return ",".join(f"{name}={value}" for name, value in mapping(self.service.spec.get("selector")).items())

    @cached_property
    def here(self) -> str:
        """The address from which this machine reaches it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((self.address, 443))
            return str(probe.getsockname()[0])

    def configured(self, settings: Mapping[str, str]) -> AbstractContextManager[None]:
        """The controller with other settings in its ConfigMap, which the chart makes. Raises NotEvaluatedError where the build has no such ConfigMap."""
        own = (item for item in self.platform.world.of("ConfigMap") if item.namespace == self.service.namespace)
        found = next((item for item in own if "ssl-protocols" in mapping(item.get("data"))), None)
        if found is None:
            raise NotEvaluatedError(self.service.namespace, "other settings", "the ConfigMap of its controller is not in the cluster's build")
        return patched(self.platform.cluster.kubectl, "configmaps", found.name, found.namespace, {"data": dict(settings)}, suspending=maker(found))

    def ask(self, host: str, path: str = "/", *, tls: Tls | None = _ANY, headers: Mapping[str, str] | None = None, timeout: float = 10) -> Answer:
        """The answer for a host; HTTPS without checking the certificate unless ``tls`` says otherwise, plain HTTP for None. Raises WebError."""
        return request((self.address, 80 if tls is None else 443), host, path, tls=tls, headers=headers, timeout=timeout)

    def logged(self, host: str, path: str = "/", *, headers: Mapping[str, str] | None = None) -> tuple[Answer, Mapping[str, Any]]:
        """The answer for a host, and the line of the access log about that request.

        Raises:
            WaitError: the log does not tell of it.
        """
        agent = AGENT + secrets.token_hex(8)
        answer = self.ask(host, path, headers={"User-Agent": agent, **(headers or {})})
        return answer, self.line(agent)

    def line(self, agent: str) -> Mapping[str, Any]:
        """The line of the access log about the request of a user agent. Raises WaitError when there is none in time."""
        waiter: Waiter[Mapping[str, Any]] = Waiter(lambda: self._line(agent), lambda found: json.dumps(found) if found else "not logged")
        return waiter.wait(bool, successes=1, timeout=_LOGGED, what=f"the request of {agent} in the access log")

    def _line(self, agent: str) -> Mapping[str, Any]:
        kubectl = self.platform.cluster.kubectl
        said = kubectl("logs", f"--namespace={self.service.namespace}", f"--selector={self.selector}", "--tail=2000", "--since=2m", "--max-log-requests=10")
        for line in reversed(said.splitlines()):
            if agent in line and line.startswith("{"):
                try:
                    return mapping(json.loads(line))
                except ValueError:
                    continue
        return {}

    def pod(self) -> tuple[str, str]:
        """The address of one of its pods and the node it is on. Raises NotEvaluatedError when none runs."""
        pods = self.platform.cluster.kubectl.list("pods", namespace=self.service.namespace, selector=self.selector)
        for pod in pods:
            if mapping(pod.get("status")).get("podIP") and not mapping(pod.get("metadata")).get("deletionTimestamp"):
                return text(mapping(pod["status"]).get("podIP")), text(mapping(pod.get("spec")).get("nodeName"))
        raise NotEvaluatedError(str(self.service.id), "ingress", "none of its pods runs")

    def stranger(self, host: str, path: str = "/") -> int:
        """The status that a client gets whose address is of the pods' network: the node asks the pod itself. Raises NotEvaluatedError on a foreign cluster."""
        if self.platform.cluster.foreign:
            raise NotEvaluatedError(host, "access list", "the nodes of this cluster cannot be entered from here")
        address, node = self.pod()
        quiet = ("--silent", "--insecure", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}")
        return int(self.platform.cluster.docker("exec", node, "curl", *quiet, "--resolve", f"{host}:443:{address}", f"https://{host}{path}"))

    def flood(self, host: str, count: int, path: str = "/") -> tuple[list[int], float]:
        """The statuses of requests sent one right after the other, and the seconds they took.

        They go over one connection, and over another once nginx closes it, as it does when it loads a new configuration. Raises WebError.
        """
        statuses: list[int] = []
        start = time.monotonic()
        while len(statuses) < count:
            before = len(statuses)
            try:
                self._flood(host, count, path, statuses)
            except (OSError, http.client.HTTPException) as error:
                if len(statuses) == before or not isinstance(error, ConnectionError):
                    raise WebError(f"{len(statuses)} requests to {host} one after the other: {type(error).__name__}: {error}") from error
        return statuses, time.monotonic() - start

    def _flood(self, host: str, count: int, path: str, statuses: list[int]) -> None:
        """Send requests over one connection until there are so many statuses."""
        with socket.create_connection((self.address, 443), 10) as plain, Tls().context().wrap_socket(plain, server_hostname=host) as wrapped:
            connection = http.client.HTTPConnection(self.address, 443)
            connection.sock = wrapped
            while len(statuses) < count:
                connection.request("GET", path, headers={"Host": host})
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)


def addresses(service: Mapping[str, Any]) -> list[str]:
    """The addresses that a Service of type LoadBalancer was given."""
    found = items(mapping(mapping(service.get("status")).get("loadBalancer")).get("ingress"))
    return [text(mapping(item).get("ip")) for item in found if mapping(item).get("ip")]


def issuer_of(world: World, row: Row) -> Object:
    """The ClusterIssuer that signs the certificate of a host. Raises NotEvaluatedError for a host without one."""
    reference = mapping(row.certificate.spec.get("issuerRef")) if row.certificate is not None else {}
    found = world.find(CLUSTER_ISSUER, "", text(reference.get("name")))
    if found is None:
        raise NotEvaluatedError(row.listener.host, "certificate", "no ClusterIssuer of the cluster signs it")
    return found
