"""NetworkPolicy: the matrix of all workloads of 15 namespaces with 20 policies each, for 75 to 1,200 workloads."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engines import Row
from harness.engines.netpol.addresses import blocks
from harness.engines.netpol.network import Addresses, Network
from harness.model import Location, Object, ObjectId, Origin, group_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACES, POLICIES = 15, 20
#: What issue 4 promises for 300 workloads.
CEILING = 2.0


def rows() -> Iterator[Row]:
    first = 0.0
    for number in (75, 150, 300, 600, 1200):
        objects = cluster(number)
        start = time.perf_counter()
        network = Network(objects, addresses=Addresses(blocks(["10.0.0.0/8"]), blocks(["192.0.2.0/24"])))
        pairs = sum(1 for _ in network.connections())
        for workload in network.workloads:
            network.outside(workload, "Egress")
            network.outside(workload, "Ingress")
        seconds = time.perf_counter() - start
        first = first or seconds / number
        against = f"at most {CEILING} s: {seconds / CEILING:.3f} of it" if number == 300 else f"{seconds / number / first:.2f} of the first row per workload"
        yield Row(f"matrix of {number} workloads, {len(network.policies)} policies, {pairs} pairs that can talk", seconds, "s", against)
        tool = shutil.which("netpol-analyzer")
        if tool is not None and number == 300:
            theirs = _analyzer(tool, objects)
            yield Row(f"netpol-analyzer list, {number} workloads", theirs, "s", f"{theirs / seconds:.1f} of ours")


def _analyzer(tool: str, objects: list[Object]) -> float:
    """What the tool takes for the same objects, its start included."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder, "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [item.body for item in objects]}), encoding="utf-8")
        start = time.perf_counter()
        subprocess.run([tool, "list", "--quiet", "--dirpath", folder], capture_output=True, check=False)
        return time.perf_counter() - start


def cluster(workloads: int) -> list[Object]:
    """Deployments with labels of their own, spread over the namespaces; policies that name applications, namespaces, ports and blocks."""
    found = [_thing("v1", "Namespace", "", f"n{space}", {"team": f"t{space % 4}"}, {}) for space in range(NAMESPACES)]
    for number in range(workloads):
        space = f"n{number % NAMESPACES}"
        labels = {"app": f"a{number}", "tier": ("web", "api", "db")[number % 3], "part-of": f"p{number % 20}"}
        container = {"name": "c", "ports": [{"name": "http", "containerPort": 8080 + number % 7}, {"name": "metrics", "containerPort": 9090}]}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        found.append(_thing("apps/v1", "Deployment", space, f"a{number}", {}, {"template": template}))
    places = ((space, number) for space in range(NAMESPACES) for number in range(POLICIES))
    found += (_thing("networking.k8s.io/v1", "NetworkPolicy", f"n{space}", f"p{number}", {}, _spec(space, number)) for space, number in places)
    return found


def _spec(space: int, number: int) -> dict[str, object]:
    if number == 0:
        return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    peers = [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": f"n{(space + number) % NAMESPACES}"}},
            "podSelector": {"matchLabels": {"tier": "api"}},
        },
        {"podSelector": {"matchExpressions": [{"key": "part-of", "operator": "In", "values": [f"p{number}", f"p{number + 1}"]}]}},
    ]
    block = {"ipBlock": {"cidr": f"203.0.{number}.0/24", "except": [f"203.0.{number}.128/25"]}}
    ports = [{"port": "http"}, {"port": 9000 + number, "endPort": 9100}]
    return {
        "podSelector": {"matchLabels": {"part-of": f"p{number}"}}
        if number % 2
        else {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [*peers, block], "ports": ports}],
        "egress": [{"to": [*peers, block], "ports": ports}, {"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]}],
    }


def _thing(version: str, kind: str, namespace: str, name: str, labels: dict[str, str], spec: dict[str, object]) -> Object:
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}
    return Object(ObjectId("bench", group_of(version), kind, namespace, name), body, Origin(lambda _: Location("")))
