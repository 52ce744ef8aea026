"""What travels through a pipeline, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.model import Pointer


@dataclass
class Entry:
    """An entry of one stream. ``sources`` are the positions of the lines it is made of; ``extracted`` is what stages pass to each other."""

    labels: dict[str, str]
    line: str
    sources: tuple[int, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    extracted: dict[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    """What could not be evaluated on the way; the entry is what it would be without it."""

    def input(self, source: str) -> str | None:
        """The text a stage works on: the line, or what was extracted under a name; None when that is not there or no text."""
        return text_of(self.extracted.get(source)) if source else self.line

    @property
    def stream(self) -> tuple[tuple[str, str], ...]:
        """What tells its stream from others."""
        return tuple(sorted(self.labels.items()))


@dataclass(frozen=True, slots=True)
class PipelineError:
    """Something that Promtail would refuse to load, or (``unsupported``) that cannot be evaluated here. ``at`` points into the stages."""

    at: Pointer
    message: str
    unsupported: bool = False


class DropError(Exception):
    """Raised by a stage that drops the entry; the message is the reason."""


Emit = Callable[[Entry], None]


class Stage:
    """One stage. It hands on what it is given; a stage that holds entries back hands the rest on when the lines end."""

    def push(self, entry: Entry, emit: Emit) -> None:
        """Take an entry. Raises DropError."""
        raise NotImplementedError

    def flush(self, emit: Emit) -> None:
        """Hand on what is held."""


@dataclass
class Each(Stage):
    """A stage that changes every entry in place, and holds none."""

    change: Callable[[Entry], None]

    def push(self, entry: Entry, emit: Emit) -> None:
        self.change(entry)
        emit(entry)


def text_of(value: Any) -> str | None:
    """An extracted value as text, as ``getString`` gives it: None for what has none (null, lists, maps)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return None


def json_text(value: Any) -> str:
    """Maps and lists that a JSON stage extracts, as Go marshals them."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
