"""Addresses lead where the cluster's names do."""

from __future__ import annotations

from typing import Any

import pytest
from harness.engines.telemetry.discovery import Discovery
from harness.engines.telemetry.endpoints import EndpointError, endpoint
from harness.model import Location, Object, ObjectId, Origin


def _object(kind: str, group: str, name: str, spec: dict[str, Any]) -> Object:
    body = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": {"name": name, "namespace": "traces"}, "spec": spec}
    return Object(ObjectId("c", group, kind, "traces", name), body, Origin(lambda _: Location("f")))


POD = {"metadata": {"labels": {"app": "tempo"}}, "spec": {"containers": [{"name": "tempo", "ports": [{"name": "otlp", "containerPort": 4317}]}]}}
DISCOVERY = Discovery(
    (
        _object("StatefulSet", "apps", "tempo", {"template": POD}),
        _object(
            "Service",
            "",
            "tempo",
            {
                "selector": {"app": "tempo"},
                "ports": [{"port": 4317, "targetPort": "otlp"}, {"port": 80, "targetPort": 4317}, {"port": 9, "targetPort": "gone"}],
            },
        ),
        _object("Service", "", "headless", {"clusterIP": "None", "selector": {"app": "tempo"}, "ports": []}),
        _object("Service", "", "empty", {"selector": {"app": "nobody"}, "ports": [{"port": 80}]}),
        _object("Service", "", "outside", {"type": "ExternalName", "externalName": "example.com"}),
    )
)


@pytest.mark.parametrize(
    ("address", "namespace", "port"),
    [
        ("tempo.traces.svc:4317", "web", 4317),
        ("http://tempo.traces.svc.cluster.local/v1/traces", "web", 4317),
        ("tempo:4317", "traces", 4317),
        ("dns:///tempo.traces.svc:4317", "web", 4317),
        ("tempo-0.headless.traces.svc:4317", "web", 4317),
    ],
)
def test_names_of_services_and_pods(address: str, namespace: str, port: int) -> None:
    found = endpoint(address, namespace, DISCOVERY)
    assert found is not None
    assert [number for _, number in found.pods] == [port]


@pytest.mark.parametrize(
    "address", ["api.example.com:443", "192.0.2.1:80", "[2001:db8::1]:80", "localhost:4317", "http://outside.traces.svc", "not an address", "${HOST}:1"]
)
def test_what_is_not_the_clusters_or_no_address_is_left_open(address: str) -> None:
    assert endpoint(address, "traces", DISCOVERY) is None


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tempoo.traces.svc:4317", "there is no Service tempoo in namespace traces"),
        ("tempo.traces.svc:1", "Service traces/tempo has no port 1, it has 4317, 80, 9"),
        ("tempo.traces.svc:9", "port 9 of Service traces/tempo leads to gone, which no container of its pods declares"),
        ("empty.traces.svc:80", "Service traces/empty selects no pod"),
        ("tempo-0.headless.traces.svc:1", "no pod of Service traces/headless declares port 1"),
    ],
)
def test_what_leads_nowhere_is_told(address: str, message: str) -> None:
    with pytest.raises(EndpointError) as told:
        endpoint(address, "web", DISCOVERY)
    assert str(told.value) == message
