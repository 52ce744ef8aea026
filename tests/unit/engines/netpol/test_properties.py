"""The engine agrees with a brute force over packets, and keeps the relations that the specification implies."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.netpol.addresses import EVERYWHERE, address, blocks
from harness.engines.netpol.intervals import Intervals
from harness.engines.netpol.ports import ALL, PROTOCOLS, Ports
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from netpol_oracle import End, packet_passes, side_allows
from netpol_things import namespace, network, pod, policy

if TYPE_CHECKING:
    from harness.engines.netpol.network import Network

Json = dict[str, Any]
KEYS, VALUES, NAMES, SPACES = ("a", "b"), ("1", "2"), ("http", "dns"), ("x", "y", "z")
#: Every boundary that a generated block or port can have, and a neighbour on each side.
OUTSIDE = ("9.255.255.255", "10.0.0.0", "10.0.1.255", "10.0.2.0", "10.0.200.1", "192.0.2.7", "2001:db8::1", "2001:db8:1::1")
CIDRS = ("0.0.0.0/0", "10.0.0.0/16", "10.0.0.0/23", "10.0.1.0/24", "192.0.2.0/24", "2001:db8::/32", "::/0")
INNER = {"0.0.0.0/0": "10.0.0.0/23", "10.0.0.0/16": "10.0.1.0/24", "10.0.0.0/23": "10.0.1.0/24", "2001:db8::/32": "2001:db8:1::/48"}
PORTS = (1, 52, 53, 54, 79, 80, 81, 8080, 8081, 65535)

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
expression = st.one_of(
    st.fixed_dictionaries(
        {"key": st.sampled_from(KEYS), "operator": st.sampled_from(("In", "NotIn")), "values": st.lists(st.sampled_from(VALUES), min_size=1, max_size=2)}
    ),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "operator": st.sampled_from(("Exists", "DoesNotExist"))}),
)
selector = st.fixed_dictionaries({}, optional={"matchLabels": labels, "matchExpressions": st.lists(expression, max_size=2)})
space_selector = st.one_of(selector, st.sampled_from(SPACES).map(lambda name: {"matchLabels": {"kubernetes.io/metadata.name": name}}))
block = st.sampled_from(CIDRS).flatmap(
    lambda cidr: st.sampled_from([{"cidr": cidr}, {"cidr": cidr, "except": [INNER[cidr]]}] if cidr in INNER else [{"cidr": cidr}])
)
peer = st.one_of(
    st.fixed_dictionaries({"podSelector": selector}, optional={"namespaceSelector": space_selector}),
    st.fixed_dictionaries({"namespaceSelector": space_selector}),
    st.fixed_dictionaries({"ipBlock": block}),
)
port = st.one_of(
    st.fixed_dictionaries({}, optional={"protocol": st.sampled_from(PROTOCOLS)}),
    st.fixed_dictionaries({"port": st.sampled_from((53, 80, 8080))}, optional={"protocol": st.sampled_from(PROTOCOLS)}),
    st.fixed_dictionaries({"port": st.just(53), "endPort": st.sampled_from((53, 80))}, optional={"protocol": st.sampled_from(PROTOCOLS)}),
    st.fixed_dictionaries({"port": st.sampled_from(NAMES)}, optional={"protocol": st.sampled_from(PROTOCOLS)}),
)


def rule(field: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional={field: st.lists(peer, max_size=2), "ports": st.lists(port, max_size=2)})


spec = st.fixed_dictionaries(
    {},
    optional={
        "podSelector": selector,
        "policyTypes": st.sampled_from(([], ["Ingress"], ["Egress"], ["Egress", "Ingress"])),
        "ingress": st.lists(rule("from"), max_size=2),
        "egress": st.lists(rule("to"), max_size=2),
    },
)
container_port = st.builds(
    lambda name, number, protocol: {"name": name, "containerPort": number, "protocol": protocol},
    st.sampled_from(NAMES), st.sampled_from((53, 80, 8080)), st.sampled_from(PROTOCOLS),
)  # fmt: skip
policies = st.lists(st.tuples(st.sampled_from(SPACES), spec), max_size=4).map(
    lambda found: [policy(f"p{i}", body, where) for i, (where, body) in enumerate(found)]
)
spaces = st.fixed_dictionaries({"x": labels, "y": labels})
pods = st.lists(st.tuples(st.sampled_from(SPACES), labels, st.lists(container_port, max_size=2), st.booleans()), min_size=2, max_size=4)


def _pods(drawn: list[tuple[str, Json, list[Json], bool]]) -> list[Json]:
    """Pods at the edges of the blocks; one on the host's network has the address of a node."""
    found = []
    for index, (space, own, ports, host) in enumerate(drawn):
        host = host and index == 1
        address = "192.0.2.7" if host else ("10.0.0.0", "10.0.1.255", "10.0.2.0", "10.0.200.1")[index]
        found.append(pod(f"pod{index}", space, own, ports, spec={"hostNetwork": host}, status={"podIP": address}))
    return found


def _end(body: Json) -> End:
    return End(
        body["status"]["podIP"], body["metadata"]["namespace"], body["metadata"]["labels"], body["spec"]["containers"][0]["ports"], body["spec"]["hostNetwork"]
    )


def _network(bodies: list[Json], rules: list[Json], named: dict[str, Json]) -> Network:
    return network(*bodies, *rules, *(namespace(name, **own) for name, own in named.items()), nodes="192.0.2.7")


