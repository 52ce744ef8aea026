"""The ways between signals: links in Grafana's data sources from a trace to its logs, from a line to its trace, from a metric to an example (OBS506)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry import collector
from harness.engines.telemetry.loki import is_loki
from harness.engines.telemetry.promtail import is_promtail
from harness.flux.texts import ConfigText, config_texts
from harness.model.shapes import items, mapping, text
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.obs_common import shippers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.world import World
    from harness.model import Pointer

OBS: Final = Registry()

#: What Loki's OTLP endpoint makes of a record, whatever its resource attributes (Loki: OpenTelemetry, structured metadata).
_OTLP_FIELDS: Final = frozenset({"trace_id", "span_id", "severity_text", "severity_number", "detected_level", "scope_name", "observed_timestamp"})
#: The resource attributes that it makes labels unless ``ignore_defaults`` says otherwise (Loki 3.7).
_OTLP_LABELS: Final = frozenset(
    {
        "service.name", "service.namespace", "service.instance.id", "deployment.environment", "deployment.environment.name", "cloud.region",
        "cloud.availability_zone", "k8s.cluster.name", "k8s.namespace.name", "k8s.container.name", "container.name", "k8s.replicaset.name",
        "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name", "k8s.pod.name",
    }
)  # fmt: skip
_EXEMPLAR_LABELS: Final = frozenset({"trace_id", "traceID", "traceId", "TraceID"})


def is_provisioning(body: Mapping[str, Any]) -> bool:
    """Whether a configuration provisions Grafana's data sources."""
    return isinstance(body.get("datasources"), list)


class _Fields:
    """The labels and the structured metadata that logs of a cluster have; ``known`` is false where nothing says how they come."""

    def __init__(self, world: World) -> None:
        self.labels: set[str] = set()
        self.metadata: set[str] = set()
        self.known = False
        urls = [url for config in _collectors(world) for _, url, kind in collector.endpoints(config.body) if kind == "otlp_http"]
        otlp = any("/otlp" in url and "/api/v1" not in url for url in urls)
        for config, shipper in shippers(world):
            self.known = True
            self.labels |= {name for _, name in shipper.label_names()} | {"stream"}
            scrapes = [mapping(scrape) for scrape in items(config.body.get("scrape_configs"))]
            self.metadata |= {name for scrape in scrapes for name in _metadata(items(scrape.get("pipeline_stages")))}
        for config in world.derive(config_texts):
            if is_loki(config.body) and not is_promtail(config.body) and otlp:
                self.known = True
                self.labels |= {_label(name) for name in _indexed(config.body)}
                self.metadata |= _OTLP_FIELDS


def _metadata(stages: list[Any]) -> Iterator[str]:
    for stage in stages:
        yield from map(str, mapping(mapping(stage).get("structured_metadata")))
        yield from _metadata(items(mapping(mapping(stage).get("match")).get("stages")))


def _indexed(body: Mapping[str, Any]) -> set[str]:
    """The resource attributes that Loki makes labels of OTLP records."""
    settings = mapping(mapping(mapping(body.get("limits_config")).get("otlp_config")).get("resource_attributes"))
    found = set() if settings.get("ignore_defaults") is True else set(_OTLP_LABELS)
    for entry in items(settings.get("attributes_config")):
        if mapping(entry).get("action") == "index_label":
            found |= {text(name) for name in items(mapping(entry).get("attributes"))}
    return found


