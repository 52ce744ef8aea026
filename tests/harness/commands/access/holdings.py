"""List what someone may do: every rule that applies, where it holds, and what grants it.

  access list sa:flux-system/helm-controller
  access list group:devs -n shop
  access list user:alice --everyone --format json
  access list sa:vault/vault --atoms

A line with ! says what a rule lends beyond its words. What everybody may do, because of the groups the API server puts people into, is
shown with --everyone only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.access.shared import access_to, add_format, held_json, lent, rule_text, subject_of
from harness.commands.common import add_subject, bold, out, subject
from harness.engines.rbac.atoms import EVERYWHERE, atoms_of_rule

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "what someone may do"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="user:alice, group:devs, sa:namespace/name or system:serviceaccount:namespace:name")
    parser.add_argument("-n", "--namespace", metavar="NAME", help="only what holds in this namespace")
    parser.add_argument("--group", action="append", default=[], metavar="NAME", help="the subject is in this group too; may be given several times")
    parser.add_argument("--everyone", action="store_true", help="also what everybody may do")
    parser.add_argument("--atoms", action="store_true", help="in the smallest pieces: one verb, resource and name a line")
    add_subject(parser)
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    who = subject_of(options.subject)
    access = access_to(subject(workspace, options))
    own = {str(who), *(f"group:{name}" for name in options.group)}
    held = [
        each
        for each in access.policy.held(who, options.group)
        if (options.namespace is None or each.namespace in ("", options.namespace)) and (options.everyone or str(each.binding.subjects[each.position]) in own)
    ]
    if options.atoms:
        atoms = sorted({atom for each in held for atom in atoms_of_rule(str(who), each.rule, each.namespace or EVERYWHERE)})
        if options.format == "json":
            out(json.dumps([atom._asdict() for atom in atoms], indent=2))
        for atom in atoms if options.format == "text" else ():
            out(str(atom))
        return 0
    if options.format == "json":
        out(json.dumps({"subject": str(who), "rights": [{**held_json(each), "lends": lent(each)} for each in held]}, indent=2))
        return 0
    out(f"{who}: {len(held)} rules")
    place = None
    for each in held:
        if each.namespace != place:
            place = each.namespace
            out(bold(f"in {place}" if place else "everywhere"))
        out(f"  {rule_text(each.rule)}")
        out(f"    {each.grant} by {each.binding}")
        for line in lent(each):
            out(f"    ! {line}")
    return 0
