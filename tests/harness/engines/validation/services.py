"""Services and endpoints.

Source: ``validateService`` in ``pkg/apis/core/validation/validation.go`` and ``SetDefaults_Service`` in ``pkg/apis/core/v1/defaults.go``,
``ValidateEndpointSlice`` in ``pkg/apis/discovery/validation/validation.go``, v1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines import names
from harness.engines.validation.addresses import legacy_cidr, legacy_ip, ordinary_ip
from harness.engines.validation.context import Check, Json, each, each_text, items, mapping, number, text

if TYPE_CHECKING:
    from harness.model import Pointer


def validate_service(body: Json, check: Check) -> None:
    """A Service."""
    spec, at = mapping(body.get("spec")), ("spec",)
    kind = spec.get("type") or "ClusterIP"
    name = mapping(body.get("metadata")).get("name")
    if check.minor < 35 and isinstance(name, str) and name:
        # DNS-1035 is certain before the gate RelaxedServiceNameValidation is on (1.35); the label form is checked with the metadata.
        check.syntax(name, names.dns1035_label, ("metadata", "name"))
    headless = spec.get("clusterIP") == "None" or items(spec.get("clusterIPs"))[:1] == ["None"]
    if not items(spec.get("ports")) and not headless and kind != "ExternalName":
        check.error((*at, "ports"), "required field is missing" if spec.get("ports") is None else "must not be empty", "required")
    if kind in ("LoadBalancer", "NodePort") and headless:
        check.error((*at, "clusterIP"), f"may not be set to 'None' for {kind} services", "forbidden")
    if kind == "ExternalName":
        _external_name(spec, check, at)
    else:
        _cluster_ips(spec, check, at)
    _ports(spec, kind, check, at)
    check.labels(spec.get("selector"), (*at, "selector"))
    for place, address in each_text(spec.get("externalIPs"), (*at, "externalIPs")):
        ordinary_ip(address, check, place)
    _load_balancer(spec, kind, mapping(mapping(body.get("metadata")).get("annotations")), check, at)


def _external_name(spec: Json, check: Check, at: Pointer) -> None:
    for field in ("clusterIPs", "ipFamilies"):
        if items(spec.get(field)):
            check.error((*at, field), "may not be set for ExternalName services", "forbidden")
    if spec.get("clusterIP"):
        check.error((*at, "clusterIP"), "may not be set for ExternalName services", "forbidden")
    if spec.get("ipFamilyPolicy") is not None:
        check.error((*at, "ipFamilyPolicy"), "may not be set for ExternalName services", "forbidden")
    if check.required(spec, "externalName", at):
        check.syntax(text(spec["externalName"]).removesuffix("."), names.dns1123_subdomain, (*at, "externalName"))


def _cluster_ips(spec: Json, check: Check, at: Pointer) -> None:
    """``ValidateServiceClusterIPsRelatedFields``; a missing ``clusterIPs`` is filled from ``clusterIP``."""
    single, several = spec.get("clusterIP"), items(spec.get("clusterIPs"))
    if several and not single:
        # The registry fills clusterIP from clusterIPs only for old clients; a create must set both or the first alone.
        check.error((*at, "clusterIPs"), "must be empty when clusterIP is not specified", "forbidden")
    elif several and several[0] != single:
        check.error((*at, "clusterIPs"), "first value must match clusterIP", "invalid")
    for place, address in [((*at, "clusterIP"), single), *each_text(several, (*at, "clusterIPs"))]:
        if isinstance(address, str) and address not in ("", "None"):
            legacy_ip(address, check, place)
    if len(several) > 2:
        check.error((*at, "clusterIPs"), "may only hold up to 2 values", "size")
    families = items(spec.get("ipFamilies"))
    for index, family in enumerate(families):
        if family in families[:index]:
            check.error((*at, "ipFamilies", index), f"duplicate of {family}", "duplicate")


def _ports(spec: Json, kind: str, check: Check, at: Pointer) -> None:
    ports = items(spec.get("ports"))
    seen: set[str] = set()
    node_ports: set[tuple[str, int]] = set()
    for place, port in each(ports, (*at, "ports")):
        name = port.get("name")
        if not name:
            if len(ports) > 1:
                check.error((*place, "name"), "is required when a Service has several ports", "required")
        elif isinstance(name, str):
            check.syntax(name, names.dns1123_label, (*place, "name"))
            if name in seen:
                check.error((*place, "name"), f"duplicate port name {name!r}", "duplicate", name)
            seen.add(name)
        if port.get("targetPort") not in (None, 0, ""):
            check.port(port["targetPort"], (*place, "targetPort"))
        if port.get("appProtocol") is not None:
            check.syntax(port["appProtocol"], names.qualified_name, (*place, "appProtocol"))
        node_port = number(port.get("nodePort"))
        if node_port:
            key = (text(port.get("protocol")) or "TCP", node_port)
            if kind == "ClusterIP":
                check.error((*place, "nodePort"), "may not be used when type is 'ClusterIP'", "forbidden")
            if key in node_ports:
                check.error((*place, "nodePort"), f"duplicate node port {node_port}", "duplicate")
            node_ports.add(key)


def _load_balancer(spec: Json, kind: str, annotations: Json, check: Check, at: Pointer) -> None:
    ranges = items(spec.get("loadBalancerSourceRanges"))
    if kind != "LoadBalancer":
        if ranges:
            check.error((*at, "loadBalancerSourceRanges"), "may only be used when type is 'LoadBalancer'", "forbidden")
        elif "service.beta.kubernetes.io/load-balancer-source-ranges" in annotations:
            where = ("metadata", "annotations", "service.beta.kubernetes.io/load-balancer-source-ranges")
            check.error(where, "may only be used when type is 'LoadBalancer'", "forbidden")
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(field) is not None:
                check.error((*at, field), "may only be used when type is 'LoadBalancer'", "forbidden")
    elif spec.get("loadBalancerClass") is not None:
        check.syntax(spec["loadBalancerClass"], names.qualified_name, (*at, "loadBalancerClass"))
    for place, value in each_text(ranges, (*at, "loadBalancerSourceRanges")):
        legacy_cidr(value.strip(), check, place)
    external = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(items(spec.get("externalIPs"))))
    if spec.get("externalTrafficPolicy") and not external:
        check.error((*at, "externalTrafficPolicy"), "may only be set for externally-accessible services", "forbidden")
    if number(spec.get("healthCheckNodePort")) and not (kind == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"):
        message = "may only be set when type is 'LoadBalancer' and externalTrafficPolicy is 'Local'"
        check.error((*at, "healthCheckNodePort"), message, "forbidden")


def validate_endpoints(body: Json, check: Check) -> None:
    """An Endpoints object."""
    for place, subset in each(body.get("subsets"), ("subsets",)):
        addresses = [*items(subset.get("addresses")), *items(subset.get("notReadyAddresses"))]
        if not addresses:
            check.error(place, "must specify addresses or notReadyAddresses", "required")
        for field in ("addresses", "notReadyAddresses"):
            for where, address in each(subset.get(field), (*place, field)):
                if check.required(address, "ip", where):
                    ordinary_ip(address["ip"], check, (*where, "ip"))
                check.optional_name(address, "hostname", names.dns1123_label, where)
        ports = items(subset.get("ports"))
        for where, port in each(ports, (*place, "ports")):
            if len(ports) > 1:
                check.required(port, "name", where)
            check.optional_name(port, "name", names.dns1123_label, where)


def validate_endpoint_slice(body: Json, check: Check) -> None:
    """An EndpointSlice."""
    endpoints, ports = items(body.get("endpoints")), items(body.get("ports"))
    if len(endpoints) > 1000:
        check.error(("endpoints",), "must have at most 1000 items", "size")
    if len(ports) > 20_000:
        check.error(("ports",), "must have at most 20000 items", "size")
    for place, endpoint in each(endpoints, ("endpoints",)):
        addresses = items(endpoint.get("addresses"))
        if not addresses:
            check.error((*place, "addresses"), "must contain at least 1 address", "required")
        elif len(addresses) > 100:
            check.error((*place, "addresses"), "must have at most 100 items", "size")
        for where, address in each_text(addresses, (*place, "addresses")):
            if body.get("addressType") in ("IPv4", "IPv6"):
                ordinary_ip(address, check, where)
        check.optional_name(endpoint, "hostname", names.dns1123_label, place)
    seen: set[str] = set()
    for place, port in each(ports, ("ports",)):
        name = text(port.get("name"))
        check.optional_name(port, "name", names.dns1123_label, place)
        if name in seen:
            check.error((*place, "name"), f"duplicate port name {name!r}", "duplicate")
        seen.add(name)
