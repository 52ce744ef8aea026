"""Configuration that stands as text inside objects, as the engine is given it: read, with the line of every entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.model import Location, Object, Pointer


class Text(Protocol):
    """One entry of a ConfigMap or Secret that is a YAML or JSON mapping. ``at`` points to it in ``object``."""

    @property
    def object(self) -> Object: ...

    @property
    def at(self) -> Pointer: ...

    @property
    def body(self) -> dict[str, Any]: ...

    def locate(self, *pointer: str | int) -> Location:
        """The line of what a pointer into the configuration points to."""
        ...
