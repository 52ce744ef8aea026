"""Tests as jobs: what their markers say, what they may take, what they are given, and when they are not evaluated. Run by pytest in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.live.findings import LiveError, NotEvaluatedError
from harness.live.jobs import Job, Needs
from harness.live.proofs import ordered, require
from harness.live.sync.readiness import Tree
from unit.live.fakes import Time

ROOT = Path(__file__).parents[3]
CONFTEST = """\
import pytest
from types import SimpleNamespace
from harness.live.proofs import MARKER, Proofs, check_arguments, terms_of
from harness.live.plugin import PROOFS, pytest_pyfunc_call


def pytest_configure(config):
    config.addinivalue_line("markers", MARKER)


def pytest_collection_modifyitems(items):
    for item in items:
        terms_of(item)
        check_arguments(item)


@pytest.fixture(scope="session", autouse=True)
def platform(request):
    found = SimpleNamespace(cluster=SimpleNamespace(kubectl="the kubectl"), reached=lambda phase: False, phase="cluster")
    found.world = SimpleNamespace(cluster=SimpleNamespace(name="kind"))
    proofs = request.config.stash[PROOFS] = Proofs(request.session.items, found, at_once=4, fast=True)
    proofs.jobs.start()
    yield found
    assert proofs.jobs.close(10) == []


@pytest.fixture(scope="session")
def cluster(platform):
    return platform.cluster


@pytest.fixture(scope="session")
def kubectl(cluster):
    return cluster.kubectl
"""


def said(tmp_path: Path, body: str) -> str:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(f"import threading\nimport pytest\n\n{body}")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--rootdir",
        str(tmp_path),
        "-c",
        "/dev/null",
        "--strict-markers",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def test_they_run_together_with_what_they_take(tmp_path: Path) -> None:
    text = said(
        tmp_path,
        """\
TOGETHER = threading.Barrier(3)

def test_one(platform, kubectl):
    assert kubectl == "the kubectl"
    TOGETHER.wait(20)

@pytest.mark.parametrize("host", ["a", "b"])
def test_host(host, cluster):
    assert host in "ab"
    TOGETHER.wait(20)

def test_bad():
    assert "this" == "that", "compare"
""",
    )
    assert "1 failed, 3 passed" in text
    assert "compare" in text


def test_long_ones_are_left_out_of_a_fast_run_and_the_rest_needs_its_systems(tmp_path: Path) -> None:
    text = said(
        tmp_path,
        """\
pytestmark = pytest.mark.proof(uses=("loki",))

@pytest.mark.proof(long=True)
def test_long():
    assert False, "not run"

def test_short():
    assert False, "not run"
