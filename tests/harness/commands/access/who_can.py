"""List everyone who may do something, each with the binding and the rule that allow it.

  access who-can get secrets -n vault
  access who-can create serviceaccounts/token --any-namespace
  access who-can get /metrics --format json

Without a namespace: whoever may do it in all of them. Members of system:masters always may, and are not listed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.access.shared import access_to, add_format, add_request, held_json, held_lines, request_of, told
from harness.commands.common import add_subject, bold, out, subject
from harness.engines.rbac.rules import allows

if TYPE_CHECKING:
    import argparse

    from harness.engines.rbac.policy import Policy
    from harness.engines.rbac.rules import Request
    from harness.flux.workspace import Workspace

from harness.engines.rbac.policy import Held

HELP = "everyone who may do something"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_request(parser)
    parser.add_argument("-A", "--any-namespace", action="store_true", help="list also who may do it in some namespace only")
    add_subject(parser)
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    access = access_to(subject(workspace, options))
    request = request_of(options, access)
    found = holders(access.policy, request, anywhere=options.any_namespace)
    if options.format == "json":
        out(json.dumps([{"who": who, **held_json(held)} for who, held in found], indent=2))
        return 0
    out(f"{len(found)} may {told(request)}" if not options.any_namespace else f"{len(found)} may {told(request._replace(namespace=''))} or in some namespace")
    for who, held in found:
        out(bold(who) + (f" in {held.namespace}" if held.namespace else ""))
        for line in held_lines(held):
            out(line)
    return 0


def holders(policy: Policy, request: Request, *, anywhere: bool = False) -> list[tuple[str, Held]]:
    """Every entry of a binding that may make the request, once for each place where it may."""
    found: dict[tuple[str, str], tuple[str, Held]] = {}
    for binding in policy.bindings:
        if binding.namespace and not anywhere and binding.namespace != request.namespace:
            continue
        role = policy.role_of(binding)
        grant = next((grant for grant in policy.grants(role) if allows(grant.rule, request)), None) if role is not None else None
        if grant is None or (request.path and binding.namespace):
            continue
        for position, entry in enumerate(binding.subjects):
            if entry is not None:
                found.setdefault((str(entry), binding.namespace), (str(entry), Held(grant, binding, position)))
    return [found[key] for key in sorted(found)]
