"""List what is scraped: the targets of every job, with the labels that their series get.

  python -m harness telemetry targets --cluster kind
  python -m harness telemetry targets --job kubelet --format json --cluster kind
  python -m harness telemetry targets --manifests k8s/

Pods stand for themselves by a name of the right form (podinfo-0000000000-00000) and the address 192.0.2.1. Exit code 1 when a job finds nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.commands.common import add_subject, bold, out, subject, warn
from harness.engines.telemetry.diagnosis import why_nothing
from harness.rules.obs_common import scraping
from harness.rules.obs_scrape import not_evaluated

if TYPE_CHECKING:
    import argparse

    from harness.engines.telemetry.scrape import Target
    from harness.engines.telemetry.scraping import Scrape, Scraping
    from harness.flux.workspace import Workspace

HELP = "what is scraped, by job"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--job", metavar="NAME", help="only jobs of this name, as configured or as the label job")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")
    add_subject(parser)


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    world = subject(workspace, options)
    view = scraping(world)
    found = [_scrape(scrape, view) for scrape in view.scrapes if _wanted(scrape, options.job)]
    gaps = not_evaluated(world)
    if options.format == "json":
        out(json.dumps({"jobs": found, "notEvaluated": [f"{entry.subject}: {entry.what}: {entry.why}" for entry in gaps]}, indent=2))
    else:
        for entry in found:
            _tell(entry)
        if not found:
            out("nothing is scraped")
        for gap in gaps:
            warn(f"not evaluated: {gap.subject}: {gap.what}: {gap.why}")
    return 1 if any(not entry["targets"] and not entry["unknown"] for entry in found) else 0


def _wanted(scrape: Scrape, job: str | None) -> bool:
    return job is None or job == scrape.job.name or any(target.labels.get("job") == job for target in scrape.result.targets)


def _scrape(scrape: Scrape, view: Scraping) -> dict[str, Any]:
    return {
        "job": scrape.job.name,
        "of": str(scrape.job.object.id),
        "takenBy": str(scrape.prometheus.id) if scrape.prometheus is not None else None,
        "targets": [{"url": target.url, "labels": dict(sorted(target.labels.items())), "workload": _workload(target)} for target in scrape.result.targets],
        "dropped": scrape.result.dropped,
        "unknown": scrape.result.unknown,
        "why": "" if scrape.result.targets or scrape.result.unknown else why_nothing(scrape.job, view.discovery),
    }


def _workload(target: Target) -> str | None:
    """What makes the target's pods; None for what no template describes."""
    if target.pod is None or target.pod.template is None:
        return None
    item = target.pod.template.object
    return f"{item.kind}/{item.namespace}/{item.name}"


def _tell(entry: dict[str, Any]) -> None:
    taken = f"taken by {entry['takenBy']}" if entry["takenBy"] else "taken by nobody"
    out(f"{bold(entry['job'])}  {entry['of']}, {taken}")
    for target in entry["targets"]:
        out(f"  {target['url']}  {target['workload'] or ''}".rstrip())
        out("    " + ", ".join(f"{name}={value}" for name, value in target["labels"].items() if name != "instance"))
    if not entry["targets"]:
        out(f"  no target: {entry['unknown'] or entry['why']}")
