"""Steady requests while something changes: how many failed, and for how long nothing was answered."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


@dataclass
class Load:
    """Asks the same question at a steady pace for the duration of a block.

    ``ask`` returns empty text when the answer was right, else what was wrong; what it raises as OSError is wrong too. ``pace`` is in questions a second; a
    question that takes longer than its turn delays the next, it is never asked twice at the same time.
    """

    ask: Callable[[], str]
    pace: float = 10.0
    sent: int = field(default=0, init=False)
    failures: list[tuple[float, str]] = field(default_factory=list, init=False)
    """When (seconds since the start) and why."""
    longest: float = field(default=0.0, init=False)
    """Seconds between two right answers, at the most, beyond the pace."""

    def __enter__(self) -> Load:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join(60)

    @property
    def share(self) -> float:
        """The part of the questions that failed, 0 to 1."""
        return len(self.failures) / self.sent if self.sent else 0.0

    def __str__(self) -> str:
        first = f", first after {self.failures[0][0]:.1f} s: {self.failures[0][1]}" if self.failures else ""
        return f"{len(self.failures)} of {self.sent} requests failed, longest gap {self.longest:.1f} s{first}"

    def _run(self) -> None:
        start = last = time.monotonic()
        while not self._end.is_set():
            asked = time.monotonic()
            try:
                wrong = self.ask()
            except OSError as error:
                wrong = str(error) or type(error).__name__
            self.sent += 1
            now = time.monotonic()
            if wrong:
                self.failures.append((asked - start, wrong))
            else:
                self.longest, last = max(self.longest, now - last - 1 / self.pace), now
            self._end.wait(max(0.0, 1 / self.pace - (now - asked)))
        self.longest = max(self.longest, time.monotonic() - last - 1 / self.pace)
