"""Show what someone may do as a table: a line for each resource, a column for each verb.

  access matrix sa:vault/vault -n vault
  access matrix group:devs -n shop --all        resources without any right too
  access matrix user:alice --format json        in every namespace, and outside of them

y: allowed. n: allowed for some names only. -: not allowed. Resources are the built-in ones and those of the CRDs at hand.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from harness.commands.access.shared import access_to, add_format, subject_of
from harness.commands.common import add_subject, bold, out, subject
from harness.engines.rbac.rules import Request, allows

if TYPE_CHECKING:
    import argparse

    from harness.engines.rbac.rules import Rule
    from harness.flux.workspace import Workspace

HELP = "what someone may do, as a table of resources and verbs"
_VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="user:alice, group:devs, sa:namespace/name or system:serviceaccount:namespace:name")
    parser.add_argument("-n", "--namespace", metavar="NAME", default="", help="in this namespace (default: in all of them, or outside of namespaces)")
    parser.add_argument("--group", action="append", default=[], metavar="NAME", help="the subject is in this group too; may be given several times")
    parser.add_argument("--all", action="store_true", help="also resources that the subject has no right on")
    add_subject(parser)
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    who = subject_of(options.subject)
    access = access_to(subject(workspace, options))
    rules = [held.rule for held in access.policy.rules_for(who, options.namespace, options.group)]
    lines: dict[str, dict[str, str]] = {}
    for (group, resource), namespaced in sorted(access.resources.namespaced.items(), key=lambda entry: (entry[0][1], entry[0][0])):
        if options.namespace and not namespaced:
            continue
        cells = {verb: _cell(rules, verb, group, resource, options.namespace) for verb in _VERBS}
        if options.all or any(cell != "-" for cell in cells.values()):
            base, slash, subresource = resource.partition("/")
            lines[f"{base}{'.' + group if group else ''}{slash}{subresource}"] = cells
    if options.format == "json":
        out(json.dumps({"subject": str(who), "namespace": options.namespace or "*", "resources": lines}, indent=2))
        return 0
    width = max((len(name) for name in lines), default=8)
    out(bold(" ".join([f"{who!s:{width}}", *_VERBS])))
    for name, cells in lines.items():
        out(" ".join([f"{name:{width}}", *(f"{cell:^{len(verb)}}" for verb, cell in cells.items())]).rstrip())
    return 0


def _cell(rules: list[Rule], verb: str, group: str, resource: str, namespace: str) -> str:
    base, _, subresource = resource.partition("/")
    some = False
    for rule in rules:
        if allows(rule._replace(names=()), Request(verb, group, base, subresource, "", namespace)):
            if not rule.names:
                return "y"
            some = some or bool(subresource) or verb not in ("create", "deletecollection")
    return "n" if some else "-"
