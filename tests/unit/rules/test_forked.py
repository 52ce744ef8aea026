"""Work in children gives what it gives here, and what goes wrong in a child is not lost."""

from __future__ import annotations

import os

import pytest
from harness.rules.forked import Forks


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_results_come_in_the_order_they_are_asked_for(limit: int) -> None:
    forks = Forks(limit)
    base = 10
    pending = [forks.start(lambda number=number: (base + number, os.getpid())) for number in range(7)]
    results = [each.result() for each in reversed(pending)]
    assert [value for value, _ in results] == [16, 15, 14, 13, 12, 11, 10]
    assert (os.getpid() in {process for _, process in results}) is (limit == 1)


def test_a_result_can_be_asked_for_twice() -> None:
    pending = Forks(2).start(lambda: "x" * 1_000_000)
    assert pending.result() is pending.result()


def test_what_the_work_raises_is_raised_where_the_result_is_asked_for() -> None:
    def work() -> None:
        raise KeyError("lost")

    pending = Forks(2).start(work)
    with pytest.raises(KeyError, match="lost"):
        pending.result()


def test_a_child_that_dies_is_told() -> None:
    pending = Forks(2).start(lambda: os._exit(3))
    with pytest.raises(RuntimeError, match="status 3"):
        pending.result()


def test_a_result_that_cannot_be_sent_is_told() -> None:
    pending = Forks(2).start(lambda: lambda: 1)
    with pytest.raises(Exception, match="pickle"):
        pending.result()
