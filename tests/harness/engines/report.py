"""What a validation says: errors, and what it did not look at."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from harness.model import Pointer, format_pointer

#: Text of a locked object that stands for elided text (design.md §4).
_ELIDED = re.compile(r"sha256:[0-9a-f]{16,64}")


def is_elided(value: Any) -> bool:
    """Whether a value stands for text that the lock does not hold."""
    return isinstance(value, str) and value.startswith("sha256:") and _ELIDED.fullmatch(value) is not None


def holds_elided(value: Any, besides: frozenset[str] = frozenset()) -> bool:
    """Whether a value is, or contains, elided text; what is under the keys ``besides`` is not looked at."""
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            pending.extend(current.values() if not besides else [inner for key, inner in current.items() if key not in besides])
        elif isinstance(current, list):
            pending.extend(current)
        elif is_elided(current):
            return True
    return False


@dataclass(frozen=True, slots=True)
class SchemaError:
    """One thing that the API server would refuse. ``keyword`` tells which kind of check: a JSON schema keyword, or a name like ``selector``."""

    pointer: Pointer
    message: str
    keyword: str

    def __str__(self) -> str:
        return f"{format_pointer(self.pointer)}: {self.message}"


@dataclass(frozen=True, slots=True)
class Skip:
    """A check that was not made, and why."""

    pointer: Pointer
    keyword: str
    why: str

    def __str__(self) -> str:
        return f"{format_pointer(self.pointer)}: {self.keyword} not evaluated: {self.why}"


ELIDED = "the text is elided in the lock"


@dataclass(slots=True)
class Report:
    """Collects the errors of one object.

    With ``elided`` (an object from the lock), errors about the content of elided text become skips.
    """

    elided: bool = False
    errors: list[SchemaError] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)

    def error(self, pointer: Pointer, message: str, keyword: str, value: Any = None) -> None:
        """Adds an error. ``value`` is what the message is about: when it holds elided text, nothing is known and the error becomes a skip."""
        if self.elided and value is not None and holds_elided(value):
            self.skip(pointer, keyword, ELIDED)
        else:
            self.errors.append(SchemaError(pointer, message, keyword))

    def skip(self, pointer: Pointer, keyword: str, why: str) -> None:
        self.skips.append(Skip(pointer, keyword, why))


def _sort_key(pointer: Pointer) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in pointer)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one object, sorted by place; nothing twice."""

    errors: tuple[SchemaError, ...]
    skips: tuple[Skip, ...]

    @classmethod
    def of(cls, report: Report) -> Verdict:
        if not report.errors and not report.skips:
            return CLEAN
        errors = sorted(set(report.errors), key=lambda error: (_sort_key(error.pointer), error.keyword, error.message))
        skips = sorted(set(report.skips), key=lambda skip: (_sort_key(skip.pointer), skip.keyword, skip.why))
        return cls(tuple(errors), tuple(skips))


CLEAN = Verdict((), ())
