"""List each namespace with what its labels enforce, audit and warn about, how many kinds of pods it gets, and the strictest level all of them pass.

  python -m harness pods list --cluster production
  python -m harness pods list --manifests app/ --format json

Exit codes: 0 every namespace admits its pods, 1 some do not, 2 could not look.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.commands.common import CommandError, add_subject, out, subject
from harness.commands.pods.check import cluster_minor
from harness.engines.podsecurity import Level, Policy, strictest
from harness.engines.podsecurity.survey import judge, policies

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model.pods import PodTemplate

HELP = "list namespaces with their labels and what their pods would pass"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    world = subject(workspace, options)
    rows = [_row(name, policy, pods, cluster_minor(world)) for name, (policy, pods) in sorted(_namespaces(world).items())]
    if not rows:
        raise CommandError("there is no namespace and no pod in what was looked at")
    if options.format == "json":
        out(json.dumps({"kubernetes": world.kubernetes_version, "namespaces": rows}, indent=2))
    else:
        width = max(len(row["namespace"]) for row in rows)
        out(f"{'namespace':{width}}  {'enforce':18}  {'audit':18}  {'warn':18}  {'pods':>4}  {'refused':>7}  passes")
        for row in rows:
            words = "  ".join(f"{row[mode]:18}" for mode in ("enforce", "audit", "warn"))
            out(f"{row['namespace']:{width}}  {words}  {row['pods']:>4}  {row['refused']:>7}  {row['passes']}")
    return 1 if any(row["refused"] for row in rows) else 0


def _namespaces(world: World) -> dict[str, tuple[Policy, list[PodTemplate]]]:
    pods: dict[str, list[PodTemplate]] = defaultdict(list)
    for pod in world.pods:
        pods[pod.namespace].append(pod)
    labels = policies(world.of("Namespace"))
    return {name: (labels.get(name, Policy()), pods.get(name, [])) for name in {*labels, *pods}}


def _row(name: str, policy: Policy, pods: list[PodTemplate], cluster: int) -> dict[str, Any]:
    levels = [strictest(pod.metadata, pod.spec, policy.enforce.version.at(cluster)) for pod in pods]
    return {
        "namespace": name,
        "enforce": str(policy.enforce),
        "audit": str(policy.audit),
        "warn": str(policy.warn),
        "pods": len(pods),
        "refused": sum(1 for pod in pods if judge(pod, policy.enforce, cluster).violated),
        "passes": str(min(levels, key=lambda level: level.strictness, default=Level.RESTRICTED)) if pods else "",
    }
