"""Every host that a cluster serves: by which object, with which certificate, and what its controller does with plain requests.

Sources: networking.k8s.io/v1 Ingress, NGINX Ingress Controller's VirtualServer and TransportServer (k8s.nginx.org/v1), Gateway API v1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.certificates.controllers import F5, UNKNOWN, Controller, controllers, floor, max_age, redirects
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.model import Object, Pointer
    from harness.model.pods import PodTemplate

INGRESS: Final = "Ingress.networking.k8s.io"
VIRTUAL_SERVER: Final = "VirtualServer.k8s.nginx.org"
TRANSPORT_SERVER: Final = "TransportServer.k8s.nginx.org"
GATEWAY: Final = "Gateway.gateway.networking.k8s.io"
#: The kinds that have listeners.
KINDS: Final = (INGRESS, VIRTUAL_SERVER, TRANSPORT_SERVER, GATEWAY)
_DEFAULT_CLASS: Final = "ingressclass.kubernetes.io/is-default-class"


class Route(NamedTuple):
    """A path of a host: ``type`` is Exact, Prefix or what the controller makes of it; ``pointer`` leads to it."""

    path: str
    type: str
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Listener:
    """One host of one object.

    ``secret`` is the Secret with its certificate: (namespace, name), None without TLS. ``fallback``: the controller's own for hosts that name none.
    ``redirect``, ``hsts`` (seconds) and ``floor`` are None and ``unknown`` where nothing here can tell; ``why`` says why.
    """

    item: Object
    host: str
    pointer: Pointer
    ingress_class: str
    controller: str
    tls: bool
    secret: tuple[str, str] | None
    secret_pointer: Pointer
    redirect: bool | None
    hsts: int | None
    floor: str
    routes: tuple[Route, ...] = ()
    fallback: bool = False
    why: str = ""
    passthrough: bool = False


class Classes:
    """The ingress classes and controllers of a cluster."""

    def __init__(self, classes: Iterable[Object], pods: Iterable[PodTemplate], config_maps: Iterable[Object]) -> None:
        self.by_name = {item.name: item for item in classes}
        self.default = next((item.name for item in self.by_name.values() if item.annotations.get(_DEFAULT_CLASS) == "true"), "")
        self.controllers = controllers(pods, {(item.namespace, item.name): item for item in config_maps})

    def of(self, item: Object) -> str:
        """The class of an object, its default where it names none."""
        return text(item.spec.get("ingressClassName")) or text(item.annotations.get("kubernetes.io/ingress.class")) or self.default

    def controller(self, name: str, type_: str = "") -> tuple[str, Controller | None]:
        """Which controller serves a class: what it calls itself, and itself when it is in the cluster and known here."""
        declared = self.by_name.get(name)
        kind = text(declared.spec.get("controller")) if declared is not None else type_
        found = [each for each in self.controllers if (kind in ("", each.type)) and (each.ingress_class == name or not name)]
        if not found and kind:
            same = [each for each in self.controllers if each.type == kind]
            found = same if len(same) == 1 else []
        return (kind or (found[0].type if found else "")), (found[0] if found else None)


def listeners(item: Object, classes: Classes) -> Iterator[Listener]:
    """The hosts that an object serves. An Ingress without a host serves the empty one: every host."""
    kind = str(item.group_kind)
    if kind == INGRESS:
        yield from _ingress(item, classes)
    elif kind == VIRTUAL_SERVER:
        yield from _virtual_server(item, classes)
    elif kind == TRANSPORT_SERVER:
        yield from _transport_server(item, classes)
    elif kind == GATEWAY:
        yield from _gateway(item)


def _settings(controller: Controller | None, name: str, annotations: Mapping[str, str], *, tls: bool) -> tuple[bool | None, int | None, str, str]:
    if controller is None:
        return None, None, UNKNOWN, f"controller {name or 'of no known class'} is not in this cluster, or not known here"
    why = "" if controller.config is not None else "the controller's ConfigMap is not at hand"
    return redirects(controller, annotations, tls=tls), max_age(controller, annotations), floor(controller), why


def _ingress(item: Object, classes: Classes) -> Iterator[Listener]:
    name = classes.of(item)
    kind, controller = classes.controller(name)
    entries = [(index, mapping(entry)) for index, entry in enumerate(items(item.spec.get("tls")))]
    rules: list[tuple[Pointer, dict[str, Any]]] = [(("spec", "rules", index), mapping(entry)) for index, entry in enumerate(items(item.spec.get("rules")))]
    if not rules and item.spec.get("defaultBackend"):
        rules = [(("spec", "defaultBackend"), {})]
    for at, rule in rules:
        host = text(rule.get("host"))
        index, entry = next(((index, entry) for index, entry in entries if not items(entry.get("hosts")) or host in items(entry.get("hosts"))), (-1, None))
        if entry is None:
            # A wildcard of the TLS section covers a host of the rules too, in every controller.
            index, entry = next(((index, entry) for index, entry in entries if any(_wild(text(each), host) for each in items(entry.get("hosts")))), (-1, None))
        secret: tuple[str, str] | None = None
        pointer: Pointer = at
        fallback = False
        if entry is not None:
            pointer = ("spec", "tls", index)
            named = text(entry.get("secretName"))
            if named:
                namespace, _, short = named.rpartition("/")
                secret, pointer = (namespace or item.namespace, short), (*pointer, "secretName")
            elif controller is not None and controller.default is not None:
                secret, fallback = controller.default, True
        redirect, hsts, lowest, why = _settings(controller, kind or name, item.annotations, tls=entry is not None)
        routes = tuple(_paths(rule, at))
        where: Pointer = (*at, "host") if rule.get("host") else at
        yield Listener(item, host, where, name, kind, entry is not None, secret, pointer, redirect, hsts, lowest, routes, fallback, why)


def _wild(name: str, host: str) -> bool:
    return name.startswith("*.") and host.partition(".")[2] == name[2:]


def _paths(rule: Mapping[str, Any], at: Pointer) -> Iterator[Route]:
    for index, entry in enumerate(items(mapping(rule.get("http")).get("paths"))):
        path = mapping(entry)
        yield Route(text(path.get("path")) or "/", text(path.get("pathType")), (*at, "http", "paths", index))


def _virtual_server(item: Object, classes: Classes) -> Iterator[Listener]:
    name = text(item.spec.get("ingressClassName"))
    _, controller = classes.controller(name, F5)
    tls = mapping(item.spec.get("tls"))
    secret = text(tls.get("secret"))
    issued = text(mapping(tls.get("cert-manager")).get("issuer")) or text(mapping(tls.get("cert-manager")).get("cluster-issuer"))
    redirect = mapping(tls.get("redirect")).get("enable") is True if tls else False
    routes = tuple(Route(text(mapping(entry).get("path")), "", ("spec", "routes", index)) for index, entry in enumerate(items(item.spec.get("routes"))))
    lowest = floor(controller) if controller is not None else UNKNOWN
    why = "" if controller is not None and controller.config is not None else "the controller or its ConfigMap is not at hand"
    where: Pointer = ("spec", "tls", "secret") if secret else ("spec", "tls") if tls else ("spec", "host")
    fallback = bool(tls) and not secret and not issued
    default = controller.default if controller is not None else None
    found = (item.namespace, secret) if secret else default if fallback else None
    host = text(item.spec.get("host"))
    age = _header_age(item.spec, controller)
    yield Listener(item, host, ("spec", "host"), name, F5, bool(tls), found, where, redirect, age, lowest, routes, fallback, why)


def _header_age(spec: Mapping[str, Any], controller: Controller | None) -> int | None:
    """The shortest Strict-Transport-Security of all routes that reach an upstream; the ConfigMap's hsts is for Ingresses only."""
    if controller is not None and controller.config and "strict-transport-security" in text(controller.config.get("add-header")).lower():
        return _age(text(controller.config["add-header"]))
    ages = [_age_of(action) for entry in items(spec.get("routes")) for action in _actions(mapping(entry))]
    return min(ages, default=0)


