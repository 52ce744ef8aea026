"""Say whether someone may do something, and which binding and rule allow it: exit code 0 for yes, 1 for no.

  access can sa:monitoring/grafana get secrets -n monitoring
  access can system:serviceaccount:flux-system:helm-controller impersonate serviceaccounts -n vault --name flux-vault
  access can group:devs create pods/exec -n shop
  access can user:system:anonymous get /metrics
  access can user:alice list deployments.apps --manifests rbac/

Aggregated ClusterRoles are put together, and the API server's own roles and bindings count. Nothing is asked of a cluster.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.access.shared import access_to, add_format, add_request, held_json, held_lines, request_of, subject_of, told
from harness.commands.common import add_subject, out, subject, warn

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "whether someone may do something, and why"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="user:alice, group:devs, sa:namespace/name or system:serviceaccount:namespace:name")
    add_request(parser)
    parser.add_argument("--group", action="append", default=[], metavar="NAME", help="the subject is in this group too; may be given several times")
    add_subject(parser)
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    who = subject_of(options.subject)
    access = access_to(subject(workspace, options))
    request = request_of(options, access)
    if who.name.startswith("system:node:") or who.name == "system:nodes":
        warn("not evaluated: the Node authorizer, which lets a kubelet reach what its own pods refer to; RBAC alone is asked")
    decision = access.policy.decide(who, request, options.group)
    if options.format == "json":
        held = held_json(decision.held) if decision.held is not None else None
        out(json.dumps({"subject": str(who), "request": request._asdict(), "allowed": decision.allowed, "reason": decision.reason, "held": held}, indent=2))
    else:
        out(f"{'yes' if decision.allowed else 'no'}: {who} {'may' if decision.allowed else 'may not'} {told(request)}")
        for line in held_lines(decision.held) if decision.held is not None else [f"  {decision.reason}"]:
            out(line)
    return 0 if decision.allowed else 1
