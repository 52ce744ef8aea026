"""What people say about the network: ``tests/intent/network.yaml``, read, and resolved against one cluster.

A party of a flow is the name of a group, the name of an address range, or a pattern ``<namespace>/<workload>``. In every namespace stands one pod
more than the repository describes, ``<namespace>/(any)``, which has no labels: it shows what somebody's next pod could do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.engines.netpol.addresses import blocks
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.network import Addresses, Network
from harness.engines.netpol.ports import ALL, NONE, Ports
from harness.engines.netpol.workloads import Port, Workload, populate
from harness.model.shapes import items, mapping, text
from harness.source.intent import FOLDER, Intent, IntentFault, read_intent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.world import World
    from harness.model import Location, Pointer
    from harness.source.repository import Repository

NAME: Final = "network.yaml"
PATH: Final = f"{FOLDER}/{NAME}"
#: The pod of each namespace that has no labels.
ANY: Final = "(any)"


@cache
def schema() -> Mapping[str, Any]:
    """The schema of the file, as it lies beside this module."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("net_intent.schema.json").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Flow:
    """An entry of ``allow`` or ``deny``."""

    at: Pointer
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    ports: Ports
    clusters: tuple[str, ...]
    reason: str

    def speaks_of(self, cluster: str) -> bool:
        return not self.clusters or cluster in self.clusters


@dataclass(frozen=True, slots=True)
class NetworkIntent:
    """The file, read. Usable only when there are no ``faults``."""

    file: Intent
    allow: tuple[Flow, ...] = ()
    deny: tuple[Flow, ...] = ()
    faults: tuple[IntentFault, ...] = ()

    def locate(self, *pointer: str | int) -> Location:
        return self.file.locate(*pointer)

    def addresses(self, name: str, cluster: str) -> Intervals:
        """A named range in one cluster; empty where the file names none."""
        value = mapping(self.file.body.get("addresses")).get(name)
        listed = value.get(cluster) if isinstance(value, dict) else value
        return _ranges(items(listed))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of address ranges."""
        return tuple(mapping(self.file.body.get("addresses")))

    @property
    def groups(self) -> Mapping[str, Any]:
        return mapping(self.file.body.get("groups"))


def read(repository: Repository) -> NetworkIntent | None:
    """The file of a repository; None when it has none. Never raises."""
    file = read_intent(repository, NAME, schema())
    if file is None:
        return None
    if file.faults:
        return NetworkIntent(file, faults=file.faults)
    faults: list[IntentFault] = []
    found = NetworkIntent(file)
    flows = {name: tuple(_flow(found, name, index, each, faults) for index, each in enumerate(file.body[name])) for name in ("allow", "deny")}
    _check_names(found, faults)
    return NetworkIntent(file, flows["allow"], flows["deny"], tuple(faults))


def _flow(found: NetworkIntent, name: str, index: int, body: Mapping[str, Any], faults: list[IntentFault]) -> Flow:
    at: Pointer = (name, index)
    ports = NONE if "ports" in body else ALL
    for each in _several(body.get("ports")):
        try:
            ports |= Ports.parse(str(each))
        except ValueError as error:
            faults.append(IntentFault(found.locate(*at, "ports"), str(error)))
    parties = {side: tuple(str(each) for each in _several(body[side])) for side in ("from", "to")}
    for side, words in parties.items():
        for word in words:
            known = word.lstrip("!")
            if "/" not in known and known not in found.groups and known not in found.names:
                faults.append(IntentFault(found.locate(*at, side), f"{known} is no group and no address range; a workload is written <namespace>/<name>"))
    return Flow(at, parties["from"], parties["to"], ports, tuple(body.get("clusters") or ()), body["reason"])


def _check_names(found: NetworkIntent, faults: list[IntentFault]) -> None:
    body = found.file.body
    for name, value in body["addresses"].items():
        listed = [((name,), value)] if isinstance(value, list) else [((name, cluster), each) for cluster, each in value.items()]
        for at, each in listed:
            try:
                _ranges(each)
            except ValueError as error:
                faults.append(IntentFault(found.locate("addresses", *at), str(error)))
        if name in found.groups:
            faults.append(IntentFault(found.locate("groups", name), f"{name} is also the name of an address range"))
    for name, ports in mapping(body.get("listens")).items():
        for each in ports:
            try:
                Ports.parse(str(each))
            except ValueError as error:
                faults.append(IntentFault(found.locate("listens", name), str(error)))


def _several(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _ranges(words: list[Any]) -> Intervals:
    """Blocks and ranges; ``!`` takes one out. Raises ValueError for what is neither."""
    found = blocks(str(each) for each in words if not str(each).startswith("!"))
    return found - blocks(str(each)[1:] for each in words if str(each).startswith("!"))


@dataclass
class Expectation:
    """The file against one cluster: a network with the pods that nobody describes, and what each party means in it."""

    intent: NetworkIntent
    cluster: str
    network: Network
    unmatched: list[tuple[Location, str]] = field(default_factory=list)
    _parties: dict[str, tuple[int, Intervals]] = field(default_factory=dict)

    def party(self, words: tuple[str, ...]) -> tuple[int, Intervals]:
        """The workloads and the addresses that parties mean together."""
        mask, addresses = 0, EMPTY
        for word in words:
            if not word.startswith("!"):
                more, where = self._party(word)
                mask, addresses = mask | more, addresses | where
        for word in words:
            if word.startswith("!"):
                less, where = self._party(word[1:])
                mask, addresses = mask & ~less, addresses - where
        return mask, addresses

    def _party(self, word: str) -> tuple[int, Intervals]:
        found = self._parties.get(word)
        if found is None:
            if "/" in word:
                found = self._pattern(word), EMPTY
            elif word in self.intent.groups:
                found = self.party(tuple(self.intent.groups[word]))
            else:
                found = 0, self.intent.addresses(word, self.cluster)
            self._parties[word] = found
        return found

    def _pattern(self, pattern: str) -> int:
        mask = 0
        for position, each in enumerate(self.network.workloads):
            if not each.host_network and fnmatchcase(f"{each.namespace}/{each.name}", pattern):
                mask |= 1 << position
        return mask


def known_addresses(intent: NetworkIntent | None, cluster: str) -> Addresses:
    """What the file says of a cluster's own addresses."""
    if intent is None or intent.faults:
        return Addresses()
    return Addresses(*(intent.addresses(name, cluster) for name in ("pods", "nodes", "services")))


