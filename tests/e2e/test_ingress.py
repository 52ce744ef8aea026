"""The ingress from outside: the TLS matrix of every host in Git, routes, unknown hosts and foreign classes, limits, and who is logged."""

from __future__ import annotations

import copy
import secrets
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from harness.live.faults import applied, deleted, maker, patched, stopped
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ingress import probes
from harness.live.ingress.access import authenticated, limited, named_client, refused_stranger, with_user
from harness.live.ingress.edge import Edge, issuer_of, policies, rate_of
from harness.live.ingress.hosts import first, ready, rows
from harness.live.red import observed
from harness.live.rules.ingress import ALLOWED, AUTHENTICATED, CLEAR, CLIENT, FLOOR, LIMITED, ROUTED, TLS, UNKNOWN
from harness.live.sync.readiness import Key
from harness.rules.tls_view import classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from harness.engines.certificates.matrix import Row
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl

pytestmark = pytest.mark.proof(uses=("ingress-nginx", "metallb-config", "cert-manager"))

RELEASE = "ingress-nginx"
LOGIN = "basicAuth"
LIMIT = "rateLimit"
LIST = "accessControl"


def guarded(field: str) -> Callable[[World], dict[str, Row]]:
    """The hosts whose routes a Policy with a field stands before."""
    return lambda world: {host: row for host, row in rows(world).items() if any(policies(world, row.listener.item, field))}


@pytest.mark.each(row=rows)
def test_host_answers_with_its_certificate(platform: Platform, row: Row) -> None:
    edge = ready(platform, row)
    found = observed(lambda: probes.chain(edge, row))
    expect(TLS, row.listener.item, not found, found=found, expected=f"a certificate for {', '.join(row.names)} signed by {issuer_of(platform.world, row).name}")


@pytest.mark.each(row=rows)
def test_host_keeps_to_its_tls_floor(platform: Platform, row: Row) -> None:
    edge = ready(platform, row)
    found = observed(lambda: probes.floor(edge, row))
    expect(FLOOR, row.listener.item, not found, found=found, expected=f"{row.listener.floor} and later only")


@pytest.mark.each(row=rows)
def test_host_sends_plain_requests_to_https(platform: Platform, row: Row) -> None:
    edge = ready(platform, row)
    found = observed(lambda: probes.clear(edge, row))
    expect(CLEAR, row.listener.item, not found, found=found, expected=f"redirect {row.listener.redirect}, HSTS {row.listener.hsts} s")


@pytest.mark.each(row=rows)
def test_path_reaches_its_service(platform: Platform, row: Row) -> None:
    edge = ready(platform, row)
    found = observed(lambda: probes.routes(edge, row))
    expect(ROUTED, row.listener.item, not found, found=found, expected="every path of the object at its Service, and no other path")


def without(kubectl: Kubectl, row: Row, field: str, platform: Platform) -> AbstractContextManager[None]:
    """A VirtualServer that no longer names its Policy with a field."""
    item = row.listener.item
    gone = {policy.name for policy in policies(platform.world, item, field)}
    kept = [entry for entry in item.spec["policies"] if entry["name"] not in gone]
    return patched(kubectl, "virtualservers.k8s.nginx.org", item.name, item.namespace, {"spec": {"policies": kept}}, suspending=maker(item))


@pytest.mark.proof(uses=("operator-ui",), breaks=("operator-ui-alertmanager",))
@pytest.mark.each(row=guarded(LIMIT))
def test_rate_is_limited(platform: Platform, row: Row) -> None:
    edge = ready(platform, row)
    for policy in policies(platform.world, row.listener.item, LIMIT):
        rate, burst, code = rate_of(policy)
        found = observed(partial(limited, edge, row, policy))
        expect(LIMITED, policy, not found, found=found, expected=f"{burst} requests at once, {rate:g} a second, then {code}")


@pytest.mark.proof(breaks=("operator-ui", "operator-ui-alertmanager"))
def test_missing_rate_limit_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    edge, row = first(platform, "VirtualServer", LIMIT)
    policy = next(policies(platform.world, row.listener.item, LIMIT))
    platform.red(
        f"{row.listener.host} -> Policy {policy.name}",
        "the VirtualServer no longer names the Policy",
        without(kubectl, row, LIMIT, platform),
        lambda: limited(edge, row, policy),
    )


@pytest.mark.proof(uses=("operator-ui",))
@pytest.mark.each(row=guarded(LIST))
def test_stranger_is_refused(platform: Platform, row: Row) -> None:
    edge = ready(platform, row)
    found = observed(lambda: refused_stranger(edge, row))
    expect(ALLOWED, row.listener.item, not found, found=found, expected="403 for who is on no list, and only for them")


@pytest.mark.proof(breaks=("operator-ui", "operator-ui-alertmanager"))
def test_open_access_list_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    edge, row = first(platform, "VirtualServer", LIST)
    policy = next(policies(platform.world, row.listener.item, LIST))
    everybody = {"spec": {"accessControl": {"allow": ["0.0.0.0/0"]}}}
    platform.red(
        f"{row.listener.host} -> Policy {policy.name}",
        "the Policy allows every address",
        patched(kubectl, "policies.k8s.nginx.org", policy.name, policy.namespace, everybody, suspending=maker(policy)),
        lambda: refused_stranger(edge, row),
    )


