"""Rendered documents as JSON data, each text read once: per process by its digest, and large ones (CRDs) once per cache.

The clusters of a repository render mostly the same documents, and CRDs are nine tenths of all text that charts render. The
bodies are shared between clusters and are read-only.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.flux.cache import Cache, digest
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bumped when the loader reads a text differently from before.
FORMAT: Final = 1
#: Characters from which on a document is kept in the cache by itself.
LARGE: Final = 16_384
_SEPARATOR: Final = re.compile(r"^---(?:[ \t#].*)?$", re.MULTILINE)
_CONTENT: Final = re.compile(r"^[ \t]*[^\s#]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a document: a problem code of the loader, the line in the text from 0, and what it is."""

    code: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Read:
    """A document. ``body`` is None when it cannot be read; the faults of one that can be are duplicate keys and their like."""

    key: str
    body: Mapping[str, Any] | None
    faults: tuple[Fault, ...] = ()
    large: bool = False


class Documents:
    """Reads texts of one document each. Safe to share between threads."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._known: dict[str, Read] = {}
        self._underway: dict[str, threading.Lock] = {}

    def read(self, text: str) -> Read:
        """The document of a text. An empty one (comments only) has an empty body."""
        key = digest("document", FORMAT, text)
        known = self._known.get(key)
        if known is not None:
            return known
        with self._lock:
            turn = self._underway.setdefault(key, threading.Lock())
        with turn:
            known = self._known.get(key)
            if known is None:
                known = self._read(key, text)
                self._known[key] = known
        return known

    def recall(self, key: str) -> Mapping[str, Any] | None:
        """The body of a large document by its key, from this process or the cache; None when neither has it."""
        known = self._known.get(key)
        if known is not None:
            return known.body
        body = self._cache.get_json("document", key)
        if not isinstance(body, dict):
            return None
        return self._known.setdefault(key, Read(key, body, (), large=True)).body

    def _read(self, key: str, text: str) -> Read:
        large = len(text) >= LARGE
        if large:
            body = self._cache.get_json("document", key)
            if isinstance(body, dict):
                return Read(key, body, (), large=True)
        parsed = parse(text, "", strict=False)
        faults = [Fault(problem.code, max(problem.location.line - 1, 0), problem.message) for problem in parsed.problems]
        if len(parsed.documents) > 1:
            faults.append(Fault("yaml-syntax", 0, "it holds more than one document"))
        found = parsed.documents[0].body if len(parsed.documents) == 1 else None if faults else {}
        if large and found and not faults:
            self._cache.put_json("document", key, found)
        return Read(key, found, tuple(faults), large)


def split(text: str) -> list[str]:
    """The documents of a stream that has each separator on a line of its own (what helm prints), without the empty ones."""
    return [document for document in _SEPARATOR.split(text) if _CONTENT.search(document)]
