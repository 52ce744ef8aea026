"""Rules about what Prometheus scrapes (OBS1xx)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.diagnosis import leads_to_the_cluster_itself, namespaces_of, why_nothing
from harness.engines.telemetry.references import file_missing, secret_references
from harness.model import Location, NotEvaluated, Severity
from harness.model.pods import TEMPLATES, pod_of
from harness.model.shapes import items, text
from harness.rules.base import Clusters, Objects, Registry, Violation, WholeRepository, violation
from harness.rules.obs_common import METRICS, MONITORS, TELEMETRY, asserted, intent_of, intent_path, scraping, telemetry_intent
from harness.rules.order_makers import makers, may_be_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.telemetry.scrape import Target
    from harness.engines.telemetry.scraping import Scrape
    from harness.flux.world import World
    from harness.model import Object
    from harness.rules.context import Context

OBS: Final = Registry()

_METRICS_PORT: Final = re.compile(r"(?i)(?:.*-)?(?:metrics|prom|prometheus)(?:-.*)?")
_SCRAPE: Final = "prometheus.io/scrape"
_WORKLOADS: Final = tuple(kind for kind in TEMPLATES if kind not in ("PodTemplate", "Job.batch", "CronJob.batch"))
#: Kinds of other scrapers, which select monitors of their own.
_OTHERS: Final = ("VMServiceScrape", "VMPodScrape", "VMScrapeConfig", "VMProbe", "VMNodeScrape", "VMStaticScrape")


def _misses(world: World, scrape: Scrape) -> str:
    """Why targets of a job may be where nobody here can look; empty when they cannot."""
    if scrape.result.unknown:
        return scrape.result.unknown
    namespaces = namespaces_of(scrape.job)
    if any(may_be_elsewhere(world, name) for name in namespaces or ("",)):
        return "part of the cluster comes from where this repository cannot look"
    if leads_to_the_cluster_itself(scrape.job):
        return "what an installer runs in kube-system is not in Git"
    return ""


@OBS.rule(
    "OBS101",
    title="every endpoint of a monitor leads to a port of a pod",
    why="Prometheus scrapes nothing and says nothing: the series are absent, and every alert over them stays silent (prometheus-operator: troubleshooting)",
    fix="correct the selector, the namespaceSelector or the port of the endpoint, or the labels and ports of what it should find",
    scope=Objects(MONITORS),
    controls=("NIST-SI-4", "NIST-AU-12"),
)
def endpoint_resolves(monitor: Object, world: World) -> Iterator[Violation]:
    view = scraping(world)
    seen = set()
    for scrape in view.of(monitor):
        job = scrape.job
        if job.at in seen or scrape.result.targets or _misses(world, scrape):
            continue
        seen.add(job.at)
        yield Violation(f"{job.name} has no target: {why_nothing(job, view.discovery)}", "a target", job.locate())
    fields = {"ServiceMonitor": "endpoints", "PodMonitor": "podMetricsEndpoints"}
    field = fields.get(monitor.kind)
    if field and not view.of(monitor):
        yield violation(monitor, "spec", found=f"no {field}", expect="an endpoint to scrape")


@OBS.rule(
    "OBS102",
    title="every monitor is taken by a Prometheus",
    why=(
        "a monitor that no Prometheus selects is a file nobody reads (prometheus-operator: an absent selector selects nothing, an absent namespace "
        "selector the Prometheus' own namespace)"
    ),
    fix="give the monitor the labels that the Prometheus' selector wants, or widen serviceMonitorSelector and its like and their namespace selectors",
    scope=Objects(MONITORS),
    controls=("NIST-SI-4",),
)
def monitor_is_taken(monitor: Object, world: World) -> Iterator[Violation]:
    view = scraping(world)
    if not view.prometheuses or any(entry.subject == str(monitor.id) for entry in view.not_evaluated):
        return
    if not any(scrape.prometheus is not None for scrape in view.of(monitor)) and view.of(monitor):
        names = ", ".join(f"{each.kind} {each.namespace}/{each.name}" for each in view.prometheuses)
        yield Violation(f"no Prometheus takes it: not {names}", "a Prometheus whose selectors match", monitor.locate("metadata"))


@OBS.rule(
    "OBS103",
    title="nothing is scraped twice under the same job",
    why="two series with the same labels collide: samples are rejected as duplicates or out of order, and sums count twice",
    fix="make one of the monitors select less: a label that only one Service has, or one port",
    scope=Clusters(),
    controls=("NIST-SI-4",),
)
def scraped_once(world: World) -> Iterator[Violation]:
    seen: dict[tuple[object, ...], tuple[Scrape, Target]] = {}
    told = set()
    for scrape in scraping(world).taken:
        for target in scrape.result.targets:
            if target.pod is None:
                continue
            key = (
                id(scrape.prometheus), id(target.pod), target.port, target.scheme, target.path, repr(scrape.job.params), target.labels.get("job"),
            )  # fmt: skip
            first = seen.setdefault(key, (scrape, target))
            place = (scrape.job.name, target.pod.name, target.port)
            if first[1] is not target and place not in told:
                told.add(place)
                before = first[0].job.name + (f" (Service {first[1].service})" if first[1].service else "")
                found = f"port {target.port} of {target.pod.namespace}/{target.pod.name} is scraped as job {target.labels.get('job')} by {before} too"
                yield Violation(found, "one scrape", scrape.job.locate())


@OBS.rule(
    "OBS104",
    title="every workload that offers metrics is scraped",
    why="what nobody scrapes cannot alert: the component fails unseen",
    fix="add a ServiceMonitor or PodMonitor, or say in tests/intent/telemetry.yaml (scraping.unscraped) why not",
    scope=Objects(_WORKLOADS),
    severity=Severity.WARNING,
    controls=("NIST-SI-4", "NIST-AU-12"),
)
def workload_is_scraped(workload: Object, world: World) -> Iterator[Violation]:
    view = scraping(world)
    pod = pod_of(workload)
    if not view.known or pod is None:
        return
    if workload.metadata.get("ownerReferences"):
        return
    offered = next(
        (
            (container, index, port)
            for container in pod.containers("initContainers", "containers")
            for index, port in enumerate(items(container.body.get("ports")))
            if isinstance(port, dict) and _METRICS_PORT.fullmatch(text(port.get("name")))
        ),
        None,
    )
    if offered is None and pod.annotations.get(_SCRAPE) != "true":
        return
    if any(target.pod is not None and target.pod.template is not None and target.pod.template.object is workload for target in world.derive(_targets)):
        return
    name = f"{workload.kind}/{workload.namespace}/{workload.name}"
    if any(entry.get("workload") == name for _, entry in asserted(world, "scraping", "unscraped")):
        return
    if offered is None:
        yield Violation(f"annotated {_SCRAPE}: true, and nobody scrapes it", "a monitor", pod.locate("metadata", "annotations", _SCRAPE))
    else:
        container, index, port = offered
        where = pod.locate("spec", container.list, container.index, "ports", index)
        yield Violation(f"container {container.name} has port {port.get('name')}, and nobody scrapes it", "a monitor", where)


def _targets(world: World) -> tuple[Target, ...]:
    return tuple(target for scrape in scraping(world).taken for target in scrape.result.targets)


@OBS.rule(
    "OBS105",
    title="the Secrets, ConfigMaps and files that a monitor names are there for Prometheus",
    why="the operator refuses a monitor whose reference it cannot read, and Prometheus one whose file is missing: its targets vanish",
    fix="name a Secret or ConfigMap of the monitor's own namespace that something makes, or mount the file (spec.secrets, spec.configMaps of the Prometheus)",
    scope=Objects(MONITORS),
    controls=("NIST-IA-5", "NIST-SC-8"),
)
def references_exist(monitor: Object, world: World) -> Iterator[Violation]:
    known = makers(world)
    for pointer, kind, name, key in secret_references(monitor):
        made = known.of(kind, monitor.namespace, name)
        if not made:
            if not may_be_elsewhere(world, monitor.namespace):
                yield violation(monitor, *pointer, found=f"{kind} {name} is in no file of namespace {monitor.namespace}", expect="something that makes it")
        elif key and all(each.keys is not None and key not in each.keys for each in made):
            keys = ", ".join(sorted({name for each in made for name in each.keys or ()}))
            yield violation(monitor, *pointer, found=f"{kind} {name} has no key {key}, only {keys}", expect=f"key {key}")
    seen = set()
    for scrape in scraping(world).of(monitor):
        if scrape.prometheus is None or scrape.prometheus.group != monitor.group:
            continue
        for pointer, missing in file_missing(scrape.job, scrape.prometheus):
            if (pointer, missing) not in seen:
                seen.add((pointer, missing))
                yield violation(monitor, *pointer, found=missing, expect="a file in Prometheus' container")


@OBS.rule(
    "OBS106",
    title="every relabelling is one that Prometheus loads",
    why="one bad relabelling makes the operator drop the whole monitor, or Prometheus refuse the whole configuration and keep the old one",
    fix="see the reference of relabel_config: the action's name, the fields it needs, a regular expression of RE2",
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def relabelling_loads(world: World) -> Iterator[Violation]:
    told = set()
    for scrape in scraping(world).scrapes:
        for pointer, fault in scrape.job.faults:
            place = (scrape.job.name, pointer)
            if place not in told and not fault.startswith("not evaluated"):
                told.add(place)
                yield Violation(f"{scrape.job.name}: {fault}", "a relabelling that Prometheus loads", scrape.job.locate(*pointer))


@OBS.rule(
    "OBS107",
    title="every scrape job that people require is there, with the targets they name",
    why="dashboards and alerts name these jobs; a job that is renamed or loses its targets takes them along in silence",
    fix="bring the monitor back, or change tests/intent/telemetry.yaml (scraping.jobs) in the commit that changes it on purpose",
    scope=Clusters(),
    controls=("NIST-SI-4", "NIST-CM-8"),
)
def required_jobs(world: World) -> Iterator[Violation]:
    intent = telemetry_intent(world)
    if intent is None:
        return
    jobs = scraping(world).jobs
    for index, entry in asserted(world, "scraping", "jobs"):
        where = intent.locate("scraping", "jobs", index)
        targets = [target for target in jobs.get(entry["job"], ()) if _is(target, entry)]
        if not targets:
            narrowed = "".join(f", {key} {entry[key]}" for key in ("namespace", "path") if key in entry)
            yield Violation(f"{world.cluster.name} has no target of job {entry['job']}{narrowed}", "a target", where)
            continue
        there = {_workload(target) for target in targets}
        for number, workload in enumerate(entry.get("workloads", ())):
            if workload not in there:
                found = f"{world.cluster.name}: job {entry['job']} does not scrape {workload}"
                yield Violation(found, f"a target of {workload}", intent.locate("scraping", "jobs", index, "workloads", number))


def _is(target: Target, entry: dict[str, Any]) -> bool:
    wanted = entry.get("namespace")
    return wanted in (None, target.labels.get("namespace")) and entry.get("path") in (None, target.path)


def _workload(target: Target) -> str:
    owner = target.pod.template.object if target.pod is not None and target.pod.template is not None else None
    return f"{owner.kind}/{owner.namespace}/{owner.name}" if owner is not None else ""


@OBS.rule(
    "OBS109",
    title="what people say of telemetry is there and can be read",
    why="an assertion that cannot be read asserts nothing",
    fix="correct the file; its schema is beside the engine, tests/harness/engines/telemetry/",
    scope=WholeRepository(),
    controls=("NIST-CM-6",),
)
def intent_is_readable(context: Context) -> Iterator[Violation]:
    for name in (TELEMETRY, METRICS):
        intent = intent_of(context.repository, name)
        if intent is None:
            if context.own:
                yield Violation(f"no {intent_path(name)}", "what must arrive", Location(intent_path(name)))
            continue
        for fault in intent.faults:
            yield Violation(fault.message, "as the schema says", fault.location)


def not_evaluated(world: World) -> list[NotEvaluated]:
    """What cannot be told of scraping: selectors and jobs out of sight, other scrapers, clusters with monitors and no Prometheus."""
    view = scraping(world)
    entries = list(view.not_evaluated)
    for scrape in view.scrapes:
        reason = scrape.result.unknown or ("" if scrape.result.targets else _misses(world, scrape))
        if reason:
            entries.append(NotEvaluated(str(scrape.job.object.id), f"targets of {scrape.job.name}", reason))
        entries += [
            NotEvaluated(str(scrape.job.object.id), f"relabelling of {scrape.job.name}", fault)
            for _, fault in scrape.job.faults
            if fault.startswith("not evaluated")
        ]
    monitors = [item for kind in MONITORS for item in world.of(kind)]
    if monitors and not view.prometheuses:
        entries.append(NotEvaluated(world.cluster.name, f"who takes {len(monitors)} monitors", "no Prometheus is declared in this cluster"))
    for item in world.objects:
        if item.kind in _OTHERS:
            entries.append(NotEvaluated(str(item.id), "its targets", "scrapers other than Prometheus are not simulated"))
    return list(dict.fromkeys(entries))


RULES: Final = tuple(OBS.rules)
