"""Running programs: what they printed is in the error, and standard input never is."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Characters of each stream that an error shows: the end of it, where programs say what went wrong.
_SHOWN: Final = 4000


@dataclass(frozen=True, slots=True)
class Output:
    """What a program that succeeded printed."""

    stdout: str
    stderr: str = ""


class RunError(Exception):
    """A program could not be started, failed, or took too long. The text carries the command and the end of both streams."""

    def __init__(self, argv: Sequence[str], why: str, *, code: int | None = None, stdout: str = "", stderr: str = "") -> None:
        super().__init__(argv, why)
        self.argv = tuple(argv)
        self.why = why
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    def __str__(self) -> str:
        lines = [f"{shlex.join(self.argv)}: {self.why}"]
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text.strip():
                lines += [f"  {name}:", *(f"    {line}" for line in _end(text).splitlines())]
        return "\n".join(lines)

    @property
    def reason(self) -> str:
        """One line: the last that the program said."""
        last = next((line.strip() for line in reversed((self.stderr or self.stdout).splitlines()) if line.strip()), "")
        return last or self.why


class Runner(Protocol):
    """How programs are run. Unit tests hand over one that checks what is asked of it."""

    def __call__(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
        """Run a program to its end. ``env`` is laid over this process's environment, ``timeout`` is in seconds.

        Raises:
            RunError: it cannot be started, ends with another code than 0, or takes too long.
        """


def run(argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, env: Mapping[str, str] | None = None) -> Output:
    """Run a program, see :class:`Runner`."""
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except OSError as error:
        raise RunError(argv, f"cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise RunError(argv, f"did not end within {timeout:g} s", stdout=_text(error.stdout), stderr=_text(error.stderr)) from error
    if done.returncode:
        raise RunError(argv, f"ended with code {done.returncode}", code=done.returncode, stdout=done.stdout, stderr=done.stderr)
    return Output(done.stdout, done.stderr)


def _text(stream: bytes | str | None) -> str:
    return stream.decode("utf-8", "replace") if isinstance(stream, bytes) else stream or ""


def _end(text: str) -> str:
    return text if len(text) <= _SHOWN else f"({len(text) - _SHOWN} characters before)\n{text[-_SHOWN:]}"
