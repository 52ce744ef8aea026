"""From monitors and scrape configurations to targets, as prometheus-operator and Prometheus get there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from harness.engines.telemetry.diagnosis import why_nothing
from harness.engines.telemetry.discovery import Discovery, sanitized
from harness.engines.telemetry.scrape import resolve
from harness.engines.telemetry.scrape_monitors import jobs_of, selects
from harness.engines.telemetry.scraping import scraping_of
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from cluster import PROMETHEUS, WEB, objects, texts


def monitor(spec: str, kind: str = "ServiceMonitor", labels: str = "{}") -> str:
    return f"---\napiVersion: monitoring.coreos.com/v1\nkind: {kind}\nmetadata: {{name: web, labels: {labels}}}\nspec: {spec}\n"


def targets(text: str) -> list[tuple[str, dict[str, str]]]:
    view = scraping_of(objects(PROMETHEUS + "---" + WEB + text))
    return [(target.url, dict(target.labels)) for scrape in view.taken for target in scrape.result.targets]


def test_a_service_monitor_gets_the_labels_that_the_operator_gives() -> None:
    assert targets(monitor("{selector: {matchLabels: {app: web}}, endpoints: [{port: metrics, path: /m, scheme: https}]}")) == [
        (
            "https://192.0.2.1:9797/m",
            {
                "job": "web", "namespace": "shop", "service": "web", "pod": "web-0000000000-00000", "container": "web", "endpoint": "metrics",
                "instance": "192.0.2.1:9797",
            },
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "job"),
    [
        ("{jobLabel: team, selector: {matchLabels: {app: web}}, endpoints: [{port: metrics}]}", "a"),
        ("{jobLabel: gone, selector: {matchLabels: {app: web}}, endpoints: [{port: metrics}]}", "web"),
        (
            "{selector: {matchLabels: {app: web}}, endpoints: [{port: metrics, relabelings: [{sourceLabels: [job], targetLabel: job, replacement: x/$1}]}]}",
            "x/web",
        ),
    ],
    ids=["label", "label-that-is-not-there", "relabelled"],
)
def test_job_of_a_service_monitor(spec: str, job: str) -> None:
    assert [labels["job"] for _, labels in targets(monitor(spec))] == [job]


def test_a_pod_monitor_names_its_job_after_itself() -> None:
    found = targets(monitor("{selector: {matchLabels: {app: web}}, podTargetLabels: [tier], podMetricsEndpoints: [{port: metrics}]}", "PodMonitor"))
    assert [(url, labels["job"], labels["tier"], labels["container"]) for url, labels in found] == [
        ("http://192.0.2.1:9797/metrics", "shop/web", "gold", "web")
    ]


@pytest.mark.parametrize(
    ("endpoint", "ports"),
    [
        ("{port: metrics}", [9797]),
        ("{port: http}", [8080]),
        ("{port: nothing}", []),
        ("{targetPort: metrics}", [9797]),
        ("{targetPort: 8080}", [8080]),
        ("{targetPort: 8081}", []),
        ("{}", [8080, 9797]),
        ("{port: metrics, targetPort: http}", [9797]),
    ],
)
def test_ports_of_a_service_monitor(endpoint: str, ports: list[int]) -> None:
    found = targets(monitor(f"{{selector: {{matchLabels: {{app: web}}}}, endpoints: [{endpoint}]}}"))
    assert [int(url.rpartition(":")[2].partition("/")[0]) for url, _ in found] == ports


@pytest.mark.parametrize(
    ("endpoint", "ports"),
    [("{port: metrics}", [9797]), ("{portNumber: 9797}", [9797]), ("{portNumber: 1}", []), ("{targetPort: http}", [8080]), ("{}", [8080, 9797])],
)
def test_ports_of_a_pod_monitor(endpoint: str, ports: list[int]) -> None:
    found = targets(monitor(f"{{selector: {{}}, podMetricsEndpoints: [{endpoint}]}}", "PodMonitor"))
    assert [int(url.rpartition(":")[2].partition("/")[0]) for url, _ in found] == ports


@pytest.mark.parametrize(
    ("selector", "number"),
    [
        ("{}", 1),
        ("{matchExpressions: [{key: app, operator: In, values: [web, api]}]}", 1),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", 0),
        ("{matchExpressions: [{key: app, operator: Exists}, {key: x, operator: DoesNotExist}]}", 1),
        ("{matchLabels: {app: web, team: b}}", 0),
    ],
)
def test_selectors(selector: str, number: int) -> None:
    assert len(targets(monitor(f"{{selector: {selector}, endpoints: [{{port: metrics}}]}}"))) == number


def test_namespaces_of_a_monitor() -> None:
    spec = "{selector: {matchLabels: {app: web}}, namespaceSelector: %s, endpoints: [{port: metrics}]}"
    assert [len(targets(monitor(spec % one))) for one in ("{}", "{any: true}", "{matchNames: [shop]}", "{matchNames: [other]}")] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("fields", "labels", "taken"),
    [
        ("{serviceMonitorSelector: {}, serviceMonitorNamespaceSelector: {}}", "{}", True),
        ("{serviceMonitorNamespaceSelector: {}}", "{}", False),
        ("{serviceMonitorSelector: {}}", "{}", False),
        ("{serviceMonitorSelector: {matchLabels: {release: x}}, serviceMonitorNamespaceSelector: {}}", "{release: x}", True),
        ("{serviceMonitorSelector: {matchLabels: {release: x}}, serviceMonitorNamespaceSelector: {}}", "{}", False),
        ("{serviceMonitorSelector: {}, serviceMonitorNamespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}", "{}", True),
        ("{serviceMonitorSelector: {}, serviceMonitorNamespaceSelector: {matchLabels: {team: a}}}", "{}", False),
    ],
)
def test_what_a_prometheus_takes(fields: str, labels: str, taken: bool) -> None:
    prometheus = f"apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {{name: main, namespace: monitoring}}\nspec: {fields}\n"
    found = objects(prometheus + monitor("{selector: {}, endpoints: []}", labels=labels))
    by_kind = {item.kind: item for item in found}
    assert selects(by_kind["Prometheus"], by_kind["ServiceMonitor"], Discovery(found)) is taken


def test_what_a_prometheus_enforces() -> None:
    classes = "[{name: x, default: true, relabelings: [{targetLabel: zone, replacement: a}]}]"
    spec = f"{{enforcedNamespaceLabel: tenant, ignoreNamespaceSelectors: true, scrapeClasses: {classes}}}"
    found = objects(
        f"apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {{name: main}}\nspec: {spec}\n---"
        + WEB
        + monitor("{selector: {}, namespaceSelector: {any: true}, endpoints: [{port: metrics}]}")
    )
    by_kind = {item.kind: item for item in found}
    (job,) = jobs_of(by_kind["ServiceMonitor"], by_kind["Prometheus"])
    assert job.sought[0].namespaces == ("shop",)
    (target,) = resolve(job, Discovery(found)).targets
    assert (target.labels["tenant"], target.labels["zone"]) == ("shop", "a")


def test_a_probe_scrapes_its_prober() -> None:
    found = targets(
        monitor(
            "{jobName: uptime, module: http_2xx, prober: {url: 'blackbox.shop.svc:9115'}, targets: {staticConfig: {static: [https://example.com]}}}", "Probe"
        )
    )
    assert found == [("http://blackbox.shop.svc:9115/probe", {"job": "uptime", "namespace": "shop", "instance": "https://example.com"})]


def test_plain_scrape_configurations_and_scrape_config_resources() -> None:
    configuration = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: prometheus}
data:
  prometheus.yml: |
    scrape_configs:
      - job_name: pods
        kubernetes_sd_configs: [{role: pod}]
        relabel_configs:
          - {source_labels: [__meta_kubernetes_pod_label_tier], action: keep, regex: gold}
          - {source_labels: [__meta_kubernetes_pod_container_port_name], action: keep, regex: metrics}
          - {action: labelmap, regex: __meta_kubernetes_pod_label_(.+)}
      - job_name: fixed
        static_configs: [{targets: ['a:1', 'b:2'], labels: {zone: x}}]
      - job_name: dns
        dns_sd_configs: [{names: [a.example.com]}]
---
apiVersion: monitoring.coreos.com/v1alpha1
kind: ScrapeConfig
metadata: {name: out}
spec:
  jobName: outside
  staticConfigs: [{targets: ['c:3']}]
"""
    given = objects(PROMETHEUS + "---" + WEB + configuration)
    view = scraping_of(given, texts(given))
    found = {scrape.job.name: [dict(target.labels) for target in scrape.result.targets] for scrape in view.taken}
    assert found == {
        "pods": [{"job": "pods", "app": "web", "tier": "gold", "instance": "192.0.2.1:9797"}],
        "fixed": [{"job": "fixed", "zone": "x", "instance": "a:1"}, {"job": "fixed", "zone": "x", "instance": "b:2"}],
        "dns": [],
        "scrapeConfig/shop/out": [{"job": "outside", "instance": "c:3"}],
    }
    assert [scrape.result.unknown for scrape in view.taken if scrape.job.name == "dns"] == ["what dns_sd_configs finds is not in Git"]
    assert not view.known


