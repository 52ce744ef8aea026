"""Say rule by rule what the policies at both ends of a connection allow, and by how little the others miss it.

  python -m harness network explain tenant-a/podinfo vault/vault 8200 --cluster kind
  python -m harness network explain shop/web shop/db --manifests k8s/

Without PORT it is about all of them. Nearest misses come first: a label that is one letter off stands at the top. Exit code 0: something is allowed,
1: nothing is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.common import bold, out
from harness.commands.network import shared
from harness.commands.network.evaluate import as_json, decisions_of

if TYPE_CHECKING:
    import argparse

    from harness.engines.netpol.decide import SideDecision
    from harness.flux.workspace import Workspace

HELP = "which rule allows a connection, or what it missed"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="who connects")
    parser.add_argument("destination", metavar="DST", help="to whom")
    parser.add_argument("port", metavar="PORT", nargs="?", help="on which port (default: all)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    shared.add_arguments(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    found = shared.view(workspace, options)
    decisions = decisions_of(found, options.source, options.destination, options.port)
    if options.format == "json":
        out(json.dumps({"decisions": [as_json(each) for each in decisions], **shared.gaps_json(found.network)}, indent=2))
    else:
        for each in decisions:
            out(bold(f"{each.source} -> {each.destination} {each.asked}: {each.ports or 'nothing'} is allowed"))
            for side in (each.egress, each.ingress):
                _side(side)
            if each.note:
                out(f"  note: {each.note}")
    return 0 if any(each.ports for each in decisions) else 1


def _side(side: SideDecision) -> None:
    of = "leaving" if side.direction == "Egress" else "entering"
    if not side.isolated:
        out(f"  {of} {side.end}: open, {side.note}")
        return
    out(f"  {of} {side.end}: {side.ports} of it is allowed")
    for policy in side.policies:
        out(f"    isolated by NetworkPolicy {policy} ({policy.locate()})")
    for grant in side.grants:
        out(f"    allows {grant.ports}: {grant.policy} {grant.rule.direction.lower()}[{grant.rule.index}] {grant.rule} ({grant.location})")
    for miss in side.misses:
        chosen = any(miss.policy is policy for policy in side.policies)
        word = "misses" if chosen else "would allow, but is for other pods"
        out(f"    {word}: {miss.policy} {miss.rule.direction.lower()}[{miss.rule.index}] {'; '.join(miss.why)} ({miss.location})")
    if not side.grants and not side.misses:
        out("    no rule at all in this direction")
    if side.note:
        out(f"    {side.note}")
