"""Print every Certificate: its Secret, names, duration and renewal, key, usages, and the chain of who signs it.

python -m harness certificates list --cluster production
python -m harness certificates list --manifests deploy/ --format json
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.commands.common import add_subject, out, subject
from harness.engines.certificates.chains import CERTIFICATE, names_of
from harness.model.shapes import items, mapping
from harness.rules.tls_view import issuers

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.flux.world import World
    from harness.model import Object

HELP = "print every Certificate with names, lifetimes, key and issuer chain"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    world = subject(workspace, options)
    entries = [_entry(item, world) for item in world.of(CERTIFICATE)]
    if options.format == "json":
        out(json.dumps(entries, indent=2))
        return 1 if any(entry["gaps"] for entry in entries) else 0
    for entry in entries:
        kind = "authority" if entry["isCA"] else "leaf"
        out(f"{entry['certificate']}  {kind}, Secret {entry['secret']}, {entry['key']}, {entry['duration']}, renewed {entry['renewBefore']} before its end")
        out(f"  names {', '.join(entry['names']) or 'none'}")
        out(f"  signed by {' <- '.join(entry['chain'])} ({entry['ends']})")
        for gap in entry["gaps"]:
            out(f"  broken: {gap}")
    out(f"{len(entries)} certificates")
    return 1 if any(entry["gaps"] for entry in entries) else 0


def _entry(item: Object, world: World) -> dict[str, Any]:
    chain = world.derive(issuers).chain(item)
    key = mapping(item.spec.get("privateKey"))
    return {
        "certificate": f"{item.namespace}/{item.name}",
        "secret": item.spec.get("secretName"),
        "isCA": item.spec.get("isCA") is True,
        "names": [*names_of(item), *map(str, items(item.spec.get("ipAddresses")))],
        "duration": item.spec.get("duration") or "2160h",
        "renewBefore": item.spec.get("renewBefore") or "a third of it",
        "key": f"{key.get('algorithm') or 'RSA'} {key.get('size') or ''}".strip(),
        "usages": items(item.spec.get("usages")),
        "chain": list(chain.steps),
        "ends": chain.ends,
        "gaps": [gap.found for gap in chain.gaps],
    }
