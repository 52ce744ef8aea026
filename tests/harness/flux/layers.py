"""What a level of kustomization may change in an object, and the line that does it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.flux.patches import Patch, Target, value_at
from harness.source.reach import mappings, strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Location, Pointer

_LABEL_FIELDS: Final = frozenset(("labels", "matchLabels", "selector"))
_BRACKET: Final = re.compile(r"\[([^=\]]+)=([^\]]*)\]")


class Layer(Protocol):
    """One change of one level."""

    def claims(self, pointer: Pointer, body: Any, base: Any, names: frozenset[str], namespaces: frozenset[str]) -> Location | None:
        """The line that set the field a pointer leads to, None when this change does not touch it.

        ``body`` is the built object, ``base`` the object as its file has it; ``names`` and ``namespaces`` are all it has had.
        """


@dataclass(frozen=True, slots=True)
class Field:
    """A fixed field, with all below it. ``*`` stands for any name."""

    pointer: tuple[str, ...]
    location: Location

    def claims(self, pointer: Pointer, body: Any, base: Any, names: frozenset[str], namespaces: frozenset[str]) -> Location | None:
        if len(pointer) < len(self.pointer):
            return None
        return self.location if all(wanted in ("*", part) for wanted, part in zip(self.pointer, pointer, strict=False)) else None


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels that go to metadata, templates and selectors, or annotations."""

    lines: Mapping[str, Location]
    annotations: bool = False

    def claims(self, pointer: Pointer, body: Any, base: Any, names: frozenset[str], namespaces: frozenset[str]) -> Location | None:
        if len(pointer) < 2 or not isinstance(pointer[-1], str):
            return None
        fields = ("annotations",) if self.annotations else _LABEL_FIELDS
        return self.lines.get(pointer[-1]) if pointer[-2] in fields else None


@dataclass(frozen=True, slots=True)
class Images:
    """An entry of ``images``."""

    image: Mapping[str, Any]
    location: Location

    def claims(self, pointer: Pointer, body: Any, base: Any, names: frozenset[str], namespaces: frozenset[str]) -> Location | None:
        if not pointer or pointer[-1] != "image":
            return None
        value = value_at(body, pointer)
        name = str(self.image.get("newName") or self.image.get("name"))
        return self.location if isinstance(value, str) and re.split(r"@|:(?=[^/]*$)", value, maxsplit=1)[0] == name else None


@dataclass(frozen=True, slots=True)
class Replicas:
    """An entry of ``replicas``."""

    name: str
    location: Location

    def claims(self, pointer: Pointer, body: Any, base: Any, names: frozenset[str], namespaces: frozenset[str]) -> Location | None:
        return self.location if pointer == ("spec", "replicas") and self.name in names else None


@dataclass(frozen=True, slots=True)
class AnyPatch:
    """A patch with its target."""

    patch: Patch
    target: Target

    def claims(self, pointer: Pointer, body: Any, base: Any, names: frozenset[str], namespaces: frozenset[str]) -> Location | None:
        return self.patch.claims(pointer, body, base) if self.target.selects(body, names, namespaces) else None


@dataclass(frozen=True, slots=True)
class Replacement:
    """An inline entry of ``replacements``."""

    entry: Mapping[str, Any]
    location: Location

    def claims(self, pointer: Pointer, body: Any, base: Any, names: frozenset[str], namespaces: frozenset[str]) -> Location | None:
        for _, target in mappings(self.entry.get("targets")):
            select = target.get("select")
            if isinstance(select, dict) and Target(select).selects(body, names, namespaces):
                for _, path in strings(target.get("fieldPaths")):
                    if _on_path(path, pointer, body):
                        return self.location
        return None


def _on_path(path: str, pointer: Pointer, body: Any) -> bool:
    """Whether a pointer is what a field path of a replacement (``spec.containers.[name=app].image``) leads to."""
    parts = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.(?![^\[]*\])", path)]
    if len(parts) != len(pointer):
        return False
    for wanted, part in zip(parts, pointer, strict=True):
        body = value_at(body, (part,))
        bracket = _BRACKET.fullmatch(wanted)
        if bracket is not None:
            if not isinstance(body, dict) or str(body.get(bracket[1])) != bracket[2]:
                return False
        elif wanted not in ("*", str(part)):
            return False
    return True
