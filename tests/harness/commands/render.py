"""Print what a cluster will get: every object that Kustomizations apply, charts render and operators make, as YAML or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from harness.commands.common import clusters_of, note, out
from harness.report.terminal import ledger

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.model import Object

HELP = "print what a cluster will get"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cluster", metavar="CLUSTER", help="its name, as `clusters` prints it")
    parser.add_argument("--kind", action="append", default=[], help="only objects of this kind (Kind or Kind.group); may be given several times")
    parser.add_argument("--namespace", metavar="NAME", help="only objects of this namespace")
    parser.add_argument("--name", metavar="NAME", help="only objects of this name")
    parser.add_argument("--format", choices=("yaml", "json", "names"), default="yaml", help="how to print (default: yaml)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    (root,) = clusters_of(workspace, [options.cluster])
    note(f"building {root.name} ...")
    world = workspace.world(root)
    chosen = [item for item in world.objects if _wanted(item, options)]
    if options.format == "json":
        out(json.dumps({"apiVersion": "v1", "kind": "List", "items": [item.body for item in chosen]}, indent=2))
    elif options.format == "names":
        for item in chosen:
            out(str(item.id))
    else:
        for item in chosen:
            out(f"---\n# {item.id} at {item.locate()}")
            out(yaml.dump(item.body, Dumper=yaml.CSafeDumper, sort_keys=False, width=160).rstrip())
    for line in ledger(world.not_evaluated):
        note(f"not evaluated: {line}")
    for problem in world.problems:
        note(f"problem: {problem.subject} at {problem.location}: {problem.message}")
    return 1 if world.problems else 0


def _wanted(item: Object, options: argparse.Namespace) -> bool:
    kinds = [kind.lower() for kind in options.kind]
    return (
        (not kinds or item.kind.lower() in kinds or str(item.group_kind).lower() in kinds)
        and (options.namespace is None or item.namespace == options.namespace)
        and (options.name is None or item.name == options.name)
    )
