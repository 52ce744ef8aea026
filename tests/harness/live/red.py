"""Red proofs: a probe is believed only after it was seen to fail with its hop broken, and to hold again with the hop mended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.live.findings import LiveError, NotEvaluatedError
from harness.live.reach.run import RunError
from harness.live.reach.wait import Clock, Waiter, WaitError
from harness.live.rules.ground import MENDED, SEEN_RED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

#: Characters of what was observed, in the list of red proofs.
_SHOWN: Final = 160


@dataclass(frozen=True, slots=True)
class Red:
    """A probe that was seen to fail: the hop, what was done to it, and what the probe observed. ``seconds`` from the fault to its failure, and back."""

    hop: str
    fault: str
    observed: str
    seconds: float
    mended: float

    def __str__(self) -> str:
        return f"{self.hop}: {self.fault}: {self.observed} (after {self.seconds:.0f} s; mended after {self.mended:.0f} s)"


def red(
    hop: str,
    fault: str,
    breaking: AbstractContextManager[object],
    probe: Callable[[], str],
    *,
    broken_within: float = 60,
    mended_within: float = 120,
    delay: float = 1.0,
    clock: Clock | None = None,
) -> Red:
    """Show that a probe holds, fails while its hop is broken, and holds again.

    Args:
        hop: what the probe is about, such as ``Promtail -> Loki``.
        fault: what ``breaking`` does, in words.
        breaking: breaks the hop when entered and mends it when left, whatever happens in between.
        probe: empty text when what is probed holds, else what was observed. A finding, a failed program and a wait that ended count as observations.
        broken_within: seconds after which a broken hop must show.
        mended_within: seconds in which the probe must hold, before and after.
        delay: seconds between two looks.
        clock: another clock than this machine's.

    Raises:
        LiveError: LIV104, the probe held although the hop was broken; LIV105, it did not hold before or does not hold again.
    """
    clock = clock or Clock()
    _hold(hop, "before it is broken", probe, mended_within, delay, clock)
    start = clock.now()
    with breaking:
        waiter: Waiter[str] = Waiter(lambda: observed(probe), clock=clock)
        try:
            seen = waiter.wait(bool, successes=1, timeout=broken_within, delay=delay)
        except WaitError as error:
            raise LiveError(SEEN_RED.finding(hop, f"the probe still holds {broken_within:g} s after: {fault}", "a failure that shows")) from error
        took = clock.now() - start
    start = clock.now()
    _hold(hop, f"after it is mended ({fault})", probe, mended_within, delay, clock)
    return Red(hop, fault, " ".join(seen.split())[:_SHOWN], took, clock.now() - start)


def observed(probe: Callable[[], str]) -> str:
    """What a probe observes, whichever way it says it."""
    try:
        return probe()
    except NotEvaluatedError:
        raise
    except (LiveError, RunError, WaitError, OSError) as error:
        return str(error) or type(error).__name__


def _hold(hop: str, when: str, probe: Callable[[], str], timeout: float, delay: float, clock: Clock) -> None:
    last = [""]

    def look() -> str:
        last[0] = observed(probe)
        return last[0]

    waiter: Waiter[str] = Waiter(look, clock=clock)
    try:
        waiter.wait(lambda text: not text, successes=1, timeout=timeout, delay=delay)
    except WaitError as error:
        raise LiveError(MENDED.finding(hop, f"{when}, within {timeout:g} s: {last[0]}", "the probe holds")) from error
