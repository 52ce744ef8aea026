"""Rules about logs: the shipper's pipelines, what becomes of lines, and the store's limits (OBS4xx)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.report import is_elided
from harness.engines.telemetry.loki import disagreements, is_loki, shipping
from harness.flux.texts import ConfigText, config_texts, elided_texts
from harness.model import Location, NotEvaluated, Severity
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.obs_common import TELEMETRY, asserted, intent_path, scraping, shippers, telemetry_intent
from harness.rules.obs_routes import lead, mounting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.telemetry.promtail import Fate, Shipper, Stream
    from harness.flux.world import World

OBS: Final = Registry()

_BATCH: Final = 1_048_576
#: Names of labels whose values are as many as there are pods, requests, people or addresses.
_UNBOUNDED: Final = re.compile(
    r"(?i)(?:pod(?:_name|_uid|_ip|_template_hash)?|uid|instance_id|container_id|filename|file|path|uri|url|query|trace_?id|span_?id|request_?id|correlation_?id"
    r"|session(?:_?id)?|user(?:_?id|_?name)?|email|account(?:_?id)?|customer(?:_?id)?|(?:remote|client|source|src|peer)?_?(?:ip|addr|address)|timestamp|time|message|msg"
    r"|controller_revision_hash|pid|thread)"
)
_SECRET: Final = re.compile(r"(?i).*(?:password|passwd|secret|token|authorization|api_?key|cookie|credential).*")


def _stores(world: World) -> tuple[ConfigText, ...]:
    return tuple(config for config in world.derive(config_texts) if is_loki(config.body))


def _streams(world: World) -> tuple[tuple[ConfigText, Shipper, Stream], ...]:
    """Every stream of the cluster, by the configuration that reads it."""
    discovery = scraping(world).discovery
    return tuple((config, shipper, stream) for config, shipper in shippers(world) for stream in shipper.streams(discovery, discovery.all_pods))


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    """Stages that depend on chance or on what is not at hand, and configuration that the lock does not hold."""
    for item, key in world.derive(elided_texts):
        if key.endswith((".yaml", ".yml", ".alloy")) and mounting(world, item):
            yield NotEvaluated(str(item.id), f"configuration {key}", "no chart is at hand, and the lock keeps such text as digests")
    for config, shipper in shippers(world):
        for error in shipper.errors:
            if error.unsupported:
                yield NotEvaluated(str(config.object.id), "a stage of a log pipeline", error.message)


@OBS.rule(
    "OBS401",
    title="every configuration of the log shipper is one that it loads",
    why="Promtail refuses a configuration as a whole: one misspelt stage, and no node ships a line (Promtail: configuration, pipelines)",
    fix="correct the stage, the expression or the relabelling",
    scope=Clusters(),
    controls=("NIST-AU-2", "NIST-AU-12"),
)
def pipeline_loads(world: World) -> Iterator[Violation]:
    for config, shipper in shippers(world):
        for error in shipper.errors:
            if not error.unsupported:
                yield Violation(error.message, "a configuration that Promtail loads", config.locate(*error.at))


@OBS.rule(
    "OBS402",
    title="lines of each component become what tests/intent/telemetry.yaml says",
    why="a pipeline is code that nobody runs before it is needed: a line that is dropped, split, mislabelled or still holds its secret shows in the incident",
    fix="correct the pipeline, or the sample in tests/intent/telemetry.yaml when the line changed",
    scope=Clusters(),
    controls=("NIST-AU-3", "NIST-AU-12"),
)
def samples_hold(world: World) -> Iterator[Violation]:
    intent = telemetry_intent(world)
    if intent is None or not shippers(world):
        return
    for index, sample in asserted(world, "logs", "samples"):
        at = ("logs", "samples", index)
        workload, container = text(sample.get("workload")), text(sample.get("container"))
        found = [each for each in world.derive(_streams) if each[2].workload == workload and container in ("", each[2].container)]
        if not found:
            yield Violation(
                f"no stream of {workload}{f', container {container}' if container else ''}", "a container that is read", intent.locate(*at, "workload")
            )
            continue
        _, shipper, stream = found[0] if container else found[-1]
        lines = [mapping(entry) for entry in items(sample.get("lines"))]
        for number, entry in enumerate(lines):
            raw = text(entry.get("line")).split("\n")
            fates = shipper.run(stream, raw)
            for wrong in _differences(entry, fates, shipper.external_labels):
                yield Violation(f"{workload}: {wrong}", "what the sample says", intent.locate(*at, "lines", number))


def _differences(entry: Mapping[str, Any], fates: list[Fate], external: Mapping[str, str]) -> Iterator[str]:
    """How what became of a sample's lines differs from what is expected."""
    last = fates[-1]
    wanted = entry.get("dropped")
    if any(fate.entry is not last.entry for fate in fates):
        yield f"{len({id(fate.entry) for fate in fates})} entries instead of one"
    if wanted is not None or last.dropped:
        if last.dropped != (wanted or ""):
            yield f"dropped for {last.dropped}" if last.dropped else f"sent, instead of dropped for {wanted}"
        return
    labels = {**last.entry.labels, **external}
    for part, given in (("labels", labels), ("metadata", last.entry.metadata)):
        for name, value in mapping(entry.get(part)).items():
            if given.get(name) != value:
                yield f"{part[:-1] if part == 'labels' else part} {name} is {given.get(name, 'not there')}, not {value}"
    for name in items(entry.get("without")):
        if name in labels or name in last.entry.metadata:
            yield f"{name} is there"
    if "text" in entry and last.entry.line != entry["text"]:
        yield f"the text is {last.entry.line!r}"
    for word in items(entry.get("lacks")):
        if text(word) in last.entry.line:
            yield f"the text still holds {word!r}"


