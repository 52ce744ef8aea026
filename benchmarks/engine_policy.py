"""The policy engine: pairs of policy and object a second over workloads of every kind, its curve, and the Kyverno CLI beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from engines import Row
from harness.engines.policy import PolicySet, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICIES, OBJECTS, CLI_OBJECTS, FLOOR = 35, 880, 40, 20_000
#: How the kinds of a real cluster are spread (production of this repository), of a hundred objects.
SPREAD = {
    "ConfigMap": 15,
    "CustomResourceDefinition": 11,
    "ServiceAccount": 10,
    "Service": 10,
    "ClusterRole": 10,
    "RoleBinding": 20,
    "Deployment": 10,
    "NetworkPolicy": 14,
}
GROUPS = {"CustomResourceDefinition": "apiextensions.k8s.io/v1", "ClusterRole": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1"}
GROUPS |= {"Deployment": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1"}


def policies() -> list[dict[str, Any]]:
    """The policies of this repository, repeated under other names until there are enough."""
    found = []
    for path in sorted((Path(__file__).parents[1] / "policies").rglob("*.yaml")):
        found += [body for body in yaml.safe_load_all(path.read_text()) if isinstance(body, dict) and body.get("kind") == "ValidatingPolicy"]
    return [{**found[index % len(found)], "metadata": {"name": f"p{index}"}} for index in range(POLICIES)]


def objects(count: int) -> list[dict[str, Any]]:
    """Objects in the proportions of a real cluster; workloads have two containers with everything set."""
    container = {
        "name": "app",
        "image": "ghcr.io/example/app:1.2.3",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        "ports": [{"containerPort": 8080, "name": "http"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
    }
    pod = {"containers": [container, {**container, "name": "side"}], "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}, "volumes": []}
    kinds = [kind for kind, share in SPREAD.items() for _ in range(share)]
    made = []
    for index in range(count):
        kind = kinds[index * 37 % len(kinds)]
        metadata = {"name": f"{kind.lower()}-{index}", "namespace": f"team-{index % 20}", "labels": {"app.kubernetes.io/name": "app"}}
        spec = {"template": {"metadata": {"labels": {"app": "x"}}, "spec": pod}} if kind == "Deployment" else {"items": [{"n": n} for n in range(20)]}
        made.append({"apiVersion": GROUPS.get(kind, "v1"), "kind": kind, "metadata": metadata, "spec": spec})
    return made


def review(count: int) -> float:
    """Seconds to hold every policy against so many objects, compiled before."""
    compiled, bodies = PolicySet(policies()), objects(count)
    compiled.review(Request(bodies[0]))
    start = time.perf_counter()
    for body in bodies:
        compiled.review(Request(body))
    return time.perf_counter() - start


def rows() -> Iterator[Row]:
    one = review(OBJECTS)
    yield Row(
        f"{POLICIES} policies x {OBJECTS} objects, one core", POLICIES * OBJECTS / one, "pairs/s", f"{POLICIES * OBJECTS / one / FLOOR:.1f} x floor {FLOOR}"
    )
    cores = min(2, os.cpu_count() or 1)
    with ProcessPoolExecutor(cores) as pool:
        spent = max(pool.map(review, [OBJECTS] * cores))
    rate = POLICIES * OBJECTS * cores / spent
    yield Row(f"the same in {cores} processes", rate, "pairs/s", f"{rate / FLOOR:.1f} x floor {FLOOR}")
    ten = review(OBJECTS * 10)
    yield Row(f"{OBJECTS * 10} objects: time against ten times that of {OBJECTS}", ten / (10 * one), "ratio", "1.0 is linear")
    start = time.perf_counter()
    PolicySet(policies())
    yield Row(f"compiling {POLICIES} policies", (time.perf_counter() - start) * 1000, "ms")
    cli = shutil.which("kyverno") or shutil.which("kubectl-kyverno")
    if cli:
        yield from _beside(cli)


def _beside(cli: str) -> Iterator[Row]:
    """The real CLI on a few of the objects; what it takes to start is measured with one object and taken off."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "policies.yaml").write_text("---\n".join(json.dumps(body) + "\n" for body in policies()))

        def run(count: int) -> float:
            (place / "objects.yaml").write_text("---\n".join(json.dumps(body) + "\n" for body in objects(count)))
            start = time.perf_counter()
            subprocess.run([cli, "apply", "policies.yaml", "-r", "objects.yaml"], cwd=place, capture_output=True, timeout=600, check=False)
            return time.perf_counter() - start

        spent = max(run(CLI_OBJECTS) - run(1), 1e-3)
        rate = POLICIES * (CLI_OBJECTS - 1) / spent
        ours = POLICIES * CLI_OBJECTS / review(CLI_OBJECTS)
        yield Row(f"the Kyverno CLI, {POLICIES} policies x {CLI_OBJECTS} objects", rate, "pairs/s", f"ours is {ours / rate:.0f} x as fast")
