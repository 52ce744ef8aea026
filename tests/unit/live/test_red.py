"""A red proof: held, broken, held again; anything else is a finding."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from harness.live.findings import LiveError, NotEvaluatedError
from harness.live.reach.run import RunError
from harness.live.reach.wait import WaitTimeoutError
from harness.live.red import observed, red
from harness.live.rules.ground import NODES_READY
from unit.live.fakes import Time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Hop:
    """A hop that shows its state some looks late. ``stuck``: it never comes back."""

    def __init__(self, late: int = 0, *, deaf: bool = False, stuck: bool = False) -> None:
        self.broken = False
        self.late, self.deaf, self.stuck = late, deaf, stuck
        self.looks = 0
        self.log: list[str] = []

    @contextmanager
    def breaking(self) -> Iterator[None]:
        self.broken, self.looks = True, 0
        self.log.append("broken")
        try:
            yield
        finally:
            self.broken, self.looks = self.stuck, 0
            self.log.append("mended")

    def probe(self) -> str:
        self.looks += 1
        shown = self.broken if self.looks > self.late else not self.broken and bool(self.log)
        return "nothing arrived" if shown and not self.deaf else ""


def test_seen_red() -> None:
    time, hop = Time(), Hop(late=3)
    seen = red("Promtail -> Loki", "Loki is scaled to 0", hop.breaking(), hop.probe, clock=time.clock)
    assert hop.log == ["broken", "mended"]
    assert str(seen) == "Promtail -> Loki: Loki is scaled to 0: nothing arrived (after 3 s; mended after 3 s)"


def test_a_probe_that_holds_on_a_broken_hop_is_a_finding_and_the_hop_is_mended() -> None:
    time, hop = Time(), Hop(deaf=True)
    with pytest.raises(LiveError, match="LIV104 hop: the probe still holds 60 s after: cut"):
        red("hop", "cut", hop.breaking(), hop.probe, clock=time.clock)
    assert hop.log == ["broken", "mended"]


def test_a_probe_that_does_not_hold_before_breaks_nothing() -> None:
    time, hop = Time(), Hop()
    hop.broken = True
    with pytest.raises(LiveError, match="LIV105 hop: before it is broken, within 120 s: nothing arrived"):
        red("hop", "cut", hop.breaking(), hop.probe, clock=time.clock)
    assert hop.log == []


def test_a_hop_that_does_not_come_back_is_a_finding() -> None:
    time, hop = Time(), Hop(stuck=True)
    with pytest.raises(LiveError, match=r"LIV105 hop: after it is mended \(cut\), within 7 s: nothing arrived"):
        red("hop", "cut", hop.breaking(), hop.probe, mended_within=7, clock=time.clock)


def raising(error: Exception) -> Callable[[], str]:
    def probe() -> str:
        raise error

    return probe


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LiveError(NODES_READY.finding("Node/a", "NotReady", "Ready")), "LIV101 Node/a: NotReady"),
        (RunError(["kubectl", "get"], "ended with code 1"), "kubectl get: ended with code 1"),
        (WaitTimeoutError("wait timed out after 3 s", "0 lines"), "wait timed out after 3 s\n0 lines"),
        (ConnectionRefusedError(), "ConnectionRefusedError"),
    ],
    ids=["finding", "program", "wait", "connection"],
)
def test_whatever_way_a_probe_fails_is_an_observation(error: Exception, said: str) -> None:
    assert observed(raising(error)) == said


def test_what_cannot_be_evaluated_is_not_red() -> None:
    with pytest.raises(NotEvaluatedError):
        red("hop", "cut", Hop().breaking(), raising(NotEvaluatedError("a", "b", "c")), clock=Time().clock)


def test_a_fault_of_the_probe_itself_is_no_observation() -> None:
    with pytest.raises(KeyError):
        observed(raising(KeyError("streams")))
