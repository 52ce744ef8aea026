"""``policy test``: one line a row, counts, exit codes, JSON, and the real command line beside it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from harness.__main__ import main
from unit.policytest.policytest_suite import pod, validating, write

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAMED = validating("named", "object.metadata.name != 'bad'", "a bad name")
GOOD = {"policy": "named", "resources": ["good"], "result": "pass"}
WRONG = {"policy": "named", "resources": ["bad"], "result": "pass"}
LEGACY = {
    "apiVersion": "kyverno.io/v1",
    "kind": "ClusterPolicy",
    "metadata": {"name": "old"},
    "spec": {"rules": [{"name": "r", "validate": {"pattern": {}}}]},
}


def test_rows_that_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "t", [GOOD], policies=[NAMED], resources=[pod("good")])
    assert main(["policy", "test", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  ok             named Pod/default/good: pass"
    assert lines[-1] == "1 tests: 1 rows ok, 0 failed, 0 not evaluated"


def test_rows_that_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "t", [GOOD, WRONG], policies=[NAMED], resources=[pod("good"), pod("bad")])
    assert main(["policy", "test", str(tmp_path), "--fail-only"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL           named Pod/default/bad (line 15): expected pass, got fail: a bad name" in shown
    assert "named Pod/default/good" not in shown
    assert shown.splitlines()[-1] == "1 tests: 1 rows ok, 1 failed, 0 not evaluated"


def test_rows_that_are_not_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "t", [{"policy": "old", "rule": "r", "result": "pass"}], policies=[LEGACY], resources=[pod("good")])
    assert main(["policy", "test", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "not evaluated 1 times: validate rules of ClusterPolicy are not evaluated (but validate.cel)" in shown
    assert shown.splitlines()[-1] == "1 tests: 0 rows ok, 0 failed, 1 not evaluated"
    assert main(["policy", "test", str(tmp_path), "--strict"]) == 1


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t", [WRONG], policies=[NAMED], resources=[pod("bad")])
    assert main(["policy", "test", str(path), "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"ok": 0, "FAIL": 1, "not evaluated": 0}
    (row,) = document["rows"]
    assert row == {
        "test": "t",
        "file": str(path),
        "line": 8,
        "policy": "named",
        "rule": "",
        "resource": "Pod/default/bad",
        "expected": "pass",
        "got": "fail",
        "outcome": "FAIL",
        "message": "a bad name",
    }


def test_what_cannot_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "test", str(tmp_path)]) == 2
    assert main(["policy", "test", str(tmp_path / "nosuch")]) == 2
    capsys.readouterr()
    write(tmp_path / "t", [GOOD], policies=["nosuch.yaml"], resources=[pod("good")])
    assert main(["policy", "test", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "nosuch.yaml: there is no such file" in captured.err
    assert captured.out.splitlines()[-1] == "0 tests: 0 rows ok, 0 failed, 0 not evaluated, 1 tests could not be read"
    assert main(["policy", "test", str(tmp_path), "-f", "other.yaml"]) == 2


def test_kyverno_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    rows = [
        {"POLICY": "named", "RESOURCE": "v1/Pod/default/good", "RESULT": "Pass", "REASON": "Ok"},
        {"POLICY": "named", "RESOURCE": "v1/Pod/default/bad", "RESULT": "Pass", "REASON": "Excluded"},
    ]
    program = folder / "kyverno"
    program.write_text(f"#!/bin/sh\necho Loading test\ncat <<'END'\n{json.dumps(rows)}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    write(tmp_path / "t", [GOOD, WRONG], policies=[NAMED], resources=[pod("good"), pod("bad")])
    assert main(["policy", "test", str(tmp_path / "t"), "--kyverno"]) == 1
    shown = capsys.readouterr().out
    assert "Kyverno disagrees on named and Pod/default/bad: Pass (Excluded); here: FAIL (a bad name)" in shown
    assert "Kyverno disagrees on 1 pairs of policy and object, and says nothing of 0 files" in shown
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["policy", "test", str(tmp_path / "t"), "--kyverno"]) == 2
