"""Rules about dashboards and data sources (OBS6xx)."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from harness.engines.report import is_elided
from harness.engines.telemetry import judgement
from harness.engines.telemetry.dashboards import Dashboard, Source, dashboards_of, is_own, sources_of, trace_queries, variable_order, variable_queries
from harness.engines.telemetry.grafana import Loading, loading_of
from harness.engines.telemetry.grafana_variables import STAND_IN, names_in, read_templated
from harness.flux.texts import config_texts
from harness.model import NotEvaluated, Severity
from harness.model.shapes import mapping, text
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.obs_common import asserted, inventory, scraping, telemetry_intent
from harness.rules.order_makers import may_be_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.telemetry.discovery import Service
    from harness.engines.telemetry.promql import Expression
    from harness.engines.telemetry.texts import Text
    from harness.flux.world import World
    from harness.model import Pointer

OBS: Final = Registry()

_UID: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_CLUSTER: Final = frozenset({"cluster", "cluster_name", "k8s_cluster_name"})
_NOT_LOADED: Final = frozenset({"GrafanaDashboard", "GrafanaDatasource"})


def dashboards(world: World) -> tuple[Dashboard, ...]:
    """Every dashboard of a cluster."""
    return world.derive(_dashboards)


def _dashboards(world: World) -> tuple[Dashboard, ...]:
    return tuple(dashboards_of(world.derive(config_texts)))


def sources(world: World) -> tuple[Source, ...]:
    """Every data source of a cluster that a file provisions."""
    return world.derive(_sources)


def _sources(world: World) -> tuple[Source, ...]:
    return tuple(sources_of(world.derive(config_texts)))


def loading(world: World) -> Loading:
    """What the Grafanas of a cluster load."""
    return world.derive(_loading)


def _loading(world: World) -> Loading:
    return loading_of(world.pods)


@OBS.rule(
    "OBS601",
    title="a dashboard is JSON with a title and a uid that Grafana takes",
    why="Grafana skips a file it cannot read and logs a line nobody reads; without a uid of its own every restart may give another address",
    fix='valid JSON; "title"; "uid" of at most 40 letters, digits, - and _',
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def dashboard_is_sound(world: World) -> Iterator[Violation]:
    known = {(id(each.object), each.text.at) for each in dashboards(world)}
    for item in world.of("ConfigMap"):
        for key, value in mapping(item.body.get("data")).items():
            unread = str(key).endswith(".json") and isinstance(value, str) and not is_elided(value) and (id(item), ("data", key)) not in known
            if unread and '"panels"' in value and loading(world).takes(item):
                yield Violation(f"{key} is no JSON object", "a dashboard", item.locate("data", key))
    for each in dashboards(world):
        if not each.title:
            yield Violation(f"{each.name} has no title", "a title", each.text.locate())
        if not _UID.fullmatch(each.uid):
            yield Violation(f"{each.name}: uid {each.uid or '(none)'}", "1 to 40 letters, digits, - and _", each.text.locate("uid"))


@OBS.rule(
    "OBS602",
    title="a dashboard's uid is its own, and so is its title in its folder",
    why="Grafana loads one of two with the same uid, and refuses or overwrites the other at every scan (provisioning: dashboards)",
    fix="give the copy a uid and a title of its own",
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def dashboard_is_unique(world: World) -> Iterator[Violation]:
    uids: dict[str, Dashboard] = {}
    titles: dict[tuple[int, str], Dashboard] = {}
    for each in dashboards(world):
        first = uids.setdefault(each.uid, each) if each.uid else each
        if first is not each:
            yield Violation(f"uid {each.uid} is that of {first.name} ({first.text.at[-1]}) too", "a uid of its own", each.text.locate("uid"))
        first = titles.setdefault((id(each.object), each.title), each) if each.title else each
        if first is not each:
            yield Violation(f"title {each.title} is that of {first.text.at[-1]} too", "a title of its own", each.text.locate("title"))


@OBS.rule(
    "OBS603",
    title="every data source that a dashboard asks is there",
    why="a panel whose data source does not exist shows an error; inputs like ${DS_PROMETHEUS} are filled in by hand only, never for a file",
    fix="the uid of a provisioned data source, or a variable of type datasource",
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def sources_exist(world: World) -> Iterator[Violation]:
    known = {name for source in sources(world) for name in (source.uid, source.name) if name}
    types = {source.type for source in sources(world)}
    for each in dashboards(world):
        told = set()
        for variable in each.variables:
            if variable.type == "datasource" and types and variable.query and variable.query not in types:
                yield Violation(f"{each.name}: no data source of type {variable.query}", "a type that is provisioned", each.text.locate(*variable.at, "name"))
        for query in each.queries:
            if not query.source or is_own(query.source):
                continue
            asked = names_in(query.source)
            if asked:
                kinds = {variable.name: variable.type for variable in each.variables}
                for name in asked:
                    if kinds.get(name) != "datasource" and (name, "") not in told:
                        told.add((name, ""))
                        found = f"{each.name}: ${{{name}}} is no variable of type datasource"
                        yield Violation(found, "a data source", each.text.locate(*query.at))
            elif known and query.source not in known and (query.source, query.panel) not in told:
                told.add((query.source, query.panel))
                found = f"{each.name}: panel {query.panel} asks {query.source}, there are {', '.join(sorted(known))}"
                yield Violation(found, "a data source that is provisioned", each.text.locate(*query.at))


@OBS.rule(
    "OBS604",
    title="every variable that a dashboard uses is defined, and before it is used",
    why="Grafana sends an unknown variable as it is written, and fills in variables from left to right: the query finds nothing",
    fix="define it under templating, before the variables that use it",
    scope=Clusters(),
)
def variables_are_defined(world: World) -> Iterator[Violation]:
    for each in dashboards(world):
        told = set()
        for name, at in each.uses():
            if name not in each.knows and name not in told:
                told.add(name)
                yield Violation(f"{each.name}: ${name} is not defined", "a variable", each.text.locate(*at))
        for variable, name, later in variable_order(each):
            if name not in told:
                what = f"${name} is defined after it" if later else f"${name} is not defined"
                yield Violation(f"{each.name}: variable {variable.name}: {what}", "a variable that is defined before", each.text.locate(*variable.at, "name"))


@OBS.rule(
    "OBS605",
    title="every query of a dashboard to Prometheus parses, and asks for series and labels that exist",
    why="a panel without data looks like a system without load",
    fix="correct the expression; names are those of tests/intent/metrics.yaml and of recording rules",
    scope=Clusters(),
    controls=("NIST-SI-4", "NIST-AU-6"),
)
def queries_find_something(world: World) -> Iterator[Violation]:
    for each in dashboards(world):
        for what, expression, at in expressions(world, each):
            yield from _judged(world, f"{each.name}: {what}", expression, each.text, at)
    for source in sources(world):
        for name, query, at in trace_queries(source):
            yield from _judged(world, f"{source.name}: link to metrics {name}", read_templated(query), source, at)


def _judged(world: World, what: str, expression: Expression, held: Text | Source, at: Pointer) -> Iterator[Violation]:
    if expression.error:
        yield Violation(f"{what}: {expression.error}", "an expression that parses", held.locate(*at))
        return
    known = inventory(world)
    if known is None:
        return
    for judge in (judgement.missing_series, judgement.dropped_series, judgement.missing_labels):
        for fault in dict.fromkeys(judge(expression, known)):
            yield Violation(f"{what}: {fault}", "series that arrive", held.locate(*at))


def expressions(world: World, dashboard: Dashboard) -> Iterator[tuple[str, Expression, Pointer]]:
    """The expressions of PromQL in a dashboard, each with its pointer: of panels and variables that ask a Prometheus."""
    for query in dashboard.queries:
        if query.text and _asks_prometheus(world, dashboard, query.source, query.type):
            yield f"panel {query.panel}", read_templated(query.text), query.at
    for variable, asked, label in variable_queries(dashboard):
        source = mapping(variable.body.get("datasource"))
        if _asks_prometheus(world, dashboard, variable.source, text(source.get("type"))):
            plain = label and not names_in(label)
            expression = read_templated(f"sum by ({label}) ({asked})" if plain else asked)
            yield f"variable {variable.name}", expression, (*variable.at, "name")


def _asks_prometheus(world: World, dashboard: Dashboard, source: str, kind: str) -> bool:
    if kind:
        return kind == "prometheus"
    names = names_in(source)
    if names:
        return any(variable.name in names and variable.query == "prometheus" for variable in dashboard.variables)
    for known in sources(world):
        if source in (known.uid, known.name) or (not source and known.default):
            return known.type == "prometheus"
    return False


@OBS.rule(
    "OBS606",
    title="no dashboard names one cluster",
    why="the same file is loaded everywhere: on every other cluster it is empty",
    fix="a variable, or no matcher at all: each Prometheus holds one cluster",
    scope=Clusters(),
    severity=Severity.WARNING,
)
def no_cluster_is_named(world: World) -> Iterator[Violation]:
    for each in dashboards(world):
        for what, expression, at in expressions(world, each):
            for selector, _ in expression.selectors():
                for matcher in selector.matchers:
                    if matcher.name in _CLUSTER and matcher.op == "=" and matcher.value and STAND_IN not in matcher.value:
                        yield Violation(f'{each.name}: {what}: {matcher.name}="{matcher.value}"', "no cluster by name", each.text.locate(*at))


@OBS.rule(
    "OBS607",
    title="every dashboard and data source is loaded by a Grafana",
    why="a ConfigMap that no Grafana mounts or looks for is a dashboard nobody sees",
    fix="mount it (dashboardsConfigMaps, extraConfigmapMounts), or give it the label that the sidecar looks for",
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def everything_is_loaded(world: World) -> Iterator[Violation]:
    view = loading(world)
    if not view.pods:
        return
    told = set()
    for each in (*(dashboard.text for dashboard in dashboards(world)), *(source.text for source in sources(world))):
        if not view.takes(each.object) and id(each.object) not in told:
            told.add(id(each.object))
            names = ", ".join(f"{pod.object.kind} {pod.namespace}/{pod.object.name}" for pod in view.pods)
            found = f"ConfigMap {each.object.namespace}/{each.object.name} with {each.at[-1]} is not loaded by {names}"
            yield Violation(found, "a mount, or the sidecar's label", each.locate())


@OBS.rule(
    "OBS608",
    title="a data source's address is a port of a Service that is there",
    why="every panel of the source shows an error",
    fix="name, namespace and port of the Service: http://<service>.<namespace>.svc:<port>",
    scope=Clusters(),
    controls=("NIST-CM-6",),
)
def source_is_there(world: World) -> Iterator[Violation]:
    for source in sources(world):
        place = service_of(source)
        if place is None:
            continue
        namespace, name, port = place
        service = scraping(world).discovery.service(namespace, name)
        if service is None:
            # Pods of a StatefulSet have names below their Service's.
            if not may_be_elsewhere(world, namespace):
                yield Violation(f"{source.name}: there is no Service {namespace}/{name}", "a Service", source.locate("url"))
        elif port not in [each.get("port") for each in service.ports] and service.spec.get("type") != "ExternalName":
            yield Violation(f"{source.name}: Service {namespace}/{name} has no port {port}, only {_ports(service)}", "its port", source.locate("url"))


def _ports(service: Service) -> str:
    return ", ".join(str(each.get("port")) for each in service.ports) or "none"


def service_of(source: Source) -> tuple[str, str, int] | None:
    """Namespace, name and port of the Service that an address names; None for what is outside."""
    try:
        parts = urlsplit(source.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    labels = host.removesuffix(".").removesuffix(".cluster.local").removesuffix(".svc").split(".")
    inside = host.endswith((".svc", ".svc.cluster.local", ".svc.cluster.local."))
    if not host or "$" in source.url or len(labels) > (3 if inside else 1) or not labels[0]:
        return None
    return (labels[-1], labels[-2], port) if len(labels) > 1 else (source.text.object.namespace, labels[0], port)


@OBS.rule(
    "OBS609",
    title="every dashboard that people require is there",
    why="a dashboard that drops out of a ConfigMap is missed on the day it is needed",
    fix="bring it back, or change tests/intent/telemetry.yaml (dashboards) in the commit that removes it on purpose",
    scope=Clusters(),
    controls=("NIST-CM-8",),
)
def required_dashboards(world: World) -> Iterator[Violation]:
    intent = telemetry_intent(world)
    if intent is None:
        return
    there = {each.uid for each in dashboards(world) if not loading(world).pods or loading(world).takes(each.object)}
    for index, entry in asserted(world, "dashboards"):
        if entry["uid"] not in there:
            yield Violation(f"{world.cluster.name} has no dashboard {entry['uid']}", "the dashboard", intent.locate("dashboards", index))


def not_evaluated(world: World) -> list[NotEvaluated]:
    """Resources of grafana-operator, dashboards that only a chart or the lock's digests hold, and dashboards without any data source in Git."""
    entries = [NotEvaluated(str(item.id), "its panels", "resources of grafana-operator are not read") for item in world.objects if item.kind in _NOT_LOADED]
    elided: dict[str, int] = defaultdict(int)
    for item in world.of("ConfigMap"):
        for key, value in mapping(item.body.get("data")).items():
            if str(key).endswith(".json") and is_elided(value):
                elided[str(item.id)] += 1
    entries += [NotEvaluated(subject, f"{number} files of JSON", "the text is elided in the lock") for subject, number in elided.items()]
    if dashboards(world) and not sources(world):
        entries.append(
            NotEvaluated(world.cluster.name, f"the data sources of {len(dashboards(world))} dashboards", "no data source is provisioned in this cluster")
        )
    return entries


RULES: Final = tuple(OBS.rules)
