"""Prometheus and Alertmanager as they run, beside what the offline model says of them.

Sources: Prometheus 3.13 ``docs/querying/api.md``, Alertmanager 0.34 ``api/v2/openapi.yaml``.
"""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from harness.engines.telemetry.promql import read
from harness.live.findings import NotEvaluatedError
from harness.live.proofs import require
from harness.live.reach.forwards import Client
from harness.live.reach.web import Tls, WebError
from harness.model.shapes import items, mapping, text
from harness.rules.obs_common import asserted, inventory, rule_groups, scraping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from harness.engines.telemetry.inventory import Inventory
    from harness.engines.telemetry.promql import Expression
    from harness.engines.telemetry.rule_groups import AlertingRule
    from harness.engines.telemetry.scrape import Target
    from harness.flux.world import World
    from harness.live.bringup import Platform
    from harness.model import Object

NAMESPACE: Final = "monitoring"
_PROMETHEUS: Final = ("svc/kube-prometheus-stack-prometheus", 9090, "kube-prometheus-stack-prometheus.monitoring.svc")
_ALERTMANAGER: Final = ("svc/kube-prometheus-stack-alertmanager", 9093)
#: The Secret whose ``ca.crt`` Prometheus' certificate is checked against.
_TLS: Final = "prometheus-tls"


class QueryError(WebError):
    """Prometheus refused or failed to evaluate an expression."""


class Sample(NamedTuple):
    """One series of a result, with its value now."""

    labels: Mapping[str, str]
    value: float


class Scraped(NamedTuple):
    """What is scraped, without what only one pod has: the pool (the monitor's endpoint), labels of the series, scheme and path."""

    pool: str
    job: str
    namespace: str
    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.job} in {self.namespace or 'no namespace'} ({self.scheme}, {self.path}, {self.pool})"


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """One target as Prometheus reports it. ``error`` is that of the last scrape."""

    scraped: Scraped
    url: str
    health: str
    error: str = ""

    @property
    def up(self) -> bool:
        """Whether the last scrape succeeded."""
        return self.health == "up"

    def __str__(self) -> str:
        return f"{self.url}: {self.health}{f': {self.error}' if self.error else ''}"


class LiveRuleState(NamedTuple):
    """One rule as Prometheus evaluates it. ``kind`` is ``alert`` or ``record``; ``health`` is ``unknown`` until it was evaluated once."""

    group: str
    kind: str
    name: str
    health: str
    error: str


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The API of the Prometheus of a cluster."""

    client: Client

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The ``data`` of an answer. Raises QueryError for what Prometheus says is wrong, WebError when nothing answers."""
        answer = self.client.ask(path, query)
        body = mapping(answer.json)
        if body.get("status") != "success":
            raise QueryError(f"status {answer.status}: {body.get('errorType')}: {body.get('error')}")
        return body.get("data")

    def query(self, expression: str) -> list[Sample]:
        """The series of an instant query; a scalar is one without labels."""
        data = mapping(self.get("/api/v1/query", {"query": expression}))
        result = items(data.get("result"))
        if data.get("resultType") in ("scalar", "string"):
            return [Sample({}, float(result[1]))] if data.get("resultType") == "scalar" else []
        found = []
        for entry in map(mapping, result):
            value = items(entry.get("value")) or (items(entry.get("values")) or [[0, "NaN"]])[-1]
            # A native histogram has no one value.
            found.append(Sample({str(key): str(name) for key, name in mapping(entry.get("metric")).items()}, float(value[1]) if value else float("nan")))
        return found

    def targets(self) -> list[LiveTarget]:
        """What is scraped now."""
        data = mapping(self.get("/api/v1/targets", {"state": "active"}))
        return [target_of(mapping(entry)) for entry in items(data.get("activeTargets"))]

    def rules(self) -> list[LiveRuleState]:
        """Every rule that is loaded."""
        found = []
        for group in map(mapping, items(mapping(self.get("/api/v1/rules")).get("groups"))):
            for rule in map(mapping, items(group.get("rules"))):
                kind = "alert" if rule.get("type") == "alerting" else "record"
                found.append(LiveRuleState(text(group.get("name")), kind, text(rule.get("name")), text(rule.get("health")), text(rule.get("lastError"))))
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing."""
        return [mapping(entry) for entry in items(mapping(self.get("/api/v1/alerts")).get("alerts"))]


def prometheus_of(platform: Platform) -> Prometheus:
    """The platform's Prometheus. Raises RunError when its certificate's authority cannot be read."""
    target, port, host = _PROMETHEUS
    secret = platform.cluster.kubectl.json("get", "secrets", _TLS, f"--namespace={NAMESPACE}")
    authority = base64.b64decode(secret["data"]["ca.crt"]).decode()
    return Prometheus(Client(platform.forwards, target, port, NAMESPACE, tls=Tls(authority, name=host), host=host))


def alertmanager_of(platform: Platform) -> Client:
    """The platform's Alertmanager."""
    target, port = _ALERTMANAGER
    return Client(platform.forwards, target, port, NAMESPACE)


def target_of(entry: Mapping[str, Any]) -> LiveTarget:
    """A target of the API."""
    labels, url = mapping(entry.get("labels")), text(entry.get("scrapeUrl"))
    parts = urlsplit(url)
    scraped = Scraped(text(entry.get("scrapePool")), text(labels.get("job")), text(labels.get("namespace")), parts.scheme, parts.path)
    return LiveTarget(scraped, url, text(entry.get("health")), text(entry.get("lastError")))


