"""What the subcommands share: finding clusters and objects by the names people type, and colour only where it is seen."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.flux.plain import plain_world

if TYPE_CHECKING:
    import argparse
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


def add_subject(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that looks at one cluster, or at any manifests; :func:`subject` reads them."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--cluster", metavar="NAME", help="look at this cluster of the repository (default: its only one)")
    group.add_argument(
        "--manifests", action="append", type=Path, metavar="PATH", help="look at a file or folder of plain manifests; may be given several times"
    )


def subject(workspace: Workspace, options: argparse.Namespace, *, every: bool = False) -> World:
    """The world that the arguments of :func:`add_subject` ask for. Raises CommandError when there is none, or more than one.

    ``every`` is for commands that judge each document of plain manifests by itself: objects of the same name are then all there.

    What of plain manifests could not be read or is no object goes to standard error, so that nothing is passed over in silence.
    """
    if options.manifests:
        return manifests_world(workspace, options.manifests, every=every)
    roots = clusters_of(workspace, [options.cluster] if options.cluster else ())
    if len(roots) > 1:
        raise CommandError(f"there are {', '.join(root.name for root in roots)}: say which with --cluster")
    note(f"building {roots[0].name} ...")
    return workspace.world(roots[0])


def manifests_world(workspace: Workspace, paths: Iterable[Path], *, every: bool = False) -> World:
    """The world of files or folders of plain manifests. Raises CommandError when there is no object in them."""
    try:
        world = plain_world(paths, today=workspace.today, kubernetes_version=workspace.options.kubernetes_version, every=every)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CommandError(str(error)) from error
    for problem in world.problems:
        warn(f"{problem.location}: {problem.message}")
    for entry in world.not_evaluated:
        warn(f"not evaluated: {entry.subject}: {entry.what}: {entry.why}")
    if not world.objects:
        raise CommandError("there is no Kubernetes object in what was given")
    return world


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


def warn(text: str) -> None:
    """A line on standard error that scripts see too."""
    sys.stderr.write(text + "\n")


def bold(text: str) -> str:
    """Emphasis on a terminal that wants colour (https://no-color.org), plain text elsewhere."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
