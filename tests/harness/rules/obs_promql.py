"""Rules about expressions of PromQL and the series they read (OBS2xx)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from harness.engines.telemetry import judgement
from harness.engines.telemetry.promql import RATES, read
from harness.engines.telemetry.queries import Query, of_rules, of_scalers
from harness.engines.telemetry.rule_groups import is_told, seconds
from harness.model import NotEvaluated, Severity
from harness.model.shapes import mapping, text
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.obs_common import METRICS, intent_path, inventory, metrics_intent, rule_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.engines.telemetry.inventory import Inventory
    from harness.engines.telemetry.promql import Expression
    from harness.flux.world import World

OBS: Final = Registry()


def queries(world: World) -> tuple[Query, ...]:
    """Every expression of rules and scalers in a cluster."""
    return world.derive(_queries)


def _queries(world: World) -> tuple[Query, ...]:
    return (*of_rules(rule_groups(world)), *of_scalers(world.objects))


def _judged(world: World, judge: Callable[[Expression, Inventory], Iterable[str]], expect: str) -> Iterator[Violation]:
    known = inventory(world)
    if known is None:
        return
    for query in queries(world):
        for fault in dict.fromkeys(judge(query.expression, known)):
            yield Violation(f"{query.what}: {fault}", expect, query.locate())


@OBS.rule(
    "OBS201",
    title="every expression of a rule or a scaler is PromQL",
    why="Prometheus refuses the whole rule file, and the operator the whole PrometheusRule, because of one expression (promtool: check rules)",
    fix="correct the expression; `promtool check rules` says the same",
    scope=Clusters(),
    controls=("NIST-SI-4",),
)
def parses(world: World) -> Iterator[Violation]:
    for query in queries(world):
        if query.expression.error:
            yield Violation(f"{query.what}: {query.expression.error}", "an expression that parses", query.locate())
    for group in rule_groups(world):
        for rule in group.rules:
            if not rule.expression:
                yield Violation(f"{rule.kind} {rule.name or '(unnamed)'} of group {group.name} has no expr", "an expression", rule.locate())


@OBS.rule(
    "OBS202",
    title="every series that an expression reads is exposed by something that is scraped, or recorded by a rule",
    why="an expression over a name that does not exist has no result: the alert never fires, the scaler never scales, and nothing is wrong in any log",
    fix="use the name that the component has at its version, scrape the component, or write the name down in tests/intent/metrics.yaml with its source",
    scope=Clusters(),
    controls=("NIST-SI-4", "NIST-AU-6"),
)
def series_exist(world: World) -> Iterator[Violation]:
    yield from _judged(world, judgement.missing_series, "a series that arrives")


@OBS.rule(
    "OBS203",
    title="every label that an expression matches on or groups by is one that its series have",
    why="a matcher on a label that is not there selects nothing (or everything), and a sum by it is one sum; a job that is named otherwise is the usual case",
    fix="use the labels that the component writes and the scrape adds (telemetry targets shows them), or exported_<label> where both have one",
    scope=Clusters(),
    controls=("NIST-SI-4",),
)
def labels_exist(world: World) -> Iterator[Violation]:
    yield from _judged(world, judgement.missing_labels, "labels of the series")


@OBS.rule(
    "OBS204",
    title="nothing that an expression reads is thrown away by a metric relabelling",
    why="a drop that saves a thousand series also silences the alert that reads one of them",
    fix="narrow the metricRelabelings of the monitor, or read something else",
    scope=Clusters(),
    controls=("NIST-SI-4",),
)
def series_are_kept(world: World) -> Iterator[Violation]:
    yield from _judged(world, judgement.dropped_series, "a series that is kept")


@OBS.rule(
    "OBS205",
    title="a rate is taken of counters only, and of counters always",
    why="a counter starts at zero with every restart, so its value means nothing; and what a gauge grows by is no rate (Prometheus: metric types, rate)",
    fix="rate(), increase() or irate() around a counter; delta(), deriv() or the value itself of a gauge",
    scope=Clusters(),
    severity=Severity.WARNING,
)
def types_fit(world: World) -> Iterator[Violation]:
    yield from _judged(world, judgement.wrong_types, "a function for the type of the series")


@OBS.rule(
    "OBS206",
    title="what an alert's text says of labels is there when it fires",
    why="a label that the aggregation dropped is an empty place in the message: somebody is woken and not told of what",
    fix="keep the label in the aggregation (by, on, group_left), or leave it out of the text",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-AU-6", "NIST-IR-5"),
)
def templates_have_their_labels(world: World) -> Iterator[Violation]:
    known = inventory(world)
    if known is None:
        return
    for group in rule_groups(world):
        for rule in group.rules:
            if rule.kind != "alert" or not is_told(rule):
                continue
            expression = read(rule.expression)
            for part, texts in (("annotations", rule.annotations), ("labels", rule.labels)):
                for key, fault in dict.fromkeys(judgement.lost_labels(expression, texts, known)):
                    yield Violation(f"{rule.name}: {key} {fault}", "a label of the result", rule.locate(part, key))


@OBS.rule(
    "OBS207",
    title="a series is recorded once, and a group of rules has a name of its own and an interval",
    why=(
        "two rules that record one series with the same labels overwrite each other sample by sample; two groups of one name in one file make "
        "Prometheus refuse the file (rulefmt)"
    ),
    fix="rename or remove one of them",
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def recorded_once(world: World) -> Iterator[Violation]:
    recorded: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
    names: dict[int, set[str]] = defaultdict(set)
    for group in rule_groups(world):
        if group.name in names[id(group.object)]:
            yield Violation(f"a second group {group.name}", "another name", group.locate("name"))
        names[id(group.object)].add(group.name)
        if group.interval and (seconds(group.interval) or 0) <= 0:
            yield Violation(f"group {group.name}: interval {group.interval}", "a duration like 1m", group.locate("interval"))
        for rule in group.rules:
            if rule.kind != "record" or not rule.name:
                continue
            key = (rule.name, tuple(sorted(rule.labels.items())))
            where = f"{rule.object.kind} {rule.object.namespace}/{rule.object.name}"
            if key in recorded:
                yield Violation(f"{rule.name} is recorded by {recorded[key]} too", "one rule", rule.locate("record"))
            recorded.setdefault(key, where)


@OBS.rule(
    "OBS208",
    title="what is written down of a component's series is of the version that runs",
    why="components rename series between versions; a list of the last version proves nothing about this one",
    fix="compare the sources of the entry with the new version, correct the names, then the version in tests/intent/metrics.yaml",
    scope=Clusters(),
    controls=("NIST-CM-8",),
)
def inventory_is_current(world: World) -> Iterator[Violation]:
    intent = metrics_intent(world)
    if intent is None:
        return
    running: dict[str, set[str]] = defaultdict(set)
    for pod in world.pods:
        for container in pod.containers():
            image = text(container.body.get("image")).partition("@")[0]
            name, colon, tag = image.rpartition(":")
            if colon and "/" not in tag:
                running[name].add(tag)
    for component, body in mapping(intent.body.get("components")).items():
        image, version = text(mapping(body).get("image")), str(mapping(body).get("version"))
        tags = {tag for name, found in running.items() if image and (name == image or name.endswith(f"/{image}")) for tag in found}
        other = sorted(tag for tag in tags if not _same(tag, version))
        if other:
            found = f"{world.cluster.name} runs {image} {', '.join(other)}, the series of {component} are those of {version}"
            yield Violation(found, "one version", intent.locate("components", component, "version"))


def _same(tag: str, version: str) -> bool:
    """Whether a tag is of a version: with or without ``v``, and with or without a flavour behind it (``-distroless``)."""
    tag, version = tag.removeprefix("v"), version.removeprefix("v")
    return tag == version or tag.startswith(f"{version}-")


@OBS.rule(
    "OBS212",
    title="a rule adds nothing that may not be there",
    why="a sum of two series is there only where both are: a counter that exists only once it counted something hides the other (Prometheus: operators)",
    fix="one comparison for each, joined by `or`; or `or vector(0)` behind what may be missing",
    scope=Clusters(),
    controls=("NIST-SI-4",),
)
def sums_are_there(world: World) -> Iterator[Violation]:
    yield from _judged(world, judgement.lost_sums, "sides that are always there")


@OBS.rule(
    "OBS211",
    title="a rate looks back over at least two scrapes",
    why="rate() needs two samples in its window: over one scrape interval or less it has no result, now and then or always (Prometheus: rate)",
    fix="make the window four times the scrape interval, and never less than twice",
    scope=Clusters(),
    severity=Severity.WARNING,
)
def windows_are_long_enough(world: World) -> Iterator[Violation]:
    known = inventory(world)
    if known is None:
        return
    for query in queries(world):
        for selector, above in query.expression.selectors():
            window = above[-1].seconds if above and above[-1].kind == "range" else 0
            called = above[-2].name if len(above) > 1 else ""
            series = known.find(selector.name) if window and called in RATES else None
            if series is None or not series.component:
                continue
            slowest = max(
                (_interval(world, scrape.job.object.get(*scrape.job.at), scrape.prometheus) for scrape, _ in known.scrapes_of(series.component)), default=0
            )
            if window < 2 * slowest:
                found = f"{query.what}: {called} of {selector.name} over {window:g} s, scraped every {slowest:g} s"
                yield Violation(found, f"at least {2 * slowest:g} s", query.locate())


def _interval(world: World, endpoint: object, prometheus: object) -> float:
    own = seconds(mapping(endpoint).get("interval"))
    if own:
        return own
    spec = getattr(prometheus, "spec", {})
    return seconds(mapping(spec).get("scrapeInterval")) or 30.0


def not_evaluated(world: World) -> list[NotEvaluated]:
    """Expressions that the lock does not hold, and, without an inventory, every question about series."""
    entries = [
        NotEvaluated(str(rule.object.id), f"{rule.kind} {rule.name}", "the text is elided in the lock")
        for group in rule_groups(world)
        for rule in group.rules
        if rule.expression and not is_told(rule)
    ]
    if inventory(world) is None and queries(world):
        entries.append(NotEvaluated(world.cluster.name, f"the series that {len(queries(world))} expressions read", f"there is no {intent_path(METRICS)}"))
    return entries


RULES: Final = tuple(OBS.rules)