def _actions(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    entries = [route, *map(mapping, items(route.get("splits"))), *map(mapping, items(route.get("matches")))]
    for entry in entries:
        action = mapping(entry.get("action"))
        if action.get("pass") or action.get("proxy"):
            yield action


def _age_of(action: Mapping[str, Any]) -> int:
    for header in items(mapping(mapping(action.get("proxy")).get("responseHeaders")).get("add")):
        if text(mapping(header).get("name")).lower() == "strict-transport-security":
            return _age(text(mapping(header).get("value")))
    return 0


def _age(value: str) -> int:
    tail = value.lower().partition("max-age=")[2]
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    return int(digits) if digits else 0


def _transport_server(item: Object, classes: Classes) -> Iterator[Listener]:
    host = text(item.spec.get("host"))
    if not host:
        return
    _, controller = classes.controller(text(item.spec.get("ingressClassName")), F5)
    protocol = text(mapping(item.spec.get("listener")).get("protocol"))
    secret = text(mapping(item.spec.get("tls")).get("secret"))
    lowest = floor(controller) if controller is not None else UNKNOWN
    through = protocol == "TLS_PASSTHROUGH"
    found = (item.namespace, secret) if secret else None
    name = text(item.spec.get("ingressClassName"))
    yield Listener(item, host, ("spec", "host"), name, F5, bool(secret) or through, found, ("spec", "tls"), None, None, lowest, (), False, "", through)


def _gateway(item: Object) -> Iterator[Listener]:
    name = text(item.spec.get("gatewayClassName"))
    for index, entry in enumerate(items(item.spec.get("listeners"))):
        listener, at = mapping(entry), ("spec", "listeners", index)
        tls = mapping(listener.get("tls"))
        secure = text(listener.get("protocol")) in ("HTTPS", "TLS")
        reference = next((mapping(each) for each in items(tls.get("certificateRefs")) if text(mapping(each).get("kind")) in ("", "Secret")), {})
        secret = (text(reference.get("namespace")) or item.namespace, text(reference.get("name"))) if reference.get("name") else None
        where = (*at, "tls", "certificateRefs", 0) if secret else at
        why = f"what the controller of gateway class {name} does is not known here"
        through = tls.get("mode") == "Passthrough"
        host = text(listener.get("hostname"))
        yield Listener(item, host, (*at, "hostname"), name, f"gateway:{name}", secure, secret, where, None, None, UNKNOWN, (), False, why, through)
