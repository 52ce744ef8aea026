"""Our own alerts fire when they should and stay silent when they should: promtool runs the unit tests of tests/data/alerts/ over the rules in Git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml
from harness.engines.telemetry import alert_tests
from harness.flux.workspace import Options, Workspace

if TYPE_CHECKING:
    from harness.model import Object

ROOT: Final = Path(__file__).parents[2]
FILES: Final = sorted((ROOT / "tests/data/alerts").glob("*.test.yaml"))


@pytest.fixture(scope="module")
def promtool() -> str:
    """The program; without it the run says that nothing was tested."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("the unit tests of alerts were not run: there is no promtool on PATH")
    return found


@pytest.fixture(scope="module")
def rules(promtool: str) -> dict[str, Object]:
    """Every PrometheusRule of the first cluster, by the name that a test file gives it."""
    workspace = Workspace(ROOT, Options())
    world = workspace.world(workspace.clusters[0])
    return {alert_tests.file_name(item): item for item in world.of("PrometheusRule.monitoring.coreos.com")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".test.yaml"))
def test_alerts_fire_and_stay_silent(path: Path, rules: dict[str, Object], promtool: str, tmp_path: Path) -> None:
    for name in yaml.safe_load(path.read_text(encoding="utf-8"))["rule_files"]:
        assert name in rules, f"{path.name} tests {name}, which the cluster has not"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(alert_tests.rule_file(rules[name]), encoding="utf-8")
    shutil.copy(path, tmp_path / path.name)
    said = subprocess.run([promtool, "test", "rules", path.name], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_is_tested_is_counted() -> None:
    body = {"tests": [{"alert_rule_test": [{"alertname": "A", "exp_alerts": [{}]}, {"alertname": "A"}, {"alertname": "B", "exp_alerts": []}]}, None]}
    assert alert_tests.tested_alerts([body, {"tests": 3}]) == {"A": (1, 1), "B": (0, 1)}
