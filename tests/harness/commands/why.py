"""Say where an object comes from: the file and line that someone can edit, and the chain of Kustomizations and releases that led to it.

Write the object as [cluster/]Kind/[namespace/]name. With --field a dotted path, the line that sets that field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.commands.common import CommandError, bold, clusters_of, matching, note, out

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model import Object

HELP = "say where an object comes from"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", metavar="OBJECT", help="[cluster/]Kind/[namespace/]name")
    parser.add_argument("--field", metavar="PATH", help="a field of it, such as spec.template.spec.containers[0].image")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    first = options.object.split("/")[0]
    named = [root.name for root in workspace.clusters if root.name == first]
    found = False
    for root in clusters_of(workspace, named):
        note(f"building {root.name} ...")
        world = workspace.world(root)
        for item in matching(world, options.object):
            found = True
            _tell(world, item, options.field)
    if not found:
        raise CommandError(f"no cluster gets {options.object}")
    return 0


def _tell(world: World, item: Object, field: str | None) -> None:
    out(bold(str(item.id)))
    out(f"  at      {item.locate()}")
    if field:
        pointer = _pointer(field)
        if item.get(*pointer, default=_MISSING) is _MISSING:
            raise CommandError(f"{item.id} has no field {field}")
        out(f"  field   {field} is set at {item.locate(*pointer)}")
    if item.origin.synthesised:
        out(f"  made by an operator from {item.origin.synthesised}")
    if item.origin.elided:
        out("  read from the lock: opaque text stands as a digest")
    for number, link in enumerate(item.origin.chain):
        applier = world.order.nodes.get(link)
        where = f"  at {applier.locate()}" if applier is not None else ""
        out(f"  {'from' if number == 0 else 'then':<8}{link}{where}")
    for problem in world.problems_of(item):
        out(f"  problem {problem.location}: {problem.message}")


_MISSING = object()


def _pointer(field: str) -> tuple[str | int, ...]:
    """``spec.containers[0].image`` as a pointer; a key with dots in it is written in quotes inside brackets: ``["a.b/c"]``."""
    parts: list[str | int] = []
    for quoted, index, key in re.findall(r"\[\"([^\"]+)\"\]|\[(\d+)\]|([^.\[\]]+)", field):
        parts.append(quoted or (int(index) if index else key))
    return tuple(parts)
