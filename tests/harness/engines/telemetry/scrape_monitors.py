"""Scrape jobs that prometheus-operator generates from ServiceMonitors, PodMonitors and Probes, and which Prometheus takes which.

Source: prometheus-operator 0.93 ``pkg/prometheus/promcfg.go`` (generateServiceMonitorConfig, generatePodMonitorConfig, generateProbeConfig),
``pkg/prometheus/resource_selector.go``. A selector that is absent selects nothing (for namespaces: the Prometheus' own), an empty one everything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.engines.selectors import selector_matches
from harness.engines.telemetry.discovery import sanitized
from harness.engines.telemetry.relabel import Step
from harness.engines.telemetry.scrape import Job, Sought
from harness.engines.telemetry.scrape_config import custom_job, steps_of
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.telemetry.discovery import Discovery
    from harness.model import Object, Pointer

GROUP: Final = "monitoring.coreos.com"
#: The kinds that select, and the fields that hold their selector and namespace selector, by the kind they select.
SELECTORS: Final[Mapping[str, tuple[str, str]]] = {
    "ServiceMonitor": ("serviceMonitorSelector", "serviceMonitorNamespaceSelector"),
    "PodMonitor": ("podMonitorSelector", "podMonitorNamespaceSelector"),
    "Probe": ("probeSelector", "probeNamespaceSelector"),
    "ScrapeConfig": ("scrapeConfigSelector", "scrapeConfigNamespaceSelector"),
    "PrometheusRule": ("ruleSelector", "ruleNamespaceSelector"),
}
PROMETHEUSES: Final = ("Prometheus", "PrometheusAgent")
_START: Final = Step(source=("job",), target="__tmp_prometheus_job_name")
_RUNNING: Final = Step(action="drop", source=("__meta_kubernetes_pod_phase",), regex="(Failed|Succeeded)")
_QUOTED: Final = re.compile(r"([\\.+*?()|\[\]{}^$])")


def selects(prometheus: Object, item: Object, discovery: Discovery) -> bool | None:
    """Whether a Prometheus (or a ThanosRuler, for rules) takes a monitor, ScrapeConfig or PrometheusRule; None when a selector cannot be told."""
    fields = SELECTORS.get(item.kind)
    if fields is None:
        return False
    selector, namespaces = (prometheus.spec.get(name) for name in fields)
    if not isinstance(selector, dict):
        return False
    if not isinstance(namespaces, dict):
        if item.namespace != prometheus.namespace:
            return False
    else:
        inside = selector_matches(namespaces, discovery.namespaces.get(item.namespace, {}))
        if not inside:
            return inside
    return selector_matches(selector, item.labels)


def jobs_of(item: Object, prometheus: Object | None = None, *, default_role: str = "endpoints") -> list[Job]:
    """The scrape jobs of a monitor or ScrapeConfig under a Prometheus; without one, under the operator's defaults."""
    spec = prometheus.spec if prometheus is not None else {}
    if item.kind == "ServiceMonitor":
        role = "endpointslice" if (text(spec.get("serviceDiscoveryRole")) or default_role).lower() == "endpointslice" else "endpoints"
        made = [_service_job(item, index, mapping(entry), spec, role) for index, entry in enumerate(items(item.spec.get("endpoints")))]
    elif item.kind == "PodMonitor":
        made = [_pod_job(item, index, mapping(entry), spec) for index, entry in enumerate(items(item.spec.get("podMetricsEndpoints")))]
    elif item.kind == "Probe":
        made = [_probe_job(item)]
    elif item.kind == "ScrapeConfig":
        made = [custom_job(item)]
    else:
        return []
    return made


def _service_job(item: Object, index: int, endpoint: Mapping[str, Any], spec: Mapping[str, Any], role: str) -> Job:
    steps = [_START, *_selecting(item.spec.get("selector"), "service")]
    port_label = "endpointslice_port_name" if role == "endpointslice" else "endpoint_port_name"
    steps += _port_steps(endpoint, f"__meta_kubernetes_{port_label}", "port")
    part = "endpointslice_address_target" if role == "endpointslice" else "endpoint_address_target"
    kind_and_name = (f"__meta_kubernetes_{part}_kind", f"__meta_kubernetes_{part}_name")
    steps += [
        Step(source=kind_and_name, regex="Node;(.*)", target="node", replacement="${1}"),
        Step(source=kind_and_name, regex="Pod;(.*)", target="pod", replacement="${1}"),
        Step(source=("__meta_kubernetes_namespace",), target="namespace"),
        Step(source=("__meta_kubernetes_service_name",), target="service"),
        Step(source=("__meta_kubernetes_pod_name",), target="pod"),
        Step(source=("__meta_kubernetes_pod_container_name",), target="container"),
    ]
    if endpoint.get("filterRunning") is not False:
        steps.append(_RUNNING)
    steps += _carried(item.spec.get("targetLabels"), "service") + _carried(item.spec.get("podTargetLabels"), "pod")
    steps.append(Step(source=("__meta_kubernetes_service_name",), target="job", replacement="${1}"))
    steps += _job_label(item, "service")
    return _finish(item, ("spec", "endpoints", index), f"serviceMonitor/{item.namespace}/{item.name}/{index}", endpoint, spec, steps, role)


