"""A verdict is recalled whole, and only for the very same input."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from harness import suite
from harness.compliance.kept import key_of
from harness.flux.cache import Cache
from harness.flux.workspace import Options, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from harness.compliance.verdict import Verdict

SYNC = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: flux-system
  namespace: flux-system
spec:
  interval: 10m
  path: ./clusters/one
  sourceRef:
    kind: GitRepository
    name: flux-system
"""
WAIVER = """\
waivers:
  - rule: FLX101
    object: one/Kustomization/flux-system/flux-system
    owner: platform
    reason: this fixture is there to be found wanting
    expires: "2026-12-31"
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    root = tmp_path / "fleet"
    (root / "clusters/one").mkdir(parents=True)
    (root / "clusters/one/sync.yaml").write_text(SYNC)
    (root / "tests/intent").mkdir(parents=True)
    (root / "tests/intent/waivers.yaml").write_text(WAIVER)
    return root


def _workspace(fleet: Path, **options: object) -> Workspace:
    workspace = Workspace(fleet, Options(**options))
    workspace.cache = Cache(fleet.parent / "cache")
    workspace.today = date(2026, 11, 23)
    return workspace


def _flat(verdict: Verdict) -> object:
    return [(case.id, case.rule, case.findings) for case in verdict.cases], verdict.waived, verdict.ledger, verdict.objects


def test_the_second_run_recalls_what_the_first_came_to(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = suite.prove(_workspace(fleet))
    assert first.waived
    assert first.findings
    monkeypatch.setattr(suite, "_prove", None)
    assert _flat(suite.prove(_workspace(fleet))) == _flat(first)


def test_what_is_damaged_is_come_to_again(fleet: Path) -> None:
    first = suite.prove(_workspace(fleet))
    key = key_of(_workspace(fleet))
    assert key is not None
    entry = Cache(fleet.parent / "cache").path("verdict", key)
    assert entry is not None
    entry.write_bytes(entry.read_bytes()[:-10])
    assert _flat(suite.prove(_workspace(fleet))) == _flat(first)


@pytest.mark.parametrize("options", [{"kubernetes_version": "1.35"}, {"clusters": ("one",)}], ids=["other-version", "some-clusters"])
def test_what_was_asked_is_part_of_the_key(fleet: Path, options: dict[str, object]) -> None:
    assert key_of(_workspace(fleet, **options)) != key_of(_workspace(fleet))


def test_any_file_is_part_of_the_key(fleet: Path) -> None:
    before = key_of(_workspace(fleet))
    (fleet / "note.txt").write_text("a")
    with_note = key_of(_workspace(fleet))
    (fleet / "note.txt").write_text("b")
    assert len({before, with_note, key_of(_workspace(fleet))}) == 3


def test_the_day_is_part_of_the_key(fleet: Path) -> None:
    tomorrow = _workspace(fleet)
    tomorrow.today = date(2026, 11, 24)
    assert key_of(tomorrow) != key_of(_workspace(fleet))


def test_charts_at_hand_are_part_of_the_key(fleet: Path) -> None:
    charts = fleet.parent / "charts"
    charts.mkdir()
    empty = key_of(_workspace(fleet, charts=charts))
    (charts / "web-1.0.0.tgz").write_bytes(b"x")
    assert key_of(_workspace(fleet, charts=charts)) != empty


@pytest.mark.parametrize("options", [{"pull": True}, {"cache": False}], ids=["pull", "no-cache"])
def test_what_may_be_fetched_or_must_not_be_kept_has_no_key(fleet: Path, options: dict[str, object]) -> None:
    assert key_of(_workspace(fleet, **options)) is None
