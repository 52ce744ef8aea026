"""Print the order in which a cluster comes up: each Kustomization and release once, in waves, with what it waits for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.commands.common import bold, clusters_of, note, out

if TYPE_CHECKING:
    import argparse

    from harness.flux.order import Order
    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model import Link

HELP = "print who waits for whom"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cluster", metavar="CLUSTER", help="its name, as `clusters` prints it")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    (root,) = clusters_of(workspace, [options.cluster])
    note(f"building {root.name} ...")
    world = workspace.world(root)
    waves = _waves(world.order)
    if options.format == "json":
        out(json.dumps([[_entry(world, node) for node in wave] for wave in waves], indent=2))
    else:
        for number, wave in enumerate(waves, start=1):
            out(bold(f"wave {number}"))
            for node in wave:
                entry = _entry(world, node)
                waits = f"  after {', '.join(entry['dependsOn'])}" if entry["dependsOn"] else ""
                out(f"  {node}  {entry['objects']} objects{waits}{'' if entry['waits'] else '  (does not wait for its objects)'}")
    broken = False
    for node, target in world.order.missing():
        broken = True
        out(f"missing: {node} depends on {target}, which this cluster does not have")
    for cycle in world.order.cycles():
        broken = True
        out(f"cycle: {' -> '.join(str(node) for node in (*cycle, cycle[0]))}")
    return 1 if broken else 0


def _entry(world: World, node: Link) -> dict[str, Any]:
    item = world.order.nodes[node]
    made = [each for each in world.objects if each.applier == node]
    return {
        "kind": node.kind,
        "namespace": node.namespace,
        "name": node.name,
        "appliedBy": str(item.applier or "bootstrap"),
        "dependsOn": [f"{target.namespace}/{target.name}" for target in world.order.dependencies(node)],
        "waits": any(world.order.proves_ready(node, each) for each in made) or not made,
        "objects": len(made),
    }


def _waves(order: Order) -> list[list[Link]]:
    """Each node in the first wave in which everything it waits for, and what applies it, is in an earlier one. A cycle ends it."""
    left = set(order.nodes)
    waves: list[list[Link]] = []
    before = {node: {target for target in order.waits_for(node) if target != node} | _above(order, node) for node in left}
    while left:
        wave = sorted(node for node in left if not before[node] & left) or sorted(left)
        waves.append(wave)
        left -= set(wave)
    return waves


def _above(order: Order, node: Link) -> set[Link]:
    applier = order.nodes[node].applier
    return {applier} if applier is not None and applier in order.nodes and applier != node else set()
