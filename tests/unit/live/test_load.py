"""Steady requests: what failed, when, and how long the gap was."""

from __future__ import annotations

import time

from harness.live.ingress.load import Load


def test_failures_and_gaps_are_counted() -> None:
    answers = iter(["", "", "status 502", "status 502", ""])
    done = []

    def ask() -> str:
        answer = next(answers, None)
        if answer is None:
            done.append(1)
            return ""
        return answer

    with Load(ask, pace=200) as load:
        deadline = time.monotonic() + 20
        while not done and time.monotonic() < deadline:
            time.sleep(0.005)
    assert [why for _when, why in load.failures] == ["status 502", "status 502"]
    assert load.sent >= 6
    assert 0 < load.share < 0.5
    assert load.longest >= 2 / 200
    assert str(load).startswith(f"2 of {load.sent} requests failed, longest gap ")


def test_a_broken_connection_is_a_failure() -> None:
    def ask() -> str:
        raise ConnectionResetError(104, "reset by peer")

    with Load(ask, pace=100) as load:
        time.sleep(0.05)
    assert load.share == 1.0
    assert "reset by peer" in str(load)
    assert load.longest >= 0.03


def test_nothing_sent_is_no_share() -> None:
    assert Load(lambda: "").share == 0.0
