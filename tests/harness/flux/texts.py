"""Configuration inside ConfigMaps and Secrets: read as YAML, with the line of every entry wherever it was written.

The text may stand in a file of its own (a generator's), in a manifest's block scalar, or in the values of a release, as text or as data. Lines are
found when somebody asks for them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.flux.recall import References, decoded
from harness.flux.reduce import is_mark
from harness.model import Location, Pointer
from harness.source.repository import UnreadableError
from harness.source.yaml import Document, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.values import Values
    from harness.flux.world import World
    from harness.model import Object

_MOST: Final = 512_000


@dataclass(frozen=True, slots=True, eq=False)
class ConfigText:
    """One entry of a ConfigMap or Secret that is a YAML or JSON mapping. ``at`` points to it in ``object``."""

    object: Object
    at: Pointer
    body: dict[str, Any]
    _text: str = field(repr=False)
    _base: Location = field(repr=False)
    _values: Values | None = field(default=None, repr=False)
    _path: Pointer | None = field(default=None, repr=False)
    _parsed: list[Document] = field(default_factory=list, repr=False)

    @property
    def key(self) -> str:
        return str(self.at[-1])

    def locate(self, *pointer: str | int) -> Location:
        """The line someone can edit to change what a pointer into the configuration points to."""
        if self._values is not None:
            path = (*self._path, *pointer) if self._path is not None else _ending(self._values.values, pointer)
            return self._values.locate(path) if path else self._base
        if not self._parsed:
            self._parsed.extend(parse(self._text, "text", strict=False, any_root=True).documents)
        return self._base._replace(line=self._base.line + self._parsed[0].locate(pointer).line)


def config_texts(world: World) -> tuple[ConfigText, ...]:
    """Every configuration of a cluster, in the order of its objects. Use it with :meth:`harness.flux.world.World.derive`."""
    references: dict[tuple[str, str], References] = {}
    return tuple(found for item in world.of("ConfigMap", "Secret") for found in _of(item, world, references))


def elided_texts(world: World) -> tuple[tuple[Object, str], ...]:
    """The entries whose text the lock does not hold."""
    return tuple((item, str(key)) for item in world.of("ConfigMap", "Secret") for _, key, text in _entries(item) if is_mark(text))


def _entries(item: Object) -> Iterator[tuple[str, str, str]]:
    for part in ("data", "stringData"):
        entries = item.body.get(part)
        for key, text in entries.items() if isinstance(entries, dict) else ():
            if isinstance(text, str):
                yield part, str(key), text


def _of(item: Object, world: World, references: dict[tuple[str, str], References]) -> Iterator[ConfigText]:
    for part, key, raw in _entries(item):
        text = decoded(raw) if item.kind == "Secret" and part == "data" else raw
        if text is None or is_mark(text) or len(text) > _MOST or ("\n" not in text and not text.lstrip().startswith("{")):
            continue
        body = _body(text)
        if body is not None:
            yield ConfigText(item, (part, key), body, text, *_place(item, (part, key), text, world, references))


def _body(text: str) -> dict[str, Any] | None:
    """The mapping that a text is, as JSON or YAML; None when it is none."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return found if isinstance(found, dict) else None
    parsed = parse(text, "text", strict=False, any_root=True)
    body = parsed.documents[0].body if len(parsed.documents) == 1 and not parsed.problems else None
    return body if isinstance(body, dict) else None


def _place(item: Object, at: Pointer, text: str, world: World, references: dict[tuple[str, str], References]) -> tuple[Any, ...]:
    """Where the text begins, and the values that it is, if it is."""
    applier = item.applier
    rendered = world.releases.get((applier.namespace, applier.name)) if applier is not None and applier.kind == "HelmRelease" else None
    values = rendered.values if rendered is not None else None
    if applier is not None and values is not None:
        key = (applier.namespace, applier.name)
        if key not in references:
            references[key] = References(values.values)
        found = references[key].place(text)
        if found is not None:
            path, as_text = found
            return (values.locate(path), None, None) if as_text else (Location(""), values, path)
        # The chart composes it: what can be edited are values that end in the same keys.
        return (item.locate(*at), values, None)
    where = item.locate(*at)
    try:
        own = where.path and world.repository.is_file(where.path) and world.repository.text(where.path) == text
    except UnreadableError:
        own = False
    return (where._replace(line=0) if own else where, None, None)


def _ending(values: Any, pointer: Pointer) -> Pointer:
    """The shortest path of values that ends in a pointer, or in as much of its beginning as there is; empty when nothing does."""
    for length in range(len(pointer), 0, -1):
        wanted = pointer[:length]
        pending: list[tuple[Pointer, Any]] = [((), values)]
        while pending:
            path, found = pending.pop(0)
            if path[-length:] == wanted:
                return path
            if isinstance(found, dict):
                pending += [((*path, str(key)), item) for key, item in found.items()]
            elif isinstance(found, list):
                pending += [((*path, index), item) for index, item in enumerate(found)]
    return ()