def _label(attribute: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", attribute)


def _collectors(world: World) -> list[ConfigText]:
    return [config for config in world.derive(config_texts) if collector.is_collector(config.body)]


@OBS.rule(
    "OBS506",
    title="every link between traces, logs and metrics in Grafana's data sources leads to a data source and a field that exist",
    why="a link to a label that no stream has opens an empty page, as if there were no logs of the trace (Grafana: trace to logs, derived fields)",
    fix="correct the datasourceUid, the label or the tag; or have the pipeline, the collector or Prometheus make the field",
    scope=Clusters(),
    controls=("NIST-AU-6", "NIST-SI-4"),
)
def links_lead_somewhere(world: World) -> Iterator[Violation]:
    provisioned = [config for config in world.derive(config_texts) if is_provisioning(config.body)]
    known = {text(entry.get("uid")): text(entry.get("type")) for config in provisioned for entry in _sources(config) if entry.get("uid")}
    fields = world.derive(_Fields)
    for config in provisioned:
        for index, source in enumerate(items(config.body.get("datasources"))):
            at: Pointer = ("datasources", index)
            settings = mapping(mapping(source).get("jsonData"))
            for place, uid in _references(settings, (*at, "jsonData")):
                if known and uid not in known and not uid.startswith("$"):
                    yield Violation(f"datasourceUid: {uid}", f"one of {', '.join(sorted(known))}", config.locate(*place))
            for place, found, expect in _links(world, text(mapping(source).get("type")), settings, fields):
                yield Violation(found, expect, config.locate(*at, "jsonData", *place))


def _sources(config: ConfigText) -> list[Mapping[str, Any]]:
    return [mapping(entry) for entry in items(config.body.get("datasources"))]


def _references(value: Any, at: Pointer) -> Iterator[tuple[Pointer, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "datasourceUid" and isinstance(item, str):
                yield (*at, key), item
            else:
                yield from _references(item, (*at, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, (*at, index))


def _links(world: World, kind: str, settings: Mapping[str, Any], fields: _Fields) -> Iterator[tuple[Pointer, str, str]]:
    if kind == "loki":
        yield from _derived(settings, fields)
    elif kind == "tempo":
        for key in ("tracesToLogsV2", "tracesToLogs"):
            for index, tag in enumerate(items(mapping(settings.get(key)).get("tags"))):
                label = text(mapping(tag).get("value")) or _label(text(mapping(tag).get("key")))
                if fields.known and label and label not in fields.labels:
                    yield (key, "tags", index), f"label {label}, which no log stream has", f"one of {', '.join(sorted(fields.labels))}"
        if mapping(settings.get("serviceMap")).get("datasourceUid") and _collectors(world) and not _makes_graph(world):
            yield ("serviceMap",), "a service map, and nothing makes service graph metrics", "connector service_graph in a pipeline of the collector"
    elif kind == "prometheus":
        for index, link in enumerate(items(settings.get("exemplarTraceIdDestinations"))):
            name = text(mapping(link).get("name"))
            if name not in _EXEMPLAR_LABELS:
                yield ("exemplarTraceIdDestinations", index, "name"), f"exemplar label {name}", "trace_id, which OTLP exemplars carry"
        stores = world.of("Prometheus.monitoring.coreos.com")
        if items(settings.get("exemplarTraceIdDestinations")) and stores and not any(_keeps_exemplars(item.spec) for item in stores):
            yield ("exemplarTraceIdDestinations",), "links from exemplars, and no Prometheus keeps any", "enableFeatures: [exemplar-storage]"


def _derived(settings: Mapping[str, Any], fields: _Fields) -> Iterator[tuple[Pointer, str, str]]:
    for index, entry in enumerate(items(settings.get("derivedFields"))):
        wanted = text(mapping(entry).get("matcherRegex"))
        if mapping(entry).get("matcherType") == "label":
            if fields.known and wanted not in fields.labels | fields.metadata:
                found = f"label {wanted}, which logs have neither as label nor as structured metadata"
                yield ("derivedFields", index, "matcherRegex"), found, f"one of {', '.join(sorted(fields.labels | fields.metadata))}"
            continue
        try:
            groups = re.compile(wanted).groups
        except re.error as error:
            yield ("derivedFields", index, "matcherRegex"), f"{wanted!r}: {error}", "a pattern"
        else:
            if not groups:
                yield ("derivedFields", index, "matcherRegex"), f"{wanted!r} has no group", "a group around the trace's id"


def _makes_graph(world: World) -> bool:
    used = [name for config in _collectors(world) for _, pipeline in collector.pipelines(config.body) for name in items(pipeline.get("exporters"))]
    generated = any(isinstance(config.body.get("metrics_generator"), dict) for config in world.derive(config_texts))
    return generated or any(collector.type_of(str(name)) == "service_graph" for name in used)


def _keeps_exemplars(spec: Mapping[str, Any]) -> bool:
    # spec.exemplars sets how many, and is without effect while the feature is off (prometheus-operator: API reference).
    return "exemplar-storage" in items(spec.get("enableFeatures"))


RULES: Final = tuple(OBS.rules)
