"""NetworkPolicies, read from objects as the API server reads them: with its defaults, and refused where it refuses.

Source: API reference networking.k8s.io/v1; ``SetDefaults_NetworkPolicy`` and ``ValidateNetworkPolicySpec`` of Kubernetes 1.34.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines import names
from harness.engines.netpol.addresses import block
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.labels import EVERYTHING, Selector, read_selector
from harness.engines.netpol.ports import ALL, NONE, PROTOCOLS, Ports, every_port

if TYPE_CHECKING:
    from harness.model import Location, Object, Pointer

INGRESS, EGRESS = "Ingress", "Egress"
KIND: Final = "NetworkPolicy"


@dataclass(frozen=True, slots=True)
class Peer:
    """One item of ``from`` or ``to``: pods (of the policy's namespace when ``namespaces`` is None), or addresses."""

    at: Pointer
    pods: Selector | None = None
    namespaces: Selector | None = None
    cidr: str = ""
    addresses: Intervals = EMPTY

    def __str__(self) -> str:
        if self.cidr:
            return self.cidr
        pods = f"pods with {self.pods}" if self.pods is not None and self.pods.requirements else "any pod"
        if self.namespaces is None:
            return f"{pods} of its own namespace"
        return f"{pods} of namespaces with {self.namespaces}" if self.namespaces.requirements else f"{pods} of any namespace"


@dataclass(frozen=True, slots=True)
class PortRule:
    """One item of ``ports``: numbers, or a name that each destination pod resolves for itself."""

    at: Pointer
    protocol: str
    numbers: Ports = NONE
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}/{self.protocol}" if self.name else str(self.numbers)


@dataclass(frozen=True, slots=True)
class Rule:
    """One item of ``ingress`` or ``egress``. ``peers`` None: anyone, pods and addresses. ``ports`` None: every port."""

    direction: str
    index: int
    peers: tuple[Peer, ...] | None
    ports: tuple[PortRule, ...] | None

    @property
    def at(self) -> Pointer:
        return ("spec", self.direction.lower(), self.index)

    @property
    def numbers(self) -> Ports:
        """The ports that need no pod to be resolved."""
        if self.ports is None:
            return ALL
        found = NONE
        for each in self.ports:
            found |= each.numbers
        return found

    @property
    def named(self) -> tuple[tuple[str, str], ...]:
        """The (name, protocol) of the named ports."""
        return tuple((each.name, each.protocol) for each in self.ports or () if each.name)

    def __str__(self) -> str:
        peers = "anyone" if self.peers is None else " or ".join(str(each) for each in self.peers)
        ports = "every port" if self.ports is None else ", ".join(str(each) for each in self.ports)
        return f"{'from' if self.direction == INGRESS else 'to'} {peers} on {ports}"


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy that the API server accepts. ``directions`` are those in which it isolates the pods it selects."""

    object: Object
    selector: Selector
    directions: frozenset[str]
    rules: tuple[Rule, ...]

    @property
    def namespace(self) -> str:
        return self.object.namespace

    @property
    def name(self) -> str:
        return self.object.name

    def rules_of(self, direction: str) -> tuple[Rule, ...]:
        """The rules of a direction; none where the policy does not isolate in it, whatever it holds."""
        return tuple(rule for rule in self.rules if rule.direction == direction) if direction in self.directions else ()

    def locate(self, *pointer: str | int) -> Location:
        return self.object.locate(*pointer)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A policy that the API server refuses, so that no cluster has it: each reason with a pointer."""

    object: Object
    faults: tuple[tuple[Pointer, str], ...]

    def __str__(self) -> str:
        return f"{self.object.namespace}/{self.object.name}"


def read_policy(item: Object) -> Policy | Refused:
    """The policy an object is. Never raises."""
    faults: list[tuple[Pointer, str]] = []
    spec = item.body.get("spec")
    if spec is not None and not isinstance(spec, dict):
        return Refused(item, ((("spec",), "must be an object"),))
    spec = spec or {}
    selector, wrong = read_selector(spec.get("podSelector"))
    faults += [(("spec", "podSelector", *at), message) for at, message in wrong]
    rules: list[Rule] = []
    for direction in (INGRESS, EGRESS):
        rules += _rules(spec, direction, faults)
    directions = _directions(spec, any(rule.direction == EGRESS for rule in rules), faults)
    if faults:
        return Refused(item, tuple(faults))
    return Policy(item, selector, directions, tuple(rules))


