"""The Collector's wiring, order and settings are judged as its documentation has them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from harness.engines.telemetry import collector
from hypothesis import given, settings
from hypothesis import strategies as st

BASE = """
receivers: {otlp: {protocols: {grpc: {endpoint: '0.0.0.0:4317'}}}}
processors: {memory_limiter: {check_interval: 1s, limit_mib: 100}, k8sattributes: {}, tail_sampling: {}, batch: {}}
exporters: {otlp: {endpoint: 'tempo:4317'}}
connectors: {spanmetrics: {}, forward: {}}
extensions: {health_check: {endpoint: '0.0.0.0:13133'}}
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, k8sattributes, tail_sampling, batch], exporters: [otlp, spanmetrics, forward]}
    traces/2: {receivers: [forward], exporters: [otlp]}
    metrics: {receivers: [spanmetrics], exporters: [otlp]}
"""


def _faults(*changes: tuple[str, str]) -> list[str]:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    body = yaml.safe_load(text)
    return [fault.found for fault in (*collector.faults(body), *collector.order_faults(body), *collector.setting_faults(body, 200 * 1024**2))]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ((), []),
        ((("exporters: [otlp]}\n    metrics", "exporters: []}\n    metrics"),), ["pipeline traces/2 has no exporters"]),
        ((("[forward], exporters", "[forward, zipkin], exporters"),), ["zipkin is not among the receivers"]),
        ((("[memory_limiter, k8sattributes", "[memory_limiter, memory_limiter, k8sattributes"),), ["memory_limiter is there twice"]),
        (
            (("metrics: {receivers: [spanmetrics]", "metrics: {receivers: [otlp]"),),
            ["spanmetrics is an exporter and no receiver", "pipeline metrics has no memory_limiter"],
        ),
        ((("metrics: {receivers", "logs: {receivers"),), ["spanmetrics leads from traces to logs"]),
        ((("traces/2: {receivers: [forward]", "metrics/2: {receivers: [forward]"),), ["forward leads from traces to metrics/2"]),
        ((("[health_check]", "[]"),), ["health_check is declared and no service uses it"]),
        (
            (("[memory_limiter, k8sattributes, tail_sampling, batch]", "[k8sattributes, memory_limiter, tail_sampling, batch]"),),
            ["memory_limiter comes after k8sattributes"],
        ),
        (
            (("[memory_limiter, k8sattributes, tail_sampling, batch]", "[memory_limiter, batch, tail_sampling, k8sattributes]"),),
            ["tail_sampling comes after batch", "tail_sampling comes before what adds attributes", "k8sattributes comes after batch"],
        ),
        ((("limit_mib: 100", "limit_mib: 200"),), ["limit_mib: 200, and the container's limit is 200 MiB"]),
        ((("batch: {}", "batch: {send_batch_size: 10, send_batch_max_size: 5}"),), ["send_batch_max_size 5 is below send_batch_size 10"]),
        ((("check_interval: 1s, limit_mib: 100", ""),), ["neither limit_mib nor limit_percentage", "no check_interval"]),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, list) else "",
)
def test_one_change(changes: tuple[tuple[str, str], ...], found: list[str]) -> None:
    assert _faults(*changes) == found


def test_circles_of_connectors_are_found() -> None:
    body = yaml.safe_load(BASE.replace("traces/2: {receivers: [forward], exporters: [otlp]}", "traces/2: {receivers: [forward], exporters: [forward]}"))
    assert "pipelines in a circle: traces/2 -> traces/2" in [fault.found for fault in collector.faults(body)]


def test_variables_files_listeners_and_endpoints_are_found_where_they_stand() -> None:
    body = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "localhost:4318"}}}, "redis": {"endpoint": "redis:6379"}},
        "exporters": {"otlphttp/a": {"endpoint": "http://x:1", "tls": {"ca_file": "/etc/ca.crt"}, "headers": {"a": "${env:A} $${B} ${env:C:-d}"}}},
    }
    assert list(collector.variables(body)) == [(("exporters", "otlphttp/a", "headers", "a"), "A")]
    assert list(collector.files(body)) == [(("exporters", "otlphttp/a", "tls", "ca_file"), "/etc/ca.crt")]
    assert list(collector.listeners(body)) == [(("receivers", "otlp", "protocols", "http", "endpoint"), "localhost", 4318)]
    assert list(collector.endpoints(body)) == [(("exporters", "otlphttp/a", "endpoint"), "http://x:1", "otlp_http")]


SCALARS = st.none() | st.integers(-2, 9) | st.sampled_from(["otlp", "batch", "traces", "memory_limiter", "", "a/b", "${env:X}", "0.0.0.0:1"])
ODD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*collector.SECTIONS, "service", "pipelines", "otlp", "batch"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from([*collector.SECTIONS, "service"]), ODD, max_size=6))
def test_odd_configurations_are_faults_and_never_errors(body: dict[str, Any]) -> None:
    found = [*collector.faults(body), *collector.order_faults(body), *collector.setting_faults(body, None), *collector.variables(body), *collector.files(body)]
    assert all(len(entry) in (2, 4) for entry in found)
    assert all(isinstance(at, tuple) for at, *_ in found)


NAMES = st.lists(st.sampled_from(["otlp", "jaeger", "zipkin"]), max_size=3, unique=True)


@settings(max_examples=60)
@given(NAMES, NAMES)
def test_dangling_and_idle_components_are_the_two_differences(declared: list[str], used: list[str]) -> None:
    body = {
        "receivers": {key: {} for key in declared},
        "exporters": {"debug": {}},
        "service": {"pipelines": {"traces": {"receivers": used, "exporters": ["debug"]}}},
    }
    found = list(collector.faults(body))
    assert {fault.found.split()[0] for fault in found if "not among" in fault.found} == set(used) - set(declared)
    assert {fault.found.split()[0] for fault in found if "no pipeline uses" in fault.found} == set(declared) - set(used)