def assumed_pods(intent: NetworkIntent | None, cluster: str) -> list[Workload]:
    """The pods of a cluster that no object of the repository describes."""
    if intent is None or intent.faults:
        return []
    found = []
    for each in items(intent.file.body.get("pods")):
        if each.get("clusters") and cluster not in each["clusters"]:
            continue
        ports = tuple(_declared(words) for words in items(each.get("ports")))
        found += [
            Workload("Pod", namespace, text(each["name"]), dict(each["labels"]), ports, note=f"{text(each['reason'])}") for namespace in each["namespaces"]
        ]
    return found


def _declared(words: str) -> Port:
    name, equals, rest = words.rpartition("=")
    number, _, protocol = rest.partition("/")
    return Port(name if equals else "", int(number), protocol or "TCP")


def intent_of(world: World) -> NetworkIntent | None:
    """The file of a world's repository, read once for all its clusters' rules."""
    return read(world.repository)


def network_of(world: World) -> Network:
    """The network of a world, with what the file says of addresses and of pods that nobody describes. Use it with ``world.derive``."""
    intent = world.derive(intent_of)
    name = world.cluster.name
    return Network(world.objects, addresses=known_addresses(intent, name), assumed=assumed_pods(intent, name))


def expectation_of(world: World) -> Expectation | None:
    """The file against a world; None when there is none, or none that can be used. Use it with ``world.derive``."""
    intent = world.derive(intent_of)
    if intent is None or intent.faults:
        return None
    name = world.cluster.name
    assumed = assumed_pods(intent, name)
    namespaces = populate(world.objects, assumed).namespaces
    strangers = [Workload("Pod", each, ANY, {}, note="any pod of the namespace that has no labels") for each in namespaces]
    return Expectation(intent, name, Network(world.objects, addresses=known_addresses(intent, name), assumed=[*assumed, *strangers]))