@pytest.mark.proof(uses=("sealed-secrets",), breaks=("operator-ui", "operator-ui-alertmanager"))
def test_password_is_asked_for(platform: Platform, kubectl: Kubectl) -> None:
    edge, row = first(platform, "VirtualServer", LOGIN)
    policy = next(policies(platform.world, row.listener.item, LOGIN))
    password = secrets.token_urlsafe(16)
    with with_user(kubectl, policy, password):
        platform.red(
            f"{row.listener.host} -> Policy {policy.name}",
            "the VirtualServer no longer names the Policy",
            without(kubectl, row, LOGIN, platform),
            lambda: authenticated(edge, row, password),
        )
        found = observed(lambda: authenticated(edge, row, password))
    expect(AUTHENTICATED, row.listener.item, not found, found=found, expected="401 without the password, the Service with it")


def test_log_names_the_client(platform: Platform) -> None:
    edge, row = first(platform)
    found = observed(lambda: named_client(edge, row))
    expect(CLIENT, edge.service, not found, found=found, expected="where the request came from, and apart from it what the request said")


def nobody(platform: Platform) -> tuple[Edge, Row, str, int, tuple[str, ...]]:
    """A host of the platform's domain that nobody serves, and what answers for it: status and names of the certificate."""
    edge, row = first(platform)
    _kind, controller = classes(platform.world).controller(row.listener.ingress_class)
    if controller is None or controller.default is None:
        raise NotEvaluatedError(row.listener.ingress_class, "unknown hosts", "the controller's default certificate is not in the cluster's build")
    made = platform.world.find("Certificate.cert-manager.io", *controller.default)
    names = tuple(made.spec["dnsNames"]) if made is not None else ()
    host = f"proof-{secrets.token_hex(4)}.{row.listener.host.partition('.')[2]}"
    return edge, row, host, int((controller.config or {}).get("default-server-return", "404")), names


def test_unknown_host_is_served_by_nobody(platform: Platform) -> None:
    edge, _row, host, status, names = nobody(platform)
    found = observed(lambda: probes.unserved(edge, host, status, names))
    expect(UNKNOWN, edge.service, not found, found=f"{host}: {found}", expected=f"{status} and the certificate for {', '.join(names)}")


def test_foreign_class_is_ignored(platform: Platform, kubectl: Kubectl) -> None:
    edge, row, host, status, names = nobody(platform)
    body = copy.deepcopy(dict(row.listener.item.body))
    body["metadata"] = {"name": host.partition(".")[0], "namespace": row.listener.item.namespace}
    spec = body["spec"] = {key: value for key, value in body["spec"].items() if key in ("tls", "rules")} | {"ingressClassName": "foreign"}
    spec["rules"] = [{**spec["rules"][0], "host": host}]
    spec["tls"] = [{**spec["tls"][0], "hosts": [host]}]
    with applied(kubectl, body):
        own = {"spec": {"ingressClassName": row.listener.ingress_class}}
        platform.red(
            "IngressClass -> ingress-nginx",
            "the Ingress of a foreign class gets the controller's own",
            patched(kubectl, "ingresses.networking.k8s.io", body["metadata"]["name"], body["metadata"]["namespace"], own),
            lambda: probes.unserved(edge, host, status, names),
        )


#: Settings of the controller's ConfigMap that break one promise each.
SETTINGS = {
    "floor": ({"ssl-protocols": "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", "ssl-ciphers": "ALL:@SECLEVEL=0"}, probes.floor),
    "hsts": ({"hsts": "false"}, probes.clear),
    "redirect": ({"redirect-to-https": "false", "ssl-redirect": "false"}, probes.clear),
    "client": ({"real-ip-header": "X-Forwarded-For", "set-real-ip-from": "0.0.0.0/0"}, named_client),
}


@pytest.mark.proof(breaks=("ingress-nginx",))
@pytest.mark.parametrize("promise", SETTINGS)
def test_wrong_setting_is_seen(platform: Platform, kubectl: Kubectl, promise: str) -> None:
    edge, row = first(platform)
    settings, probe = SETTINGS[promise]
    fault = ", ".join(f"{name}={value}" for name, value in settings.items())
    platform.red(f"{row.listener.host} -> ConfigMap of ingress-nginx", fault, edge.configured(settings), lambda: probe(edge, row))


@pytest.mark.proof(breaks=("flux-receiver",))
def test_route_that_leads_elsewhere_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    edge, row = first(platform)
    item = row.listener.item
    rules = copy.deepcopy(item.spec["rules"])
    rules[0]["http"]["paths"][0]["path"] = "/elsewhere/"
    breaking = patched(kubectl, "ingresses.networking.k8s.io", item.name, item.namespace, {"spec": {"rules": rules}}, suspending=maker(item))
    platform.red(f"{row.listener.host} -> Service", "the Ingress names another path", breaking, lambda: probes.routes(edge, row))


@pytest.mark.proof(breaks=("cert-manager", "flux-receiver"))
def test_lost_certificate_is_seen(platform: Platform, kubectl: Kubectl) -> None:
    edge, row = first(platform)
    item, secret = row.listener.item, row.listener.secret
    if secret is None:
        raise NotEvaluatedError(str(item.id), "red proof", "the controller's own certificate is served")

    @contextmanager
    def lost() -> Iterator[None]:
        # Otherwise cert-manager makes it again at once.
        with (
            stopped(kubectl, "deployments.apps", "cert-manager", "cert-manager", suspending=[Key("HelmRelease", "cert-manager", "cert-manager")]),
            deleted(kubectl, "secrets", secret[1], secret[0]),
        ):
            yield

    platform.red(f"{row.listener.host} -> Secret {'/'.join(secret)}", "the Secret is deleted", lost(), lambda: probes.chain(edge, row))
