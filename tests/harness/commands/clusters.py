"""List the clusters of the repository: name, the folder its sync builds, and how it was found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.commands.common import bold, clusters_of, out

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace

HELP = "list the clusters of the repository"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    roots = clusters_of(workspace)
    if options.format == "json":
        out(json.dumps([{"name": root.name, "path": root.path, "foundBy": root.found_by} for root in roots], indent=2))
        return 0
    width = max(len(root.name) for root in roots)
    for root in roots:
        out(f"{bold(root.name.ljust(width))}  {root.path or '.'}  ({root.found_by})")
    return 0