def _pod_job(item: Object, index: int, endpoint: Mapping[str, Any], spec: Mapping[str, Any]) -> Job:
    steps = [_START]
    if endpoint.get("filterRunning") is not False:
        steps.append(_RUNNING)
    steps += _selecting(item.spec.get("selector"), "pod")
    steps += _port_steps(endpoint, "__meta_kubernetes_pod_container_port_name", "port")
    steps += [
        Step(source=("__meta_kubernetes_namespace",), target="namespace"),
        Step(source=("__meta_kubernetes_pod_container_name",), target="container"),
        Step(source=("__meta_kubernetes_pod_name",), target="pod"),
    ]
    steps += _carried(item.spec.get("podTargetLabels"), "pod")
    steps.append(Step(target="job", replacement=f"{item.namespace}/{item.name}"))
    steps += _job_label(item, "pod")
    return _finish(item, ("spec", "podMetricsEndpoints", index), f"podMonitor/{item.namespace}/{item.name}/{index}", endpoint, spec, steps, "pod")


def _finish(item: Object, at: Pointer, name: str, endpoint: Mapping[str, Any], spec: Mapping[str, Any], steps: list[Step], role: str) -> Job:
    """What both kinds share: the label of the endpoint, the user's and the scrape class' relabellings, and what a Prometheus enforces."""
    port = text(endpoint.get("port"))
    wanted = port or endpoint.get("portNumber") or endpoint.get("targetPort")
    if wanted not in (None, ""):
        steps.append(Step(target="endpoint", replacement=str(wanted)))
    chosen = _scrape_class(item, spec)
    own, faults = steps_of(endpoint.get("relabelings"), ("relabelings",))
    metric, more = steps_of(endpoint.get("metricRelabelings"), ("metricRelabelings",))
    steps += steps_of(chosen.get("relabelings"), ())[0] + own
    metric_steps = [*steps_of(chosen.get("metricRelabelings"), ())[0], *metric]
    enforced = text(spec.get("enforcedNamespaceLabel"))
    if enforced and not _excluded(item, spec):
        steps.append(Step(target=enforced, replacement=item.namespace))
        metric_steps.append(Step(target=enforced, replacement=item.namespace))
    return Job(
        name=name,
        object=item,
        at=at,
        sought=(Sought(role, _namespaces(item, spec), mapping(item.spec.get("selector"))),),
        scheme=(text(endpoint.get("scheme")) or "http").lower(),
        path=text(endpoint.get("path")) or "/metrics",
        params=mapping(endpoint.get("params")),
        steps=tuple(steps),
        metric_steps=tuple(metric_steps),
        honor_labels=endpoint.get("honorLabels") is True and spec.get("overrideHonorLabels") is not True,
        faults=(*faults, *more),
    )


