"""Scrape jobs as people write them: ``scrape_configs`` of Prometheus, and the custom resource ScrapeConfig.

Source: Prometheus 3.13 ``docs/configuration/configuration.md``; prometheus-operator 0.93 ``pkg/apis/monitoring/v1alpha1/scrapeconfig_types.go`` and
``pkg/prometheus/promcfg.go``. Only Kubernetes' discovery and fixed addresses lead to something that Git knows; of other ways a job says that it has them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.relabel import RelabelError, Step, read_step
from harness.engines.telemetry.scrape import Job, Sought
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.model import Location, Object, Pointer

#: What a configuration of Promtail has, which finds its files by ``scrape_configs`` too.
_OTHERS: Final = frozenset({"clients", "client", "positions"})
_ROLES: Final = frozenset({"pod", "endpoints", "endpointslice", "service", "node", "ingress"})


def steps_of(entries: object, at: Pointer) -> tuple[tuple[Step, ...], tuple[tuple[Pointer, str], ...]]:
    """The relabellings of a list, and those that cannot be, each with its place."""
    steps: list[Step] = []
    faults: list[tuple[Pointer, str]] = []
    for index, entry in enumerate(items(entries)):
        try:
            steps.append(read_step(entry))
        except RelabelError as error:
            faults.append(((*at, index), str(error)))
    return tuple(steps), tuple(faults)


def plain_job(body: Mapping[str, Any], owner: Object, at: Pointer) -> Job:
    """One entry of ``scrape_configs``. ``owner`` is the object whose text it stands in, ``at`` the place of that text."""
    steps, faults = steps_of(body.get("relabel_configs"), ("relabel_configs",))
    metric_steps, more = steps_of(body.get("metric_relabel_configs"), ("metric_relabel_configs",))
    sought = [_kubernetes(mapping(entry), owner.namespace) for entry in items(body.get("kubernetes_sd_configs"))]
    sought += [_static(mapping(entry)) for entry in items(body.get("static_configs"))]
    others = sorted(key for key in body if key.endswith("_sd_configs") and key != "kubernetes_sd_configs")
    return Job(
        name=text(body.get("job_name")),
        object=owner,
        at=at,
        sought=tuple(sought),
        scheme=text(body.get("scheme")) or "http",
        path=text(body.get("metrics_path")) or "/metrics",
        params=mapping(body.get("params")),
        steps=steps,
        metric_steps=metric_steps,
        honor_labels=body.get("honor_labels") is True,
        faults=(*faults, *more),
        unknown=_unknown(others, sought),
    )


def custom_job(item: Object) -> Job:
    """A ScrapeConfig of prometheus-operator, as the operator writes it into the configuration."""
    spec = item.spec
    steps, faults = steps_of(spec.get("relabelings"), ("relabelings",))
    metric_steps, more = steps_of(spec.get("metricRelabelings"), ("metricRelabelings",))
    sought = [_kubernetes(mapping(entry), item.namespace) for entry in items(spec.get("kubernetesSDConfigs"))]
    sought += [_static(mapping(entry)) for entry in items(spec.get("staticConfigs"))]
    others = sorted(key for key in spec if key.endswith("SDConfigs") and key != "kubernetesSDConfigs")
    first = [Step(source=("job",), target="__tmp_prometheus_job_name")]
    if text(spec.get("jobName")):
        first.append(Step(target="job", replacement=text(spec["jobName"])))
    return Job(
        name=f"scrapeConfig/{item.namespace}/{item.name}",
        object=item,
        at=("spec",),
        sought=tuple(sought),
        scheme=(text(spec.get("scheme")) or "http").lower(),
        path=text(spec.get("metricsPath")) or "/metrics",
        params=mapping(spec.get("params")),
        steps=(*first, *steps),
        metric_steps=metric_steps,
        honor_labels=spec.get("honorLabels") is True,
        faults=(*faults, *more),
        unknown=_unknown(others, sought),
    )


def _kubernetes(entry: Mapping[str, Any], own: str) -> Sought:
    role = text(entry.get("role")).lower()
    scope = mapping(entry.get("namespaces"))
    names = tuple(str(name) for name in items(scope.get("names")))
    own_too = scope.get("own_namespace") is True or scope.get("ownNamespace") is True
    namespaces = (*names, *((own,) if own_too and own not in names else ())) if names or own_too else None
    if entry.get("selectors") or entry.get("kubeconfig_file") or entry.get("api_server") or entry.get("apiServer"):
        return Sought(f"{role} (narrowed)", namespaces)
    return Sought(role, namespaces)


def _static(entry: Mapping[str, Any]) -> Sought:
    labels = {str(key): str(value) for key, value in mapping(entry.get("labels")).items()}
    return Sought("static", addresses=tuple(str(address) for address in items(entry.get("targets"))), labels=labels)


def _unknown(others: list[str], sought: list[Sought]) -> str:
    reasons = [f"what {name} finds is not in Git" for name in others]
    for each in sought:
        if each.role == "ingress":
            reasons.append("role ingress is not simulated")
        elif each.role not in _ROLES and each.role != "static":
            reasons.append(f"role {each.role} is not simulated")
    return "; ".join(dict.fromkeys(reasons))


def jobs_of(configuration: object, owner: Object, at: Pointer, place: Callable[..., Location] | None = None) -> Iterator[Job]:
    """The jobs of a whole Prometheus configuration, or of a list of scrape configurations (``additionalScrapeConfigs``).

    ``at`` is where the configuration stands in what ``place`` (or else the object itself) finds the lines of.
    """
    whole = isinstance(configuration, dict)
    if isinstance(configuration, dict) and _OTHERS & configuration.keys():
        return
    for index, entry in enumerate(items(mapping(configuration).get("scrape_configs") if whole else configuration)):
        if isinstance(entry, dict) and "pipeline_stages" not in entry:
            job = plain_job(entry, owner, at)
            yield job if place is None else replace(job, at=(*at, *(("scrape_configs",) if whole else ()), index), place=place)
