"""The tier as somebody runs it on a machine where it cannot run: one line, code 2, never a pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness.live import plugin

ROOT = Path(__file__).parents[3]


def run(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_it_fails_where_it_cannot_run(tmp_path: Path) -> None:
    done = run("tests/e2e", path=tmp_path)
    assert done.returncode == 2
    said = [line for line in done.stdout.splitlines() if "could not check" in line]
    assert len(said) == 1
    assert "the live tier needs" in said[0]
    assert "passed" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "lokki"), "there is no Kustomization lokki; there are access, "),
        (("--cluster", "production", "--cluster", "kind"), "the live tier runs one cluster"),
    ],
)
def test_options_that_cannot_be_meant_are_said_before_anything_runs(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("tests/e2e", *arguments, path=tmp_path)
    assert done.returncode == 2
    assert f"could not check: {said}" in done.stdout


def test_met_too_late_it_says_how_to_run_it() -> None:
    # As when all of tests/ is collected: the conftest of tests/e2e is read after the command line.
    parent = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()))
    with pytest.raises(pytest.exit.Exception, match="could not check: the live tier runs by itself: pytest tests/e2e") as caught:
        plugin.pytest_pycollect_makemodule(parent)
    assert caught.value.returncode == 2


def report(tmp_path: Path, body: str, more: str = "") -> str:
    """What pytest says of a test with the tier's report hooks and nothing else of it."""
    hooks = "WORLD, pytest_generate_tests, pytest_runtest_makereport, pytest_configure, pytest_sessionfinish, pytest_terminal_summary"
    (tmp_path / "conftest.py").write_text(
        f"from harness.live.plugin import {hooks}\n\n\ndef pytest_addoption(parser):\n    parser.addoption('--ledger', action='store_true')\n" + more
    )
    (tmp_path / "test_it.py").write_text(
        "import pytest\nfrom harness.live.findings import LiveError, NotEvaluatedError\nfrom harness.live.rules.ground import NODES_READY\n"
        f"from harness.live.reach.wait import WaitError\n\n\n{body}"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null", "--junitxml=x.xml", "-rs"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    return f"{done.returncode}\n{done.stdout}\n{(tmp_path / 'x.xml').read_text()}"


RESULTS = """\
@pytest.fixture(scope="session")
def broken():
    raise WaitError("Flux cannot come: it is gone", "the last status")

def test_finding():
    raise LiveError(NODES_READY.finding("Node/a", "Ready: False", "Ready: True"), controls=["CIS-1.1.1"])

def test_one(broken):
    pass

def test_two(broken):
    pass

def test_unknown():
    raise NotEvaluatedError("grafana", "health", "there is no image of it here")
"""


def test_reports(tmp_path: Path) -> None:
    said = report(tmp_path, RESULTS)
    assert said.startswith("1\n")
    assert "LIV101 Node/a\n  at      the running cluster\n  found   Ready: False\n  expect  Ready: True\n" in said
    assert "not evaluated: health: there is no image of it here (grafana)" in said
    # The fixture's error once in full, then by its first line.
    assert said.partition("<?xml")[0].count("the last status") == 1
    assert "as before: Flux cannot come: it is gone" in said
    assert '<property name="rule" value="LIV101" /><property name="subject" value="Node/a" />' in said
    assert '<property name="control" value="CIS-1.1.1" />' in said
    assert "Traceback" not in said


def test_a_run_that_evaluated_nothing_has_checked_nothing(tmp_path: Path) -> None:
    nothing = 'def test_unknown():\n    raise NotEvaluatedError("grafana", "health", "no image")\n'
    assert report(tmp_path, nothing).startswith("2\n")


EACH = """\
def hosts(world):
    return {"one.example.com": 1, "two.example.com": len(world)}

@pytest.mark.each(row=hosts)
def test_host(row):
    assert row == 1

@pytest.mark.each(row=lambda world: {})
def test_nothing(row):
    raise AssertionError("there is nothing to test")
"""


def test_a_marker_gives_one_test_for_each_thing_of_the_build(tmp_path: Path) -> None:
    said = report(tmp_path, EACH, more="\n\ndef pytest_sessionstart(session):\n    session.config.stash[WORLD] = None, ['a', 'b', 'c']\n")
    assert "test_host[two.example.com]" in said
    assert "1 failed, 1 passed, 1 skipped" in said
