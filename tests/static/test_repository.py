"""The repository keeps its own conventions."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.flux.workspace import Workspace
from harness.report.cases import Family
from harness.report.generated import generated_files

ROOT = Path(__file__).parents[2]

test_rule = Family("REP")


@pytest.mark.parametrize(("path", "text"), [pytest.param(path, text, id=path) for path, text in generated_files(Workspace(ROOT))])
def test_generated_document_is_current(path: str, text: str) -> None:
    """``nox -s docs`` rewrites it."""
    assert ROOT.joinpath(path).read_text(encoding="utf-8") == text
