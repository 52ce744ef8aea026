"""Hold every pod against a level of the Pod Security Standards, in the version of any Kubernetes release.

Without --level, each pod is held against the enforce label of its namespace, as the API server does it (--mode takes another label); namespaces
that are not at hand, or say nothing, enforce nothing, unless --admission gives the API server's defaults. Templates of Deployments, CronJobs and
their like are judged as the pods they make. Messages are the API server's.

  python -m harness pods check --level restricted --version 1.31 --manifests app/
  python -m harness pods check --manifests app/ --mode warn --admission admission.yaml
  python -m harness pods check --cluster production --format json

Exit codes: 0 every pod is admitted, 1 some are not, 2 some could not be judged or there is no pod at all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.common import CommandError, add_subject, bold, out, subject, warn
from harness.engines.podsecurity import LATEST, MODES, Exemptions, Level, LevelVersion, PolicyVersion, message, minor_of, parse_version
from harness.engines.podsecurity.configuration import Configuration, InvalidConfigurationError, read
from harness.engines.podsecurity.survey import Judged, judge, policies, unknown_templates
from harness.model import format_pointer
from harness.model.shapes import mapping
from harness.source.yaml import parse

if TYPE_CHECKING:
    from harness.flux.workspace import Workspace
    from harness.flux.world import World

HELP = "hold pods against baseline, restricted, or their namespaces' labels"


def policy_version(text: str) -> PolicyVersion:
    """``1.31``, ``v1.31`` or ``latest``. Raises ArgumentTypeError otherwise."""
    found = parse_version(text if text == "latest" or text.startswith("v") else f"v{text}")
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no version of the policies: write latest, or 1.x")
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--level", choices=[*Level], help="the level that every pod must pass (default: what the labels of its namespace enforce)")
    parser.add_argument(
        "--version", type=policy_version, metavar="VERSION", help="the version of the level: 1.25 … 1.37, or latest (default: with --level, the cluster's own)"
    )
    parser.add_argument("--namespace", metavar="NAME", help="only pods of this namespace")
    parser.add_argument("--mode", choices=MODES, default="enforce", help="which labels count when no level is given (default: enforce)")
    parser.add_argument(
        "--admission", type=Path, metavar="FILE", help="the API server's PodSecurityConfiguration or AdmissionConfiguration: defaults and exemptions"
    )
    parser.add_argument("--exempt-namespace", action="append", default=[], metavar="NAME", help="a namespace that the API server exempts; may be repeated")
    parser.add_argument("--exempt-runtime-class", action="append", default=[], metavar="NAME", help="a runtime class that it exempts; may be repeated")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.version is not None and options.level is None:
        raise CommandError("--version needs --level: without it, the labels of the namespaces say both")
    world = subject(workspace, options, every=True)
    cluster = cluster_minor(world, options.version)
    asked = LevelVersion(Level(options.level), options.version or LATEST) if options.level else None
    configuration = _configuration(options.admission)
    exemptions = Exemptions(
        namespaces=configuration.exemptions.namespaces | set(options.exempt_namespace),
        runtime_classes=configuration.exemptions.runtime_classes | set(options.exempt_runtime_class),
    )
    labels = policies(world.of("Namespace"), configuration.defaults)
    pods = [pod for pod in world.pods if options.namespace in (None, pod.namespace)]
    judged = [judge(pod, asked or getattr(labels.get(pod.namespace, configuration.defaults), options.mode), cluster, exemptions) for pod in pods]
    for item, at in unknown_templates(world.objects):
        warn(f"not evaluated: {item.id}: {format_pointer(at)}: a pod template of a kind that only its operator knows")
    if not judged:
        raise CommandError("there is no pod, and nothing that makes one, in what was looked at")
    if options.format == "json":
        out(json.dumps({"kubernetes": world.kubernetes_version, "pods": [as_json(each) for each in judged]}, indent=2))
    else:
        _print(judged)
    return 1 if any(each.violated for each in judged) else 2 if any(each.odd for each in judged) else 0


def _configuration(path: Path | None) -> Configuration:
    if path is None:
        return Configuration()
    try:
        found = parse(path.read_text(encoding="utf-8"), str(path), strict=False, yaml_1_1=False)
        return read(mapping(found.documents[0].body) if len(found.documents) == 1 else {})
    except (OSError, UnicodeDecodeError, InvalidConfigurationError) as error:
        raise CommandError(f"{path}: {error}") from error


def cluster_minor(world: World, asked: PolicyVersion | None = None) -> int:
    """The minor version of the cluster, and at least the one that is asked for. Raises CommandError for a version of another Kubernetes."""
    try:
        cluster = minor_of(world.kubernetes_version)
    except ValueError as error:
        raise CommandError(str(error)) from error
    return max(cluster, asked.minor) if asked is not None and asked.minor is not None else cluster


def as_json(each: Judged) -> dict[str, Any]:
    """One judged pod, for scripts."""
    where = each.pod.locate()
    return {
        "object": str(each.pod.object.id),
        "kind": each.pod.object.kind,
        "namespace": each.pod.namespace,
        "name": each.pod.object.name,
        "at": str(where),
        "level": str(each.against.level),
        "version": str(each.against.version),
        "allowed": None if each.odd else not each.violated,
        "exempt": each.exempt,
        "notEvaluated": each.odd,
        "message": f'violates PodSecurity "{each.against}": {message(each.violated)}' if each.violated else "",
        "violations": [
            {
                "check": found.check,
                "reason": found.reason,
                "detail": found.detail,
                "at": [{"field": format_pointer(pointer), "line": str(each.pod.locate(*pointer))} for pointer in found.at],
            }
            for found in each.violated
        ],
    }


def _print(judged: list[Judged]) -> None:
    for each in judged:
        if each.odd:
            out(f"{bold(str(each.pod.object.id))} at {each.pod.locate()}\n  not evaluated: {each.odd}")
        elif each.violated:
            out(f"{bold(str(each.pod.object.id))} at {each.pod.locate()}")
            out(f'  violates PodSecurity "{each.against}": {message(each.violated)}')
            for found in each.violated:
                fields = ", ".join(format_pointer(pointer) for pointer in found.at)
                places = sorted({str(each.pod.locate(*pointer)) for pointer in found.at})
                out(f"  {found.reason}: {fields} ({', '.join(places)})")
    denied = sum(1 for each in judged if each.violated)
    odd = sum(1 for each in judged if each.odd)
    exempt = sum(1 for each in judged if each.exempt)
    extra = "".join(f", {count} {word}" for count, word in ((odd, "not evaluated"), (exempt, "exempt")) if count)
    out(f"{len(judged)} pods: {len(judged) - denied - odd - exempt} admitted, {denied} refused{extra}")
