"""Ways into a cluster: Ingresses, routes of gateways and controllers, and Services that outsiders reach; each with who forwards and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines.netpol.services import SERVICE, ports_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.engines.netpol.network import Network
    from harness.engines.netpol.services import Resolution, Services
    from harness.engines.netpol.workloads import Workload
    from harness.model import Object, Pointer

#: What the images of a controller are called, by the controller an IngressClass or GatewayClass names, or by the API group of its own routes.
_IMAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "nginx.org/ingress-controller": ("nginx-ingress", "nginx-plus-ingress"),
    "k8s.nginx.org": ("nginx-ingress", "nginx-plus-ingress"),
    "k8s.io/ingress-nginx": ("ingress-nginx/controller", "ingress-nginx-controller", "nginx-ingress-controller"),
    "traefik.io/ingress-controller": ("traefik",),
    "traefik.io": ("traefik",),
    "traefik.containo.us": ("traefik",),
    "haproxy.org/ingress-controller": ("haproxytech/kubernetes-ingress",),
    "haproxy-ingress.github.io/controller": ("haproxy-ingress",),
    "ingress-controllers.konghq.com/kong": ("kong",),
    "projectcontour.io": ("envoy",),
    "projectcontour.io/ingress-controller": ("envoy",),
    "gateway.envoyproxy.io/gatewayclass-controller": ("envoy",),
    "gateway.nginx.org/nginx-gateway-controller": ("nginx-gateway-fabric",),
    "istio.io/gateway-controller": ("istio/proxyv2", "istio/pilot"),
    "istio.io/ingress-controller": ("istio/proxyv2",),
    "route.openshift.io": ("haproxy-router", "openshift-router"),
}
_GATEWAY: Final = "gateway.networking.k8s.io"


@dataclass(frozen=True, slots=True)
class Entrance:
    """One reference to a Service that outsiders reach. ``controllers`` forward to it; empty and not ``direct``: nobody knows who does."""

    object: Object
    at: Pointer
    service: tuple[str, str]
    port: int | str | None
    resolution: Resolution
    controllers: tuple[Workload, ...] = ()
    direct: bool = False

    @property
    def what(self) -> str:
        if self.direct:
            return f"{self.object.spec.get('type') or 'Service with externalIPs'} {self.object.namespace}/{self.object.name}"
        return f"{self.object.kind} {self.object.namespace}/{self.object.name}"


def entrances(objects: Sequence[Object], network: Network, services: Services) -> list[Entrance]:
    """Every way in, in the order of the objects. A Service that does not exist gives a resolution with a fault."""
    from harness.engines.netpol.services import Resolution

    images = _images(network.workloads)
    classes = {item.name: item for item in objects if item.kind == "IngressClass"}
    gateways = {(item.namespace, item.name): item for item in objects if item.kind == "Gateway" and item.group == _GATEWAY}
    gateway_classes = {item.name: text(item.spec.get("controllerName")) for item in objects if item.kind == "GatewayClass"}
    found = []
    for item in objects:
        if item.kind == SERVICE and not item.group:
            if item.spec.get("type") in ("LoadBalancer", "NodePort") or items(item.spec.get("externalIPs")):
                for each in ports_of(item):
                    resolution = services.resolve(item, each.name or each.port, each.protocol)
                    found.append(Entrance(item, each.at, (item.namespace, item.name), each.port, resolution, direct=True))
            continue
        references = list(_references(item))
        if not references:
            continue
        named = _controller_names(item, classes, gateways, gateway_classes)
        controllers = tuple(each for each, image in images if any(name in image for controller in named for name in _IMAGES.get(controller, ())))
        for at, namespace, name, port in references:
            service = services.every.get((namespace, name))
            resolution = services.resolve(service, port) if service is not None else Resolution(faults=((at, f"there is no Service {namespace}/{name}"),))
            found.append(Entrance(item, at, (namespace, name), port, resolution, tuple(dict.fromkeys(controllers))))
    return found


def _images(workloads: Iterable[Workload]) -> list[tuple[Workload, str]]:
    return [
        (each, text(container.body.get("image"))) for each in workloads if each.template is not None for container in each.template.containers("containers")
    ]


def _controller_names(item: Object, classes: Mapping[str, Object], gateways: Mapping[tuple[str, str], Object], gateway_classes: Mapping[str, str]) -> list[str]:
    if item.kind == "Ingress":
        name = text(item.spec.get("ingressClassName")) or text(item.annotations.get("kubernetes.io/ingress.class"))
        default = [each for each in classes.values() if each.annotations.get("ingressclass.kubernetes.io/is-default-class") == "true"]
        chosen = classes.get(name) if name else (default[0] if default else None)
        return [text(chosen.spec.get("controller"))] if chosen is not None else []
    if item.group == _GATEWAY:
        parents = [mapping(each) for each in items(item.spec.get("parentRefs"))]
        chosen_gateways = [gateways.get((text(each.get("namespace")) or item.namespace, text(each.get("name")))) for each in parents]
        return [gateway_classes.get(text(each.spec.get("gatewayClassName")), "") for each in chosen_gateways if each is not None]
    return [item.group]


def _references(item: Object) -> Iterator[tuple[Pointer, str, str, int | str | None]]:
    """The Services an object forwards to: pointer, namespace, name and port."""
    if item.kind == "Ingress" and item.group == "networking.k8s.io":
        yield from _ingress(item)
    elif item.group == "k8s.nginx.org" and item.kind in ("VirtualServer", "VirtualServerRoute", "TransportServer"):
        for index, each in _bodies(item.spec.get("upstreams")):
            if each.get("service"):
                yield ("spec", "upstreams", index), item.namespace, text(each.get("service")), _port(each.get("port"))
    elif item.group == _GATEWAY and item.kind.endswith("Route"):
        for index, rule in _bodies(item.spec.get("rules")):
            for number, each in _bodies(rule.get("backendRefs")):
                if each.get("kind", "Service") == "Service":
                    place = ("spec", "rules", index, "backendRefs", number)
                    yield place, text(each.get("namespace")) or item.namespace, text(each.get("name")), _port(each.get("port"))
    elif item.kind == "Route" and item.group == "route.openshift.io":
        targets = [("to",), *(("alternateBackends", index) for index, _ in _bodies(item.spec.get("alternateBackends")))]
        for at in targets:
            each = mapping(item.get("spec", *at))
            if each.get("kind", "Service") == "Service" and each.get("name"):
                yield ("spec", *at), item.namespace, text(each.get("name")), None
    elif item.group in ("traefik.io", "traefik.containo.us") and item.kind.startswith("IngressRoute"):
        for index, route in _bodies(item.spec.get("routes")):
            for number, each in _bodies(route.get("services")):
                if each.get("kind", "Service") == "Service":
                    place = ("spec", "routes", index, "services", number)
                    yield place, text(each.get("namespace")) or item.namespace, text(each.get("name")), _port(each.get("port"))
    elif item.kind == "HTTPProxy" and item.group == "projectcontour.io":
        for index, route in _bodies(item.spec.get("routes")):
            for number, each in _bodies(route.get("services")):
                yield ("spec", "routes", index, "services", number), item.namespace, text(each.get("name")), _port(each.get("port"))


def _ingress(item: Object) -> Iterator[tuple[Pointer, str, str, int | str | None]]:
    places: list[tuple[Pointer, dict[str, Any]]] = [(("spec", "defaultBackend"), mapping(item.spec.get("defaultBackend")))]
    for index, rule in _bodies(item.spec.get("rules")):
        for number, path in _bodies(mapping(rule.get("http")).get("paths")):
            places.append((("spec", "rules", index, "http", "paths", number, "backend"), mapping(path.get("backend"))))
    for at, backend in places:
        service = mapping(backend.get("service"))
        if service:
            port = mapping(service.get("port"))
            yield (*at, "service"), item.namespace, text(service.get("name")), text(port.get("name")) or _port(port.get("number"))


def _bodies(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    return ((index, each) for index, each in enumerate(items(value)) if isinstance(each, dict))


def _port(value: object) -> int | str | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None
