"""Say whether someone may bind a role to others, as the API server decides it: exit code 0 for yes, 1 for no.

  access grant group:devs ClusterRole/view -n shop     may its members make a RoleBinding to it there?
  access grant sa:ops/bot ClusterRole/edit             may it make a ClusterRoleBinding to it?
  access grant user:alice Role/reader -n shop

Making the binding must be allowed, and then either the verb bind on the role, or every rule of the role must be covered by rules that the
subject has there itself. What is not covered is listed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.access.shared import access_to, add_format, rule_text, subject_of
from harness.commands.common import CommandError, add_subject, out, subject
from harness.engines.rbac.escalation import may_bind

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "whether someone may bind a role to others"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="user:alice, group:devs, sa:namespace/name or system:serviceaccount:namespace:name")
    parser.add_argument("role", metavar="ROLE", help="ClusterRole/name or Role/name")
    parser.add_argument("-n", "--namespace", metavar="NAME", default="", help="with a RoleBinding in this namespace (default: with a ClusterRoleBinding)")
    add_subject(parser)
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    who = subject_of(options.subject)
    kind, slash, name = options.role.partition("/")
    if not slash or not name or kind not in ("ClusterRole", "Role"):
        raise CommandError(f"{options.role}: write a role as ClusterRole/name or Role/name")
    if kind == "Role" and not options.namespace:
        raise CommandError("a Role is bound in a namespace: say which with --namespace")
    policy = access_to(subject(workspace, options)).policy
    role = policy.roles.get((options.namespace if kind == "Role" else "", name))
    if role is None:
        raise CommandError(f"there is no {options.role}{f' in {options.namespace}' if kind == 'Role' else ''}")
    verdict = may_bind(policy, who, role, options.namespace)
    missing = [rule_text(rule) for rule in verdict.missing]
    if options.format == "json":
        out(json.dumps({"subject": str(who), "role": str(role), "allowed": verdict.allowed, "reason": verdict.reason, "missing": missing}, indent=2))
    else:
        out(f"{'yes' if verdict.allowed else 'no'}: {who} {'may' if verdict.allowed else 'may not'} bind {role}: {verdict.reason}")
        for line in missing:
            out(f"  not covered: {line}")
    return 0 if verdict.allowed else 1
