"""Say whether one connection is allowed, and which policies decide.

  python -m harness network eval tenant-a/podinfo vault/vault 8200 --cluster kind
  python -m harness network eval Deployment/shop/web Service/shop/db postgres --manifests k8s/
  python -m harness network eval 198.51.100.7 shop/web 443 --manifests k8s/

SRC and DST are Kind/namespace/name, namespace/name (also of a single pod), an IP address, and for DST Service/namespace/name: its pods at the target
port. PORT is 8080, 53/udp, 8000-8010, all, or the name of a port. Exit code 0: allowed, 1: denied, 2: could not be told.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.commands.common import CommandError, bold, out, warn
from harness.commands.network import shared
from harness.engines.netpol.decide import Decision, End, SideDecision, decide
from harness.engines.netpol.ports import Ports
from harness.model import Object

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "whether one connection is allowed, and who decides"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="who connects")
    parser.add_argument("destination", metavar="DST", help="to whom")
    parser.add_argument("port", metavar="PORT", help="on which port")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    shared.add_arguments(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    found = shared.view(workspace, options)
    decisions = decisions_of(found, options.source, options.destination, options.port)
    allowed = all(each.allowed for each in decisions)
    if options.format == "json":
        document = {"allowed": allowed, "decisions": [as_json(each) for each in decisions], **shared.gaps_json(found.network)}
        out(json.dumps(document, indent=2))
    else:
        for each in decisions:
            _tell(each)
        if len(decisions) > 1:
            out(bold(f"{'allowed' if allowed else 'denied'}: {sum(each.allowed for each in decisions)} of {len(decisions)} ends are reached"))
    return 0 if allowed else 1


def decisions_of(found: shared.View, source: str, destination: str, port: str | None) -> list[Decision]:
    """What decides about a connection; several where a Service leads to several ends. Raises CommandError when it cannot be told."""
    here, there = shared.find_end(found, source), shared.find_end(found, destination)
    if isinstance(here, Object):
        raise CommandError(f"{source} is a Service, and a Service connects to nobody")
    ends = _behind(found, there, port) if isinstance(there, Object) else [(there, shared.asked_ports(port or "all", there.workload))]
    decisions = []
    for end, ports in ends:
        if here.workload is None and end.workload is None:
            raise CommandError("both ends are outside of the cluster: no NetworkPolicy decides about that")
        decisions.append(decide(found.network, here, end, ports))
    return decisions


def _behind(found: shared.View, service: Object, port: str | None) -> list[tuple[End, Ports]]:
    name, _, protocol = (port or "").partition("/")
    wanted: int | str | None = int(name) if name.isdecimal() else name or None
    resolution = found.services.resolve(service, wanted, protocol.upper())
    if resolution.unknown:
        raise CommandError(f"Service {service.namespace}/{service.name} {resolution.unknown}")
    for at, message in resolution.faults:
        warn(f"Service {service.namespace}/{service.name} {message} ({service.locate(*at)})")
    if not resolution.backends:
        raise CommandError(f"Service {service.namespace}/{service.name} leads nowhere, so nothing answers there")
    grouped: dict[End, Ports] = {}
    for backend in resolution.backends:
        end = End(backend.workload) if backend.workload is not None else End(addresses=backend.addresses)
        grouped[end] = grouped.get(end, Ports()) | backend.ports
    return list(grouped.items())


def _tell(decision: Decision) -> None:
    verdict = "allowed" if decision.allowed else "denied"
    rest = f" (only {decision.ports})" if decision.ports and not decision.allowed else ""
    out(bold(f"{verdict}: {decision.source} -> {decision.destination} {decision.asked}{rest}"))
    for side in (decision.egress, decision.ingress):
        for line in side_lines(side, decision.asked, limit=3):
            out(f"  {side.direction.lower():8}{line}")
    if decision.note:
        out(f"  note    {decision.note}")


def side_lines(side: SideDecision, asked: Ports, limit: int) -> list[str]:
    """What one direction says: what allows, or what isolates and what came nearest to allowing."""
    if not side.isolated:
        return [f"open: {side.note}"]
    if side.ports and asked.issubset(side.ports):
        return [str(each) for each in side.grants]
    lines = [str(each) for each in side.grants]
    lines.append("isolated by " + ", ".join(f"{each} ({each.locate()})" for each in side.policies[:limit]) + _more(len(side.policies) - limit))
    if side.note:
        lines.append(side.note)
    lines += [str(each) for each in side.misses[:limit]]
    if not side.misses:
        lines.append("no rule in this direction at all")
    return lines


def _more(number: int) -> str:
    return f" and {number} more" if number > 0 else ""


def as_json(decision: Decision) -> dict[str, Any]:
    """A decision for machines."""
    return {
        "from": str(decision.source),
        "to": str(decision.destination),
        "asked": str(decision.asked),
        "allowed": decision.allowed,
        "ports": str(decision.ports),
        "note": decision.note,
        **{
            side.direction.lower(): {
                "isolated": side.isolated,
                "ports": str(side.ports),
                "note": side.note,
                "policies": [{"policy": str(each), "at": str(each.locate())} for each in side.policies],
                "allowedBy": [
                    {"policy": str(each.policy), "rule": each.rule.index, "ports": str(each.ports), "at": str(each.location)} for each in side.grants
                ],
                "missedBy": [
                    {"policy": str(each.policy), "rule": each.rule.index, "why": list(each.why), "distance": each.distance, "at": str(each.location)}
                    for each in side.misses
                ],
            }
            for side in (decision.egress, decision.ingress)
        },
    }