def _directions(spec: dict[str, Any], has_egress: bool, faults: list[tuple[Pointer, str]]) -> frozenset[str]:
    """``policyTypes``; where it is absent or empty, Ingress, and Egress when there is an egress rule."""
    types = spec.get("policyTypes")
    if not types and (types is None or isinstance(types, list)):
        return frozenset((INGRESS, EGRESS) if has_egress else (INGRESS,))
    if not isinstance(types, list):
        faults.append((("spec", "policyTypes"), "must be a list"))
        return frozenset()
    if len(types) > 2:
        faults.append((("spec", "policyTypes"), "may not specify more than two policyTypes"))
    for index, each in enumerate(types):
        if each not in (INGRESS, EGRESS):
            faults.append((("spec", "policyTypes", index), f"must be {INGRESS} or {EGRESS}, not {each!r}"))
    return frozenset(each for each in types if isinstance(each, str))


def _list(holder: dict[str, Any], field: str, at: Pointer, faults: list[tuple[Pointer, str]]) -> list[tuple[Pointer, dict[str, Any]]]:
    """The objects of a list. An item that is null is an empty object, as the server decodes it."""
    value = holder.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        faults.append(((*at, field), "must be a list"))
        return []
    found: list[tuple[Pointer, dict[str, Any]]] = []
    for index, each in enumerate(value):
        if each is None or isinstance(each, dict):
            found.append(((*at, field, index), each or {}))
        else:
            faults.append(((*at, field, index), "must be an object"))
    return found


def _rules(spec: dict[str, Any], direction: str, faults: list[tuple[Pointer, str]]) -> list[Rule]:
    rules = []
    for index, (at, body) in enumerate(_list(spec, direction.lower(), ("spec",), faults)):
        field = "from" if direction == INGRESS else "to"
        # Absent and empty mean the same: every peer, every port.
        peers = tuple(_peer(each, place, faults) for place, each in _list(body, field, at, faults)) or None
        ports = tuple(_port(each, place, faults) for place, each in _list(body, "ports", at, faults)) or None
        rules.append(Rule(direction, index, peers, ports))
    return rules


def _peer(body: dict[str, Any], at: Pointer, faults: list[tuple[Pointer, str]]) -> Peer:
    present = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if body.get(field) is not None]
    if not present:
        faults.append((at, "must specify a peer"))
    elif "ipBlock" in present:
        if len(present) > 1:
            faults.append((at, "may not specify both ipBlock and another peer"))
        return _block(body["ipBlock"], (*at, "ipBlock"), at, faults)
    selectors: dict[str, Selector] = {}
    for field in present:
        selectors[field], wrong = read_selector(body[field])
        faults += [((*at, field, *where), message) for where, message in wrong]
    return Peer(at, selectors.get("podSelector"), selectors.get("namespaceSelector"))


def _block(body: Any, where: Pointer, at: Pointer, faults: list[tuple[Pointer, str]]) -> Peer:
    cidr, excepts = (body.get("cidr"), body.get("except")) if isinstance(body, dict) else (None, None)
    outer = block(cidr) if isinstance(cidr, str) else None
    if outer is None:
        faults.append(((*where, "cidr"), f"must be a block such as 10.9.8.0/24 or 2001:db8::/64, not {cidr!r}"))
        return Peer(at, EVERYTHING)
    if excepts is not None and not isinstance(excepts, list):
        faults.append(((*where, "except"), "must be a list"))
        excepts = None
    left = outer
    for index, each in enumerate(excepts or ()):
        inner = block(each) if isinstance(each, str) else None
        if inner is None or not inner.issubset(outer) or inner == outer:
            faults.append(((*where, "except", index), f"must be a block strictly inside {cidr}, not {each!r}"))
        else:
            left -= inner
    shown = f"{cidr} except {', '.join(str(each) for each in excepts)}" if excepts else str(cidr)
    return Peer(at, None, None, shown, left)


def _port(body: dict[str, Any], at: Pointer, faults: list[tuple[Pointer, str]]) -> PortRule:
    protocol, port, end = body.get("protocol"), body.get("port"), body.get("endPort")
    protocol = "TCP" if protocol is None else protocol
    if protocol not in PROTOCOLS:
        faults.append(((*at, "protocol"), f"must be one of {', '.join(PROTOCOLS)}, not {protocol!r}"))
        protocol = "TCP"
    if isinstance(port, float) and port.is_integer():
        port = int(port)
    if port is None:
        if end is not None:
            faults.append(((*at, "endPort"), "may not be specified when port is not specified"))
        return PortRule(at, protocol, every_port(protocol))
    if isinstance(port, str):
        if end is not None:
            faults.append(((*at, "endPort"), "may not be specified when port is non-numeric"))
        faults += [((*at, "port"), f"{message}, not {port!r}") for message in names.port_name(port)]
        return PortRule(at, protocol, name=port)
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        faults.append(((*at, "port"), f"must be a name or a number from 1 to 65535, not {port!r}"))
        return PortRule(at, protocol)
    if end is not None and (isinstance(end, bool) or not isinstance(end, int) or not port <= end <= 65535):
        faults.append(((*at, "endPort"), f"must be a number from {port} to 65535, not {end!r}"))
        end = None
    return PortRule(at, protocol, Ports.single(port, protocol, end))