def test_promtails_scrape_configs_are_not_prometheus() -> None:
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: promtail}\ndata:\n  c: |\n    clients: [{url: http://x}]\n    scrape_configs: [{job_name: pods}]\n"
    )
    assert scraping_of(objects(text), texts(objects(text))).scrapes == ()


def test_why_a_job_finds_nothing() -> None:
    found = objects(WEB + monitor("{selector: {matchLabels: {app: web}}, endpoints: [{port: nothing}, {targetPort: 1}]}"))
    named, numbered = jobs_of(next(item for item in found if item.kind == "ServiceMonitor"))
    assert why_nothing(named, Discovery(found)) == "Service shop/web has no port nothing, only http, metrics"
    assert why_nothing(numbered, Discovery(found)) == "no container behind Service shop/web declares the port 1, only http 8080, metrics 9797"


@pytest.mark.parametrize("spec", ["null", "[]", "{endpoints: null}", "{endpoints: [null, 3, {port: []}]}", "{selector: 5, endpoints: [{relabelings: 5}]}"])
@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor", "Probe", "ScrapeConfig"])
def test_odd_input_is_read_without_a_traceback(kind: str, spec: str) -> None:
    assert isinstance(scraping_of(objects(PROMETHEUS + "---" + WEB + monitor(spec, kind))).taken, tuple)


LABELS = st.dictionaries(st.sampled_from(["app", "team", "a.b/c"]), st.sampled_from(["x", "y", "x.y", ""]), max_size=3)
EXPRESSIONS = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["app", "team", "a.b/c"]),
        "operator": st.sampled_from(["In", "NotIn"]),
        "values": st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2),
    }
) | st.fixed_dictionaries({"key": st.sampled_from(["app", "team", "a.b/c"]), "operator": st.sampled_from(["Exists", "DoesNotExist"])})


