"""What the subcommands share: finding clusters and objects by the names people type, and colour only where it is seen."""

from __future__ import annotations

import difflib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.flux.discovery import ClusterRoot
    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model import Object


class CommandError(Exception):
    """The command cannot be done as asked; the message says why in one line."""


def clusters_of(workspace: Workspace, names: Iterable[str] = ()) -> tuple[ClusterRoot, ...]:
    """The clusters with these names, or all of them. Raises CommandError when there are none."""
    if not workspace.clusters:
        raise CommandError(f"no cluster found in {workspace.root}: nothing there builds itself with a Flux Kustomization, and there is no FluxInstance")
    known = {root.name: root for root in workspace.clusters}
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise CommandError(f"there is no cluster {name}: {_nearest(name, known)}")
    return tuple(known[name] for name in wanted) if wanted else workspace.clusters


def matching(world: World, words: str) -> list[Object]:
    """The objects that ``[cluster/]Kind[/namespace]/name`` names; a leading cluster must be the world's own."""
    parts = words.split("/")
    if parts[0] == world.cluster.name:
        parts = parts[1:]
    if len(parts) < 2:
        raise CommandError(f"{words}: write an object as [cluster/]Kind/[namespace/]name")
    kind, name = parts[0].lower(), parts[-1]
    namespace = parts[1] if len(parts) > 2 else None
    return [
        item
        for item in world.objects
        if item.name == name and kind in (item.kind.lower(), str(item.group_kind).lower()) and (namespace is None or item.namespace == namespace)
    ]


def _nearest(name: str, known: Iterable[str]) -> str:
    candidates = sorted(known)
    near = difflib.get_close_matches(name, candidates, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(candidates)}"


def out(text: str = "") -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line for people on standard error; progress is shown on terminals only."""
    if sys.stderr.isatty():
        sys.stderr.write(text + "\n")


def bold(text: str) -> str:
    """Emphasis on a terminal that wants colour (https://no-color.org), plain text elsewhere."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
