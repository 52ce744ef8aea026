"""Proofs at the same time: what disturbs another never runs beside it, everything runs, and errors come back to who asks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from harness.live.jobs import ALL, Job, Jobs, Needs
from harness.live.reach.wait import WaitTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

SYSTEMS = ["loki", "tempo", "vault", ALL]


def needs(uses: str = "", breaks: str = "") -> Needs:
    return Needs(frozenset(uses.split()), frozenset(breaks.split()))


@pytest.mark.parametrize(
    ("one", "other", "disturbs"),
    [
        (needs("loki"), needs("loki"), False),
        (needs("loki"), needs(breaks="loki"), True),
        (needs(breaks="loki"), needs(breaks="loki"), True),
        (needs(breaks="loki"), needs("tempo", "vault"), False),
        (needs(breaks=ALL), needs(), True),
        (needs(breaks=ALL), needs("loki"), True),
        (needs(ALL), needs("loki"), False),
        (needs(ALL), needs(breaks="loki"), True),
        (needs(), needs(breaks="loki"), False),
    ],
    ids=["readers", "reader-writer", "writers", "others", "all-nothing", "all-reader", "uses-all", "uses-all-writer", "nothing"],
)
def test_disturbing_is_mutual(one: Needs, other: Needs, disturbs: bool) -> None:
    assert one.disturbs(other) is disturbs
    assert other.disturbs(one) is disturbs


class Floor:
    """Where jobs are seen: who is there together."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.there: dict[str, Needs] = {}
        self.met: list[tuple[str, str]] = []
        self.most = 0

    def job(self, name: str, wanted: Needs) -> Job:
        return Job(name, lambda: self.visit(name, wanted), wanted)

    def visit(self, name: str, wanted: Needs) -> None:
        with self.lock:
            self.met += [(name, other) for other, theirs in self.there.items() if wanted.disturbs(theirs)]
            self.there[name] = wanted
            self.most = max(self.most, len(self.there))
        time.sleep(0.001)
        with self.lock:
            del self.there[name]


def finish(jobs: list[Job], at_once: int) -> None:
    running = Jobs(jobs, at_once=at_once)
    running.start()
    for job in jobs:
        running.result(job, 30)
    assert running.close(10) == []


@given(
    wanted=st.lists(st.builds(Needs, st.frozensets(st.sampled_from(SYSTEMS)), st.frozensets(st.sampled_from(SYSTEMS))), max_size=12),
    at_once=st.integers(1, 5),
)
@settings(max_examples=40)
def test_what_disturbs_never_meets_and_everything_runs(wanted: list[Needs], at_once: int) -> None:
    floor = Floor()
    jobs = [floor.job(str(number), each) for number, each in enumerate(wanted)]
    finish(jobs, at_once)
    assert floor.met == []
    assert floor.most <= at_once
    assert all(job.ended.is_set() for job in jobs)


def test_they_run_at_the_same_time() -> None:
    together = threading.Barrier(3)
    jobs = [Job(str(number), lambda: together.wait(10)) for number in range(3)]
    finish(jobs, 3)
    assert not together.broken


def test_an_error_comes_back_to_who_asks() -> None:
    def fail() -> None:
        raise ValueError("no such label")

    jobs = [Job("bad", fail), Job("good", lambda: None)]
    running = Jobs(jobs, at_once=1)
    running.start()
    with pytest.raises(ValueError, match="no such label"):
        running.result(jobs[0], 10)
    running.result(jobs[1], 10)


def holding(release: threading.Event) -> Callable[[], object]:
    return lambda: release.wait(30)


def test_one_that_does_not_end_is_let_go() -> None:
    release = threading.Event()
    slow, next_one = Job("slow", holding(release), needs(breaks=ALL)), Job("next", lambda: None, needs("loki"))
    running = Jobs([slow, next_one], at_once=2)
    running.start()
    told: list[list[str]] = []
    try:
        with pytest.raises(WaitTimeoutError, match="did not end within 0 s"):
            running.result(slow, 0, tell=told.append)
        running.result(next_one, 10)
    finally:
        release.set()
    assert told[0] == ["slow"]


def test_closing_starts_nothing_more_and_names_what_runs() -> None:
    release, ran = threading.Event(), threading.Event()
    running = Jobs([Job("slow", holding(release)), Job("later", ran.set)], at_once=1)
    running.start()
    assert running.left == 2
    assert running.close(0.2) == ["slow"]
    assert running.left == 1
    release.set()
    assert running.close(10) == []
    assert not ran.is_set()


def test_at_least_one_can_run() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Jobs([], at_once=0)
