"""Rules about the hosts that a cluster serves: TLS, redirects, HSTS, versions, collisions, classes and backends (SEC601, SEC602, SEC607 to SEC612)."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.engines.certificates.controllers import F5, UNKNOWN, is_old
from harness.engines.certificates.listeners import GATEWAY, INGRESS, KINDS, TRANSPORT_SERVER, VIRTUAL_SERVER, Listener
from harness.engines.certificates.names import covers
from harness.model import NotEvaluated, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Objects, Registry, Violation, violation
from harness.rules.order_makers import may_be_elsewhere
from harness.rules.tls_view import all_listeners, classes, matrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.world import World
    from harness.model import Object, Pointer

SEC: Final = Registry()

_SERVED: Final = Objects(KINDS)
#: Half a year, what the usual checks of HSTS ask at least.
_HALF_A_YEAR: Final = 15_768_000
_TLS: Final = ("NIST-SC-8", "NIST-SC-23")


def _of(item: Object, world: World) -> tuple[Listener, ...]:
    return world.derive(_by_item).get(id(item), ())


def _by_item(world: World) -> Mapping[int, tuple[Listener, ...]]:
    found: dict[int, list[Listener]] = defaultdict(list)
    for listener in world.derive(all_listeners):
        found[id(listener.item)].append(listener)
    return {key: tuple(each) for key, each in found.items()}


@SEC.rule(
    "SEC601",
    title="every host is served over TLS",
    why="what is sent to a host without TLS, logins and cookies among it, is read and changed by everyone on the way",
    fix="add the host to tls with the Secret of its certificate",
    scope=_SERVED,
    severity=Severity.WARNING,
    controls=_TLS,
)
def served_over_tls(item: Object, world: World) -> Iterator[Violation]:
    mine = _of(item, world)
    for listener in mine:
        secured = any(other.tls and (other.host == listener.host or covers(other.host, listener.host)) for other in mine)
        if not listener.tls and not (str(item.group_kind) == GATEWAY and (secured or not listener.host)):
            yield violation(item, *listener.pointer, found=f"{listener.host or 'every host'} without TLS", expect="an entry in tls, with a certificate")
        elif listener.tls and listener.secret is None and not listener.passthrough and not listener.fallback and str(item.group_kind) == INGRESS:
            found = f"{listener.host or 'every host'} in tls without a secretName, and the controller has no certificate of its own here"
            yield violation(item, *listener.secret_pointer, found=found, expect="a secretName")


@SEC.rule(
    "SEC602",
    title="the certificate of a listener covers its host",
    why="clients refuse a certificate that does not name the host, or people learn to click the warning away; a wildcard covers one label only (RFC 9525)",
    fix="add the host to the dnsNames of the Certificate, or name the Secret of the right one",
    scope=_SERVED,
    controls=_TLS,
)
def certificate_covers(item: Object, world: World) -> Iterator[Violation]:
    for row in world.derive(matrix):
        listener = row.listener
        if listener.item is item and row.covered is False and row.certificate is not None and listener.secret is not None:
            fallback = " (the controller's own, for hosts that name none)" if listener.fallback else ""
            found = f"{listener.host} with Secret {'/'.join(listener.secret)}{fallback}, whose certificate names {', '.join(row.names) or 'no host'}"
            yield violation(item, *listener.secret_pointer, found=found, expect=f"a certificate with {listener.host}")


@SEC.rule(
    "SEC607",
    title="plain requests are sent on to HTTPS",
    why="a host that also answers over HTTP is used over HTTP: by old links, by whoever types the name, and by whoever wants it so",
    fix="F5 NGINX: tls.redirect.enable, or leave ssl-redirect on; ingress-nginx: leave ssl-redirect on",
    scope=_SERVED,
    severity=Severity.WARNING,
    controls=_TLS,
)
def redirected(item: Object, world: World) -> Iterator[Violation]:
    for listener in _of(item, world):
        if listener.tls and listener.redirect is False and not listener.passthrough:
            yield violation(item, *listener.pointer, found=f"{listener.host or 'every host'} answers plain requests", expect="a redirect to HTTPS")


@SEC.rule(
    "SEC608",
    title="browsers are told to use HTTPS only",
    why="a redirect protects from the second request on; Strict-Transport-Security keeps the browser from making the first one in plain text (RFC 6797)",
    fix="set hsts and hsts-max-age in the controller's ConfigMap; for a VirtualServer add the header in every route that reaches an upstream",
    scope=_SERVED,
    severity=Severity.WARNING,
    controls=_TLS,
)
def strict_transport(item: Object, world: World) -> Iterator[Violation]:
    for listener in _of(item, world):
        if listener.tls and not listener.passthrough and listener.hsts is not None and listener.hsts < _HALF_A_YEAR:
            age = f"with Strict-Transport-Security for {listener.hsts}s" if listener.hsts else "without Strict-Transport-Security"
            found = f"{listener.host or 'every host'} {age}"
            yield violation(item, *listener.pointer, found=found, expect=f"max-age of {_HALF_A_YEAR} or more")


@SEC.rule(
    "SEC609",
    title="no ingress controller takes a deprecated version of TLS",
    why="TLS 1.0 and 1.1 and SSL before them are broken and deprecated (RFC 8996, RFC 7568); one client that asks for them gets them",
    fix="set ssl-protocols: TLSv1.2 TLSv1.3 in the controller's ConfigMap, through the chart's values",
    scope=Clusters(),
    controls=("NIST-SC-8", "NIST-SC-13"),
)
def no_old_tls(world: World) -> Iterator[Violation]:
    for controller in world.derive(classes).controllers:
        stated = text((controller.config or {}).get("ssl-protocols"))
        old = [version for version in re.split(r"[\s,]+", stated) if is_old(version)]
        if old and controller.where is not None:
            yield Violation(f"ssl-protocols: {stated}", "TLSv1.2 and TLSv1.3", controller.where.locate("data", "ssl-protocols"))


@SEC.rule(
    "SEC610",
    title="a host and path belong to one object, and a host to one namespace",
    why=(
        "two objects for one host and path compete: one of them is silently without effect, and which one may change with the next restart; a host that two "
        "namespaces serve lets one of them take the other's requests, cookies included"
    ),
    fix="delete one of the two, or give each its own host; paths of one host in one namespace may stand in several Ingresses",
    scope=Clusters(),
    controls=("NIST-AC-4", "NIST-SC-7"),
)
def one_owner(world: World) -> Iterator[Violation]:
    owners: dict[tuple[str, str], Listener] = {}
    routes: dict[tuple[str, str, str], Listener] = {}
    for listener in world.derive(all_listeners):
        if str(listener.item.group_kind) == GATEWAY or not listener.host or "nginx.org/mergeable-ingress-type" in listener.item.annotations:
            continue
        key = (listener.ingress_class, listener.host)
        first = owners.setdefault(key, listener)
        if first.item.namespace != listener.item.namespace:
            found = f"{listener.host} is also served by {first.item.kind} {first.item.namespace}/{first.item.name}"
            yield violation(listener.item, *listener.pointer, found=found, expect="a host of its own for each namespace")
            continue
        if first.item is not listener.item and VIRTUAL_SERVER in (str(first.item.group_kind), str(listener.item.group_kind)):
            found = f"{listener.host} is also served by {first.item.kind} {first.item.name}; of objects with one host the controller takes the oldest"
            yield violation(listener.item, *listener.pointer, found=found, expect="one object")
            continue
        for route in listener.routes:
            other = routes.setdefault((*key, route.path.rstrip("/") if route.type == "Prefix" else f"{route.path} {route.type}"), listener)
            if other.item is not listener.item:
                found = f"{listener.host}{route.path} is also in {other.item.kind} {other.item.name}"
                yield violation(listener.item, *route.pointer, found=found, expect="each path in one object")


_REGEX: Final = re.compile(r"[*+?()|\[\]\\^$]")
_REGEX_ON: Final = ("nginx.ingress.kubernetes.io/use-regex", "nginx.ingress.kubernetes.io/rewrite-target", "nginx.org/path-regex")


@SEC.rule(
    "SEC611",
    title="an Ingress has a class that exists and paths that match what they seem to",
    why="an Ingress without a class is taken by the default class or by nobody, and an expression in a path of type Prefix or Exact is compared as it stands",
    fix="name an ingressClassName of the cluster; write paths from / on, without patterns, or with the controller's annotation for them",
    scope=Objects((INGRESS,)),
    severity=Severity.WARNING,
    controls=("NIST-CM-6",),
)
def class_and_paths(item: Object, world: World) -> Iterator[Violation]:
    found = world.derive(classes)
    name = found.of(item)
    if not name and found.by_name:
        yield violation(item, "spec", found="no ingressClassName, and no class is the default", expect=f"one of {', '.join(sorted(found.by_name))}")
    elif name and found.by_name and name not in found.by_name and not may_be_elsewhere(world, ""):
        at = ("spec", "ingressClassName") if item.spec.get("ingressClassName") else ("metadata", "annotations", "kubernetes.io/ingress.class")
        yield violation(item, *at, found=f"ingress class {name}, which the cluster does not have", expect=f"one of {', '.join(sorted(found.by_name))}")
    for listener in _of(item, world):
        for route in listener.routes:
            if not route.path.startswith("/"):
                yield violation(item, *route.pointer, "path", found=f"path {route.path}", expect="a path from / on")
            elif route.type in ("Prefix", "Exact") and _REGEX.search(route.path) and not any(key in item.annotations for key in _REGEX_ON):
                found_text = f"path {route.path} of type {route.type}, which is compared character by character"
                yield violation(item, *route.pointer, "path", found=found_text, expect="a plain path, or the controller's annotation for expressions")


@SEC.rule(
    "SEC612",
    title="the Service and port behind a host exist",
    why="a host whose Service or port is missing answers 502, 503 or the controller's default page, and no object shows an error",
    fix="correct the name or the port, or add the Service to the namespace",
    scope=Objects((INGRESS, VIRTUAL_SERVER, TRANSPORT_SERVER)),
    controls=("NIST-CM-6",),
)
def backend_exists(item: Object, world: World) -> Iterator[Violation]:
    for pointer, namespace, name, port in _backends(item):
        if not name or "${" in name:
            continue
        service = world.find("Service", namespace, name)
        if service is None:
            if not may_be_elsewhere(world, namespace):
                yield violation(item, *pointer, found=f"Service {name}, which namespace {namespace} does not have", expect="a Service of the namespace")
            continue
        ports = [mapping(entry) for entry in items(service.spec.get("ports"))]
        known = {each for entry in ports for each in (entry.get("port"), entry.get("name")) if each is not None}
        if service.spec.get("type") != "ExternalName" and port not in (None, "") and port not in known:
            shown = ", ".join(f"{entry.get('port')}{f' ({each})' if (each := entry.get('name')) else ''}" for entry in ports) or "none"
            yield violation(item, *pointer, found=f"port {port} of Service {name}, which has {shown}", expect="a port of the Service")


def _backends(item: Object) -> Iterator[tuple[Pointer, str, str, object]]:
    kind = str(item.group_kind)
    if kind == INGRESS:
        entries: list[tuple[Pointer, object]] = [(("spec", "defaultBackend", "service"), item.get("spec", "defaultBackend", "service"))]
        for index, rule in enumerate(items(item.spec.get("rules"))):
            for number, path in enumerate(items(mapping(mapping(rule).get("http")).get("paths"))):
                at: Pointer = ("spec", "rules", index, "http", "paths", number, "backend", "service")
                entries.append((at, mapping(mapping(path).get("backend")).get("service")))
        for at, service in entries:
            body = mapping(service)
            port = mapping(body.get("port"))
            if text(body.get("name")) and port.get("name") != "use-annotation":
                yield at, item.namespace, text(body.get("name")), port.get("number") or port.get("name")
        return
    for index, entry in enumerate(items(item.spec.get("upstreams"))):
        namespace, _, name = text(mapping(entry).get("service")).rpartition("/")
        yield ("spec", "upstreams", index), namespace or item.namespace, name, mapping(entry).get("port")


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    """Listeners of controllers that nobody here knows, or whose configuration is not at hand: redirect, HSTS and versions of TLS."""
    for listener in world.derive(all_listeners):
        if listener.why:
            yield NotEvaluated(str(listener.item.id), "SEC607 to SEC609: redirect, HSTS, lowest version of TLS", listener.why)
    for controller in world.derive(classes).controllers:
        if controller.type == F5 and controller.config is not None and not controller.config.get("ssl-protocols"):
            yield NotEvaluated(
                str(controller.pod.object.id), "SEC609: lowest version of TLS", f"ssl-protocols is not stated: the image's nginx decides ({UNKNOWN})"
            )


RULES: Final = tuple(SEC.rules)
