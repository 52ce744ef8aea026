"""What the rules about releases make of names, versions, durations, targets and comments."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from harness.flux.world import World
from harness.model import Location
from harness.rules.hlm_common import has_comment, is_exact_version, seconds
from harness.source.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("version", "exact"),
    [
        ("1.2.3", True),
        ("v1.21.1", True),
        ("1.2.3-rc.1", True),
        ("1.2.3_build.5", True),
        ("1.2.3+build.5", True),
        ("1.2", False),
        ("1.2.x", False),
        ("^1.2.3", False),
        (">=1.2.3", False),
        ("1.2.3 - 2.0.0", False),
        ("latest", False),
        ("", False),
    ],
)
def test_an_exact_version_names_one_release(version: str, exact: bool) -> None:
    assert is_exact_version(version) is exact


@pytest.mark.parametrize(
    ("text", "length"), [("10m", 600.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("250ms", 0.25), ("10", None), ("", None), (600, None), ("1d", None)]
)
def test_durations_are_those_of_go(text: object, length: float | None) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        pytest.param("a:\n  # why\n  b: 1\n", 3, True, id="above"),
        pytest.param("a:\n  b: 1 # why\n", 2, True, id="beside"),
        pytest.param("a:\n  b:\n    # why\n    c: 1\n", 2, True, id="inside"),
        pytest.param("a:\n  b: 1\n  # why\n  c: 2\n", 2, False, id="of-the-next"),
        pytest.param("a:\n  b: 1\n", 2, False, id="none"),
        pytest.param("a:\n  b: x#y\n", 2, False, id="no-comment-without-a-space"),
        pytest.param("a: 1\n", 0, False, id="whole-file"),
        pytest.param("a: 1\n", 9, False, id="past-the-end"),
    ],
)
def test_a_comment_belongs_to_the_block_it_is_at(tmp_path: Path, text: str, line: int, found: bool) -> None:
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    world = World.of_documents(Repository(tmp_path), "test", [], today=date(2026, 11, 23))
    assert has_comment(world, Location("x.yaml", line)) is found
    assert not has_comment(world, Location("missing.yaml", line))
