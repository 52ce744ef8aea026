"""What a rule over files or over the whole repository may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.rules.pol_coverage import policies_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from harness.flux.world import World
    from harness.model import Location, Problem
    from harness.source.repository import Repository


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """What is kept of a cluster once its World is gone: enough for the rules over files and the repository."""

    name: str
    path: str
    reached: frozenset[str]
    """Repository files that some Kustomization of the cluster builds from."""
    objects: int
    kinds: frozenset[str]
    kustomizations: tuple[str, ...]
    releases: tuple[str, ...]
    used_variables: frozenset[str]
    policies: Mapping[str, tuple[Location, bool]] = field(default_factory=dict)
    """Every admission policy: where it is, and whether it is about anything the cluster gets."""


@dataclass
class Context:
    """The repository, and a summary of every cluster built from it. ``own`` is true when the repository is this project itself."""

    repository: Repository
    today: date
    own: bool
    clusters: dict[str, ClusterSummary] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """Problems of files (their ``subject`` is a path), from the repository and from the clusters' builds."""

    def add(self, world: World) -> None:
        """Keep what later rules need of a world."""
        self.clusters[world.cluster.name] = ClusterSummary(
            name=world.cluster.name,
            path=world.cluster.path,
            reached=world.reached,
            objects=len(world.objects),
            kinds=frozenset(str(item.group_kind) for item in world.objects),
            kustomizations=tuple(sorted(f"{namespace}/{name}" for namespace, name in world.kustomizations)),
            releases=tuple(sorted(f"{namespace}/{name}" for namespace, name in world.releases)),
            used_variables=world.used_variables,
            policies=policies_of(world),
        )
