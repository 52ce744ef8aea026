# ruff: noqa: E501 - one case a line
"""Services lead to the pods and ports behind them; ways in are found with who forwards; input of any shape is answered."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from harness.engines.netpol.addresses import address, describe
from harness.engines.netpol.decide import End, decide
from harness.engines.netpol.entrances import entrances
from harness.engines.netpol.network import Network
from harness.engines.netpol.ports import Ports
from harness.engines.netpol.services import Services
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from netpol_things import named, namespace, network, pod, policy, thing, things

Json = dict[str, Any]
# fmt: off

PODS = [
    pod("a", labels={"app": "web"}, ports=[{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]),
    pod("b", labels={"app": "web"}, ports=[{"name": "http", "containerPort": 9090}]),
    pod("c", labels={"app": "old"}, status={"podIP": "10.0.0.9"}),
]


def service(name: str = "s", **spec: Any) -> Json:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "x"}, "spec": spec}


def resolved(port: int | str | None, *bodies: Json, name: str = "s", protocol: str = "") -> tuple[dict[str, str], str, list[str]]:
    """Where a Service leads: ends with their ports, what is unknown, and the faults."""
    objects = [thing(each) for each in (*PODS, *bodies)]
    services = Services.of(Network(objects), objects)
    found = services.resolve(services.every["x", name], port, protocol)
    ends = {(f"{each.workload.namespace}/{each.workload.name}" if each.workload else describe(each.addresses)): str(each.ports) for each in found.backends}
    return ends, found.unknown, [message for _, message in found.faults]


WEB = {"selector": {"app": "web"}}
CASES: list[tuple[str, int | str | None, Json, dict[str, str]]] = [
    ("target by number", 80, {**WEB, "ports": [{"port": 80, "targetPort": 8080}]}, {"x/a": "8080/TCP", "x/b": "8080/TCP"}),
    ("target by name, pod by pod", 80, {**WEB, "ports": [{"port": 80, "targetPort": "http"}]}, {"x/a": "8080/TCP", "x/b": "9090/TCP"}),
    ("no target is the port itself", 80, {**WEB, "ports": [{"port": 80}]}, {"x/a": "80/TCP", "x/b": "80/TCP"}),
    ("asked by name", "web", {**WEB, "ports": [{"name": "web", "port": 80, "targetPort": 8080}, {"name": "x", "port": 81}]}, {"x/a": "8080/TCP", "x/b": "8080/TCP"}),
    ("pods without the name are no endpoints", 53, {**WEB, "ports": [{"port": 53, "protocol": "UDP", "targetPort": "dns"}]}, {"x/a": "53/UDP"}),
    ("a number in quotes is a number", 80, {**WEB, "ports": [{"port": 80, "targetPort": "8080"}]}, {"x/a": "8080/TCP", "x/b": "8080/TCP"}),
    ("headless: a number goes to the pods as it is", 80, {**WEB, "clusterIP": "None", "ports": [{"port": 80, "targetPort": 8080}]}, {"x/a": "80/TCP", "x/b": "80/TCP"}),
    ("headless: a name is the target", "web", {**WEB, "clusterIP": "None", "ports": [{"name": "web", "port": 80, "targetPort": 8080}]}, {"x/a": "8080/TCP", "x/b": "8080/TCP"}),
    ("headless: a port it does not list", 1234, {**WEB, "clusterIP": "None"}, {"x/a": "1234/TCP", "x/b": "1234/TCP"}),
]


@pytest.mark.parametrize(("port", "spec", "ends"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_a_service_leads_to_pods(port: int | str | None, spec: Json, ends: dict[str, str]) -> None:
    assert resolved(port, service(**spec)) == (ends, "", [])


def test_what_leads_nowhere_says_why() -> None:
    assert resolved(81, service(**WEB, ports=[{"port": 80}])) == ({}, "", ["has no port 81"])
    assert resolved(80, service(selector={"app": "none"}, ports=[{"port": 80}])) == ({}, "", ["selects no pod (app=none)"])
    assert resolved(80, service(**WEB, ports=[{"port": 80, "targetPort": "web"}])) == ({}, "", ["no pod it selects has a port named web (TCP)"])
    assert resolved(80, service(ports=[{"port": 80}])) == ({}, "has no selector, and no EndpointSlice says where it leads", [])
    assert resolved(80, service(type="ExternalName", externalName="db.example.com")) == ({}, "is another name for db.example.com, whose address only DNS knows", [])


def test_another_name_for_a_service_of_the_cluster_is_followed() -> None:
    other = service("t", type="ExternalName", externalName="s.x.svc.cluster.local")
    assert resolved(80, service(**WEB, ports=[{"port": 80, "targetPort": 8080}]), other, name="t") == ({"x/a": "8080/TCP", "x/b": "8080/TCP"}, "", [])
    circle = [service("t", type="ExternalName", externalName="u.x.svc"), service("u", type="ExternalName", externalName="t.x.svc")]
    assert resolved(80, *circle, name="t")[0] == {}


SLICE = {
    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s-1", "namespace": "x", "labels": {"kubernetes.io/service-name": "s"}},
    "addressType": "IPv4", "ports": [{"name": "", "port": 5432, "protocol": "TCP"}], "endpoints": [{"addresses": ["10.0.0.9"]}, {"addresses": ["192.0.2.7"]}],
}
ENDPOINTS = {
    "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "s", "namespace": "x"},
    "subsets": [{"addresses": [{"ip": "192.0.2.8"}, {"ip": "10.9.9.9", "targetRef": {"kind": "Pod", "name": "a"}}], "ports": [{"port": 5432}]}],
}


@pytest.mark.parametrize(("listing", "ends"), [(SLICE, {"x/c": "5432/TCP", "192.0.2.7": "5432/TCP"}), (ENDPOINTS, {"192.0.2.8": "5432/TCP", "x/a": "5432/TCP"})], ids=["EndpointSlice", "Endpoints"])
def test_without_a_selector_the_listed_addresses_count(listing: Json, ends: dict[str, str]) -> None:
    assert resolved(80, service(ports=[{"port": 80}]), listing) == (ends, "", [])


def test_a_service_is_found_by_its_address() -> None:
    objects = [thing(service(**WEB, clusterIP="10.96.0.1", clusterIPs=["10.96.0.1", "2001:db8::1"], ports=[{"port": 80}]))]
    services = Services.of(Network(objects), objects)
    found = [services.at_address(where) for words in ("10.96.0.1", "2001:db8::1", "10.96.0.2") if (where := address(words)) is not None]
    assert [each.name if each is not None else None for each in found] == ["s", "s", None]


WAYS = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: nginx.org/ingress-controller}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: edge}
spec: {template: {metadata: {labels: {app: edge}}, spec: {containers: [{name: c, image: "docker.io/nginx/nginx-ingress:5.5.4"}]}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: rules, namespace: x}
spec:
  ingressClassName: nginx
  defaultBackend: {service: {name: s, port: {name: web}}}
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}, {backend: {service: {name: gone, port: {number: 80}}}}, {backend: {resource: {}}}]}}, 7]
---
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata: {name: server, namespace: x}
spec: {upstreams: [{name: u, service: s, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: y}
spec: {rules: [{backendRefs: [{name: s, namespace: x, port: 80}, {kind: Other, name: s}]}]}
---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: shift, namespace: x}
spec: {to: {kind: Service, name: s}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: traefik, namespace: x}
spec: {routes: [{services: [{name: s, port: web}]}]}
---
apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: proxy, namespace: x}
spec: {routes: [{services: [{name: s, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: x}
spec: {type: NodePort, selector: {app: web}, ports: [{name: web, port: 80, targetPort: 8080, nodePort: 30080}]}
"""


