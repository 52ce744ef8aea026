"""Vault beside everything else: started once, with keys that only this cluster's sealing key opens, its failure told and not thrown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.flux.workspace import Options, Workspace
from harness.live.bootstrap.base import BootstrapError, Journal
from harness.live.bootstrap.sealing import Pair, new_pair
from harness.live.ground import vault
from harness.live.ground.cluster import Cluster, Programs, Wanted
from harness.live.ground.vault import VaultUp

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

ROOT = Path(__file__).parents[3]
PAIR = new_pair("test", datetime.now(UTC), bits=2048)
OTHER = new_pair("test", datetime.now(UTC), bits=2048)


def up(folder: Path, pair: Pair = PAIR, *, made: bool = False) -> VaultUp:
    cluster = Cluster(Wanted("one"), Programs("kind", "kubectl", "docker"), folder)
    cluster.made = made
    return VaultUp(cluster, Workspace(ROOT, Options(clusters=("kind",))), pair, Journal(), timeout=5)


def finish(work: VaultUp) -> None:
    work.start()
    work._thread.join(20)
    assert work.done


def test_it_runs_what_the_configuration_script_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(vault.Vault, "up", lambda _self, script, shares, threshold: asked.append((list(map(str, script)), shares, threshold)))
    work = up(tmp_path)
    assert not work.done
    finish(work)
    assert work.error == ""
    ((script, shares, threshold),) = asked
    assert (shares, threshold) == (3, 2)
    assert any("audit" in command for command in script)


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object, _script: Sequence[object], _shares: int, _threshold: int) -> None:
        raise BootstrapError("vault-0 does not answer")

    monkeypatch.setattr(vault.Vault, "up", fail)
    work = up(tmp_path)
    finish(work)
    assert work.error == "Vault: vault-0 does not answer"


def test_keys_are_kept_however_often_it_is_brought_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault.Vault, "up", lambda *_arguments: None)
    (tmp_path / "vault.box").write_text("{}")
    for _ in range(2):
        finish(up(tmp_path, made=True))
    assert (tmp_path / "vault.box").exists()


def test_who_has_the_sealing_key_opens_the_key_file(tmp_path: Path) -> None:
    assert up(tmp_path).vault.keys == up(tmp_path).vault.keys
    assert up(tmp_path).vault.keys != up(tmp_path, OTHER).vault.keys
    assert PAIR.key not in repr(up(tmp_path).vault)


def test_only_a_cluster_with_vault_has_it_brought_up() -> None:
    workspace = Workspace(ROOT, Options(clusters=("kind",)))
    world = workspace.world(workspace.selected[0])
    assert VaultUp.wanted(world)
    without = type(world)(world.cluster, world.repository, world.kubernetes_version, world.today, (), world.schemas)
    assert not VaultUp.wanted(without)
