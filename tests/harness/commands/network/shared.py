"""What the commands of this group share: the network of what was asked about, and reading the ends that people type."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from harness.commands.common import CommandError, add_subject, subject, warn
from harness.engines.netpol.addresses import address, blocks, describe
from harness.engines.netpol.decide import End
from harness.engines.netpol.entrances import Entrance, entrances
from harness.engines.netpol.network import Addresses, Network
from harness.engines.netpol.policies import INGRESS
from harness.engines.netpol.ports import NONE, Ports
from harness.engines.netpol.services import Services
from harness.engines.netpol.workloads import Workload
from harness.model import format_pointer
from harness.rules.net_intent import assumed_pods, intent_of, known_addresses

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model import Object

#: Stands for an ingress controller that is not among the objects: a pod of another namespace, without labels.
UNKNOWN: Final = Workload("Pod", "(elsewhere)", "ingress-controller", {}, note="an ingress controller that is not among the objects")


def add_addresses(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what no manifest says: which addresses a cluster uses."""
    parser.add_argument("--pod-cidr", action="append", default=[], metavar="CIDR", help="addresses of pods (default: what tests/intent/network.yaml says)")
    parser.add_argument("--node-cidr", action="append", default=[], metavar="CIDR", help="addresses of nodes, and so of pods on the host's network")
    parser.add_argument(
        "--ip-blocks",
        choices=("addresses", "outside"),
        default="addresses",
        help="whether an ipBlock also matches pods with such an address, as the conformance suite has it (default), or the outside only, as Cilium has it",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments every command about one cluster takes."""
    add_subject(parser)
    add_addresses(parser)


@dataclass
class View:
    """A world's network and everything that leads into it."""

    world: World
    network: Network
    objects: tuple[Object, ...] = field(default=())

    @cached_property
    def services(self) -> Services:
        return Services.of(self.network, self.objects)

    @cached_property
    def entrances(self) -> list[Entrance]:
        return entrances(self.objects, self.network, self.services)

    def ways_in(self, entrance: Entrance) -> list[tuple[Workload | None, Workload, Ports, Ports]]:
        """For each backend of an entrance: who forwards (None: outsiders themselves), the backend, the ports there, and those that are let through."""
        found: list[tuple[Workload | None, Workload, Ports, Ports]] = []
        for backend in entrance.resolution.backends:
            workload = backend.workload
            if workload is None:
                continue
            if entrance.direct:
                allowed = NONE
                for _, ports in self.network.outside(workload, INGRESS):
                    allowed |= ports
                found.append((None, workload, backend.ports, backend.ports & allowed))
                continue
            through = entrance.controllers or (UNKNOWN,)
            found += [(controller, workload, backend.ports, backend.ports & self.network.allowed(controller, workload)) for controller in through]
        return found


def view_of(world: World, options: argparse.Namespace, extra: Iterable[Workload] = ()) -> View:
    """The network of a world. Raises CommandError for a range that is none."""
    intent = world.derive(intent_of)
    said = known_addresses(intent, world.cluster.name)
    try:
        known = Addresses(blocks(options.pod_cidr) or said.pods, blocks(options.node_cidr) or said.nodes, said.services)
    except ValueError as error:
        raise CommandError(str(error)) from error
    assumed = [*assumed_pods(intent, world.cluster.name), *extra]
    network = Network(world.objects, addresses=known, assumed=assumed, blocks_match_pods=options.ip_blocks == "addresses")
    return View(world, network, world.objects)


def view(workspace: Workspace, options: argparse.Namespace, extra: Iterable[Workload] = ()) -> View:
    """The network of what was asked about. What is not part of the answer goes to standard error."""
    found = view_of(subject(workspace, options), options, extra)
    report_gaps(found.network)
    return found


def report_gaps(network: Network) -> None:
    """Say on standard error what the answer leaves out."""
    for each in network.refused:
        at, message = each.faults[0]
        warn(f"refused by the API server, so left out: NetworkPolicy {each} at {each.object.locate(*at)}: {format_pointer(at)}: {message}")
    for entry in network.others:
        warn(f"not evaluated: {entry.subject}: {entry.why}")
    for name in network.completed:
        warn(f"left out: {name} has completed and has no traffic")
    if not network.policies:
        warn("no NetworkPolicy counts here: everything can talk to everything")


def gaps_json(network: Network) -> dict[str, Any]:
    """The same for machines."""
    return {
        "refused": [
            {"policy": str(each), "at": str(each.object.locate(*at)), "field": format_pointer(at), "why": message}
            for each in network.refused
            for at, message in each.faults
        ],
        "notEvaluated": [{"subject": entry.subject, "what": entry.what, "why": entry.why} for entry in network.others],
        "completed": list(network.completed),
    }


def find_workload(network: Network, words: str) -> Workload:
    """The workload that ``Kind/namespace/name``, ``namespace/name`` or the name of one of its pods means. Raises CommandError when none or several do."""
    parts = words.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise CommandError(f"{words}: write Kind/namespace/name, namespace/name, Service/namespace/name or an IP address")
    kind, namespace, name = (parts[0].lower() if len(parts) == 3 else ""), parts[-2], parts[-1]
    found = [
        each
        for each in network.workloads
        if each.namespace == namespace
        and (name == each.name or name in each.pods)
        and (kind in ("", each.kind.lower()) or (kind == "pod" and name in each.pods))
    ]
    if len(found) > 1:
        raise CommandError(f"{words} is {' and '.join(str(each) for each in found)}: say which")
    if not found:
        known = [str(each) for each in network.workloads] + [f"{each.namespace}/{each.name}" for each in network.workloads]
        near = difflib.get_close_matches(words, known, n=1)
        hint = (
            f": did you mean {near[0]}?"
            if near
            else f": there are {', '.join(sorted({each.namespace for each in network.workloads if each is not UNKNOWN})) or 'no pods'}"
        )
        raise CommandError(f"there is no workload {words}{hint}")
    return found[0]


def find_end(found: View, words: str) -> End | Object:
    """An end of a connection: a workload, addresses, or a Service. Raises CommandError when it is none of them."""
    parts = words.split("/")
    if len(parts) == 3 and parts[0].lower() in ("service", "svc"):
        service = found.services.every.get((parts[1], parts[2]))
        if service is None:
            near = difflib.get_close_matches(f"{parts[1]}/{parts[2]}", ["/".join(key) for key in found.services.every], n=1)
            raise CommandError(f"there is no Service {parts[1]}/{parts[2]}" + (f": did you mean {near[0]}?" if near else ""))
        return service
    where = address(words)
    if where is None:
        return End(find_workload(found.network, words))
    for each in found.network.workloads:
        if each.addresses and where.issubset(each.addresses):
            return End(each)
    service = found.services.at_address(where)
    if service is not None:
        return service
    if where & found.network.known.pods:
        raise CommandError(f"{describe(where)} is an address of pods, and no object says of which one")
    if where & found.network.known.services:
        raise CommandError(f"{describe(where)} is an address of Services, and no object says of which one")
    return End(addresses=where)


def asked_ports(words: str, destination: Workload | None) -> Ports:
    """The ports that somebody asks for; a name is what the destination's containers call so. Raises CommandError when there is none."""
    try:
        return Ports.parse(words)
    except ValueError as error:
        name, _, protocol = words.partition("/")
        if not name or not any(char.isalpha() for char in name) or name.lower() == "all":
            raise CommandError(str(error)) from error
        if destination is None:
            raise CommandError(f"{words}: only a pod or a Service can say what a port's name means") from error
        found = NONE
        for port in destination.ports:
            if port.name == name and protocol.upper() in ("", port.protocol):
                found |= Ports.single(port.number, port.protocol)
        if not found:
            names = ", ".join(sorted({port.name for port in destination.ports if port.name})) or "none"
            raise CommandError(f"{destination} has no port named {words}; its names are: {names}") from error
        return found
