"""A repository with everything needed to build its clusters: programs, caches, charts, the lock."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from harness.flux.artifacts import Artifacts
from harness.flux.builder import VERSION, Builder
from harness.flux.cache import Cache
from harness.flux.charts import Charts
from harness.flux.discovery import ClusterRoot, discover
from harness.flux.helm import HelmRenderer
from harness.flux.kustomize import Kustomizer
from harness.flux.lock import Lock
from harness.flux.tools import Tools
from harness.source.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.flux.world import World

#: Where the lock lies in a repository that has one.
LOCK_FOLDER = "tests/lock"


def today() -> date:
    """The date that rules about time go by; ``SOURCE_DATE_EPOCH`` sets it, so that a run can be repeated."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC).date() if epoch else datetime.now(UTC).date()


def kubernetes_version(text: str) -> str:
    """The text, when it is a Kubernetes version. Raises ValueError otherwise."""
    if not VERSION.fullmatch(text):
        raise ValueError(f"{text} is no Kubernetes version")
    return text


@dataclass
class Options:
    """What the command line can say about a run."""

    charts: Path | None = None
    """A folder of chart packages (``<name>-<version>.tgz``)."""
    pull: bool = False
    """Whether charts that are nowhere at hand may be fetched from their registries."""
    cache: bool = True
    kubernetes_version: str | None = None
    clusters: tuple[str, ...] = ()
    """Names of the clusters to look at; all of them when empty."""


@dataclass
class Workspace:
    """One repository on disk. Worlds are built on demand; nothing is built twice."""

    root: Path
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        self.today = today()
        self.seconds: dict[str, float] = defaultdict(float)

    @cached_property
    def repository(self) -> Repository:
        return Repository(self.root)

    @cached_property
    def cache(self) -> Cache:
        return Cache() if self.options.cache else Cache(None)

    @cached_property
    def tools(self) -> Tools:
        return Tools(self.cache)

    @cached_property
    def charts(self) -> Charts:
        return Charts(mirror=self.options.charts, cache=self.cache, tools=self.tools, allow_network=self.options.pull, repository=self.repository)

    @cached_property
    def lock(self) -> Lock | None:
        folder = self.root / LOCK_FOLDER
        return Lock(folder) if folder.is_dir() else None

    @cached_property
    def kustomizer(self) -> Kustomizer:
        return Kustomizer(self.repository, self.cache, self.tools)

    @cached_property
    def renderer(self) -> HelmRenderer:
        return HelmRenderer(self.charts, self.cache, self.tools, self.lock)

    @cached_property
    def artifacts(self) -> Artifacts:
        folder = self.root / LOCK_FOLDER
        return Artifacts(self.repository, self.charts, self.cache, self.tools, folder if folder.is_dir() else None)

    @cached_property
    def clusters(self) -> tuple[ClusterRoot, ...]:
        """Every cluster of the repository, whether or not the options ask for it."""
        with self.phase("discover"):
            return discover(self.repository)

    @property
    def selected(self) -> tuple[ClusterRoot, ...]:
        """The clusters the options ask for."""
        return tuple(root for root in self.clusters if not self.options.clusters or root.name in self.options.clusters)

    def world(self, root: ClusterRoot) -> World:
        """Build one cluster."""
        with self.phase("build"):
            return Builder(self, root, today=self.today, kubernetes_version=self.options.kubernetes_version).build()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the wall seconds of a block to a named phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start
