"""NetworkPolicies and Ingresses.

Source: ``k8s.io/kubernetes/pkg/apis/networking/validation/validation.go``, v1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines import names
from harness.engines.report import is_elided
from harness.engines.validation.addresses import legacy_cidr, parse_cidr, parse_ip
from harness.engines.validation.context import Check, Json, each, each_text, items, mapping, number, text

if TYPE_CHECKING:
    from harness.model import Pointer

_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")


def validate_network_policy(body: Json, check: Check) -> None:
    """A NetworkPolicy."""
    spec, at = mapping(body.get("spec")), ("spec",)
    check.selector(spec.get("podSelector"), (*at, "podSelector"))
    for direction, field in (("ingress", "from"), ("egress", "to")):
        for place, rule in each(spec.get(direction), (*at, direction)):
            for where, port in each(rule.get("ports"), (*place, "ports")):
                _policy_port(port, check, where)
            for where, peer in each(rule.get(field), (*place, field)):
                _peer(peer, check, where)


def _policy_port(port: Json, check: Check, at: Pointer) -> None:
    value, end = port.get("port"), number(port.get("endPort"))
    check.port(value, (*at, "port"))
    if port.get("endPort") is None:
        return
    if value is None:
        check.error((*at, "endPort"), "may not be specified when port is not specified", "port")
    elif isinstance(value, str):
        check.error((*at, "endPort"), "may not be specified when port is non-numeric", "port")
    elif end is not None:
        check.port(end, (*at, "endPort"))
        if end < (number(value) or 0):
            check.error((*at, "endPort"), "must be greater than or equal to port", "port")


def _peer(peer: Json, check: Check, at: Pointer) -> None:
    present = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(field) is not None]
    if not present:
        check.error(at, "must specify a peer", "required")
    elif len(present) > 1 and "ipBlock" in present:
        check.error(at, "may not specify both ipBlock and another peer", "one-of")
    for field in ("podSelector", "namespaceSelector"):
        check.selector(peer.get(field), (*at, field))
    block, place = peer.get("ipBlock"), (*at, "ipBlock")
    if not isinstance(block, dict) or not check.required(block, "cidr", place):
        return
    legacy_cidr(block["cidr"], check, (*place, "cidr"))
    outer = parse_cidr(text(block["cidr"]))
    for where, value in each_text(block.get("except"), (*place, "except")):
        legacy_cidr(value, check, where)
        inner = parse_cidr(value)
        if outer is None or inner is None:
            continue
        if inner.version != outer.version or inner.prefixlen <= outer.prefixlen or inner.network_address not in outer:
            check.error(where, f"must be a strict subset of cidr {block['cidr']}, not {value}", "address", value)


def validate_ingress(body: Json, check: Check) -> None:
    """An Ingress."""
    spec, at = mapping(body.get("spec")), ("spec",)
    if not items(spec.get("rules")) and spec.get("defaultBackend") is None:
        check.error(at, "either defaultBackend or rules must be specified", "required")
    if spec.get("defaultBackend") is not None:
        _backend(mapping(spec["defaultBackend"]), check, (*at, "defaultBackend"))
    for place, rule in each(spec.get("rules"), (*at, "rules")):
        _host(rule.get("host"), check, (*place, "host"), rule=True)
        http = rule.get("http")
        if isinstance(http, dict):
            check.required(http, "paths", (*place, "http"))
            for where, path in each(http.get("paths"), (*place, "http", "paths")):
                _path(path, check, where)
    for place, tls in each(spec.get("tls"), (*at, "tls")):
        for where, host in each_text(tls.get("hosts"), (*place, "hosts")):
            _host(host, check, where, rule=False)
        check.optional_name(tls, "secretName", names.dns1123_subdomain, place)
    class_name = spec.get("ingressClassName")
    if class_name is not None:
        check.syntax(class_name, names.dns1123_subdomain, (*at, "ingressClassName"))
    annotated = mapping(mapping(body.get("metadata")).get("annotations")).get("kubernetes.io/ingress.class")
    if isinstance(annotated, str) and class_name is not None and annotated != class_name:
        where = ("metadata", "annotations", "kubernetes.io/ingress.class")
        check.error(where, f"must match ingressClassName ({class_name}) when both are specified", "invalid", annotated)


def _host(host: object, check: Check, at: Pointer, *, rule: bool) -> None:
    if not isinstance(host, str) or (rule and not host):
        return
    if rule and parse_ip(host) is not None:
        check.error(at, "must be a DNS name, not an IP address", "name", host)
    check.syntax(host, names.wildcard_dns1123_subdomain if "*" in host else names.dns1123_subdomain, at)


def _path(path: Json, check: Check, at: Pointer) -> None:
    value, kind = path.get("path"), path.get("pathType")
    content = text(value)
    if kind in ("Exact", "Prefix"):
        if not content.startswith("/") and not is_elided(content):
            check.error((*at, "path"), f"must be an absolute path, not {content!r}", "path", value)
        for sequence in _BAD_SEQUENCES:
            if sequence in content:
                check.error((*at, "path"), f"must not contain {sequence!r}", "path", value)
        for suffix in _BAD_SUFFIXES:
            if content.endswith(suffix):
                check.error((*at, "path"), f"cannot end with {suffix!r}", "path", value)
    elif kind == "ImplementationSpecific" and content and not content.startswith("/"):
        check.error((*at, "path"), f"must be an absolute path, not {content!r}", "path", value)
    if path.get("backend") is None:
        check.error((*at, "backend"), "required field is missing", "required")
    else:
        _backend(mapping(path["backend"]), check, (*at, "backend"))


def _backend(backend: Json, check: Check, at: Pointer) -> None:
    for kind in check.exactly_one(backend, ("resource", "service"), at, "backend"):
        target, place = mapping(backend[kind]), (*at, kind)
        if kind == "resource":
            _object_reference(target, check, place)
            continue
        check.reference(target, "name", place, names.dns1123_label if check.minor >= 35 else names.dns1035_label)
        port = mapping(target.get("port"))
        name, value = port.get("name"), number(port.get("number"))
        if name and value:
            check.error((*place, "port"), "cannot set both port name & port number", "one-of")
        elif name:
            check.syntax(name, names.port_name, (*place, "port", "name"), "port")
        elif not value:
            check.error((*place, "port"), "port name or number is required", "required")


def _object_reference(reference: Json, check: Check, at: Pointer) -> None:
    """``validateIngressTypedLocalObjectReference``."""
    if reference.get("apiGroup") is not None:
        check.syntax(reference["apiGroup"], names.dns1123_subdomain, (*at, "apiGroup"))
    for field in ("kind", "name"):
        check.reference(reference, field, at, names.path_segment)


def validate_ingress_class(body: Json, check: Check) -> None:
    """An IngressClass."""
    spec, at = mapping(body.get("spec")), ("spec",)
    if check.required(spec, "controller", at):
        check.syntax(spec["controller"], names.domain_prefixed_path, (*at, "controller"))
        if len(text(spec["controller"])) > 250:
            check.error((*at, "controller"), "must be no more than 250 characters", "size")
    parameters = spec.get("parameters")
    if isinstance(parameters, dict):
        place = (*at, "parameters")
        _object_reference(parameters, check, place)
        scope = parameters.get("scope") or "Cluster"
        if scope == "Namespace":
            check.reference(parameters, "namespace", place, names.dns1123_label)
        elif scope == "Cluster" and parameters.get("namespace") is not None:
            check.error((*place, "namespace"), "must not be set when scope is Cluster", "forbidden")
        elif scope not in ("Cluster", "Namespace"):
            check.error((*place, "scope"), f'must be one of "Cluster", "Namespace", not {scope!r}', "enum", scope)
