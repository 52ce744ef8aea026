"""The comparison of the intent with the matrix: what is beyond a set, who would have to change, and what parties mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.netpol.addresses import blocks
from harness.engines.netpol.ports import ALL, Ports
from harness.rules.net_flows import beyond
from harness.rules.net_intent import PATH, known_addresses, read
from harness.source.repository import Repository
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    from harness.rules.net_intent import NetworkIntent

INTENT = """\
addresses:
  pods: {one: [10.0.0.0/8], two: [10.1.0.0/16, 2001:db8::/32]}
  nodes: [192.0.2.0/24, '!192.0.2.128/25']
groups:
  web: [shop/web]
allow:
  - {from: web, to: [shop/db, '!shop/web'], ports: [5432, 53/UDP, 8000-8010], reason: queries, clusters: [one]}
deny:
  - {from: nodes, to: web, reason: never}
"""


def intent(folder: Path, text: str = INTENT) -> NetworkIntent:
    target = folder / PATH
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    found = read(Repository(folder))
    assert found is not None
    return found


def test_an_entry_is_read(tmp_path: Path) -> None:
    found = intent(tmp_path)
    assert found.faults == ()
    (allow,), (deny,) = found.allow, found.deny
    assert (allow.sources, allow.destinations, str(allow.ports), allow.reason) == (
        ("web",),
        ("shop/db", "!shop/web"),
        "5432/TCP, 8000-8010/TCP, 53/UDP",
        "queries",
    )
    assert (allow.speaks_of("one"), allow.speaks_of("two"), deny.speaks_of("two"), deny.ports) == (True, False, True, ALL)
    assert str(found.locate(*allow.at)) == f"{PATH}:7"


def test_addresses_may_differ_by_cluster(tmp_path: Path) -> None:
    found = intent(tmp_path)
    one, two = known_addresses(found, "one"), known_addresses(found, "two")
    assert (one.pods, two.pods) == (blocks(["10.0.0.0/8"]), blocks(["10.1.0.0/16", "2001:db8::/32"]))
    assert one.nodes == two.nodes == blocks(["192.0.2.0/25"])
    assert not known_addresses(found, "three").pods
    assert not known_addresses(None, "one").nodes


def test_no_file_is_none_and_a_broken_one_has_faults(tmp_path: Path) -> None:
    assert read(Repository(tmp_path)) is None
    assert [str(fault.location) for fault in intent(tmp_path, "allow: [\n").faults] == [f"{PATH}:2"]
    assert known_addresses(intent(tmp_path, "allow: []\n"), "one").pods == blocks([])


span = st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda drawn: blocks([f"10.0.0.{drawn[0]}-10.0.0.{drawn[0] + drawn[1]}"]))
some = st.lists(st.tuples(span, st.integers(1, 6).map(Ports.single)), max_size=4)


@settings(max_examples=60)
@given(some, some)
def test_what_is_beyond_is_what_is_not_covered(found: list, known: list) -> None:  # type: ignore[type-arg]
    from harness.engines.netpol.network import spread_addresses

    def plain(reach: list) -> set[tuple[int, int]]:  # type: ignore[type-arg]
        return {
            (address, port)
            for where, ports in reach
            for start, end in where
            for address in range(start, end + 1)
            for port in range(1, 7)
            if ("TCP", port) in ports
        }

    disjoint: list = []  # type: ignore[type-arg]
    for addresses, ports in known:
        spread_addresses(disjoint, addresses, ports)
    assert plain(disjoint) == plain(known)
    assert plain(list(beyond(found, disjoint))) == plain(found) - plain(known)
