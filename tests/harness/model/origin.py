"""Where an object comes from, down to the line that someone can edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

#: A path into an object's body: mapping keys as ``str``, list positions as ``int``. The empty tuple is the object.
Pointer = tuple[str | int, ...]


def format_pointer(pointer: Pointer) -> str:
    """``("spec", "containers", 0, "image")`` as ``spec.containers[0].image``; the empty pointer as ``.``."""
    text = ""
    for part in pointer:
        if isinstance(part, int):
            text += f"[{part}]"
        elif text:
            text += f".{part}"
        else:
            text = part
    return text or "."


class Location(NamedTuple):
    """A line of a file of the repository. ``path`` is relative to its root, ``line`` counts from 1 (0: the whole file)."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


#: Answers with the line someone can edit to change what a pointer points to.
#: It must answer for every pointer, with the nearest enclosing place when the exact one is unknown.
Locator = Callable[[Pointer], Location]


def fixed(location: Location) -> Locator:
    """A locator that knows one place only."""
    return lambda _pointer: location


class Link(NamedTuple):
    """One step of the chain that led to an object: a Kustomization, HelmRelease, ResourceSet, or an operator's resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object comes from.

    ``chain`` starts at the cluster's sync root and ends with the applier that creates the object.
    ``synthesised`` names the operator resource an object was derived from, and is empty for objects that are in Git or a chart.
    ``elided`` is true when the object was read from the lock, where opaque text stands as a digest.
    """

    locate: Locator
    chain: tuple[Link, ...] = ()
    synthesised: str = ""
    elided: bool = False
