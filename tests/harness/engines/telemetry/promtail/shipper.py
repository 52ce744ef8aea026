"""A whole Promtail configuration: which containers it reads, and under which labels their lines leave.

Source: Promtail 3.6 ``clients/pkg/promtail/targets/file/filetargetmanager.go`` (targets need ``__path__``, labels that start with ``__`` end with
relabelling, ``filename`` is added) and ``clients/pkg/promtail/client`` (external labels).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.promtail.entry import PipelineError
from harness.engines.telemetry.promtail.pipeline import Fate, Pipeline, stages_of
from harness.engines.telemetry.relabel import RelabelError, Step, read_step, relabel
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.telemetry.discovery import Discovery, Pod

#: What only Promtail's scrape configurations have.
_OWN_KEYS: Final = frozenset({"pipeline_stages", "journal", "syslog", "loki_push_api", "entry_parser", "gelf", "docker_sd_configs"})
_STAMP: Final = "2026-01-01T00:00:00.000000000Z"


def is_promtail(body: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of Promtail's, and not of Prometheus, which has scrape configurations too."""
    scrapes = [entry for entry in items(body.get("scrape_configs")) if isinstance(entry, dict)]
    if not scrapes or "alerting" in body or "rule_files" in body:
        return False
    clients = body.get("clients") or body.get("client")
    return bool(clients) or "positions" in body or any(_OWN_KEYS & entry.keys() for entry in scrapes)


@dataclass(frozen=True, slots=True)
class Stream:
    """The lines of one container: their labels before the pipeline, and the scrape configuration that reads them."""

    workload: str
    container: str
    labels: Mapping[str, str]
    scrape: int


