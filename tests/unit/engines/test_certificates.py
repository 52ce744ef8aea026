"""Names of certificates against an oracle, chains up to the root, and what controllers make of their settings."""

from __future__ import annotations

import re
from typing import Any

import pytest
from harness.engines.certificates.chains import Issuers
from harness.engines.certificates.controllers import Controller, controllers, floor, is_old, max_age, redirects
from harness.engines.certificates.listeners import Classes, listeners
from harness.engines.certificates.matrix import rows
from harness.engines.certificates.names import covers, is_host
from harness.model import Location, Object, ObjectId, Origin
from harness.model.identity import group_of
from harness.model.origin import fixed
from harness.model.pods import pods_of
from hypothesis import given, settings
from hypothesis import strategies as st

LABELS = st.lists(st.sampled_from(["a", "b", "web", "*", "x-1", ""]), min_size=1, max_size=4)
NAMES = LABELS.map(".".join)


def oracle(name: str, host: str) -> bool:
    """A pattern: the first label ``*`` is one label that is not empty and not a wildcard itself; everything else is compared letter by letter."""
    if not name or not host:
        return False
    if name == host:
        return True
    labels = name.split(".")
    if labels[0] != "*" or len(labels) < 2 or "*" in labels[1:]:
        return False
    return re.fullmatch(r"[^.*]+\." + re.escape(".".join(labels[1:])), host) is not None


@settings(max_examples=300)
@given(NAMES, NAMES)
def test_a_name_covers_what_its_pattern_matches(name: str, host: str) -> None:
    assert covers(name, host) == oracle(name.removesuffix("."), host.removesuffix("."))


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "b", "web"]), min_size=2, max_size=4).map(".".join))
def test_a_wildcard_covers_its_children_and_nothing_above_or_below(domain: str) -> None:
    name = f"*.{domain}"
    assert covers(name, f"x.{domain}")
    assert covers(name.upper(), f"X.{domain}.")
    assert covers(name, name)
    assert not covers(name, domain)
    assert not covers(name, f"x.y.{domain}")
    assert not covers(f"x.{domain}", name)


@pytest.mark.parametrize(
    ("name", "host", "expected"), [("10.0.0.1", "10.0.0.1", False), ("", "", False), ("*", "a", False), ("w*.example.com", "web.example.com", False)]
)
def test_edges_of_names(name: str, host: str, expected: bool) -> None:
    assert covers(name, host) is expected


@pytest.mark.parametrize("name", ["example.com", "*.example.com", "a_b.c", "localhost", "x" * 63 + ".com"])
def test_host_names(name: str) -> None:
    assert is_host(name)


@pytest.mark.parametrize("name", ["", "*", "a..b", "-a.com", "a b.com", "a.*.com", "w*.com", "x" * 64 + ".com", "a." * 130])
def test_no_host_names(name: str) -> None:
    assert not is_host(name)


def make(api: str, kind: str, name: str, spec: Any, namespace: str = "shop", **more: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    body = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec, **more}
    return Object(ObjectId("test", group_of(api), kind, namespace, name), body, Origin(fixed(Location("a.yaml"))))


CERTS = "cert-manager.io/v1"


def certificate(name: str, issuer: str, *, ca: bool = False, names: tuple[str, ...] = (), kind: str = "Issuer") -> Object:
    return make(CERTS, "Certificate", name, {"secretName": name, "isCA": ca, "dnsNames": list(names), "issuerRef": {"kind": kind, "name": issuer}})


@settings(max_examples=40)
@given(st.integers(0, 12))
def test_a_chain_names_every_step_up_to_the_root(depth: int) -> None:
    certificates = [certificate(f"c{level}", f"i{level}", ca=True) for level in range(depth + 1)]
    issuers = [make(CERTS, "Issuer", f"i{level}", {"ca": {"secretName": f"c{level - 1}"}} if level else {"selfSigned": {}}) for level in range(depth + 1)]
    chain = Issuers(issuers, certificates, ()).chain(certificates[depth])
    expected = [step for level in range(depth, 0, -1) for step in (f"Issuer i{level}", f"Certificate shop/c{level - 1}")]
    assert chain.steps == (*expected, "Issuer i0")
    assert (chain.ends, chain.gaps, len(chain.certificates)) == ("self-signed", (), depth)


@settings(max_examples=20)
@given(st.integers(1, 6))
def test_a_circle_of_authorities_is_told(length: int) -> None:
    certificates = [certificate(f"c{each}", f"i{each}", ca=True) for each in range(length)]
    issuers = [make(CERTS, "Issuer", f"i{each}", {"ca": {"secretName": f"c{(each + 1) % length}"}}) for each in range(length)]
    chain = Issuers(issuers, certificates, ()).chain(certificates[0])
    assert (chain.ends, len(chain.gaps)) == ("broken", 1)


@pytest.mark.parametrize("odd", [None, [], "text", {"ca": None}, {"ca": {"secretName": 7}}, {"acme": []}, {"acme": {"solvers": [None]}}], ids=repr)
def test_odd_issuers_end_somewhere(odd: Any) -> None:
    leaf = certificate("leaf", "odd", names=("a.example.com",))
    chain = Issuers([make(CERTS, "Issuer", "odd", odd)], [leaf], ()).chain(leaf)
    assert chain.ends in ("external", "acme")


