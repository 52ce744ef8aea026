"""Several hops broken at once: each by its own signal, and nothing else with them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from harness.live.findings import LiveError
from harness.live.together import Hop, together
from unit.live.fakes import Time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Ways:
    """Signals ``a``, ``b`` and ``c``, and what broke them. ``deaf`` ones never show it; ``stuck`` ones never come back; ``late`` looks pass before it shows."""

    def __init__(self, *, deaf: str = "", stuck: str = "", late: int = 0, more: Mapping[str, str] | None = None) -> None:
        self.broken: set[str] = set()
        self.deaf, self.stuck, self.late, self.more = deaf, stuck, late, more or {}
        self.looks = 0
        self.log: list[str] = []

    def hop(self, name: str) -> Hop:
        return Hop(f"hop {name}", f"{name} cut", lambda: self._breaking(name), frozenset({name}))

    @contextmanager
    def _breaking(self, name: str) -> Iterator[None]:
        self.broken |= {name, self.more.get(name, name)}
        self.looks = 0
        self.log.append(f"cut {name}")
        try:
            yield
        finally:
            self.broken -= {name, self.more.get(name, name)} - set(self.stuck)
            self.log.append(f"mended {name}")

    def look(self) -> Mapping[str, str]:
        self.looks += 1
        late = bool(self.log) and self.looks <= self.late
        return {name: f"no {name}" if name in self.broken and name not in self.deaf and not late else "" for name in "abc"}


def test_every_hop_is_seen_red_by_its_own_signal() -> None:
    ways, time = Ways(late=1), Time()
    reds = together([ways.hop("a"), ways.hop("b")], ways.look, clock=time.clock)
    assert [str(red) for red in reds] == [
        "hop a: a cut: a: no a (after 1 s; mended after 0 s)",
        "hop b: b cut: b: no b (after 1 s; mended after 0 s)",
    ]
    assert ways.log == ["cut a", "cut b", "mended b", "mended a"]


def test_a_signal_that_holds_although_its_hop_is_broken_is_a_finding() -> None:
    ways = Ways(deaf="b")
    with pytest.raises(LiveError) as caught:
        together([ways.hop("a"), ways.hop("b")], ways.look, broken_within=5, clock=Time().clock)
    assert [(item.rule, item.subject, item.found) for item in caught.value.findings] == [("LIV104", "hop b", "b still hold 5 s after: b cut")]
    assert not ways.broken


def test_a_fault_that_takes_other_signals_with_it_is_a_finding() -> None:
    ways = Ways(more={"a": "c"})
    with pytest.raises(LiveError) as caught:
        together([ways.hop("a")], ways.look, broken_within=5, clock=Time().clock)
    assert [(item.rule, item.subject, item.found) for item in caught.value.findings] == [("LIV850", "hop a", "c: no c")]


def test_what_does_not_come_back_and_what_was_not_there_are_findings() -> None:
    ways = Ways(stuck="a")
    with pytest.raises(LiveError, match=r"LIV105 hop a: after they are mended, within 150 s: a: no a"):
        together([ways.hop("a")], ways.look, clock=Time().clock)
    with pytest.raises(LiveError, match=r"LIV105 hop b: before they are broken, within 150 s: a: no a"):
        together([ways.hop("b")], ways.look, clock=Time().clock)
    with pytest.raises(LiveError, match=r"before they are broken.*everything arrives"):
        together([ways.hop("b")], dict, clock=Time().clock)


def test_a_hop_that_cannot_be_broken_mends_the_others() -> None:
    ways = Ways()

    @contextmanager
    def impossible() -> Iterator[None]:
        raise OSError("no")
        yield

    with pytest.raises(OSError, match="no"):
        together([ways.hop("a"), Hop("hop z", "z cut", impossible, frozenset({"b"}))], ways.look, clock=Time().clock)
    assert ways.log == ["cut a", "mended a"]
