"""Traces and APM: one request and its three signals, what the collector takes away, and every hop broken once."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest
from harness.live.faults import maker, patched, without_node
from harness.live.findings import NotEvaluatedError, expect
from harness.live.proofs import CLOSED
from harness.live.reach.wait import WaitError, wait
from harness.live.rules.traces import ENRICHED, ONE_REQUEST, PROBES, REDACTED
from harness.live.telemetry.emit import a_pod_of
from harness.live.telemetry.signals import APPLICATION, BUDGETS, DIRECT, INGRESS, RECORD, Signals, begin, span_of
from harness.live.together import Hop, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from harness.live.bringup import Platform
    from harness.model import Object

pytestmark = pytest.mark.proof(uses=("ingress-nginx", "kube-prometheus-stack", "loki", "opentelemetry", "promtail", "tempo", "tenant-a"))

#: While hops are broken, and when they are mended, it is looked again and again: seconds after which a signal is taken not to come. The usual way takes 14.
PATIENCE = dict.fromkeys(BUDGETS, 15.0) | {"ingress metric": 25.0, "application metric": 25.0}
COLLECTOR = "Deployment/opentelemetry/opentelemetry-collector"


def test_one_request_leaves_three_signals(platform: Platform) -> None:
    signals = Signals(platform)
    made = signals.send()
    seen, after = signals.follow(made, BUDGETS)
    item = platform.world.find("Ingress.networking.k8s.io", "tenant-a", "podinfo")
    late = "; ".join(f"{name} after {after[name]:.0f} s of {BUDGETS[name]:g}: {text}" for name, text in seen.items() if text)
    expect(ONE_REQUEST, item or signals.host, not late, found=f"traceparent {made.header}: {late}", expected="every signal within its budget")
    platform.notes.append("one request: " + ", ".join(f"{name} after {seconds:.0f} s" for name, seconds in after.items()))
    spans = signals.tempo.spans(made.trace)
    for service, namespace in ((INGRESS, "ingress-nginx"), (APPLICATION, "tenant-a")):
        resource = next(span.resource for span in spans if span.service == service)
        wanted = {"k8s.cluster.name": platform.world.cluster.name, "k8s.namespace.name": namespace, "service.namespace": namespace}
        found = {name: resource.get(name) for name in wanted}
        expect(ENRICHED, f"spans of {service}", found == wanted, found=f"{found}", expected=f"{wanted}")
        expect(ENRICHED, f"spans of {service}", bool(resource.get("k8s.pod.name")), found=f"resource {resource}", expected="the pod's name")


def test_the_collector_hands_on_no_credential(platform: Platform) -> None:
    signals, secret = Signals(platform), secrets.token_hex(12)
    made = begin()
    carried = {
        "http.request.header.authorization": f"Bearer {secret}",
        "url.query": f"token={secret}",
        "url.full": f"https://example.com/?token={secret}",
        "http.target": f"/?password={secret}",
        "db.query.text": f"select '{secret}'",
        "http.route": "/proof",
    }
    signals.hand_over(span_of(made, "proof", carried), service="proof")
    _arrives(signals, made, "a span that was handed to the collector")
    (span,) = signals.tempo.spans(made.trace)
    expect(REDACTED, COLLECTOR, secret not in str(span.attributes), found=f"attributes {dict(span.attributes)}", expected="no credential")
    expect(
        REDACTED, COLLECTOR, span.attributes.get("http.route") == "/proof", found=f"attributes {dict(span.attributes)}", expected="what is no credential stays"
    )
    signals.record(made, f"a proof with Bearer {secret}", service="proof")
    wait(lambda: not signals.look(RECORD, made), timeout=20, what="a log record that was handed to the collector, in Loki")
    (entry,) = signals.records(made, service="proof")
    expect(REDACTED, COLLECTOR, secret not in entry.line, found=entry.line, expected="***")
    cluster = {"k8s_cluster_name": platform.world.cluster.name}
    found = {name: entry.metadata.get(name) for name in cluster}
    expect(ENRICHED, COLLECTOR, found == cluster, found=f"metadata {dict(entry.metadata)}", expected=f"{cluster}")


def test_spans_of_probes_are_dropped(platform: Platform) -> None:
    signals = Signals(platform)
    probes = []
    for path in ("/healthz", "/readyz", "/livez", "/metrics", "/stub_status", "/configVersionCheck"):
        for key in ("url.path", "http.target", "http.route"):
            made = begin()
            signals.hand_over(span_of(made, "probe", {key: path}), service="proof")
            probes.append((made, key, path))
    kept = begin()
    signals.hand_over(span_of(kept, "proof", {"url.path": "/healthzy"}), service="proof")
    _arrives(signals, kept, "a span that is none of a probe")
    for made, key, path in probes:
        expect(PROBES, COLLECTOR, not signals.tempo.spans(made.trace), found=f"a span with {key} {path} in Tempo", expected="dropped")


@pytest.mark.proof(uses=(CLOSED,), breaks=("opentelemetry", "ingress-nginx"), seconds=600, long=True)
def test_red_the_collectors_ways_out(platform: Platform) -> None:
    """The collector to its three stores, and the trace's way through nginx. The application's log goes on."""
    signals = Signals(platform)
    hops = (
        Hop("nginx -> application (trace context)", "no otel_trace_context", lambda: _nginx(platform, "http-snippets", None), frozenset({"ingress log"})),
        Hop(
            "collector -> Tempo",
            "the collector's NetworkPolicy lets out to no store, and it starts anew",
            lambda: _shut(platform, "opentelemetry", "allow-egress-stores", COLLECTOR),
            frozenset({"ingress span", "application span", DIRECT}),
        ),
        Hop("collector -> Prometheus", "the same", nullcontext, frozenset({"ingress metric", "application metric"})),
        Hop("collector -> Loki", "the same", nullcontext, frozenset({RECORD})),
    )
    platform.reds += together(hops, lambda: _look(signals))


@pytest.mark.proof(uses=(CLOSED,), breaks=("opentelemetry", "ingress-nginx", "promtail", "tenant-a"), seconds=600, long=True)
def test_red_the_ways_to_the_collector(platform: Platform) -> None:
    """nginx to the collector, the application to the collector, containers to Promtail. A span that is handed to the collector directly goes on."""
    signals = Signals(platform)
    hops = (
        Hop(
            "nginx -> collector",
            "another port of the collector",
            lambda: _nginx(platform, "otel-exporter-endpoint", "http://opentelemetry-collector.opentelemetry.svc.cluster.local:4319"),
            frozenset({"ingress span", "ingress metric"}),
        ),
        Hop(
            "application -> collector",
            "the tenant's NetworkPolicy lets nothing out, and the application starts anew",
            lambda: _shut(platform, "tenant-a", "allow-egress-opentelemetry-4317", "Deployment/tenant-a/podinfo"),
            frozenset({"application span", "application metric"}),
        ),
        Hop("container -> Promtail -> Loki", "no node for the DaemonSet", lambda: _unshipped(platform), frozenset({"ingress log", "application log"})),
    )
    platform.reds += together(hops, lambda: _look(signals))


def _look(signals: Signals) -> Mapping[str, str]:
    """One request and one span that is handed over, followed as long as they may take."""
    made = signals.send()
    direct = begin()
    signals.hand_over(span_of(direct, "proof", {"http.route": "/proof"}), service="proof")
    signals.record(direct, "a proof", service="proof")
    seen, _after = signals.follow(made, PATIENCE)
    return {**seen, **{name: signals.look(name, direct) for name in (DIRECT, RECORD)}}


def _arrives(signals: Signals, made: Any, what: str) -> None:
    try:
        wait(lambda: not signals.look(DIRECT, made), timeout=20, what=what)
    except WaitError:
        expect(ONE_REQUEST, COLLECTOR, False, found=f"{what} is not in Tempo after 20 s", expected="in Tempo")


def _found(platform: Platform, kind: str, namespace: str, name: str) -> Object:
    item = platform.world.find(kind, namespace, name)
    if item is None:
        raise NotEvaluatedError(f"{namespace}/{name}", "red proof", f"this cluster has no such {kind.partition('.')[0]}")
    return item


@contextmanager
def _nginx(platform: Platform, key: str, value: str | None) -> Iterator[None]:
    """nginx with one entry of its ConfigMap changed."""
    item = _found(platform, "ConfigMap", "ingress-nginx", "ingress-nginx-nginx-ingress")
    with patched(platform.cluster.kubectl, "configmaps", item.name, item.namespace, {"data": {key: value}}, suspending=maker(item)):
        yield


@contextmanager
def _shut(platform: Platform, namespace: str, policy: str, workload: str) -> Iterator[None]:
    """A NetworkPolicy that lets nothing out, and a workload that has no connection from before."""
    kubectl = platform.cluster.kubectl
    item = _found(platform, "NetworkPolicy.networking.k8s.io", namespace, policy)
    with patched(kubectl, "networkpolicies.networking.k8s.io", policy, namespace, {"spec": {"egress": []}}, suspending=maker(item)):
        _anew(platform, workload)
        yield


@contextmanager
def _unshipped(platform: Platform) -> Iterator[None]:
    """No shipper on any node."""
    item = _found(platform, "DaemonSet.apps", "promtail", "promtail")
    kubectl = platform.cluster.kubectl
    with without_node(kubectl, "daemonsets.apps", item.name, item.namespace, suspending=maker(item)):
        # It sends what it has before it ends.
        wait(lambda: not kubectl.list("pods", namespace=item.namespace), timeout=60, what="the shipper to be gone")
        yield


def _anew(platform: Platform, workload: str) -> None:
    """Let another pod take over from the one of a Deployment that runs."""
    kubectl = platform.cluster.kubectl
    pod = a_pod_of(kubectl, workload)["metadata"]
    kubectl.delete("pods", pod["name"], pod["namespace"])
    _kind, namespace, name = workload.split("/")
    kubectl("rollout", "status", f"deployment/{name}", f"--namespace={namespace}", "--timeout=90s", timeout=100)
