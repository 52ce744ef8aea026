"""List every connection that is allowed: between workloads, to and from addresses outside, and the ways in.

  python -m harness network list --cluster production
  python -m harness network list --manifests k8s/ --format json
  python -m harness network list --cluster kind --namespace tenant-a --format svg > network.svg

A workload stands for all its pods, also for pods that only a template describes. What an Ingress or LoadBalancer leads to is listed with whether the
policies let it through. dot is Graphviz's language; svg is drawn without it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.commands.common import CommandError, bold, out
from harness.commands.network import drawing, shared
from harness.engines.netpol.addresses import EVERYWHERE, describe, ranges
from harness.engines.netpol.policies import EGRESS, INGRESS

if TYPE_CHECKING:
    import argparse

    from harness.commands.network.shared import View
    from harness.engines.netpol.network import Network
    from harness.engines.netpol.workloads import Workload
    from harness.flux.workspace import Workspace

HELP = "every connection that is allowed"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", action="append", default=[], metavar="NAME", help="only connections with an end in this namespace; may be repeated")
    parser.add_argument(
        "--workload", action="append", default=[], metavar="WORKLOAD", help="only connections of this one, [Kind/]namespace/name; may be repeated"
    )
    parser.add_argument("--format", choices=("text", "json", "dot", "svg"), default="text", help="how to print (default: text)")
    shared.add_arguments(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    found = shared.view(workspace, options, [shared.UNKNOWN])
    unknown = sorted(set(options.namespace) - set(found.network.namespaces))
    if unknown:
        raise CommandError(
            f"there is no namespace {', '.join(unknown)}: there are {', '.join(sorted(set(found.network.namespaces) - {shared.UNKNOWN.namespace}))}"
        )
    document = as_json(found, set(options.namespace), {shared.find_workload(found.network, words) for words in options.workload})
    if options.format == "json":
        out(json.dumps(document, indent=2))
    elif options.format == "dot":
        out(drawing.dot(document))
    elif options.format == "svg":
        out(drawing.svg(document))
    else:
        _text(document)
    return 0


def as_json(found: View, namespaces: set[str], workloads: set[Workload]) -> dict[str, Any]:
    """Everything that is allowed, for machines; the other formats are made from it. Empty sets choose everything."""
    network = found.network
    own = [each for each in network.workloads if each is not shared.UNKNOWN]
    shown = {each for each in own if (not namespaces or each.namespace in namespaces) and (not workloads or each in workloads)}
    connections = [
        {"from": str(source), "to": str(destination), "ports": str(ports)}
        for source, destination, ports in network.connections()
        if source is not shared.UNKNOWN and destination is not shared.UNKNOWN and (source in shown or destination in shown)
    ]
    outside = []
    for each in own:
        if each in shown:
            for direction in (EGRESS, INGRESS):
                for addresses, ports in network.outside(each, direction):
                    written = ["0.0.0.0/0", "::/0"] if addresses == EVERYWHERE else ranges(addresses)
                    outside.append(
                        {"workload": str(each), "direction": direction.lower(), "addresses": written, "shown": describe(addresses), "ports": str(ports)}
                    )
    return {
        "workloads": [_workload(network, each) for each in own if each in shown],
        "connections": connections,
        "outside": outside,
        "entrances": _entrances(found, namespaces, {str(each) for each in workloads}),
        **shared.gaps_json(network),
    }


def _workload(network: Network, each: Workload) -> dict[str, Any]:
    isolated = [direction.lower() for direction in (EGRESS, INGRESS) if network.side(direction, network.position[each]).isolated]
    return {"workload": str(each), "hostNetwork": each.host_network, "isolated": isolated, "note": each.note}


def _entrances(found: View, namespaces: set[str], workloads: set[str]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for entrance in found.entrances:
        if namespaces and entrance.object.namespace not in namespaces and entrance.service[0] not in namespaces:
            continue
        base = {"entrance": entrance.what, "at": str(entrance.object.locate(*entrance.at)), "service": "/".join(entrance.service), "port": entrance.port}
        for through, workload, ports, allowed in found.ways_in(entrance):
            who = "anyone" if through is None else str(through)
            listed.append({**base, "through": who, "to": str(workload), "ports": str(ports), "allowed": str(allowed)})
        problems = [message for _, message in entrance.resolution.faults] + ([entrance.resolution.unknown] if entrance.resolution.unknown else [])
        listed += [{**base, "problem": message} for message in problems]
    unique = [each for number, each in enumerate(listed) if each not in listed[:number]]
    return [each for each in unique if not workloads or each.get("to") in workloads or each.get("through") in workloads]


def _text(document: dict[str, Any]) -> None:
    rows = [(each["from"], each["to"], each["ports"]) for each in document["connections"]]
    left = max((len(row[0]) for row in rows), default=0)
    right = max((len(row[1]) for row in rows), default=0)
    out(bold(f"{len(rows)} connections between {len(document['workloads'])} workloads"))
    for source, destination, ports in rows:
        out(f"  {source:{left}} -> {destination:{right}} {ports}")
    out(bold("to and from addresses outside"))
    for each in document["outside"]:
        arrow = "->" if each["direction"] == "egress" else "<-"
        out(f"  {each['workload']} {arrow} {each['shown']} {each['ports']}")
    if document["entrances"]:
        out(bold("ways in"))
    for each in document["entrances"]:
        if "problem" in each:
            out(f"  {each['entrance']} -> Service {each['service']}: {each['problem']} ({each['at']})")
        else:
            verdict = "" if each["allowed"] == each["ports"] else f"  BLOCKED ({each['allowed']} is let through)"
            out(f"  {each['entrance']} through {each['through']} -> {each['to']} {each['ports']}{verdict}")
    hosts = [each["workload"] for each in document["workloads"] if each["hostNetwork"]]
    if hosts:
        out(f"on the host's network, so not held by any policy: {', '.join(hosts)}")
