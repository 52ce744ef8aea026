"""A chart at hand: its files, what is in them, and a form of it that helm can be pointed at."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from harness.flux.cache import Cache, digest
from harness.flux.chart import Chart, Questions, chart_of, questions, unpack
from harness.flux.templates import freeze, lift

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Bumped when what is kept of a chart in the cache changes.
_FORMAT: Final = 3


@dataclass(frozen=True, slots=True)
class Prepared:
    """A form of a chart that renders fast and the same every time. ``blocks``: what to put back into its output."""

    path: Path
    blocks: Mapping[str, str]


class Package:
    """A chart at hand. Reading is lazy: with a warm cache only the digest of the package is computed.

    Every property but ``digest`` raises ChartError for what is no valid chart.
    """

    def __init__(
        self, cache: Cache, scratch: Path, *, archive: Path | None = None, data: bytes | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        """One of: an ``archive`` on disk with its ``data``, ``data`` alone, or the ``files`` of a chart that is not packed."""
        self._cache = cache
        self._scratch = scratch
        self._archive = archive
        self._data = data
        self._files = files
        self._lock = threading.RLock()
        if data is not None:
            self.digest = hashlib.sha256(data).hexdigest()
        else:
            self.digest = digest("chart", [[path, hashlib.sha256(content).hexdigest()] for path, content in sorted((files or {}).items())])

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """Every file by path in the chart, packed sub-charts unpacked."""
        with self._lock:
            return self._files if self._files is not None else unpack(self._data or b"")

    @cached_property
    def chart(self) -> Chart:
        """Metadata, values, schemas, CRDs and sub-charts."""
        with self._lock:
            return chart_of(self.files)

    @cached_property
    def questions(self) -> Questions:
        """What the templates ask of their surroundings; kept in the cache."""
        key = digest("questions", _FORMAT, self.digest)
        kept: Any = self._cache.get_json("chart", key)
        if isinstance(kept, dict):
            asked = kept["api_versions"]
            versions = None if asked is None else frozenset(asked)
            return Questions(kept["name"], kept["version"], versions, frozenset(kept["random"]), frozenset(kept["lookups"]), kept["templates"])
        with self._lock:
            found = questions(self.files, self.chart)
        self._cache.put_json(
            "chart",
            key,
            {
                "name": found.name,
                "version": found.version,
                "api_versions": None if found.api_versions is None else sorted(found.api_versions),
                "random": sorted(found.random),
                "lookups": sorted(found.lookups),
                "templates": found.templates,
            },
        )
        return found

    @cached_property
    def path(self) -> Path:
        """Where helm finds the chart as it is."""
        with self._lock:
            if self._archive is not None:
                return self._archive
            if self._files is None and self._data is not None:
                target = self._scratch / f"{self.digest[:20]}.tgz"
                target.write_bytes(self._data)
                return target
            return self._write(self.digest[:20], self.files)

    @cached_property
    def prepared(self) -> Prepared:
        """The chart with random and time functions frozen and large literal CRDs taken out; as it is when it has neither."""
        blocks: dict[str, str] = {}
        changed: dict[str, bytes] = {}
        with self._lock:
            for path, content in self.files.items():
                if not _is_template(path) or not (self.questions.random or b"CustomResourceDefinition" in content) or not _is_text(content):
                    continue
                text, lifted = lift(content.decode())
                text = freeze(text) if self.questions.random else text
                if text.encode() != content:
                    changed[path] = text.encode()
                    blocks |= lifted
            if not changed:
                return Prepared(self.path, {})
            return Prepared(self._write(f"{self.digest[:20]}-prepared", {**self.files, **changed}), blocks)

    def _write(self, name: str, files: Mapping[str, bytes]) -> Path:
        folder = self._scratch / name
        for path, content in files.items():
            # Names of charts and dependencies are text that strangers wrote.
            if path.startswith("/") or ".." in path.split("/"):
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return folder


def with_values(files: Mapping[str, bytes], values: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a chart whose default values are other ones."""
    return {**files, "values.yaml": json.dumps(values).encode()}


def _is_template(path: str) -> bool:
    return path.startswith("templates/") or "/templates/" in path


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
