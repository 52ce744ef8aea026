"""Work in child processes that start with everything the parent has: nothing is copied, and only the result comes back.

Rules are pure Python, so threads do not help; a forked child shares the parent's memory, so a world need not be sent anywhere.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass
class Pending(Generic[T]):
    """A result that is on its way, or here already."""

    _value: Any = None
    _child: int = 0
    _file: IO[bytes] | None = None

    def result(self) -> T:
        """Wait for the result. Raises what the work raised; RuntimeError when the child died."""
        if self._child and self._file is not None:
            _, status = os.waitpid(self._child, 0)
            self._child = 0
            self._file.seek(0)
            data = self._file.read()
            self._file.close()
            if status or not data:
                raise RuntimeError(f"a child process died with status {os.waitstatus_to_exitcode(status)}")
            # Written by our own child, into a file that nobody else can open.
            kind, self._value = pickle.loads(data)  # noqa: S301
            if kind == "error":
                raise self._value
        found: T = self._value
        return found


class Forks:
    """Runs work in at most ``limit`` children at a time, in the order it comes. With a limit of 1, or without ``fork``, it runs here and now."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = (os.cpu_count() or 1) if limit is None else limit
        self._running: list[Pending[Any]] = []

    def start(self, work: Callable[[], T]) -> Pending[T]:
        """Start some work. Its result must be picklable."""
        if self._limit < 2 or not hasattr(os, "fork"):
            return Pending(work())
        while len(self._running) >= self._limit:
            self._settle(self._running.pop(0))
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed where the result is read
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _work(work, file)
        pending: Pending[T] = Pending(None, child, file)
        self._running.append(pending)
        return pending

    def _settle(self, pending: Pending[Any]) -> None:
        """Wait for a child, so that another may start; what it raised is raised where its result is asked for."""
        if pending._child:
            os.waitid(os.P_PID, pending._child, os.WEXITED | os.WNOWAIT)


def _work(work: Callable[[], Any], file: IO[bytes]) -> None:
    """The child's life: it never returns."""
    code = 1
    try:
        try:
            data = pickle.dumps(("value", work()), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - the parent raises it
            data = pickle.dumps(("error", error), pickle.HIGHEST_PROTOCOL)
        file.write(data)
        file.flush()
        code = 0
    finally:
        os._exit(code)
