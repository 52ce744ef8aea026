# ruff: noqa: E501 - one case a line
"""What the documentation, the well-known recipes and the conformance suite's cases say must pass and must not, on small truth tables.

Each case is a set of policies in the namespace ``x`` over three namespaces (x, y, z, labelled ns=<name>) with three pods each (a, b, c, labelled
pod=<name>, serving 80/TCP as serve-80 and 81/TCP, 80/UDP as serve-udp), and what may connect.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from harness.engines.netpol.addresses import address as read_address

sys.path.insert(0, str(Path(__file__).parent))
from netpol_things import named, namespace, network, passes, pod, policy

Json = dict[str, Any]
# fmt: off
PODS = tuple(f"{space}/{name}" for space, name in product("xyz", "abc"))
SERVED = [
    {"name": "serve-80", "containerPort": 80},
    {"name": "serve-81", "containerPort": 81},
    {"name": "serve-udp", "containerPort": 80, "protocol": "UDP"},
]
WORLD = [*(namespace(space, ns=space) for space in "xyz"), *(pod(name[2], name[0], {"pod": name[2]}, SERVED) for name in PODS)]


def table(*policies: Json, port: str = "80") -> set[tuple[str, str]]:
    """The pairs of different pods that may connect on a port."""
    found = network(*WORLD, *policies)
    return {(s, d) for s in PODS for d in PODS if s != d and passes(found, s, d, port)}


EVERY = {(s, d) for s in PODS for d in PODS if s != d}


def to(pairs: set[tuple[str, str]], destination: str) -> set[str]:
    return {s for s, d in pairs if d == destination}


def of(pairs: set[tuple[str, str]], source: str) -> set[str]:
    return {d for s, d in pairs if s == source}


def rest(name: str) -> set[str]:
    return set(PODS) - {name}


def ingress(*rules: Json, select: Json | None = None, **more: Any) -> Json:
    return {"podSelector": select or {}, "ingress": list(rules), **more}


def egress(*rules: Json, select: Json | None = None) -> Json:
    return {"podSelector": select or {}, "policyTypes": ["Egress"], "egress": list(rules)}


A, B, C = ({"matchLabels": {"pod": name}} for name in "abc")
NS_Y = {"matchLabels": {"ns": "y"}}

#: name, policies, who reaches x/a on 80/TCP.
INTO_A: list[tuple[str, list[Json], set[str]]] = [
    ("no policy", [], rest("x/a")),
    ("deny all traffic to an application", [ingress(select=A)], set()),
    ("limit traffic to an application", [ingress({"from": [{"podSelector": B}]}, select=A)], {"x/b"}),
    ("allow all traffic to an application, over a default deny", [ingress(), ingress({}, select=A)], rest("x/a")),
    ("default deny ingress", [ingress()], set()),
    ("default deny written with policyTypes and no list", [{"podSelector": {}, "policyTypes": ["Ingress"]}], set()),
    ("a null list of rules denies like an empty one", [{"podSelector": {}, "ingress": None}], set()),
    ("allow all ingress", [ingress({})], rest("x/a")),
    ("a spec that says nothing isolates for ingress", [{}], set()),
    ("deny traffic from other namespaces", [ingress({"from": [{"podSelector": {}}]})], {"x/b", "x/c"}),
    ("allow traffic from all namespaces", [ingress({"from": [{"namespaceSelector": {}}]}, select=A)], rest("x/a")),
    ("allow traffic from a namespace", [ingress({"from": [{"namespaceSelector": NS_Y}]})], {"y/a", "y/b", "y/c"}),
    ("allow traffic from a namespace by its name", [ingress({"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "z"}}}]})], {"z/a", "z/b", "z/c"}),
    ("allow some pods of another namespace: both selectors of one item", [ingress({"from": [{"namespaceSelector": NS_Y, "podSelector": B}]})], {"y/b"}),
    ("allow pods or namespaces: two items", [ingress({"from": [{"namespaceSelector": NS_Y}, {"podSelector": B}]})], {"x/b", "y/a", "y/b", "y/c"}),
    ("allow traffic from several namespaces by their names", [ingress({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["y", "z"]}]}}]})], {"y/a", "y/b", "y/c", "z/a", "z/b", "z/c"}),
    ("several selectors in several items", [ingress({"from": [{"podSelector": B}, {"podSelector": C}]}, select=A)], {"x/b", "x/c"}),
    ("an empty list of peers is everyone", [ingress({"from": []})], rest("x/a")),
    ("a null list of peers is everyone", [ingress({"from": None})], rest("x/a")),
    ("allow traffic only to a port", [ingress({"ports": [{"port": 80}]})], rest("x/a")),
    ("another port", [ingress({"ports": [{"port": 81}]})], set()),
    ("peers and ports must both match", [ingress({"from": [{"podSelector": B}], "ports": [{"port": 80}]})], {"x/b"}),
    ("a range that holds the port", [ingress({"ports": [{"port": 79, "endPort": 81}]})], rest("x/a")),
    ("a range that ends before it", [ingress({"ports": [{"port": 70, "endPort": 79}]})], set()),
    ("a range of one", [ingress({"ports": [{"port": 80, "endPort": 80}]})], rest("x/a")),
    ("a named port", [ingress({"ports": [{"port": "serve-80"}]})], rest("x/a")),
    ("a named port of another protocol", [ingress({"ports": [{"port": "serve-udp"}]})], set()),
    ("a named port nobody has", [ingress({"ports": [{"port": "serve-82"}]})], set()),
    ("a protocol alone is all its ports", [ingress({"ports": [{"protocol": "TCP"}]})], rest("x/a")),
    ("a protocol alone is none of another's", [ingress({"ports": [{"protocol": "UDP"}]})], set()),
    ("SCTP is not TCP", [ingress({"ports": [{"port": 80, "protocol": "SCTP"}]})], set()),
    ("ports are alternatives", [ingress({"ports": [{"port": 79}, {"port": 80}]})], rest("x/a")),
    ("an empty list of ports is every port", [ingress({"ports": []})], rest("x/a")),
    ("policies add up", [ingress({"from": [{"podSelector": B}]}), ingress({"from": [{"podSelector": C}]})], {"x/b", "x/c"}),
    ("a policy for others does not isolate", [ingress(select=B)], rest("x/a")),
    ("policyTypes without Ingress leave ingress alone", [ingress(policyTypes=["Egress"], select=A)], rest("x/a")),
    ("policyTypes in either order", [ingress({"from": [{"podSelector": B}]}, policyTypes=["Egress", "Ingress"], select=A)], {"x/b"}),
    ("In", [ingress({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "ns", "operator": "In", "values": ["y", "z"]}]}, "podSelector": A}]})], {"y/a", "z/a"}),
    ("NotIn", [ingress({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["x", "y"]}]}}]})], {"z/a", "z/b", "z/c"}),
    ("NotIn matches what has no such label", [ingress({"from": [{"podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]}}]})], {"x/b", "x/c"}),
    ("Exists", [ingress({"from": [{"podSelector": {"matchExpressions": [{"key": "pod", "operator": "Exists"}]}}]})], {"x/b", "x/c"}),
    ("DoesNotExist", [ingress({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "pod", "operator": "DoesNotExist"}]}, "podSelector": C}]})], {"x/c", "y/c", "z/c"}),
    ("labels and expressions must all match", [ingress({"from": [{"podSelector": {"matchLabels": {"pod": "b"}, "matchExpressions": [{"key": "pod", "operator": "NotIn", "values": ["b"]}]}}]})], set()),
    ("select by expression", [ingress(select={"matchExpressions": [{"key": "pod", "operator": "In", "values": ["a"]}]})], set()),
    ("every IPv4 address is also that of a pod", [ingress({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], rest("x/a")),
    ("a block that holds only some addresses holds no pod whose address is unknown", [ingress({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})], set()),
]


@pytest.mark.parametrize(("policies", "sources"), [pytest.param(policies, sources, id=name) for name, policies, sources in INTO_A])
def test_into_a_pod(policies: list[Json], sources: set[str]) -> None:
    pairs = table(*(policy(f"p{i}", spec) for i, spec in enumerate(policies)))
    assert to(pairs, "x/a") == sources
    # Other namespaces have no policy: nothing there is isolated.
    assert to(pairs, "y/a") >= {each for each in rest("y/a") if not each.startswith("x/")}


#: name, policies, what x/a reaches on 80/TCP.
OUT_OF_A: list[tuple[str, list[Json], set[str]]] = [
    ("deny egress from an application", [egress(select=A)], set()),
    ("default deny egress", [egress()], set()),
    ("default deny both", [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}], set()),
    ("allow all egress", [egress({})], rest("x/a")),
    ("egress rules isolate without policyTypes", [{"podSelector": A, "egress": [{"to": [{"podSelector": B}]}]}], {"x/b"}),
    ("an empty list of egress rules does not isolate without policyTypes", [{"podSelector": A, "egress": []}], rest("x/a")),
    ("to pods of the namespace", [egress({"to": [{"podSelector": B}]})], {"x/b"}),
    ("to a namespace", [egress({"to": [{"namespaceSelector": NS_Y}]})], {"y/a", "y/b", "y/c"}),
    ("to pods of a namespace", [egress({"to": [{"namespaceSelector": NS_Y, "podSelector": C}]})], {"y/c"}),
    ("to everything on a port", [egress({"ports": [{"port": 80}]})], rest("x/a")),
    ("to everything on another port", [egress({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]})], set()),
    ("to a named port of the destination", [egress({"ports": [{"port": "serve-80"}]})], rest("x/a")),
    ("ingress rules do not limit egress", [ingress()], {each for each in rest("x/a") if each[0] != "x"}),
    ("only outside of the cluster", [egress({"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]})], set()),
]


@pytest.mark.parametrize(("policies", "destinations"), [pytest.param(policies, destinations, id=name) for name, policies, destinations in OUT_OF_A])
def test_out_of_a_pod(policies: list[Json], destinations: set[str]) -> None:
    assert of(table(*(policy(f"p{i}", spec) for i, spec in enumerate(policies))), "x/a") == destinations


def test_both_ends_must_allow() -> None:
    deny = [policy("deny", {"policyTypes": ["Ingress", "Egress"]}, space) for space in "xyz"]
    out = policy("out", egress({"to": [{"namespaceSelector": NS_Y}]}, select=A))
    into = policy("in", ingress({"from": [{"namespaceSelector": {"matchLabels": {"ns": "x"}}}]}, select=B), "y")
    assert table(*deny, out) == set()
    assert table(*deny, into) == set()
    assert table(*deny, out, into) == {("x/a", "y/b")}


def test_the_example_of_the_documentation() -> None:
    """Role db: in from a block, a namespace and pods of its own on 6379; out to a block on 5978."""
    spec = {
        "podSelector": {"matchLabels": {"role": "db"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [
                    {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                    {"namespaceSelector": {"matchLabels": {"project": "myproject"}}},
                    {"podSelector": {"matchLabels": {"role": "frontend"}}},
                ],
                "ports": [{"protocol": "TCP", "port": 6379}],
            }
        ],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"protocol": "TCP", "port": 5978}]}],
    }
    found = network(
        namespace("default"), namespace("mine", project="myproject"), namespace("theirs"),
        pod("db", "default", {"role": "db"}), pod("web", "default", {"role": "frontend"}), pod("job", "default"),
        pod("any", "mine"), pod("web", "theirs", {"role": "frontend"}), policy("test-network-policy", spec, "default"),
    )
    assert {each: passes(found, each, "default/db", "6379") for each in ("default/web", "default/job", "mine/any", "theirs/web")} == {
        "default/web": True, "default/job": False, "mine/any": True, "theirs/web": False,
    }
    assert not passes(found, "default/web", "default/db", "6380")
    assert not passes(found, "default/db", "default/web", "80")


def outside(direction: str, *policies: Json, address: str = "198.51.100.7") -> str:
    """The ports on which x/a and an address outside may connect."""
    found = network(*WORLD, *(policy(f"p{i}", spec) for i, spec in enumerate(policies)))
    where = read_address(address)
    assert where is not None
    return str(found.side(direction, found.position[named(found, "x/a")]).at(where))


def test_allow_traffic_from_external_clients() -> None:
    assert outside("Ingress", ingress(), ingress({"from": []}, select=A)) == "all"
    assert outside("Ingress", ingress(), ingress({"ports": [{"port": 80}], "from": []}, select=A)) == "80/TCP"
    assert outside("Ingress", ingress({"from": [{"namespaceSelector": {}}]})) == "none"


def test_deny_external_egress_traffic() -> None:
    rule = egress({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}], "to": [{"namespaceSelector": {}}]}, {"to": [{"namespaceSelector": {}}]}, select=A)
    assert outside("Egress", rule) == "none"
    assert of(table(policy("p", rule)), "x/a") == rest("x/a")


def test_a_range_of_ports_of_the_documentation() -> None:
    rule = egress({"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"protocol": "TCP", "port": 32000, "endPort": 32768}]})
    assert outside("Egress", rule) == "32000-32768/TCP"
    assert outside("Egress", rule, address="198.51.101.1") == "none"


def test_blocks_with_exceptions_and_both_families() -> None:
    rule = egress({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, {"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}]})
    assert {each: outside("Egress", rule, address=each) for each in ("9.255.255.255", "10.0.0.0", "11.0.0.0", "2001:db8::1", "2001:db8:1::1", "2001:db9::1")} == {
        "9.255.255.255": "all", "10.0.0.0": "none", "11.0.0.0": "all", "2001:db8::1": "all", "2001:db8:1::1": "none", "2001:db9::1": "none",
    }
    assert outside("Egress", rule, address="9.0.0.0-11.0.0.0") == "none"


def test_udp_and_tcp_are_apart() -> None:
    rule = policy("dns", egress({"ports": [{"port": 80, "protocol": "UDP"}]}, select=A))
    assert of(table(rule, port="80/udp"), "x/a") == rest("x/a")
    assert of(table(rule, port="80/tcp"), "x/a") == set()
    assert of(table(rule, port="81/udp"), "x/a") == set()
