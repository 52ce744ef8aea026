"""Show where rights lead: chains from a subject to the whole cluster or to its nodes, each step with the right, the rule and the gain.

  access paths                          everyone's: a shortest one to the whole cluster, or else to a node
  access paths group:devs               what members of a group can come to
  access paths --to node --manifests .  in any folder of manifests

A chain says what RBAC and the controllers allow; admission policies may still stop it. The control plane's own accounts and users are
left out unless asked for by name or with --all. Exit code 1 when there is a chain, 0 when there is none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from harness.commands.access.shared import access_to, add_format, grant_json, subject_of
from harness.commands.common import add_subject, bold, out, subject
from harness.engines.rbac.paths import ADMIN, NODE
from harness.rules.rbc_paths import built_in

if TYPE_CHECKING:
    import argparse

    from harness.engines.rbac.paths import Fact, Step
    from harness.engines.rbac.subjects import Subject
    from harness.flux.workspace import Workspace

HELP = "where rights lead, as chains to the whole cluster or to nodes"
_GOALS: Final[dict[str, Fact]] = {"cluster-admin": ADMIN, "node": NODE}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", nargs="?", metavar="SUBJECT", help="from this subject only (default: from everyone)")
    parser.add_argument("--to", choices=tuple(_GOALS), help="to this goal only")
    parser.add_argument("--all", action="store_true", help="also from the control plane's own accounts and users")
    add_subject(parser)
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    asked = subject_of(options.subject) if options.subject else None
    access = access_to(subject(workspace, options))
    starts = (asked,) if asked is not None else tuple(each for each in access.search.subjects() if options.all or not built_in(each))
    goals = {name: goal for name, goal in _GOALS.items() if options.to in (None, name)}
    found: list[tuple[Subject, str, tuple[Step, ...]]] = []
    for start in starts:
        chains = access.search.paths(start, tuple(goals.values()))
        found += [(start, name, chains[goal]) for name, goal in goals.items() if goal in chains and not (goal == NODE and ADMIN in chains)]
    if options.format == "json":
        out(json.dumps([{"subject": str(start), "goal": name, "steps": [_step(step) for step in steps]} for start, name, steps in found], indent=2))
        return 1 if found else 0
    for start, name, steps in found:
        out(bold(f"{start} -> {name}"))
        for number, step in enumerate(steps, start=1):
            out(f"  {number}. {step.gain}")
            for used in step.rights:
                out(f"     {used}")
                out(f"       {used.grant}")
    out(f"{len(found)} chains from {len({start for start, _, _ in found})} of {len(starts)} subjects")
    return 1 if found else 0


def _step(step: Step) -> dict[str, Any]:
    return {
        "gain": step.gain,
        "rights": [{"who": used.subject, "right": str(used.right), "namespace": used.namespace, **grant_json(used.grant)} for used in step.rights],
    }
