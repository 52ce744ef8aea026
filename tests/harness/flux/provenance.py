"""From a field of a rendered object back to the line that someone can edit.

A template does not say which value it printed where. But values and rendered fields mostly end in the same keys with the same
value (``controller.resources.limits.memory`` and ``spec.template.spec.containers[0].resources.limits.memory``), so the value that
agrees with the field in the longest run of keys, and whose path shares words with the object's name or template, is taken for its
origin. Where none agrees, the chart's default is to blame, and the release is the place to set another.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.flux.values import Values
    from harness.model import Location, Object, Pointer

_PIECE: Final = re.compile(r"[a-z0-9]+")
#: Keys of rendered objects that charts' values often call something else.
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "replicas": ("replicas", "replicaCount", "replicaCounts"),
    "image": ("image", "tag", "repository", "registry", "digest", "version"),
    "storageClassName": ("storageClassName", "storageClass"),
    "storage": ("storage", "size"),
    "minReplicas": ("minReplicas", "min"),
    "maxReplicas": ("maxReplicas", "max"),
    "type": ("type", "serviceType"),
    "name": ("name", "fullnameOverride", "nameOverride"),
    "host": ("host", "hosts", "hostname"),
}
#: Values that say little by themselves: finding one somewhere is no evidence.
_COMMON: Final = (True, False, None, 0, 1, "", "true", "false", "0", "1")
_NEAREST: Final = 6


class _Entry(NamedTuple):
    names: tuple[str, ...]
    path: Pointer
    value: Any


class Provenance:
    """The values of one release, searched for the origin of rendered fields. Everything is computed when first asked for."""

    def __init__(self, release: Object, values: Values) -> None:
        self._release = release
        self._values = values

    @cached_property
    def _by_name(self) -> dict[str, list[_Entry]]:
        found: dict[str, list[_Entry]] = {}
        for path, value in _walk(self._values.values, ()):
            names = tuple(part for part in path if isinstance(part, str))
            if names:
                found.setdefault(names[-1], []).append(_Entry(names, path, value))
        return found

    def locate(self, body: Mapping[str, Any], pointer: Pointer, template: str, patched: Mapping[Pointer, Pointer]) -> Location:
        """The line that sets a field of a rendered object. ``patched`` maps fields to pointers in the release that set them."""
        for length in range(len(pointer), 0, -1):
            if pointer[:length] in patched:
                return self._release.locate(*patched[pointer[:length]])
        path = self.find(body, pointer, template)
        return self._values.locate(path) if path is not None else self._release.locate()

    def find(self, body: Mapping[str, Any], pointer: Pointer, template: str) -> Pointer | None:
        """The path of the value that a field was printed from; None when it is the chart's own."""
        hints = set(_PIECE.findall(f"{_name(body)} {template}".lower()))
        for length in range(len(pointer), max(len(pointer) - _NEAREST, 0), -1):
            here = pointer[:length]
            if isinstance(here[-1], int):
                continue
            present, value = _at(body, here)
            if present:
                best = self._best(here, value, hints)
                if best is not None:
                    return best
        return None

    def _best(self, pointer: Pointer, value: Any, hints: set[str]) -> Pointer | None:
        names = tuple(part for part in pointer if isinstance(part, str))
        scored: list[tuple[float, int, list[str], Pointer]] = []
        for alias in _ALIASES.get(names[-1], (names[-1],)):
            for entry in self._by_name.get(alias, ()):
                if not _agree(names[-1], alias, value, entry.value):
                    continue
                run = _common_run(names, entry.names) if alias == names[-1] else 1
                shared = sum(1 for name in entry.names[:-run] if set(_PIECE.findall(name.lower())) <= hints)
                if value in _COMMON and not isinstance(value, float) and run < 2 and not shared and len(entry.names) > 1:
                    continue
                scored.append((-(run + shared), len(entry.names), [str(part) for part in entry.path], entry.path))
        return min(scored)[3] if scored else None


def _agree(name: str, alias: str, rendered: Any, value: Any) -> bool:
    if name == "image" and alias != "image":
        return isinstance(rendered, str) and isinstance(value, str | int | float) and str(value) not in ("", "None") and str(value) in rendered
    if isinstance(rendered, dict | list):
        return bool(rendered) and rendered == value
    if isinstance(value, dict | list):
        return isinstance(value, list) and rendered in value
    return rendered == value or (rendered is not None and value is not None and _text(rendered) == _text(value))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _common_run(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """How many keys at the end are the same."""
    run = 0
    while run < min(len(left), len(right)) and left[-1 - run] == right[-1 - run]:
        run += 1
    return run


def _walk(value: Any, path: Pointer) -> Iterator[tuple[Pointer, Any]]:
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index))


def _at(body: Any, pointer: Pointer) -> tuple[bool, Any]:
    for part in pointer:
        known = part in body if isinstance(body, dict) else isinstance(body, list) and isinstance(part, int) and part < len(body)
        if not known:
            return False, None
        body = body[part]
    return True, body


def _name(body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
