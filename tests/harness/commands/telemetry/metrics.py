"""List every series that a rule or a dashboard reads, and who exposes it.

  python -m harness telemetry metrics --cluster kind
  python -m harness telemetry metrics --missing --cluster kind
  python -m harness telemetry metrics --format json --manifests k8s/

What components expose is what tests/intent/metrics.yaml says; without that file only recording rules are known. Exit code 1 when a series that is read
does not arrive.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.commands.common import add_subject, out, subject, warn
from harness.engines.telemetry.grafana_variables import STAND_IN
from harness.engines.telemetry.inventory import Inventory
from harness.rules.obs_common import inventory, rule_groups, scraping
from harness.rules.obs_dashboards import dashboards, expressions
from harness.rules.obs_promql import queries

if TYPE_CHECKING:
    import argparse

    from harness.flux.workspace import Workspace
    from harness.flux.world import World

HELP = "which series are read, and who exposes them"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--missing", action="store_true", help="only series that do not arrive")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    add_subject(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    world = subject(workspace, options)
    known = inventory(world)
    recorded = [rule for group in rule_groups(world) for rule in group.rules if rule.kind == "record" and rule.name]
    names = known or Inventory({}, scraping(world), recorded)
    found = [_series(names, name, users, whole=known is not None) for name, users in sorted(_used(world).items())]
    if options.missing:
        found = [entry for entry in found if entry["missing"]]
    if options.format == "json":
        out(json.dumps({"series": found, "inventory": known is not None}, indent=2))
    else:
        width = max((len(entry["name"]) for entry in found), default=0)
        for entry in found:
            out(
                f"{entry['name']:{width}}  {entry['from'] or '-':24}  {entry['type'] or '-':10}  {len(entry['users'])} users"
                + (f"  {entry['missing']}" if entry["missing"] else "")
            )
        if not found:
            out("no series is read" if not options.missing else "every series that is read arrives")
        if known is None:
            warn("not evaluated: what components expose: there is no tests/intent/metrics.yaml")
    return 1 if known is not None and any(entry["missing"] for entry in found) else 0


def _used(world: World) -> dict[str, list[str]]:
    """Who reads each series."""
    found: dict[str, list[str]] = defaultdict(list)
    for query in queries(world):
        for name in query.expression.names:
            found[name].append(f"{query.object.kind}/{query.object.namespace}/{query.object.name} {query.what}")
    for dashboard in dashboards(world):
        for what, expression, _ in expressions(world, dashboard):
            for name in expression.names:
                if STAND_IN not in name:
                    found[name].append(f"dashboard {dashboard.name} {what}")
    return found


def _series(known: Inventory, name: str, users: list[str], *, whole: bool) -> dict[str, Any]:
    series = known.find(name)
    missing = "nobody exposes or records it" if series is None and whole else series.missing if series is not None else ""
    origin = "" if series is None else series.component or "recording rule"
    labels = sorted(series.labels) if series is not None and series.labels is not None else None
    return {
        "name": name,
        "from": origin,
        "type": series.type if series is not None else "",
        "labels": labels,
        "missing": missing,
        "users": list(dict.fromkeys(users)),
    }
