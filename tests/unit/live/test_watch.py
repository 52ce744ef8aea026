"""The bell: a sleep ends when a watch says something, and is a sleep where there is no watch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.live.reach.kubectl import Kubectl
from harness.live.reach.watch import bell

if TYPE_CHECKING:
    from pathlib import Path


def kubectl(folder: Path, body: str) -> Kubectl:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\necho $$ >> {folder}/pids\necho $* >> {folder}/asked\n{body}\n")
    program.chmod(0o755)
    return Kubectl(str(program), folder / "config")


def slept(folder: Path, body: str, *, seconds: float, longest: float) -> float:
    with bell(kubectl(folder, body), "pods", longest=longest) as clock:
        start = time.monotonic()
        clock.sleep(seconds)
        return time.monotonic() - start


def test_a_change_ends_the_sleep(tmp_path: Path) -> None:
    assert slept(tmp_path, "echo pod/web; exec sleep 30", seconds=0.05, longest=20) < 10


def test_without_a_change_it_lasts_its_time(tmp_path: Path) -> None:
    assert 0.3 <= slept(tmp_path, "exec sleep 30", seconds=0.05, longest=0.3) < 10


def test_a_watch_that_ends_is_no_change_and_is_started_again(tmp_path: Path) -> None:
    with bell(kubectl(tmp_path, "exit 1"), "pods", longest=20) as clock:
        start = time.monotonic()
        clock.sleep(0.1)
        assert 0.1 <= time.monotonic() - start < 10
        clock.sleep(0.1)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [f"--kubeconfig={tmp_path}/config get pods --all-namespaces --watch-only --no-headers"] * 2


def test_no_watch_is_left_behind(tmp_path: Path) -> None:
    slept(tmp_path, "exec sleep 30", seconds=0.05, longest=0.2)
    alive = [pid for pid in (tmp_path / "pids").read_text().split() if _runs(pid)]
    assert alive == []


def _runs(pid: str) -> bool:
    from pathlib import Path

    return Path("/proc", pid).exists()
