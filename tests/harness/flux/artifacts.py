"""OCI artifacts of manifests that are not this repository, such as Flux's own: built like a folder of Git.

An artifact comes from the mirror folder (where charts come from too), or, reduced to facts like a rendered release, from the lock:
``artifacts/<name>-<tag>.json``, shared by the clusters. With the mirror at hand the lock is compared with it.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from harness.flux.kustomize import BuiltObject, Kustomizer
from harness.flux.patches import read_patches
from harness.flux.reduce import FORMAT, pretty, reduce
from harness.model import Location, Object, Problem
from harness.source.repository import Repository
from harness.source.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.flux.cache import Cache
    from harness.flux.charts import Charts
    from harness.flux.kustomize import Built
    from harness.flux.patches import Patch
    from harness.flux.tools import Tools

_FOLDER: Final = "artifacts"
_COMMAND: Final = "run `nox -s lock`"


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact at hand: its build, what is wrong with its lock, and whether it was read from the lock."""

    kustomizer: Kustomizer
    problem: tuple[str, str] | None
    elided: bool


@dataclass(frozen=True, slots=True)
class ArtifactBuild:
    """What a Kustomization makes of an artifact. ``elided``: opaque text in it stands as a digest."""

    built: Built
    elided: bool


class Artifacts:
    """Builds Kustomizations whose source is an artifact at hand. Safe to share between threads."""

    def __init__(self, repository: Repository, charts: Charts, cache: Cache, tools: Tools, lock: Path | None) -> None:
        """``repository`` holds the Kustomizations; ``lock``: the lock's folder, None when the repository has none."""
        self._repository = repository
        self._charts = charts
        self._cache = cache
        self._tools = tools
        self._lock = lock
        self._guard = threading.Lock()
        self._known: dict[tuple[str, str], Artifact | None] = {}
        self._facts: dict[str, str] = {}
        self._unseen: set[str] = set()

    def build(self, kustomization: Object, source: Object) -> ArtifactBuild | None:
        """What a Kustomization makes of its artifact, or None when the artifact is nowhere. Everything in it is located at what chose it."""
        if source.kind != "OCIRepository":
            return None
        url, tag = str(source.get("spec", "url", default="")), str(source.get("spec", "ref", "tag", default=""))
        with self._guard:
            if (url, tag) not in self._known:
                self._known[url, tag] = self._unpack(url, tag)
            artifact = self._known[url, tag]
        if artifact is None:
            return None
        built = artifact.kustomizer.build("", kustomization.spec, where=lambda pointer: kustomization.locate("spec", *pointer))
        built = _relocated(built, kustomization, source, self._repository)
        if artifact.problem is not None:
            code, message = artifact.problem
            found = Problem(code, str(kustomization.id), source.locate("spec", "ref"), f"{message}: {_COMMAND}")
            built = replace(built, problems=(*built.problems, found))
        return ArtifactBuild(built, artifact.elided)

    def write(self) -> list[str]:
        """Write every artifact that was built from the mirror to the lock, and remove those that nothing names. Returns what changed, relative to the lock."""
        if self._lock is None:
            return []
        folder = self._lock / _FOLDER
        changed = []
        for name, text in sorted(self._facts.items()):
            target = folder / name
            if not target.is_file() or target.read_text(encoding="utf-8") != text:
                folder.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
                changed.append(f"{_FOLDER}/{name}")
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            if path.name not in self._facts and path.name not in self._unseen:
                path.unlink()
                changed.append(f"{_FOLDER}/{path.name}")
        return changed

    @property
    def unseen(self) -> list[str]:
        """What was built from the lock, or could not be, because the artifact is not at hand; relative to the lock."""
        return sorted(f"{_FOLDER}/{name}" for name in self._unseen)

    def _unpack(self, url: str, tag: str) -> Artifact | None:
        texts = self._charts.artifact(url, tag)
        name = _file(url, tag)
        if not texts:
            self._unseen.add(name)
            kept = self._locked(name)
            return Artifact(self._kustomizer([yaml.dump_all(kept, Dumper=yaml.CSafeDumper, sort_keys=False)]), None, elided=True) if kept else None
        documents = [document.body for text in texts for document in parse(text, name, strict=False).documents]
        facts = pretty({"url": url, "tag": tag, "format": FORMAT, "documents": [reduce(body) for body in documents]}) + "\n"
        self._facts[name] = facts
        return Artifact(self._kustomizer(texts), self._compared(name, facts), elided=False)

    def _kustomizer(self, texts: list[str]) -> Kustomizer:
        folder = Path(tempfile.mkdtemp(prefix="artifact-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for number, text in enumerate(texts):
            folder.joinpath(f"{number:03}.yaml").write_text(text, encoding="utf-8")
        return Kustomizer(Repository(folder), self._cache, self._tools)

    def _compared(self, name: str, facts: str) -> tuple[str, str] | None:
        if self._lock is None:
            return None
        path = self._lock / _FOLDER / name
        if not path.is_file():
            return "lock-missing", "the lock does not have this artifact"
        return None if path.read_text(encoding="utf-8") == facts else ("lock-mismatch", f"{_FOLDER}/{name} is not what the artifact holds")

    def _locked(self, name: str) -> list[Mapping[str, Any]]:
        path = self._lock / _FOLDER / name if self._lock is not None else None
        if path is None or not path.is_file():
            return []
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        documents = kept.get("documents") if isinstance(kept, dict) else None
        return [item for item in documents if isinstance(item, dict)] if isinstance(documents, list) else []


def _file(url: str, tag: str) -> str:
    name = posixpath.basename(urlsplit(url).path.rstrip("/"))
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{name}-{tag}") + ".json"


def _relocated(built: Built, kustomization: Object, source: Object, home: Repository) -> Built:
    """Lines of the unpacked artifact mean nothing to anyone: point to the tag that chose it, unless a patch of the Kustomization set the field."""
    here = source.locate("spec", "ref")
    mine = kustomization.locate("spec").path
    patches = _patches(kustomization, home)

    def moved(made: BuiltObject) -> BuiltObject:
        def locate(pointer: tuple[str | int, ...]) -> Location:
            found = made.locate(pointer)
            # The build knows which patch it was; the lines inside its text are in a file that it does not have.
            exact = (patch.claims(pointer, made.body, {}) for patch in reversed(patches.get(found, ())))
            known = next((location for location in exact if location is not None), found)
            return known if found in patches or found.path == mine else here

        return replace(made, locate=locate)

    problems = tuple(Problem(item.code, str(kustomization.id), kustomization.locate(), item.message) for item in built.problems)
    return replace(built, objects=tuple(moved(item) for item in built.objects), problems=problems, files=frozenset())


def _patches(kustomization: Object, home: Repository) -> dict[Location, list[Patch]]:
    """The patches of a Kustomization by the place of their text."""
    found: dict[Location, list[Patch]] = {}
    for index, item in enumerate(kustomization.spec.get("patches") or ()):
        text = item.get("patch") if isinstance(item, dict) else None
        if isinstance(text, str):
            at = kustomization.locate("spec", "patches", index, "patch")
            found[at] = read_patches(home, text, at)
    return found
