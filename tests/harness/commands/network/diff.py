"""Say which connections another version of the manifests, or another cluster, gains and loses.

  python -m harness network diff old/ new/
  python -m harness network diff kind production
  python -m harness network diff kind build/manifests/ --format json

A and B are each a file or folder of plain manifests, or the name of a cluster of the repository. A connection is gained when B has ports that A has
not. Workloads that only one of them has are marked. Exit code 0: no difference, 1: some.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.common import CommandError, bold, clusters_of, manifests_world, note, out
from harness.commands.network import shared
from harness.engines.netpol.addresses import describe
from harness.engines.netpol.intervals import EMPTY, Intervals
from harness.engines.netpol.policies import EGRESS, INGRESS
from harness.engines.netpol.ports import NONE, Ports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from harness.engines.netpol.network import Network, Reach
    from harness.flux.workspace import Workspace
    from harness.flux.world import World

HELP = "connections gained and lost between two versions"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help="a file or folder of manifests, or a cluster")
    parser.add_argument("after", metavar="B", help="the same")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    shared.add_addresses(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    views = [shared.view_of(_world(workspace, words), options) for words in (options.before, options.after)]
    for each in views:
        shared.report_gaps(each.network)
    changes = list(compare(views[0].network, views[1].network))
    if options.format == "json":
        out(json.dumps({"changes": changes, "before": shared.gaps_json(views[0].network), "after": shared.gaps_json(views[1].network)}, indent=2))
    else:
        _tell(changes)
    return 1 if changes else 0


def _world(workspace: Workspace, words: str) -> World:
    if any(root.name == words for root in workspace.clusters):
        note(f"building {words} ...")
        return workspace.world(clusters_of(workspace, [words])[0])
    path = Path(words)
    if not path.exists():
        clusters = ", ".join(root.name for root in workspace.clusters)
        raise CommandError(f"{words} is neither a file or folder nor a cluster" + (f": there are {clusters}" if clusters else ""))
    return manifests_world(workspace, [path])


def compare(before: Network, after: Network) -> Iterator[dict[str, Any]]:
    """Every connection with the ports it gains and loses, sorted."""
    old = {(str(source), str(destination)): ports for source, destination, ports in before.connections()}
    new = {(str(source), str(destination)): ports for source, destination, ports in after.connections()}
    names = ({str(each) for each in before.workloads}, {str(each) for each in after.workloads})
    for pair in sorted(old.keys() | new.keys()):
        gained = new.get(pair, NONE) - old.get(pair, NONE)
        lost = old.get(pair, NONE) - new.get(pair, NONE)
        if gained or lost:
            yield {"from": pair[0], "to": pair[1], "gained": str(gained), "lost": str(lost), **_only(pair, names)}
    yield from _outside(before, after)


def _only(pair: tuple[str, str], names: tuple[set[str], set[str]]) -> dict[str, Any]:
    added = [each for each in pair if each not in names[0]]
    removed = [each for each in pair if each not in names[1]]
    return {key: value for key, value in (("newWorkloads", added), ("removedWorkloads", removed)) if value}


def _outside(before: Network, after: Network) -> Iterator[dict[str, Any]]:
    old, new = ({str(each): each for each in network.workloads} for network in (before, after))
    for name in sorted(old.keys() | new.keys()):
        for direction in (EGRESS, INGRESS):
            was: Reach = before.outside(old[name], direction) if name in old else ()
            now: Reach = after.outside(new[name], direction) if name in new else ()
            for word, where, ports in (*(("gained", *each) for each in _minus(now, was)), *(("lost", *each) for each in _minus(was, now))):
                end = describe(where)
                ends = {"from": name, "to": end} if direction == EGRESS else {"from": end, "to": name}
                missing = {"newWorkloads": [name]} if name not in old else {"removedWorkloads": [name]} if name not in new else {}
                yield {**ends, "gained": str(NONE), "lost": str(NONE), word: str(ports), **missing}


def _minus(one: Reach, other: Reach) -> list[tuple[Intervals, Ports]]:
    """What of one reach is not in the other."""
    found: dict[Ports, Intervals] = {}
    for addresses, ports in one:
        left = addresses
        for where, had in other:
            common = left & where
            if common:
                left -= common
                rest = ports - had
                if rest:
                    found[rest] = found.get(rest, EMPTY) | common
        if left:
            found[ports] = found.get(ports, EMPTY) | left
    return [(addresses, ports) for ports, addresses in found.items()]


def _tell(changes: list[dict[str, Any]]) -> None:
    none = str(NONE)
    gained, lost = [each for each in changes if each["gained"] != none], [each for each in changes if each["lost"] != none]
    for title, key, sign, listed in (("gained", "gained", "+", gained), ("lost", "lost", "-", lost)):
        out(bold(f"{len(listed)} {title}"))
        for each in listed:
            marks = [f"new: {', '.join(each['newWorkloads'])}"] if each.get("newWorkloads") else []
            marks += [f"gone: {', '.join(each['removedWorkloads'])}"] if each.get("removedWorkloads") else []
            out(f"  {sign} {each['from']} -> {each['to']} {each[key]}" + (f"  ({'; '.join(marks)})" if marks else ""))
