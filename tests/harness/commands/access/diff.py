"""Compare who may do what: the rights that someone has in the second and not in the first, with how much each matters.

  access diff staging production                clusters of the repository
  access diff ../before/manifests ./manifests   files or folders of plain manifests
  access diff production ./rbac --lost          and what is gone

A right that a wider one already gave is no news. Severity: error leads to the whole cluster by itself, warning is on the list of dangerous
rights (RBAC good practices), note is any other. Exit code 1 when something was gained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.commands.access.shared import add_format
from harness.commands.common import clusters_of, manifests_world, out
from harness.engines.rbac.atoms import difference
from harness.engines.rbac.dangers import severity_of
from harness.engines.rbac.policy import Policy
from harness.engines.rbac.rules import Rule

if TYPE_CHECKING:
    import argparse

    from harness.engines.rbac.atoms import Atom
    from harness.engines.rbac.policy import Held
    from harness.flux.workspace import Workspace

HELP = "which rights someone gained between two clusters or folders"
_ORDER: Final = {"error": 0, "warning": 1, "note": 2}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help="a cluster of the repository, or a file or folder of manifests")
    parser.add_argument("after", metavar="B", help="the same")
    parser.add_argument("--lost", action="store_true", help="also what is gone")
    add_format(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    changed = difference(_policy(workspace, options.before), _policy(workspace, options.after))
    gained = [_entry("gained", atom, held) for atom, held in changed.gained.items()]
    lost = [_entry("lost", atom, held) for atom, held in changed.lost.items()] if options.lost else []
    entries = sorted([*gained, *lost], key=lambda entry: (entry["change"], _ORDER[entry["severity"]], entry["right"]))
    if options.format == "json":
        out(json.dumps(entries, indent=2))
    else:
        for entry in entries:
            out(f"{entry['change']} {entry['severity']:7} {entry['right']}  ({entry['grant']} by {entry['binding']})")
        out(f"{len(gained)} rights gained" + (f", {len(lost)} lost" if options.lost else ""))
    return 1 if gained else 0


def _policy(workspace: Workspace, text: str) -> Policy:
    """The policy of a cluster, or of manifests when no cluster has the name and the path exists."""
    known = {root.name for root in workspace.clusters}
    if text not in known and Path(text).exists():
        return Policy.of_objects(manifests_world(workspace, [Path(text)]).objects)
    (root,) = clusters_of(workspace, [text])
    return Policy.of_objects(workspace.world(root).objects)


def _entry(change: str, atom: Atom, held: Held) -> dict[str, Any]:
    rule = Rule((atom.verb,), urls=(atom.path,)) if atom.path else Rule((atom.verb,), (atom.group,), (atom.resource,), (atom.name,) if atom.name else ())
    return {
        "change": change,
        "severity": severity_of(rule, atom.namespace),
        "right": str(atom),
        **atom._asdict(),
        "grant": str(held.grant),
        "binding": str(held.binding),
    }
