"""Say what a pod that does not exist yet could reach, and who could reach it; without a namespace, which doors the rules leave open.

  python -m harness network exposure tenant-b --label app=new --cluster kind
  python -m harness network exposure shop --label app=web --port http=8080 --manifests k8s/
  python -m harness network exposure --manifests k8s/

The pod is given by its namespace and labels; a namespace that does not exist yet has the labels of --namespace-label. Without a namespace every
workload is listed with the peers its rules describe, also those that match no pod today: whoever gets such labels may connect.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from harness.commands.common import CommandError, bold, out
from harness.commands.network import shared
from harness.engines.netpol.addresses import describe
from harness.engines.netpol.labels import positions
from harness.engines.netpol.policies import EGRESS, INGRESS
from harness.engines.netpol.ports import Ports
from harness.engines.netpol.workloads import Port, Workload
from harness.model import Object, ObjectId, Origin, fixed
from harness.model.origin import Location

if TYPE_CHECKING:
    import argparse

    from harness.commands.network.shared import View
    from harness.engines.netpol.network import Network
    from harness.flux.workspace import Workspace

HELP = "what a pod that does not exist yet could reach"
NEW: Final = "(new pod)"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("namespace", metavar="NAMESPACE", nargs="?", help="where the pod would be (default: list the doors of every workload)")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="a label of the pod; may be given several times")
    parser.add_argument("--port", action="append", default=[], metavar="[NAME=]NUMBER[/PROTOCOL]", help="a port that its containers declare")
    parser.add_argument("--namespace-label", action="append", default=[], metavar="KEY=VALUE", help="a label of the namespace, when there is none of the name")
    parser.add_argument("--host-network", action="store_true", help="the pod uses the host's network")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    shared.add_arguments(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.namespace is None:
        found = shared.view(workspace, options)
        document: dict[str, Any] = {"doors": _doors(found.network), **shared.gaps_json(found.network)}
        if options.format == "json":
            out(json.dumps(document, indent=2))
        else:
            _tell_doors(document["doors"])
        return 0
    ports = tuple(_port(words) for words in options.port)
    pod = Workload("Pod", options.namespace, NEW, _labels(options.label), ports, options.host_network, note="a pod that does not exist yet")
    found = shared.view(workspace, options, [pod, shared.UNKNOWN])
    if options.namespace_label:
        found = _with_namespace(found, options, pod)
    document = {**_reach(found, pod), **shared.gaps_json(found.network)}
    if options.format == "json":
        out(json.dumps(document, indent=2))
    else:
        _tell(document)
    return 0


def _with_namespace(found: View, options: argparse.Namespace, pod: Workload) -> View:
    """The same with a Namespace that nobody has made yet. Raises CommandError when there is one."""
    if found.network.namespaces[options.namespace].object is not None:
        raise CommandError(f"there is a Namespace {options.namespace}: its own labels decide")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": options.namespace, "labels": _labels(options.namespace_label)}}
    made = Object(ObjectId(found.world.cluster.name, "", "Namespace", "", options.namespace), body, Origin(fixed(Location("--namespace-label"))))
    network = type(found.network)(
        [*found.objects, made],
        addresses=found.network.known,
        assumed=[each for each in found.network.workloads if each.object is None],
        blocks_match_pods=found.network.blocks_match_pods,
    )
    return shared.View(found.world, network, (*found.objects, made))


def _labels(words: list[str]) -> dict[str, str]:
    found = {}
    for each in words:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise CommandError(f"{each}: write a label as key=value")
        found[key] = value
    return found


def _port(words: str) -> Port:
    name, equals, rest = words.rpartition("=")
    try:
        ((protocol, numbers),) = Ports.parse(rest).sets
    except ValueError as error:
        raise CommandError(f"--port {words}: {error}") from error
    if numbers.size != 1:
        raise CommandError(f"--port {words}: a container declares one port at a time")
    return Port(name if equals else "", numbers.spans[0][0], protocol)


def _reach(found: View, pod: Workload) -> dict[str, Any]:
    network = found.network
    others = [each for each in network.workloads if each is not pod and each is not shared.UNKNOWN]
    entries = []
    for entrance in found.entrances:
        for through, workload, ports, allowed in found.ways_in(entrance):
            if workload is pod:
                who = "anyone" if through is None else str(through)
                entries.append({"entrance": entrance.what, "through": who, "ports": str(ports), "allowed": str(allowed)})
    return {
        "pod": {"namespace": pod.namespace, "labels": dict(pod.labels), "hostNetwork": pod.host_network},
        "selectedBy": [
            {"policy": str(each), "directions": sorted(each.directions), "at": str(each.locate())}
            for each, mask in network.selected.items()
            if mask >> network.position[pod] & 1
        ],
        "isolated": [direction.lower() for direction in (EGRESS, INGRESS) if network.side(direction, network.position[pod]).isolated],
        "reaches": [{"to": str(each), "ports": str(ports)} for each in others if (ports := network.allowed(pod, each))],
        "reachedBy": [{"from": str(each), "ports": str(ports)} for each in others if (ports := network.allowed(each, pod))],
        "outside": [
            {"direction": direction.lower(), "addresses": describe(addresses), "ports": str(ports)}
            for direction in (EGRESS, INGRESS)
            for addresses, ports in network.outside(pod, direction)
        ],
        "entrances": entries,
    }


def _tell(document: dict[str, Any]) -> None:
    pod = document["pod"]
    labels = ", ".join(f"{key}={value}" for key, value in pod["labels"].items()) or "no labels"
    out(bold(f"a pod in {pod['namespace']} with {labels}"))
    for each in document["selectedBy"]:
        out(f"  selected by NetworkPolicy {each['policy']} for {' and '.join(each['directions']).lower()} ({each['at']})")
    for direction in ("egress", "ingress"):
        if direction not in document["isolated"]:
            out(f"  not isolated for {direction}: " + ("it may reach whoever lets it in" if direction == "egress" else "whoever may leave reaches it"))
    for each in document["reaches"]:
        out(f"  -> {each['to']} {each['ports']}")
    for each in document["reachedBy"]:
        out(f"  <- {each['from']} {each['ports']}")
    for each in document["outside"]:
        out(f"  {'->' if each['direction'] == 'egress' else '<-'} {each['addresses']} {each['ports']}")
    for each in document["entrances"]:
        out(f"  <- {each['entrance']} through {each['through']} {each['ports']}" + ("" if each["allowed"] == each["ports"] else "  BLOCKED"))


def _doors(network: Network) -> list[dict[str, Any]]:
    """For each workload and direction: that it is open, or the peers that its rules describe, with how many workloads match today."""
    doors: list[dict[str, Any]] = []
    for workload in network.workloads:
        if workload.host_network:
            continue
        for direction in (INGRESS, EGRESS):
            side = network.side(direction, network.position[workload])
            base = {"workload": str(workload), "direction": direction.lower()}
            if not side.isolated:
                doors.append(
                    {**base, "peer": "any pod of any namespace, and any address", "ports": "all", "matches": len(network.workloads) - 1, "policy": "", "at": ""}
                )
            for policy in side.policies:
                for rule in policy.rules_of(direction):
                    ports = "every port" if rule.ports is None else ", ".join(str(each) for each in rule.ports)
                    where = {"ports": ports, "policy": str(policy), "at": str(policy.locate(*rule.at))}
                    if rule.peers is None:
                        doors.append({**base, "peer": "any pod of any namespace, and any address", "matches": len(network.workloads) - 1, **where})
                    doors += [
                        {**base, "peer": str(peer), "matches": len(positions(network.peers(policy, peer) & ~(1 << network.position[workload]))), **where}
                        for peer in rule.peers or ()
                        if not peer.cidr
                    ]
    return doors


def _tell_doors(doors: list[dict[str, Any]]) -> None:
    before = ""
    for each in doors:
        if each["workload"] != before:
            before = each["workload"]
            out(bold(before))
        today = "nobody today" if each["matches"] == 0 else f"{each['matches']} workload{'s' if each['matches'] > 1 else ''} today"
        by = f", by {each['policy']} ({each['at']})" if each["policy"] else ", no policy isolates it"
        out(f"  {'from' if each['direction'] == 'ingress' else 'to'} {each['peer']} on {each['ports']}: {today}{by}")
