"""Proofs that run at the same time: each says what it uses and what it breaks, and waits only for those it would disturb.

Most of a proof is waiting (for a scrape, an alert, a certificate), so one after the other they take the sum of all waits. A proof names the systems of the
platform that it relies on (``uses``) and those that it breaks and mends (``breaks``); it starts as soon as nothing that runs breaks what it uses, or uses
what it breaks. ``ALL`` stands for every system: nothing else runs beside such a proof.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.live.reach.wait import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Every system at once.
ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a proof uses, and what it breaks: names of systems, or ``ALL``."""

    uses: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset()

    def disturbs(self, other: Needs) -> bool:
        """Whether the two must not run at the same time."""
        return _meet(self.breaks, other.uses | other.breaks) or _meet(other.breaks, self.uses | self.breaks)


def _meet(broken: frozenset[str], touched: frozenset[str]) -> bool:
    # What breaks everything disturbs also a proof that names no system.
    return ALL in broken or (ALL in touched and bool(broken)) or bool(broken & touched)


@dataclass(eq=False)
class Job:
    """One proof. ``error`` is what it raised; ``seconds`` how long it ran, without the time it waited for others."""

    name: str
    run: Callable[[], object]
    needs: Needs = field(default_factory=Needs)
    error: BaseException | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    seconds: float = field(default=0.0, init=False)
    ended: threading.Event = field(default_factory=threading.Event, init=False)


class Jobs:
    """Runs jobs on a few threads, in their order as far as their needs allow."""

    def __init__(self, jobs: Iterable[Job], *, at_once: int, now: Callable[[], float] = time.monotonic) -> None:
        """``at_once``: how many may run at the same time, at least one."""
        if at_once < 1:
            raise ValueError("at least one job must be able to run")
        self._pending = list(jobs)
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._now = now
        self._threads = [threading.Thread(target=self._work, name=f"proof-{number}", daemon=True) for number in range(min(at_once, len(self._pending)))]

    def start(self) -> None:
        """Begin, and come back at once."""
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> list[str]:
        """The names of the jobs that run now."""
        with self._changed:
            return [job.name for job in self._running]

    @property
    def left(self) -> int:
        """How many have not ended."""
        with self._changed:
            return len(self._pending) + len(self._running)

    def result(self, job: Job, limit: float, *, tell: Callable[[list[str]], None] = lambda _running: None) -> None:
        """Wait for a job, and raise what it raised. ``tell`` is called every second with what runs.

        Raises:
            WaitTimeoutError: it ran longer than ``limit`` seconds. It is let go: others no longer wait for it.
        """
        while not job.ended.wait(1.0):
            tell(self.running)
            with self._changed:
                if job in self._running and self._now() - job.started > limit:
                    self._running.remove(job)
                    self._changed.notify_all()
                    job.seconds = self._now() - job.started
                    raise WaitTimeoutError(f"the proof did not end within {limit:g} s", job.name)
        if job.error is not None:
            raise job.error

    def close(self, timeout: float = 120) -> list[str]:
        """Start nothing more, and let what runs mend what it broke. Returns the names of what had not ended after ``timeout`` seconds."""
        with self._changed:
            self._pending.clear()
            self._changed.notify_all()
        deadline = self._now() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - self._now()))
        return self.running

    def _work(self) -> None:
        while (job := self._take()) is not None:
            job.started = self._now()
            try:
                job.run()
            except BaseException as error:  # noqa: BLE001 - raised again where the job's result is asked for
                job.error = error
            job.seconds = self._now() - job.started
            with self._changed:
                if job in self._running:
                    self._running.remove(job)
                self._changed.notify_all()
            job.ended.set()

    def _take(self) -> Job | None:
        """The first job that disturbs none that runs; waits for one. None: there is nothing left."""
        with self._changed:
            while self._pending:
                for job in self._pending:
                    if not any(job.needs.disturbs(other.needs) for other in self._running):
                        self._pending.remove(job)
                        self._running.append(job)
                        return job
                self._changed.wait()
            return None
