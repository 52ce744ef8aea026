"""Waiting: a question asked again and again until its answer is ready, is an error, or time is up.

The contract: ``ready`` must hold ``successes`` times in a row, ``error`` ends the wait early, and the last answer is in the exception.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from harness.live.reach.run import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that only go forward, and sleeping. Unit tests hand over one that does not sleep."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class WaitError(Exception):
    """What was waited for cannot come any more. ``status`` is the last answer as text."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(f"{message}\n{status}".rstrip())
        self.status = status


class WaitTimeoutError(WaitError, TimeoutError):
    """What was waited for did not come in time."""


@dataclass
class Progress:
    """Where a wait says what it sees; each text is said once, when it changes. ``tell`` gets the seconds since the start and the text."""

    tell: Callable[[float, str], None] = lambda _seconds, _text: None
    last: str = field(default="", init=False)

    def show(self, seconds: float, text: str) -> None:
        """Say a text unless it is what was said last."""
        if text != self.last:
            self.last = text
            self.tell(seconds, text)


@dataclass
class Waiter(Generic[T]):
    """Waits for one thing that can be observed.

    ``observe`` asks; a program that fails in it is an answer that is not ready, not the end. ``describe`` puts an answer into words, for the
    progress and for the error.
    """

    observe: Callable[[], T]
    describe: Callable[[T], str] = str
    progress: Progress = field(default_factory=Progress)
    clock: Clock = field(default_factory=Clock)

    def wait(
        self,
        ready: Callable[[T], bool],
        *,
        error: Callable[[T], str] | None = None,
        successes: int = 3,
        timeout: float,
        delay: float = 1.0,
        what: str = "",
    ) -> T:
        """The first answer after which ``ready`` has held ``successes`` times in a row.

        Args:
            ready: whether an answer is what is waited for.
            error: why an answer means that it will never be ready; empty text when it does not.
            successes: how often in a row ``ready`` must hold, at least 1.
            timeout: seconds after which to give up; the question is asked once whatever it is.
            delay: seconds between two questions.
            what: what is waited for, for the message.

        Raises:
            WaitError: ``error`` said why.
            WaitTimeoutError: time was up; the message ends with the last answer.
        """
        if successes < 1:
            raise ValueError("successes must be at least 1")
        start = self.clock.now()
        row, status = 0, "nothing was seen"
        while True:
            try:
                answer = self.observe()
            except RunError as failure:
                row, status = 0, f"could not ask: {failure}"
                self.progress.show(self.clock.now() - start, f"could not ask: {failure.reason}")
            else:
                status = self.describe(answer)
                self.progress.show(self.clock.now() - start, status)
                why = error(answer) if error is not None else ""
                if why:
                    raise WaitError(f"{what or 'what was waited for'} cannot come: {why}", status)
                row = row + 1 if ready(answer) else 0
                if row >= successes:
                    return answer
            waited = self.clock.now() - start
            if waited + delay > timeout:
                raise WaitTimeoutError(f"wait timed out after {waited:.0f} s{f': {what}' if what else ''}", status)
            self.clock.sleep(delay)


def wait(
    ready: Callable[[], bool],
    *,
    error: Callable[[], str] | None = None,
    successes: int = 1,
    timeout: float,
    delay: float = 1.0,
    what: str = "",
    status: Callable[[], str] = lambda: "",
    clock: Clock | None = None,
) -> None:
    """Wait until ``ready`` holds ``successes`` times in a row: :class:`Waiter` for what needs no answer but yes or no."""
    asked: Waiter[bool] = Waiter(ready, lambda answer: status() or ("ready" if answer else "not ready"), clock=clock or Clock())
    asked.wait(bool, error=(lambda _answer: error()) if error is not None else None, successes=successes, timeout=timeout, delay=delay, what=what)