class Shipper:
    """One configuration. ``errors`` point into it; what they concern is passed over."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        errors: list[PipelineError] = []
        self._scrapes: list[tuple[int, dict[str, Any], tuple[Step, ...]]] = []
        for index, entry in enumerate(items(body.get("scrape_configs"))):
            at = ("scrape_configs", index)
            if not isinstance(entry, dict):
                errors.append(PipelineError(at, "a scrape configuration is no mapping"))
                continue
            steps = []
            for number, step in enumerate(items(entry.get("relabel_configs"))):
                try:
                    steps.append(read_step(step))
                except RelabelError as error:
                    unsupported = str(error).startswith("not evaluated")
                    errors.append(PipelineError((*at, "relabel_configs", number), str(error), unsupported))
            errors += stages_of(entry.get("pipeline_stages"), (*at, "pipeline_stages")).errors
            self._scrapes.append((index, entry, tuple(steps)))
        if not self.clients:
            errors.append(PipelineError((), "there is no client: the lines go nowhere"))
        self.errors = tuple(errors)

    @property
    def clients(self) -> list[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
        """Where lines are sent, each with its pointer."""
        single = self.body.get("client")
        found: list[tuple[tuple[str | int, ...], Mapping[str, Any]]] = [(("client",), single)] if isinstance(single, dict) else []
        return found + [(("clients", index), entry) for index, entry in enumerate(items(self.body.get("clients"))) if isinstance(entry, dict)]

    @property
    def external_labels(self) -> dict[str, str]:
        """The labels that every client adds."""
        found: dict[str, str] = {}
        for _, client in self.clients:
            found |= {str(name): str(value) for name, value in mapping(client.get("external_labels")).items()}
        return found

    def pipeline(self, scrape: int) -> Pipeline:
        """A fresh pipeline of a scrape configuration."""
        return stages_of(next(entry for index, entry, _ in self._scrapes if index == scrape).get("pipeline_stages"))

    def streams(self, discovery: Discovery, pods: Iterable[Pod]) -> list[Stream]:
        """The containers of some pods that are read by what discovers pods, once for each scrape configuration."""
        found: dict[tuple[str, str, int], Stream] = {}
        for pod in pods:
            owner = pod.template.object if pod.template is not None else None
            workload = f"{owner.kind}/{owner.namespace}/{owner.name}" if owner is not None else f"Pod/{pod.namespace}/{pod.name}"
            for address in discovery.ports_of(pod):
                container = address.labels.get("__meta_kubernetes_pod_container_name", "")
                for index, steps in self._of_pods:
                    if (workload, container, index) in found:
                        continue
                    labels = relabel(address.labels, steps)
                    if labels is not None and labels.get("__path__"):
                        kept = {name: value for name, value in labels.items() if not name.startswith("__")}
                        found[workload, container, index] = Stream(workload, container, {**kept, "filename": labels["__path__"]}, index)
        return list(found.values())

    def ended(self, discovery: Discovery, pods: Iterable[Pod]) -> list[tuple[tuple[str | int, ...], str]]:
        """The relabellings that drop containers of pods which have ended, of those that are read while they run; each with its pointer and the phase."""
        found: dict[tuple[str | int, ...], str] = {}
        addresses = [address.labels for pod in pods for address in discovery.ports_of(pod)]
        for index, steps in self._of_pods:
            for labels in (labels for labels in addresses if relabel(labels, steps) is not None):
                for phase in ("Failed", "Succeeded"):
                    over = {**labels, "__meta_kubernetes_pod_phase": phase}
                    number = next((number for number in range(len(steps)) if relabel(over, steps[: number + 1]) is None), None)
                    if number is not None:
                        found.setdefault(("scrape_configs", index, "relabel_configs", number), phase)
        return list(found.items())

    @property
    def _of_pods(self) -> list[tuple[int, tuple[Step, ...]]]:
        """The scrape configurations that discover pods."""
        roles = [(index, steps, [mapping(each).get("role") for each in items(entry.get("kubernetes_sd_configs"))]) for index, entry, steps in self._scrapes]
        return [(index, steps) for index, steps, named in roles if "pod" in named]

    def run(self, stream: Stream, lines: Iterable[str]) -> list[Fate]:
        """What becomes of lines as a container writes them; the container runtime's format is put around them where a stage takes it off."""
        stages = [name for stage in items(self._stages(stream.scrape)) for name in mapping(stage)]
        pipeline = self.pipeline(stream.scrape)
        return pipeline.run(stream.labels, [_wrapped(line, stages) for line in lines])

    def _stages(self, scrape: int) -> Any:
        return next(entry for index, entry, _ in self._scrapes if index == scrape).get("pipeline_stages")

    def label_names(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Every label that the configuration may give a stream and does not take away again, with its pointer."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        for index, entry, steps in self._scrapes:
            at = ("scrape_configs", index)
            dropped = _dropped(items(entry.get("pipeline_stages")))
            for number, step in enumerate(steps):
                if step.target and not step.target.startswith("__") and step.target not in dropped:
                    found.append(((*at, "relabel_configs", number, "target_label"), step.target))
            found += [((*at, "pipeline_stages", *place), name) for place, name in _given(items(entry.get("pipeline_stages"))) if name not in dropped]
        return found + [((*at, "external_labels", name), name) for at, client in self.clients for name in mapping(client.get("external_labels"))]


def _wrapped(line: str, stages: list[str]) -> str:
    if "cri" in stages:
        return f"{_STAMP} stdout F {line}"
    if "docker" in stages:
        return json.dumps({"log": line + "\n", "stream": "stdout", "time": _STAMP})
    return line


def _dropped(stages: list[Any]) -> set[str]:
    """The labels that stages take away from every entry."""
    return {name for stage in stages for name in items(mapping(stage).get("labeldrop")) if isinstance(name, str)}


def _given(stages: list[Any]) -> Iterable[tuple[tuple[str | int, ...], str]]:
    for index, stage in enumerate(stages):
        for kind in ("labels", "static_labels"):
            for name in mapping(mapping(stage).get(kind)):
                yield (index, kind, name), str(name)
        # The two stages that take a container runtime's prefix off keep which of a process' two streams a line came from.
        yield from (((index, kind), "stream") for kind in ("cri", "docker") if kind in mapping(stage))
        for place, name in _given(items(mapping(mapping(stage).get("match")).get("stages"))):
            yield (index, "match", "stages", *place), name