def _namespaces(item: Object, spec: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Where the monitor looks: its own namespace, the named ones, or (None) all."""
    selector = mapping(item.spec.get("namespaceSelector"))
    if spec.get("ignoreNamespaceSelectors") is True:
        return (item.namespace,)
    if selector.get("any") is True:
        return None
    names = tuple(str(name) for name in items(selector.get("matchNames")))
    return names or (item.namespace,)


def _selecting(selector: object, of: str) -> list[Step]:
    """A label selector, as the operator turns it into relabellings."""
    body = mapping(selector)
    steps = []

    def label(key: str) -> tuple[str, str]:
        name = sanitized(key)
        return f"__meta_kubernetes_{of}_label_{name}", f"__meta_kubernetes_{of}_labelpresent_{name}"

    for key, value in sorted(mapping(body.get("matchLabels")).items()):
        steps.append(Step(action="keep", source=label(str(key)), regex=f"({_quote(str(value))});true"))
    for entry in items(body.get("matchExpressions")):
        expression = mapping(entry)
        key, operator = str(expression.get("key")), text(expression.get("operator"))
        values = "|".join(_quote(str(value)) for value in items(expression.get("values")))
        if operator in ("In", "NotIn"):
            steps.append(Step(action="keep" if operator == "In" else "drop", source=label(key), regex=f"({values});true"))
        elif operator in ("Exists", "DoesNotExist"):
            steps.append(Step(action="keep" if operator == "Exists" else "drop", source=(label(key)[1],), regex="true"))
    return steps


def _quote(value: str) -> str:
    """Go's ``regexp.QuoteMeta``."""
    return _QUOTED.sub(r"\\\1", value)


def _port_steps(endpoint: Mapping[str, Any], named: str, field: str) -> list[Step]:
    port, number, target = text(endpoint.get(field)), endpoint.get("portNumber"), endpoint.get("targetPort")
    if port:
        return [Step(action="keep", source=(named,), regex=port)]
    if isinstance(number, int) and number:
        return [Step(action="keep", source=("__meta_kubernetes_pod_container_port_number",), regex=str(number))]
    if isinstance(target, str) and target:
        return [Step(action="keep", source=("__meta_kubernetes_pod_container_port_name",), regex=target)]
    if isinstance(target, int) and target:
        return [Step(action="keep", source=("__meta_kubernetes_pod_container_port_number",), regex=str(target))]
    return []


def _carried(names: object, of: str) -> list[Step]:
    return [
        Step(source=(f"__meta_kubernetes_{of}_label_{sanitized(str(name))}",), regex="(.+)", target=sanitized(str(name)), replacement="${1}")
        for name in items(names)
    ]


def _job_label(item: Object, of: str) -> list[Step]:
    name = text(item.spec.get("jobLabel"))
    return [Step(source=(f"__meta_kubernetes_{of}_label_{sanitized(name)}",), regex="(.+)", target="job", replacement="${1}")] if name else []


def _scrape_class(item: Object, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The scrape class the monitor names, or the default one of the Prometheus."""
    wanted = text(item.spec.get("scrapeClass"))
    for entry in items(spec.get("scrapeClasses")):
        body = mapping(entry)
        if (wanted and body.get("name") == wanted) or (not wanted and body.get("default") is True):
            return body
    return {}


def _excluded(item: Object, spec: Mapping[str, Any]) -> bool:
    resources = {"ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "Probe": "probes", "ScrapeConfig": "scrapeconfigs"}
    for entry in items(spec.get("excludedFromEnforcement")):
        body = mapping(entry)
        if body.get("resource") == resources.get(item.kind) and body.get("namespace") == item.namespace and body.get("name") in (None, "", item.name):
            return True
    return False


def _probe_job(item: Object) -> Job:
    """A Probe's fixed targets: the prober is scraped, and told the target. Targets that are Ingresses are not simulated."""
    spec = item.spec
    prober, targets = mapping(spec.get("prober")), mapping(spec.get("targets"))
    static = mapping(targets.get("staticConfig"))
    steps = [_START]
    if text(spec.get("jobName")):
        steps.append(Step(target="job", replacement=text(spec["jobName"])))
    steps += [
        Step(source=("__address__",), target="__param_target"),
        Step(source=("__param_target",), target="instance"),
        Step(target="__address__", replacement=text(prober.get("url"))),
    ]
    own, faults = steps_of(static.get("relabelingConfigs"), ("targets", "staticConfig", "relabelingConfigs"))
    metric, more = steps_of(spec.get("metricRelabelings"), ("metricRelabelings",))
    labels = {"namespace": item.namespace, **{str(key): str(value) for key, value in mapping(static.get("labels")).items()}}
    sought = Sought("static", addresses=tuple(str(target) for target in items(static.get("static"))), labels=labels)
    return Job(
        name=f"probe/{item.namespace}/{item.name}",
        object=item,
        at=("spec",),
        sought=(sought,),
        scheme=(text(prober.get("scheme")) or "http").lower(),
        path=text(prober.get("path")) or "/probe",
        params={"module": [text(spec.get("module"))]} if text(spec.get("module")) else {},
        steps=(*steps, *own),
        metric_steps=metric,
        faults=(*faults, *more),
        unknown="targets that are Ingresses are not simulated" if targets.get("ingress") else "",
    )


def prometheuses(objects: Iterable[Object]) -> list[Object]:
    """Every Prometheus and PrometheusAgent that its operator does not leave alone."""
    return [item for item in objects if item.group == GROUP and item.kind in PROMETHEUSES and item.spec.get("paused") is not True]