def controller(type_: str, config: dict[str, str] | None) -> Controller:
    return Controller(type_, "nginx", pods_of([make("v1", "Pod", "p", {})])[0], config, None)


F5, COMMUNITY = "nginx.org/ingress-controller", "k8s.io/ingress-nginx"


@pytest.mark.parametrize(
    ("type_", "config", "expected"),
    [
        (F5, {"ssl-protocols": "TLSv1.2 TLSv1.3"}, "TLSv1.2"),
        (F5, {"ssl-protocols": "TLSv1.3 TLSv1"}, "TLSv1"),
        (F5, {}, "unknown"),
        (COMMUNITY, {}, "TLSv1.2"),
        (COMMUNITY, {"ssl-protocols": "TLSv1.3"}, "TLSv1.3"),
        (COMMUNITY, {"ssl-protocols": "none"}, "unknown"),
        (COMMUNITY, None, "unknown"),
    ],
    ids=range(7),
)
def test_the_lowest_version(type_: str, config: dict[str, str] | None, expected: str) -> None:
    assert floor(controller(type_, config)) == expected


def test_old_versions() -> None:
    assert [is_old(version) for version in ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "unknown")] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("type_", "config", "annotations", "redirect", "age"),
    [
        (F5, {}, {}, True, 0),
        (F5, {"hsts": "true"}, {}, True, 2592000),
        (F5, {"hsts": "true", "hsts-max-age": "60", "ssl-redirect": "false"}, {}, False, 60),
        (F5, {"ssl-redirect": "false", "redirect-to-https": "true"}, {}, True, 0),
        (F5, {}, {"nginx.org/hsts": "True", "ingress.kubernetes.io/ssl-redirect": "False"}, False, 2592000),
        (COMMUNITY, {}, {}, True, 31536000),
        (COMMUNITY, {"hsts": "false"}, {"nginx.ingress.kubernetes.io/ssl-redirect": "false"}, False, 0),
        (COMMUNITY, {"force-ssl-redirect": "true", "ssl-redirect": "false"}, {}, True, 31536000),
        (COMMUNITY, None, {}, None, None),
    ],
    ids=range(9),
)
def test_redirect_and_hsts(type_: str, config: dict[str, str] | None, annotations: dict[str, str], redirect: bool | None, age: int | None) -> None:
    found = controller(type_, config)
    assert (redirects(found, annotations, tls=True), max_age(found, annotations)) == (redirect, age)


def test_controllers_are_told_by_their_arguments() -> None:
    def pod(name: str, *arguments: str) -> Object:
        return make("v1", "Pod", name, {"containers": [{"name": "c", "args": list(arguments)}]}, "ingress")

    config = make("v1", "ConfigMap", "nginx", None, "ingress", data={"hsts": "true"})
    elided = make("v1", "ConfigMap", "locked", None, "ingress", data={"hsts": "sha256:0123456789abcdef"})
    pods = [
        pod("f5", "-nginx-configmaps=$(POD_NAMESPACE)/nginx", "-ingress-class=public", "-default-server-tls-secret=ingress/tls"),
        pod("community", "/nginx-ingress-controller", "--configmap=ingress/locked"),
        pod("other", "--configmap=ingress/nginx"),
    ]
    found = controllers(pods_of(pods), {("ingress", "nginx"): config, ("ingress", "locked"): elided})
    assert [(each.type, each.ingress_class, each.config, each.default) for each in found] == [
        (F5, "public", {"hsts": "true"}, ("ingress", "tls")),
        (COMMUNITY, "nginx", None, None),
    ]


def test_the_matrix_says_for_every_host_who_covers_it() -> None:
    web = certificate("web-tls", "root", names=("web.example.com",))
    ingress = make(
        "networking.k8s.io/v1",
        "Ingress",
        "web",
        {
            "tls": [{"hosts": ["web.example.com", "other.example.com"], "secretName": "web-tls"}, {"hosts": ["sealed.example.com"], "secretName": "sealed"}],
            "rules": [{"host": f"{name}.example.com"} for name in ("web", "other", "sealed", "plain")] + [{}],
        },
    )
    issuers = Issuers([make(CERTS, "Issuer", "root", {"selfSigned": {}})], [web], ())
    found = rows(listeners(ingress, Classes((), (), ())), issuers, lambda _namespace, name: "SealedSecret sealed" if name == "sealed" else "")
    assert [(row.listener.host, row.covered, row.maker) for row in found] == [
        ("", None, ""),
        ("other.example.com", False, "Certificate web-tls"),
        ("plain.example.com", None, ""),
        ("sealed.example.com", None, "SealedSecret sealed"),
        ("web.example.com", True, "Certificate web-tls"),
    ]


@pytest.mark.parametrize(
    "odd", [None, [], "text", {"tls": [None, {"hosts": None}], "rules": [None, {"host": 7, "http": []}]}, {"listeners": [None]}, {"routes": [7]}], ids=repr
)
@pytest.mark.parametrize(
    "kind", ["networking.k8s.io/v1/Ingress", "k8s.nginx.org/v1/VirtualServer", "k8s.nginx.org/v1/TransportServer", "gateway.networking.k8s.io/v1/Gateway"]
)
def test_odd_objects_make_no_traceback(odd: Any, kind: str) -> None:
    api, _, name = kind.rpartition("/")
    for listener in listeners(make(api, name, "x", odd), Classes((), (), ())):
        assert isinstance(listener.host, str)
