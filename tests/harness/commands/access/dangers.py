"""List the dangerous rights that somebody holds, with the rule of each: what the rules RBC1xx judge, before any reason is given.

  access dangers                               everyone's
  access dangers sa:vault/vault                one subject's
  access dangers --manifests ./rbac            in any folder of manifests

The kinds are those of the Kubernetes page "Role Based Access Control Good Practices". Those that lead to the whole cluster by themselves are
errors, the others warnings; a role that nobody is bound to yet is held by nobody. Exit code 1 when there is one, 0 when there is none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.access.shared import access_to, add_format, grant_json, subject_of
from harness.commands.common import add_subject, bold, out, subject
from harness.engines.rbac.dangers import severity_of
from harness.rules.rbc_common import holdings

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "the dangerous rights that somebody holds"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", nargs="?", metavar="SUBJECT", help="of this subject only (default: of everyone)")
    add_subject(parser)
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    asked = str(subject_of(options.subject)) if options.subject else None
    world = subject(workspace, options)
    access_to(world)
    found = sorted((each for each in holdings(world) if asked in (None, each.who)), key=lambda each: (each.who, each.namespace, each.right.danger.id))
    entries = [
        {
            "who": each.who,
            "severity": severity_of(each.grant.rule, each.namespace),
            "danger": each.right.danger.id,
            "says": each.right.danger.says,
            "right": str(each.right),
            "namespace": each.namespace,
            "binding": str(each.binding) if each.binding is not None else "",
            "grant": grant_json(each.grant),
        }
        for each in found
    ]
    if options.format == "json":
        out(json.dumps(entries, indent=2))
        return 1 if entries else 0
    last = ""
    for each, entry in zip(found, entries, strict=True):
        if each.who != last:
            last = each.who
            out(bold(each.who))
        out(f"  {entry['severity']:7} {entry['danger']}: {entry['right']} {'everywhere' if each.namespace == '*' else f'in {each.namespace}'}")
        out(f"          {each.grant}")
    out(f"{len(entries)} dangerous rights of {len({each.who for each in found})} subjects")
    return 1 if entries else 0
