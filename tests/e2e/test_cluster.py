"""The ground: nodes, control plane, metrics endpoints, audit log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from harness.live.diagnose import unready_containers
from harness.live.findings import NotEvaluatedError, expect
from harness.live.ground.kindconfig import AUDIT_LOG
from harness.live.reach.wait import WaitError, wait
from harness.live.rules.ground import AUDITED, NODES_READY, SYSTEM_READY

if TYPE_CHECKING:
    from harness.live.ground.cluster import Cluster
    from harness.live.reach.kubectl import Kubectl

#: Of the control plane, by the port its metrics are scraped at.
ENDPOINTS = {"etcd": 2381, "kube-controller-manager": 10257, "kube-scheduler": 10259, "kube-proxy": 10249}


def test_every_node_is_ready(kubectl: Kubectl) -> None:
    nodes = kubectl.list("nodes")
    expect(NODES_READY, "nodes", bool(nodes), found="no node at all", expected="at least one")
    for node in nodes:
        state = {item["type"]: item["status"] for item in node["status"]["conditions"]}
        expect(NODES_READY, f"Node/{node['metadata']['name']}", state.get("Ready") == "True", found=f"conditions {state}", expected="Ready: True")


def test_control_plane_is_ready(kubectl: Kubectl) -> None:
    def unready() -> list[str]:
        return [f"{pod['metadata']['name']} {why}" for pod in kubectl.list("pods", namespace="kube-system") for why in unready_containers(pod)]

    try:
        wait(lambda: not unready(), timeout=120, status=lambda: "; ".join(unready()))
    except WaitError as error:
        expect(SYSTEM_READY, "kube-system", False, found=error.status, expected="every pod Ready")


@pytest.mark.parametrize("component", ENDPOINTS)
def test_metrics_listen_on_every_address(cluster: Cluster, component: str) -> None:
    if cluster.foreign:
        raise NotEvaluatedError(component, "metrics endpoint", "the nodes of this cluster cannot be entered from here")
    listening = cluster.docker("exec", f"{cluster.wanted.name}-control-plane", "cat", "/proc/net/tcp6", "/proc/net/tcp")
    # An address of zeros and the port, in hexadecimal, in the state LISTEN.
    ports = {line.split()[1].split(":")[1] for line in listening.splitlines() if " 0A " in line and set(line.split()[1].split(":")[0]) == {"0"}}
    expect(
        SYSTEM_READY, component, f"{ENDPOINTS[component]:04X}" in ports, found="listens on loopback only, or not at all", expected=f"*:{ENDPOINTS[component]}"
    )


def test_audit_log_names_who_and_holds_no_secret(cluster: Cluster, kubectl: Kubectl) -> None:
    if cluster.foreign:
        raise NotEvaluatedError("API server", "audit log", "the nodes of this cluster cannot be entered from here")
    kubectl("get", "secrets", "--namespace=kube-system")
    lines: list[str] = []

    def logged() -> bool:
        lines[:] = cluster.docker("exec", f"{cluster.wanted.name}-control-plane", "tail", "-n", "2000", AUDIT_LOG).splitlines()
        return any('"resource":"secrets"' in line for line in lines)

    wait(logged, timeout=30, what="a request for Secrets in the audit log")
    events = [json.loads(line) for line in lines if '"resource":"secrets"' in line and line.startswith("{")]
    expect(AUDITED, "API server", all(event["user"].get("username") for event in events), found="an event without a user", expected="who asked, in every event")
    holds = [event["auditID"] for event in events if "requestObject" in event or "responseObject" in event]
    expect(AUDITED, "API server", not holds, found=f"events with the content of Secrets: {', '.join(holds[:3])}", expected="metadata only")
