"""The waiter, with a clock that does not sleep: when it ends, how often it asks, and what its errors say."""

from __future__ import annotations

import pytest
from harness.live.reach.run import RunError
from harness.live.reach.wait import Progress, Waiter, WaitError, WaitTimeoutError, wait
from unit.live.fakes import Time


def waiter(answers: list[int | RunError], time: Time, told: list[str] | None = None) -> Waiter[int]:
    pending = list(answers)

    def observe() -> int:
        answer = pending.pop(0) if len(pending) > 1 else pending[0]
        if isinstance(answer, RunError):
            raise answer
        return answer

    shown = [] if told is None else told
    return Waiter(observe, lambda answer: f"saw {answer}", Progress(lambda seconds, text: shown.append(f"{seconds:g} {text}")), time.clock)


def test_ready_three_times_in_a_row() -> None:
    time = Time()
    assert waiter([0, 1, 1, 1], time).wait(lambda answer: answer == 1, timeout=60) == 1
    assert time.slept == [1, 1, 1]


def test_a_row_that_breaks_is_counted_from_the_start() -> None:
    time = Time()
    waiter([1, 1, 0, 1, 1, 1], time).wait(lambda answer: answer == 1, timeout=60, delay=2)
    assert time.slept == [2] * 5


def test_one_success_is_enough_when_asked_for() -> None:
    time = Time()
    waiter([1], time).wait(lambda answer: answer == 1, timeout=0, successes=1)
    assert time.slept == []


def test_timeout_carries_the_last_status() -> None:
    time = Time()
    with pytest.raises(WaitTimeoutError) as caught:
        waiter([1, 2, 3], time).wait(lambda answer: answer == 9, timeout=5, what="nine")
    assert str(caught.value) == "wait timed out after 5 s: nine\nsaw 3"
    assert caught.value.status == "saw 3"
    assert isinstance(caught.value, TimeoutError)


def test_it_does_not_sleep_past_its_time() -> None:
    time = Time()
    with pytest.raises(WaitTimeoutError, match="after 9 s"):
        waiter([0], time).wait(lambda _answer: False, timeout=10, delay=3)
    assert sum(time.slept) == 9


def test_error_ends_early_with_its_reason() -> None:
    time = Time()
    with pytest.raises(WaitError) as caught:
        waiter([0, 7], time).wait(lambda _answer: False, error=lambda answer: "seven is bad" if answer == 7 else "", timeout=60, what="eight")
    assert str(caught.value) == "eight cannot come: seven is bad\nsaw 7"
    assert not isinstance(caught.value, WaitTimeoutError)
    assert time.slept == [1]


def test_a_program_that_fails_is_no_answer_and_not_the_end() -> None:
    time, told = Time(), []
    refused = RunError(["kubectl"], "ended with code 1", stderr="connection refused\n")
    waiter([1, refused, 1, 1], time, told).wait(lambda answer: answer == 1, successes=2, timeout=60)
    assert time.slept == [1, 1, 1]
    assert told == ["0 saw 1", "1 could not ask: connection refused", "2 saw 1"]


def test_timeout_while_a_program_fails_says_what_it_said() -> None:
    with pytest.raises(WaitTimeoutError, match="connection refused"):
        waiter([RunError(["kubectl"], "ended with code 1", stderr="connection refused")], Time()).wait(lambda _answer: True, timeout=3)


def test_progress_is_said_once_for_each_change() -> None:
    time, told = Time(), []
    waiter([1, 1, 2, 2, 3], time, told).wait(lambda answer: answer == 3, successes=1, timeout=60)
    assert told == ["0 saw 1", "2 saw 2", "4 saw 3"]


def test_no_success_is_no_contract() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        waiter([1], Time()).wait(lambda _answer: True, successes=0, timeout=1)


def test_plain_wait_tells_status_and_error() -> None:
    time = Time()
    with pytest.raises(WaitTimeoutError, match="wait timed out after 2 s: a pod\nPending"):
        wait(lambda: False, timeout=2, what="a pod", status=lambda: "Pending", clock=time.clock)
    with pytest.raises(WaitError, match="cannot come: it is gone"):
        wait(lambda: False, error=lambda: "it is gone", timeout=2, clock=time.clock)
    wait(lambda: True, timeout=0, clock=time.clock)