@settings(max_examples=100, deadline=None)
@given(pods, policies, spaces)
def test_every_packet_between_pods_and_addresses_passes_as_the_specification_says(drawn: Any, rules: list[Json], named: dict[str, Json]) -> None:
    bodies = _pods(drawn)
    found = _network(bodies, rules, named)
    workloads = {each.name: each for each in found.workloads}
    for source in bodies:
        here = workloads[source["metadata"]["name"]]
        for destination in bodies:
            if source is destination:
                continue
            allowed = found.allowed(here, workloads[destination["metadata"]["name"]])
            for protocol in PROTOCOLS:
                passing = {number for number in PORTS if packet_passes(_end(source), _end(destination), protocol, number, rules, named)}
                assert {number for number in PORTS if (protocol, number) in allowed} == passing
        for words in OUTSIDE:
            other, where = End(words), address(words)
            assert where is not None
            for direction, side in (("Egress", found.egress(here)), ("Ingress", found.ingress(here))):
                ports = side.at(where)
                for protocol in PROTOCOLS:
                    passing = {number for number in PORTS if side_allows(direction, _end(source), other, protocol, number, rules, named)}
                    assert {number for number in PORTS if (protocol, number) in ports} == passing


@settings(max_examples=50, deadline=None)
@given(pods, policies, spaces)
def test_rows_hold_what_pairs_say(drawn: Any, rules: list[Json], named: dict[str, Json]) -> None:
    found = _network(_pods(drawn), rules, named)
    listed = {(source, destination): ports for source, destination, ports in found.connections()}
    for source in found.workloads:
        for destination in found.workloads:
            if source is not destination:
                assert listed.get((source, destination), Ports()) == found.allowed(source, destination)


@settings(max_examples=50, deadline=None)
@given(pods, policies, spaces, st.sampled_from(("ingress", "egress")), st.data())
def test_another_rule_never_takes_traffic_away(drawn: Any, rules: list[Json], named: dict[str, Json], field: str, data: st.DataObject) -> None:
    bodies = _pods(drawn)
    # policyTypes are written out, so that a first egress rule does not begin to isolate.
    for each in rules:
        each["spec"]["policyTypes"] = each["spec"].get("policyTypes") or (["Ingress", "Egress"] if each["spec"].get("egress") else ["Ingress"])
    wider = copy.deepcopy(rules)
    for each in wider:
        each["spec"][field] = [*(each["spec"].get(field) or []), data.draw(rule("from" if field == "ingress" else "to"))]
    before, after = _network(bodies, rules, named), _network(bodies, wider, named)
    for one, other in zip(before.workloads, after.workloads, strict=True):
        for two, another in zip(before.workloads, after.workloads, strict=True):
            assert before.allowed(one, two).issubset(after.allowed(other, another))


@settings(max_examples=50, deadline=None)
@given(pods, policies, spaces, st.sampled_from(SPACES), spec)
def test_another_policy_takes_away_only_where_it_isolates_anew(drawn: Any, rules: list[Json], named: dict[str, Json], where: str, body: Json) -> None:
    bodies = _pods(drawn)
    before, after = _network(bodies, rules, named), _network(bodies, [*rules, policy("new", body, where)], named)
    for one, other in zip(before.workloads, after.workloads, strict=True):
        for two, another in zip(before.workloads, after.workloads, strict=True):
            lost = before.allowed(one, two) - after.allowed(other, another)
            newly = after.egress(other).isolated > before.egress(one).isolated or after.ingress(another).isolated > before.ingress(two).isolated
            assert not lost or newly


@settings(max_examples=30, deadline=None)
@given(pods, policies, spaces)
def test_names_of_labels_do_not_matter(drawn: Any, rules: list[Json], named: dict[str, Json]) -> None:
    def renamed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                f"long.example.com/{name}" if name in KEYS and key in ("labels", "matchLabels") else name: renamed(each, name) for name, each in value.items()
            }
        if isinstance(value, list):
            return [renamed(each) for each in value]
        return f"long.example.com/{value}" if key == "key" else value

    bodies = _pods(drawn)
    one = _network(bodies, rules, named)
    other = _network(renamed(bodies), renamed(rules), {name: renamed({"labels": own})["labels"] for name, own in named.items()})
    assert [(str(s), str(d), p) for s, d, p in one.connections()] == [(str(s), str(d), p) for s, d, p in other.connections()]


sets = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


@given(sets, sets)
def test_intervals_are_sets_of_integers(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    def plain(spans: list[tuple[int, int]]) -> set[int]:
        return {number for start, end in spans for number in range(start, end + 1)}

    mine, theirs = Intervals.of(one), Intervals.of(other)
    a, b = plain(one), plain(other)
    for found, expected in ((mine, a), (mine | theirs, a | b), (mine & theirs, a & b), (mine - theirs, a - b)):
        assert plain(list(found)) == expected
        assert found == Intervals.of((number, number) for number in expected)
        assert found.size == len(expected)
        assert {number for number in range(42) if number in found} == expected
    assert mine.issubset(theirs) == (a <= b)


@given(sets)
def test_addresses_are_printed_so_that_they_can_be_read_again(spans: list[tuple[int, int]]) -> None:
    from harness.engines.netpol.addresses import describe, ranges

    found = Intervals.of(spans) | (blocks(["2001:db8::/64"]) if len(spans) % 2 else Intervals())
    assert blocks(ranges(found)) == found
    assert blocks(ranges(EVERYWHERE - found)) == EVERYWHERE - found
    assert describe(found)


@given(st.lists(st.tuples(st.sampled_from(PROTOCOLS), st.integers(1, 65535), st.integers(0, 300)), max_size=5))
def test_ports_are_printed_so_that_they_can_be_read_again(drawn: list[tuple[str, int, int]]) -> None:
    found = Ports()
    for protocol, first, more in drawn:
        found |= Ports.single(first, protocol, min(first + more, 65535))
    for each in (found, ALL - found):
        assert (Ports.parse(str(each)) if each else Ports()) == each
    assert (found & ALL, found - ALL, found | ALL) == (found, Ports(), ALL)