""",
    )
    assert "not evaluated: test_long: live proof: left out by --fast" in text
    assert "not evaluated: kind: loki: this run stopped after cluster (--phase)" in text
    assert "not run" not in "".join(line for line in text.splitlines() if line.startswith("E "))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def test_it(tmp_path):\n    pass\n", "a live test takes cluster, kubectl, platform and its parameters, not tmp_path"),
        ("@pytest.mark.proof(uses='loki')\ndef test_it():\n    pass\n", "uses of the marker proof takes a tuple of names, not a text"),
        ("@pytest.mark.proof(wants=())\ndef test_it():\n    pass\n", "a marker is proof(uses=(), breaks=(), seconds=300, long=False)"),
        ("@pytest.mark.proof('loki')\ndef test_it():\n    pass\n", "a marker is proof("),
    ],
    ids=["fixture", "text", "word", "positional"],
)
def test_what_cannot_be_meant_is_said_before_anything_runs(tmp_path: Path, body: str, reason: str) -> None:
    text = said(tmp_path, body)
    assert text.startswith("4\n")
    assert reason in text


def kustomization(ready: str, revision: str = "x", reason: str = "HealthCheckFailed") -> dict[str, Any]:
    """A Kustomization whose condition Ready is as given."""
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": "timeout waiting for StatefulSet/loki"}
    body: dict[str, Any] = {"kind": "Kustomization", "metadata": {"name": "loki", "namespace": "flux-system", "generation": 1}, "spec": {}}
    body["status"] = {"observedGeneration": 1, "conditions": [condition], "lastAppliedRevision": revision}
    return body


def platform(ready: str, *, left: tuple[str, ...] = (), revision: str = "x", reason: str = "HealthCheckFailed", began: str = "") -> Any:
    """A platform with one Kustomization. ``began``: its condition Ready at the end of the bring-up; none: it was not waited for."""
    body = kustomization(ready, revision, reason)
    kubectl = SimpleNamespace(get=lambda kind, name, namespace: body)
    item = SimpleNamespace(name="loki", namespace="flux-system")
    world = SimpleNamespace(of=lambda kind: [item], cluster=SimpleNamespace(name="kind"))
    overlay = SimpleNamespace(left_out=[f"flux-system/{name}" for name in left])
    tree = Tree([kustomization(began)]) if began else None
    return SimpleNamespace(world=world, overlay=overlay, cluster=SimpleNamespace(kubectl=kubectl), reached=lambda phase: True, phase="ready", tree=tree)


def test_what_is_ready_can_be_relied_on() -> None:
    require(platform("True"), "loki")
    require(platform("False"))
    # At work again after it was ready, or about to be.
    require(platform("Unknown"), "loki")
    require(platform("False", reason="DependencyNotReady"), "loki")


@pytest.mark.parametrize(
    ("given", "system", "reason"),
    [
        (platform("False"), "loki", "it is not ready: timeout waiting for StatefulSet/loki"),
        (platform("False", began="False"), "loki", "it is not ready: timeout waiting for StatefulSet/loki"),
        (platform("Unknown", revision=""), "loki", "it is not ready: timeout waiting for StatefulSet/loki"),
        (platform("False", revision="", reason="DependencyNotReady"), "loki", "it is not ready: timeout waiting for StatefulSet/loki"),
        (platform("True", left=("loki",)), "loki", "left out of this run"),
        (platform("True"), "tempo", "this cluster has no such Kustomization"),
    ],
    ids=["failed", "from-the-start", "never", "never-begun", "left-out", "unknown"],
)
def test_what_is_not_there_is_not_evaluated(given: Any, system: str, reason: str) -> None:
    with pytest.raises(NotEvaluatedError, match=f"{system}: live proof: {reason}"):
        require(given, system)


class Healing:
    """A Kustomization that failed, and is whatever comes next, one look after the other. It counts how often Flux is asked to look."""

    def __init__(self, *ready: str) -> None:
        self.ready = list(ready)
        self.asked = 0

    def get(self, _kind: str, _name: str, _namespace: str) -> dict[str, Any]:
        return kustomization(self.ready.pop(0) if len(self.ready) > 1 else self.ready[0])

    def __call__(self, *words: str) -> str:
        assert words[:4] == ("annotate", "--overwrite", "kustomizations.kustomize.toolkit.fluxcd.io", "loki")
        self.asked += 1
        return ""


def test_what_failed_meanwhile_is_waited_for() -> None:
    given, healing = platform("False", began="True"), Healing("False", "False", "Unknown", "False", "True")
    given.cluster.kubectl = healing
    require(given, "loki", clock=Time().clock)
    # At each look that finds it failed, and not while Flux is at work.
    assert healing.asked == 2
    assert healing.ready == ["True"]


def test_what_does_not_come_back_is_a_finding() -> None:
    given, time = platform("False", began="True"), Time()
    given.cluster.kubectl = Healing("False")
    with pytest.raises(LiveError, match="LIV106") as error:
        require(given, "loki", clock=time.clock)
    assert "timeout waiting for StatefulSet/loki" in str(error.value)
    assert time.clock.now() >= 170


def test_what_keeps_many_waiting_comes_first_and_what_keeps_all_waiting_last() -> None:
    def job(name: str, uses: str = "", breaks: str = "") -> Job:
        return Job(name, lambda: None, Needs(frozenset(uses.split()), frozenset(breaks.split())))

    jobs = [job("all", breaks="*"), job("one", "loki"), job("two", "loki"), job("none"), job("breaks tempo", breaks="tempo"), job("breaks loki", breaks="loki")]
    assert [each.name for each in ordered(jobs)] == ["breaks loki", "one", "two", "none", "breaks tempo", "all"]