@OBS.rule(
    "OBS403",
    title="labels of logs have few values, and none is a secret",
    why=(
        "every combination of values is a stream with files of its own: a label with a value a pod, request or user makes Loki slow and dear, "
        "and a label is shown to everybody who may list labels (Loki: cardinality, label best practices)"
    ),
    fix="make it structured metadata (stage structured_metadata) or leave it in the line; take helper labels away again with labeldrop",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-AU-4", "NIST-AU-9"),
)
def labels_are_bounded(world: World) -> Iterator[Violation]:
    for config, shipper in shippers(world):
        for at, name in shipper.label_names():
            if _SECRET.fullmatch(name):
                yield Violation(f"label {name}, whose values look like secrets", "no secret in a label", config.locate(*at))
            elif _UNBOUNDED.fullmatch(name):
                yield Violation(f"label {name}, with no bound on its values", "structured metadata", config.locate(*at))
        allowed = _allowed(world)
        if allowed is not None:
            for at, name in shipper.label_names():
                if name not in allowed:
                    yield Violation(f"label {name}, which tests/intent/telemetry.yaml does not name", "a label of logs.labels", config.locate(*at))


def _allowed(world: World) -> list[Any] | None:
    intent = telemetry_intent(world)
    listed = mapping(intent.body.get("logs")).get("labels") if intent is not None else None
    return listed if isinstance(listed, list) else None


@OBS.rule(
    "OBS404",
    title="every namespace whose containers are read has a line of log in tests/intent/telemetry.yaml",
    why="a component whose lines nobody tried is one whose pipeline nobody knows",
    fix="add a sample under logs.samples: a line as the component writes it, and what becomes of it",
    scope=Clusters(),
    severity=Severity.WARNING,
    controls=("NIST-AU-12",),
    own_only=True,
)
def components_have_samples(world: World) -> Iterator[Violation]:
    told = {text(sample.get("workload")).split("/")[1] for _, sample in asserted(world, "logs", "samples") if text(sample.get("workload")).count("/") == 2}
    read = {stream.workload.split("/")[1] for _, _, stream in world.derive(_streams) if not stream.workload.startswith("Pod/")}
    for namespace in sorted(read - told):
        yield Violation(f"no sample of namespace {namespace}", "at least one line of log", Location(intent_path(TELEMETRY)))


@OBS.rule(
    "OBS405",
    title="Loki's limits and retention agree with each other and with what ships to it",
    why="what is over a limit is refused, again and again, and lost; retention that nothing enforces fills the disk (Loki: retention, limits_config)",
    fix="correct the value that disagrees",
    scope=Clusters(),
    controls=("NIST-AU-4", "NIST-AU-11"),
)
def limits_agree(world: World) -> Iterator[Violation]:
    for config in world.derive(_stores):
        for wrong in disagreements(config.body):
            yield Violation(wrong.found, wrong.expect, config.locate(*wrong.at))
        for _, shipper in shippers(world):
            labels = len({name for _, name in shipper.label_names()})
            batches = [client.get("batchsize", _BATCH) for _, client in shipper.clients]
            batch = max((each for each in batches if isinstance(each, int)), default=0)
            tenant = all(client.get("tenant_id") for _, client in shipper.clients)
            metadata = any("structured_metadata" in mapping(stage) for scrape in items(shipper.body.get("scrape_configs")) for stage in _stages(scrape))
            for wrong in shipping(config.body, labels=labels, batch=batch, metadata=metadata, tenant=tenant):
                yield Violation(wrong.found, wrong.expect, config.locate(*wrong.at))


def _stages(scrape: object) -> Iterator[Any]:
    pending = [*items(mapping(scrape).get("pipeline_stages"))]
    while pending:
        stage = pending.pop()
        yield stage
        pending += items(mapping(mapping(stage).get("match")).get("stages"))


@OBS.rule(
    "OBS406",
    title="the log shipper's client leads to a Service of the cluster that takes logs",
    why="a shipper whose store is not there holds what it can and drops the rest, and says so only in its own log, which it cannot ship",
    fix="correct clients[].url: http://<service>.<namespace>.svc:<port>/loki/api/v1/push",
    scope=Clusters(),
    controls=("NIST-AU-5",),
)
def client_leads_somewhere(world: World) -> Iterator[Violation]:
    for config, shipper in shippers(world):
        for at, client in shipper.clients:
            url = text(client.get("url"))
            if is_elided(url) or not url:
                continue
            found = lead(world, url, mounting(world, config.object), config.object.namespace)
            if isinstance(found, str):
                yield Violation(f"url: {url}: {found}", "a Service, a port of it, and policies that let the shipper through", config.locate(*at, "url"))
            elif not url.split("?")[0].endswith(("/loki/api/v1/push", "/api/prom/push")):
                yield Violation(f"url: {url}", "the path /loki/api/v1/push", config.locate(*at, "url"))


@OBS.rule(
    "OBS407",
    title="the log shipper reads pods that have ended too",
    why=(
        "discovery hands on what it saw only every five seconds (Prometheus discovery/manager.go): a pod that lives shorter has ended by then, "
        "and its log, which says why, is never read; nor is that of one that ended while the shipper restarted"
    ),
    fix="do not drop by __meta_kubernetes_pod_phase: what has ended and was read costs nothing more, and goes with its pod",
    scope=Clusters(),
    controls=("NIST-AU-12",),
)
def ended_pods_are_read(world: World) -> Iterator[Violation]:
    discovery = scraping(world).discovery
    for config, shipper in shippers(world):
        for at, phase in shipper.ended(discovery, discovery.all_pods):
            yield Violation(f"a pod in phase {phase} is dropped", "containers read whatever the phase of their pod", config.locate(*at))


RULES: Final = tuple(OBS.rules)
