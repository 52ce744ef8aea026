"""List every alert with the receivers it reaches, as the Alertmanagers' routes have it.

  python -m harness telemetry alerts --cluster kind
  python -m harness telemetry alerts --alert VaultSealed --cluster kind
  python -m harness telemetry alerts --format json --manifests k8s/

A receiver in brackets is reached only for some values of labels that a cluster alone knows. Exit code 1 when an alert reaches nobody who is told.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.commands.common import add_subject, out, subject, warn
from harness.rules.obs_alerts import alerting, alerts, not_evaluated, routes_of

if TYPE_CHECKING:
    import argparse

    from harness.engines.telemetry.rule_groups import AlertingRule
    from harness.flux.workspace import Workspace
    from harness.flux.world import World

HELP = "which receivers each alert reaches"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--alert", metavar="NAME", help="only this alert")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    add_subject(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    world = subject(workspace, options)
    found = [_alert(world, rule) for rule in alerts(world) if options.alert in (None, rule.name)]
    gaps = [f"{entry.subject}: {entry.what}: {entry.why}" for entry in not_evaluated(world)]
    if options.format == "json":
        out(json.dumps({"alerts": found, "notEvaluated": gaps}, indent=2))
    else:
        width = max((len(entry["alert"]) for entry in found), default=0)
        for entry in found:
            names = [each["receiver"] if each["certain"] else f"[{each['receiver']}]" for each in entry["receivers"]]
            quiet = "" if entry["told"] or not entry["receivers"] else "  (tells nobody)"
            out(f"{entry['alert']:{width}}  {entry['severity'] or '-':8}  {entry['for'] or '0s':5}  {', '.join(names) or '-'}{quiet}")
        if not found:
            out("there is no alert")
        for gap in gaps:
            warn(f"not evaluated: {gap}")
    return 1 if any(entry["receivers"] and not entry["told"] for entry in found) else 0


def _alert(world: World, rule: AlertingRule) -> dict[str, Any]:
    receivers = []
    told = False
    for configuration in alerting(world).configurations:
        for each in routes_of(world, rule, configuration):
            receiver = configuration.receivers.get(each.receiver)
            told = told or (receiver is not None and receiver.tells)
            receivers.append({"receiver": each.receiver, "certain": each.certain, "route": str(each.route.locate())})
    return {
        "alert": rule.name,
        "of": str(rule.object.id),
        "severity": rule.labels.get("severity", ""),
        "for": str(rule.body.get("for") or ""),
        "receivers": receivers,
        "told": told,
    }