def test_every_kind_of_way_in_is_found() -> None:
    objects = [*things(WAYS), *(thing(each) for each in PODS)]
    found = Network(objects)
    listed = [(each.what, each.port, [str(one) for one in each.controllers], sorted({f"{b.workload} {b.ports}" for b in each.resolution.backends}), len(each.resolution.faults)) for each in entrances(objects, found, Services.of(found, objects))]
    web, controller = ["Pod/x/a 8080/TCP", "Pod/x/b 8080/TCP"], ["Deployment/edge/controller"]
    assert listed == [
        ("Ingress x/rules", "web", controller, web, 0),
        ("Ingress x/rules", 80, controller, web, 0),
        ("Ingress x/rules", 80, controller, [], 1),
        ("VirtualServer x/server", 80, controller, web, 0),
        ("HTTPRoute y/route", 80, [], web, 0),
        ("Route x/shift", None, [], web, 0),
        ("IngressRoute x/traefik", "web", [], web, 0),
        ("HTTPProxy x/proxy", 80, [], web, 0),
        ("NodePort x/s", 80, [], web, 0),
    ]


def test_a_decision_names_who_allows_and_what_was_missed_by_how_little() -> None:
    found = network(
        namespace("y", team="red"), pod("a", labels={"app": "web"}), pod("b", "y", {"app": "job"}), pod("c", "y", {"app": "ops"}),
        policy("deny", {"policyTypes": ["Ingress"]}),
        policy("jobs", {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "job"}}}], "ports": [{"port": 80}]}]}),
        policy("ops", {"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}),
    )
    decision = decide(found, End(named(found, "y/b")), End(named(found, "x/a")), Ports.parse("80"))
    assert (decision.allowed, decision.egress.note, decision.ingress.grants) == (False, "no policy isolates it for egress", ())
    assert [str(each) for each in decision.ingress.policies] == ["x/deny", "x/jobs"]
    assert [(str(miss.policy), miss.distance, miss.why) for miss in decision.ingress.misses] == [
        ("x/jobs", 1, ("from[0] wants a namespace with team=blue, y has team=red",)),
        ("x/ops", 1, ("podSelector wants app=api, the pod has app=web",)),
    ]
    other = decide(found, End(named(found, "y/c")), End(named(found, "x/a")), Ports.parse("81"))
    assert [(str(miss.policy), miss.distance) for miss in other.ingress.misses] == [("x/ops", 1), ("x/jobs", 3)]


def test_a_decision_about_addresses() -> None:
    found = network(pod("a"), policy("p", {"ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}], "ports": [{"port": 80}]}]}))
    inside, outside = address("192.0.2.1"), address("192.0.2.129")
    assert inside is not None
    assert outside is not None
    a = End(named(found, "x/a"))
    assert decide(found, End(addresses=inside), a, Ports.parse("80")).allowed
    refused = decide(found, End(addresses=outside), a, Ports.parse("80"))
    assert [miss.why for miss in refused.ingress.misses] == [("from[0] is 192.0.2.0/24 except 192.0.2.128/25",)]


junk = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-1, 70000), st.floats(allow_nan=False), st.sampled_from(["", "x", "80", "None", "10.0.0.0/8", "TCP", "In"])), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["matchLabels", "podSelector", "from", "to", "ports", "port", "spec", "template", "metadata", "labels", "containers", "selector", "cidr", "ipBlock", "app"]), inner, max_size=3)), max_leaves=12)
KINDS = (("v1", "Pod"), ("apps/v1", "Deployment"), ("v1", "Service"), ("networking.k8s.io/v1", "NetworkPolicy"), ("networking.k8s.io/v1", "Ingress"), ("v1", "Namespace"), ("discovery.k8s.io/v1", "EndpointSlice"), ("k8s.nginx.org/v1", "VirtualServer"))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["podSelector", "ingress", "egress", "policyTypes", "template", "containers", "selector", "ports", "rules", "upstreams", "hostNetwork", "replicas", "clusterIP", "type"]), junk, max_size=4), junk), max_size=5))
def test_input_of_any_shape_is_answered(drawn: list[tuple[tuple[str, str], Json, Any]]) -> None:
    bodies = [{"apiVersion": version, "kind": kind, "metadata": {"name": f"o{number}", "namespace": "x", "labels": labels, "ownerReferences": labels}, "spec": spec, "status": labels, "endpoints": labels, "ports": labels} for number, ((version, kind), spec, labels) in enumerate(drawn)]
    objects = [thing(each) for each in (*bodies, pod("a"))]
    found = Network(objects)
    services = Services.of(found, objects)
    entrances(objects, found, services)
    for item in services.every.values():
        services.resolve(item)
    for source in found.workloads:
        found.row(source)
        found.outside(source, "Ingress")
        decide(found, End(source), End(named(found, "x/a")))
    assert named(found, "x/a").namespace == "x"
