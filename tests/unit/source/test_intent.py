"""Intent files are read against their schema; what is wrong has its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.source.intent import Intent, read_intent
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {"type": "object", "additionalProperties": False, "properties": {"flows": {"type": "array", "items": {"type": "string"}}}}


def _read(root: Path, text: str | None) -> Intent | None:
    (root / "tests" / "intent").mkdir(parents=True)
    if text is not None:
        (root / "tests" / "intent" / "x.yaml").write_text(text)
    return read_intent(Repository(root), "x.yaml", SCHEMA)


def test_no_file_is_no_intent(tmp_path: Path) -> None:
    assert _read(tmp_path, None) is None


def test_a_file_that_fits_has_no_fault_and_knows_its_lines(tmp_path: Path) -> None:
    found = _read(tmp_path, "flows:\n  - a\n  - b\n")
    assert found is not None
    assert (found.body, found.faults, str(found.locate("flows", 1))) == ({"flows": ["a", "b"]}, (), "tests/intent/x.yaml:3")


def test_what_does_not_fit_is_located(tmp_path: Path) -> None:
    found = _read(tmp_path, "flows:\n  - 7\nmore: 1\n")
    assert found is not None
    assert [str(fault.location) for fault in found.faults] == ["tests/intent/x.yaml:1", "tests/intent/x.yaml:2"]


def test_a_file_of_two_documents_is_refused(tmp_path: Path) -> None:
    found = _read(tmp_path, "a: 1\n---\nb: 2\n")
    assert found is not None
    assert [fault.message for fault in found.faults] == ["2 documents, expected one"]
