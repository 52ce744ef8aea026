"""Several hops broken at the same time, each shown by its own signal: one round of waiting for all of them instead of one for each.

What is followed is a set of named signals. A fault names those that it must take away; every other signal must hold while it lasts, so that no fault is
believed because everything is broken.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.live.findings import LiveError
from harness.live.reach.wait import Clock, Waiter, WaitError
from harness.live.red import Red
from harness.live.rules.ground import MENDED, SEEN_RED
from harness.live.rules.traces import APART

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

_SHOWN: Final = 160


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop: what ``breaking`` does to it in words (``fault``), and the signals that it alone brings about."""

    name: str
    fault: str
    breaking: Callable[[], AbstractContextManager[object]]
    signals: frozenset[str]


def together(
    hops: Sequence[Hop],
    look: Callable[[], Mapping[str, str]],
    *,
    broken_within: float = 120,
    mended_within: float = 150,
    clock: Clock | None = None,
) -> list[Red]:
    """Show that every signal holds, that each hop's own ones fail while all the hops are broken and no others do, and that all hold again.

    ``look`` follows something new each time, and waits as long as a signal may take by itself.

    Raises:
        LiveError: LIV104, a hop's signal held although it was broken; LIV105, one did not hold before or does not again; LIV850, a signal of no hop failed.
    """
    clock = clock or Clock()
    names = ", ".join(hop.name for hop in hops)
    wanted = {signal for hop in hops for signal in hop.signals}
    _hold(names, "before they are broken", look, mended_within, clock)
    start = clock.now()
    with ExitStack() as stack:
        for hop in hops:
            stack.enter_context(hop.breaking())

        def broken(seen: Mapping[str, str]) -> bool:
            return all(seen[name] for name in wanted) and not any(seen[name] for name in seen.keys() - wanted)

        waiter: Waiter[Mapping[str, str]] = Waiter(look, _told, clock=clock)
        last: list[Mapping[str, str]] = [{}]
        try:
            last[0] = waiter.wait(lambda seen: _kept(last, seen) and broken(seen), successes=1, timeout=broken_within, delay=1)
        except WaitError as error:
            raise _wrong(hops, last[0], broken_within) from error
        took = clock.now() - start
    start = clock.now()
    _hold(names, "after they are mended", look, mended_within, clock)
    mended = clock.now() - start
    seen = last[0]
    return [Red(hop.name, hop.fault, _observed(hop, seen)[:_SHOWN], took, mended) for hop in hops]


def _kept(last: list[Mapping[str, str]], seen: Mapping[str, str]) -> bool:
    last[0] = seen
    return True


def _observed(hop: Hop, seen: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {' '.join(seen[name].split())}" for name in sorted(hop.signals))


def _wrong(hops: Sequence[Hop], seen: Mapping[str, str], within: float) -> LiveError:
    """What to say of a last look at broken hops that is not as it must be."""
    findings = []
    own: set[str] = set()
    for hop in hops:
        own |= hop.signals
        held = sorted(name for name in hop.signals if not seen.get(name))
        if held:
            findings.append(SEEN_RED.finding(hop.name, f"{', '.join(held)} still hold {within:g} s after: {hop.fault}", "a failure that shows"))
    other = {name: text for name, text in seen.items() if text and name not in own}
    if other:
        findings.append(APART.finding(", ".join(hop.name for hop in hops), _told(other), "fails by no hop that is broken"))
    return LiveError(*findings)


def _hold(names: str, when: str, look: Callable[[], Mapping[str, str]], timeout: float, clock: Clock) -> None:
    waiter: Waiter[Mapping[str, str]] = Waiter(look, _told, clock=clock)
    try:
        waiter.wait(lambda seen: bool(seen) and not any(seen.values()), successes=1, timeout=timeout, delay=1)
    except WaitError as error:
        raise LiveError(MENDED.finding(names, f"{when}, within {timeout:g} s: {error.status}", "every signal arrives")) from error


def _told(seen: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in sorted(seen.items()) if text) or "everything arrives"
