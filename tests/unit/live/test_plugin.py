"""The tier as somebody runs it on a machine where it cannot run: one line, code 2, never a pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
