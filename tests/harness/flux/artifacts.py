"""OCI artifacts of manifests that are not this repository, such as Flux's own: taken from the mirror folder, and built like a folder of Git."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.flux.kustomize import BuiltObject, Kustomizer
from harness.model import Object, Problem
from harness.source.repository import Repository

if TYPE_CHECKING:
    from harness.flux.cache import Cache
    from harness.flux.charts import Charts
    from harness.flux.kustomize import Built
    from harness.flux.tools import Tools


class Artifacts:
    """Builds Kustomizations whose source is an artifact at hand."""

    def __init__(self, charts: Charts, cache: Cache, tools: Tools) -> None:
        self._charts = charts
        self._cache = cache
        self._tools = tools
        self._kustomizers: dict[tuple[str, str], Kustomizer] = {}
        self._folders: list[tempfile.TemporaryDirectory[str]] = []

    def build(self, kustomization: Object, source: Object) -> Built | None:
        """What a Kustomization makes of its artifact, or None when the artifact is not at hand. Everything in it is located at the Kustomization."""
        if source.kind != "OCIRepository":
            return None
        url, tag = str(source.get("spec", "url", default="")), str(source.get("spec", "ref", "tag", default=""))
        kustomizer = self._kustomizers.get((url, tag)) or self._unpack(url, tag)
        if kustomizer is None:
            return None
        self._kustomizers[url, tag] = kustomizer
        built = kustomizer.build("", kustomization.spec, where=lambda pointer: kustomization.locate("spec", *pointer))
        return _relocated(built, kustomization, source)

    def _unpack(self, url: str, tag: str) -> Kustomizer | None:
        texts = self._charts.artifact(url, tag)
        if not texts:
            return None
        folder = tempfile.TemporaryDirectory(prefix="artifact-")
        self._folders.append(folder)
        for number, text in enumerate(texts):
            Path(folder.name, f"{number:03}.yaml").write_text(text, encoding="utf-8")
        return Kustomizer(Repository(Path(folder.name)), self._cache, self._tools)


def _relocated(built: Built, kustomization: Object, source: Object) -> Built:
    """Lines of the unpacked artifact mean nothing to anyone: point to the tag that chose it, unless a patch of the Kustomization set the field."""
    here = source.locate("spec", "ref")
    mine = kustomization.locate().path

    def moved(made: BuiltObject) -> BuiltObject:
        return replace(made, locate=lambda pointer: found if (found := made.locate(pointer)).path == mine else here)

    problems = tuple(Problem(item.code, str(kustomization.id), kustomization.locate(), item.message) for item in built.problems)
    return replace(built, objects=tuple(moved(item) for item in built.objects), problems=problems, files=frozenset())
