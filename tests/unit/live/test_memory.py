"""Memory of nodes: what programs hold under both versions of cgroups, and the most that was seen."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from harness.live.ground.cluster import Cluster, Wanted
from harness.live.ground.cluster import Programs as Tools
from harness.live.ground.memory import Peak, held
from unit.live.fakes import Programs

STAT = ("sh", "-c", "cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat")


def cluster(programs: Programs) -> Cluster:
    return Cluster(Wanted("one"), Tools("kind", "kubectl", "docker"), Path("/nowhere"), programs)


@pytest.mark.parametrize("text", ["cache 5\nrss 1\ntotal_cache 9\ntotal_rss 2048\n", "anon 2048\nfile 9\n"], ids=["v1", "v2"])
def test_nodes_are_added(text: str) -> None:
    programs = Programs().on("docker", "exec", "a", *STAT, says=text).on("docker", "exec", "b", *STAT, says=text)
    assert held(cluster(programs), ["a", "b"]) == 4096


@pytest.mark.parametrize("answer", [{"says": "nothing of the kind"}, {"fails": "no such container"}], ids=["unknown", "gone"])
def test_a_node_that_cannot_be_asked_makes_no_figure(answer: dict[str, str]) -> None:
    programs = Programs().on("docker", "exec", "a", *STAT, says="anon 1\n").on("docker", "exec", "b", *STAT, **answer)
    assert held(cluster(programs), ["a", "b"]) == 0


def test_the_most_that_was_seen() -> None:
    seen, done = iter([1, 7, 3]), threading.Event()

    def look() -> int:
        value = next(seen, None)
        if value is None:
            done.set()
            return 0
        return value

    peak = Peak(look, every=0.001)
    peak.start()
    assert done.wait(10)
    assert peak.stop() == 7


def test_one_that_never_began_has_seen_nothing() -> None:
    assert Peak(lambda: 1).stop() == 0