def owner_of(item: Object) -> str:
    """The Kustomization that an object comes with, directly or through a release; empty for what none brings."""
    return next((link.name for link in reversed(item.origin.chain) if link.kind == "Kustomization"), "")


def unready(platform: Platform) -> Callable[[str], str]:
    """What says why a Kustomization cannot be relied on; empty when it can. Each is asked once."""
    known: dict[str, str] = {"": ""}

    def why(name: str) -> str:
        if name not in known:
            try:
                require(platform, name)
                known[name] = ""
            except NotEvaluatedError as error:
                known[name] = error.entry.why
        return known[name]

    return why


def modelled(world: World) -> dict[Scraped, frozenset[str]]:
    """What the model says is scraped, each with the Kustomizations that it takes to be there."""
    found: dict[Scraped, set[str]] = {}
    for scrape in scraping(world).taken:
        for target in scrape.result.targets:
            labels = target.labels
            scraped = Scraped(scrape.job.name, labels.get("job", ""), labels.get("namespace", ""), target.scheme, target.path)
            found.setdefault(scraped, set()).update(_behind(target))
    return {scraped: frozenset(names) for scraped, names in found.items()}


def _behind(target: Target) -> set[str]:
    names = {owner_of(target.job.object)}
    if target.pod is not None and target.pod.template is not None:
        names.add(owner_of(target.pod.template.object))
    return names - {""}


def unlike(live: Iterable[Scraped], model: Mapping[Scraped, frozenset[str]], why: Callable[[str], str]) -> list[str]:
    """Where the two lists of targets differ, one line each; what a Kustomization would bring that is not ready is not missed."""
    there = set(live)
    found = [f"only in Prometheus: {scraped}" for scraped in sorted(there - model.keys())]
    return found + [f"only in the model: {scraped}" for scraped in sorted(model.keys() - there) if not any(why(name) for name in model[scraped])]


def rules_unlike(live: Iterable[LiveRuleState], world: World, why: Callable[[str], str]) -> list[str]:
    """Where the loaded rules differ from those in Git, one line each."""
    there = Counter((rule.group, rule.kind, rule.name) for rule in live)
    model: Counter[tuple[str, str, str]] = Counter()
    excused = set()
    for group in rule_groups(world):
        for rule in group.rules:
            key = (group.name, rule.kind, rule.name)
            model[key] += 1
            if why(owner_of(group.object)):
                excused.add(key)
    lines = [f"only in Prometheus: {kind} {name} of group {group}" for group, kind, name in sorted(there - model)]
    return lines + [f"only in the model: {kind} {name} of group {group}" for group, kind, name in sorted((model - there).keys() - excused)]


def systems_behind(world: World, expression: Expression) -> frozenset[str]:
    """The Kustomizations without which what an expression reads cannot be there."""
    known = inventory(world)
    return frozenset(_systems(world, expression, known, set())) if known is not None else frozenset()


def _systems(world: World, expression: Expression, known: Inventory, seen: set[str]) -> Iterator[str]:
    for name in expression.names:
        series = known.find(name)
        if series is None or name in seen:
            continue
        seen.add(name)
        for rule in records(world):
            if rule.name == name:
                yield from _systems(world, read(rule.expression), known, seen)
        yield from component_systems(world, series.component)


def component_systems(world: World, component: str) -> set[str]:
    """The Kustomizations that bring a component's series: those of its targets, or of every hop of the traces for what is pushed."""
    known = inventory(world)
    body = mapping(known.components.get(component)) if known is not None else {}
    if known is None or not body:
        return set()
    if text(body.get("pushed")):
        return _pushing(world) if mapping(body.get("metrics")).keys() - {"ALERTS", "ALERTS_FOR_STATE"} else set()
    if not text(body.get("jobs")):
        return set()
    return {name for _scrape, target in known.scrapes_of(component) for name in _behind(target)}


def _pushing(world: World) -> set[str]:
    """What the routes of the traces lead through."""
    found = set()
    for _index, route in asserted(world, "traces", "routes"):
        for hop in items(route.get("hops")):
            kind, namespace, name = str(hop).split("/")
            item = world.find(f"{kind}.apps", namespace, name)
            if item is not None:
                found.add(owner_of(item))
    return found - {""}


def records(world: World) -> list[AlertingRule]:
    """The recording rules of a cluster."""
    return [rule for group in rule_groups(world) for rule in group.rules if rule.kind == "record" and rule.name]


def conditional(world: World, name: str) -> str:
    """Under which condition a series is there (``when`` in ``tests/intent/metrics.yaml``); empty for what always is, or what nobody knows."""
    known = inventory(world)
    return known.condition(name) if known is not None else ""


def depends(world: World, expression: Expression) -> str:
    """The first condition that an expression's series hang on, with the series; empty when all of them are always there."""
    for name in expression.names:
        why = conditional(world, name)
        if why:
            return f"{name} is there only when {why}"
        for rule in records(world):
            if rule.name == name and name not in read(rule.expression).names:
                nested = depends(world, read(rule.expression))
                if nested:
                    return nested
    return ""


def stood_in(prometheus: Prometheus, component: Mapping[str, Any]) -> str:
    """Why a component's series say nothing: another program runs under its name. Empty when they do."""
    identity = text(component.get("identity"))
    if not identity or prometheus.query(f"{identity}"):
        return ""
    return f"what runs under its name has no {identity}: it is another program, with other series"