@settings(max_examples=60)
@given(services=st.lists(LABELS, min_size=1, max_size=3), match=LABELS, expressions=st.lists(EXPRESSIONS, max_size=2), slices=st.booleans())
def test_the_generated_relabellings_select_what_the_selector_selects(services: list[dict], match: dict, expressions: list[dict], slices: bool) -> None:
    """With and without the API's selector, the same targets: the operator's relabellings alone are the selector."""
    import json

    text = WEB
    for index, labels in enumerate(services):
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"s{index}", "labels": labels},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "metrics", "port": 9797}]},
        }
        text += f"---\n{json.dumps(body)}\n"
    spec = {"selector": {"matchLabels": match, "matchExpressions": expressions}, "endpoints": [{"port": "metrics"}]}
    found = objects(text + monitor(json.dumps(spec)))
    discovery = Discovery(found)
    (job,) = jobs_of(next(item for item in found if item.kind == "ServiceMonitor"), default_role="endpointslice" if slices else "endpoints")
    everything = replace(job, sought=tuple(replace(sought, selector={}) for sought in job.sought))
    selected, filtered = ([target.labels for target in resolve(each, discovery).targets] for each in (job, everything))
    assert selected == filtered


def test_label_names_are_sanitized() -> None:
    assert sanitized("app.kubernetes.io/name") == "app_kubernetes_io_name"
