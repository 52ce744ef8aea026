"""Say what admission policies say of every object: who passes, who fails and why, and what could not be evaluated.

Policies are read from files and folders (--policies), or are those among the objects themselves. Objects are those of a cluster, or plain
manifests; each is judged as if it were created (or, with --operation, updated or deleted). Those of a cluster are shown to policies as an
API server writes them out (with the empty fields of their types), plain manifests as they stand, as the Kyverno CLI does. Evaluated are
policies of Kyverno (policies.kyverno.io, and the CEL rules of kyverno.io) and of Kubernetes (ValidatingAdmissionPolicy with its bindings);
what a GeneratingPolicy would make and a DeletingPolicy would delete is told, too, and of other kinds that they are not evaluated here.

    python -m harness policy eval --cluster staging
    python -m harness policy eval --policies policies --manifests my-app/ --format json
    python -m harness policy eval --policies p.yaml --manifests pod.yaml --all

Exit codes: 0 when nothing is denied, 1 when a policy with the action Deny refuses something, 2 when it could not be checked.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.common import CommandError, add_subject, manifests_world, out, subject, warn
from harness.engines.policy import PolicySet, Request, Resources, Result, Sources, Status
from harness.engines.policy.context import name_of
from harness.engines.policy.lookup import Objects
from harness.flux.world import CRD
from harness.model.shapes import text

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model import Object

HELP = "say what admission policies say of every object"
_OPERATIONS = ("CREATE", "UPDATE", "DELETE")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument(
        "--policies",
        action="append",
        type=Path,
        metavar="PATH",
        help="a file or folder of policies; may be given several times (default: those among the objects)",
    )
    parser.add_argument("--operation", choices=_OPERATIONS, default="CREATE", help="what happens to the objects (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="list what passes and what is skipped, too")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    world = subject(workspace, options, every=True)
    given = manifests_world(workspace, options.policies).objects if options.policies else world.objects
    policies = policies_of(world, given, as_served=not options.manifests)
    if not policies.policies and not policies.not_reviewed:
        raise CommandError("there is no policy in what was given")
    rows = [(item, result) for item in world.objects for result in _said(policies, request_for(item, options.operation))]
    shown = [(item, result) for item, result in rows if options.all or result.status not in (Status.PASS, Status.SKIP)]
    if options.format == "json":
        out(json.dumps(_document(world, policies, shown, rows), indent=2))
    else:
        _tell(policies, shown, rows)
    return 1 if any(result.denied for _, result in rows) else 0


def policies_of(world: World, given: tuple[Object, ...], *, as_served: bool = False) -> PolicySet:
    """The policies among some objects, in the surroundings of a world."""
    crds = {item.id: item.body for item in (*given, *world.objects) if str(item.group_kind) == CRD}
    resources = Resources(crds.values())
    return PolicySet(
        [item.body for item in given],
        resources=resources,
        namespaces={item.name: item.body for item in world.of("Namespace")},
        sources=Sources(lookup=Objects((item.body for item in world.objects), resources)),
        as_served=as_served,
    )


def _said(policies: PolicySet, request: Request) -> list[Result]:
    """The verdicts on a request, with what is generated and deleted told as results."""
    found = list(policies.review(request))
    for made in policies.generate(request):
        objects = ", ".join("/".join(part for part in (text(body.get("kind")), *name_of(body)) if part) for body in made.objects)
        found.append(Result(made.policy, made.status, message=f"generates {objects or 'nothing'}", reason=made.reason, exceptions=made.exceptions))
    if request.operation == "CREATE":
        for each in policies.deletions(request):
            message = f"is deleted at {each.schedule}" if each.status is Status.PASS else each.reason
            found.append(Result(each.policy, each.status, message=message, reason=each.reason, exceptions=each.exceptions))
    return found


def request_for(item: Object, operation: str) -> Request:
    """The request that creates, updates (without a change) or deletes an object."""
    return Request(
        item.body if operation != "DELETE" else None,
        old_object=item.body if operation != "CREATE" else None,
        operation=operation,
    )


def _tell(policies: PolicySet, shown: list[tuple[Object, Result]], rows: list[tuple[Object, Result]]) -> None:
    for policy in policies.not_reviewed:
        warn(f"{policy}: not evaluated: policies of this kind say nothing of objects here")
    for problem in policies.problems:
        warn(f"{problem.policy}: {'not evaluated' if problem.unsupported else 'broken'}: {problem.message}")
    for item, result in shown:
        where = f" [{result.rule}]" if result.rule else ""
        mark = f"{result.status.upper()}{' (denied)' if result.denied else ''}"
        out(
            f"{item.locate()}: {item.id}: {result.policy}{where}: {mark}: {result.message if result.status is Status.FAIL else result.reason or result.message}"
        )
    counts = Counter(result.status for _, result in rows)
    said = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    out(f"{len(rows)} results: {said}" if rows else "no policy is about any of the objects")


def _document(world: World, policies: PolicySet, shown: list[tuple[Object, Result]], rows: list[tuple[Object, Result]]) -> dict[str, Any]:
    counts = Counter(result.status for _, result in rows)
    return {
        "objects": len(world.objects),
        "summary": {str(status): counts[status] for status in Status},
        "not_evaluated": [str(policy) for policy in policies.not_reviewed],
        "problems": [
            {
                "policy": str(problem.policy),
                "pointer": list(problem.pointer),
                "message": problem.message,
                "expression": problem.expression,
                "unsupported": problem.unsupported,
            }
            for problem in policies.problems
        ],
        "results": [
            {
                "object": str(item.id),
                "location": str(item.locate()),
                "policy": str(result.policy),
                "rule": result.rule,
                "status": str(result.status),
                "denied": result.denied,
                "index": result.index,
                "message": result.message,
                "reason": result.reason,
                "actions": list(result.actions),
                "exceptions": list(result.exceptions),
                "annotations": dict(result.annotations),
            }
            for item, result in shown
        ],
    }
