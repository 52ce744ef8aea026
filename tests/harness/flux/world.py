"""What one cluster will get: every object with its origin, what went wrong on the way, and what nobody looked at."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from harness.engines.schema import SchemaSet
from harness.flux.discovery import ClusterRoot, object_of
from harness.flux.kinds import KUSTOMIZATION
from harness.flux.order import Order
from harness.model import NotEvaluated, Object, Problem
from harness.model.pods import PodTemplate, pods_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from harness.flux.helm import Rendered
    from harness.source.repository import Repository
    from harness.source.yaml import Document

T = TypeVar("T")

#: The Kubernetes version a cluster is taken to run when neither the command line nor a variable KUBERNETES_VERSION says.
DEFAULT_KUBERNETES = "1.36"

CRD = "CustomResourceDefinition.apiextensions.k8s.io"


@dataclass(frozen=True, slots=True)
class Build:
    """One Flux Kustomization, built.

    ``variables`` are what substitution had, ``used`` and ``missing`` what the objects asked for. ``files`` are the repository
    files it built from. ``elsewhere`` says why nothing of this repository was built, and is empty otherwise.
    """

    object: Object
    path: str
    built: tuple[Object, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    used: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    elsewhere: str = ""


@dataclass(eq=False, repr=False)
class World:
    """One cluster. ``objects`` are sorted by id; everything here is read-only."""

    cluster: ClusterRoot
    repository: Repository
    kubernetes_version: str
    today: date
    objects: tuple[Object, ...]
    schemas: SchemaSet
    problems: tuple[Problem, ...] = ()
    not_evaluated: tuple[NotEvaluated, ...] = ()
    kustomizations: Mapping[tuple[str, str], Build] = field(default_factory=dict)
    releases: Mapping[tuple[str, str], Rendered] = field(default_factory=dict)
    unknown_values: frozenset[str] = frozenset()
    """Texts that stand for values that only a cluster knows (variables from encrypted Secrets)."""
    _derived: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        # pytest shows the arguments of what fails.
        return f"World({self.cluster.name}, {len(self.objects)} objects)"

    @classmethod
    def of_documents(
        cls, repository: Repository, cluster: str, documents: Iterable[Document], *, today: date, kubernetes_version: str = DEFAULT_KUBERNETES
    ) -> World:
        """A world of documents as they stand, with no build: for a folder of plain manifests and for the fixtures of rules."""
        objects = tuple(sorted((object_of(document, cluster) for document in documents), key=lambda item: item.id))
        builds = {
            (item.namespace, item.name): Build(item, str(item.get("spec", "path", default=""))) for item in objects if str(item.group_kind) == KUSTOMIZATION
        }
        return cls(
            cluster=ClusterRoot(cluster, f"clusters/{cluster}", "documents"),
            repository=repository,
            kubernetes_version=kubernetes_version,
            today=today,
            objects=objects,
            schemas=schemas_for(kubernetes_version, objects),
            kustomizations=builds,
        )

    @cached_property
    def order(self) -> Order:
        """Who waits for whom."""
        return Order(self)

    @cached_property
    def pods(self) -> tuple[PodTemplate, ...]:
        """Every pod this cluster will run, by the object that is or makes it."""
        return pods_of(self.objects)

    def derive(self, build: Callable[[World], T]) -> T:
        """What ``build`` makes of this world, made once: how rules share an engine's view of a cluster."""
        if build not in self._derived:
            self._derived[build] = build(self)
        found: T = self._derived[build]
        return found

    @cached_property
    def reached(self) -> frozenset[str]:
        """The repository files that some Kustomization of this cluster builds from."""
        return frozenset().union(*(build.files for build in self.kustomizations.values()))

    @cached_property
    def used_variables(self) -> frozenset[str]:
        """The variables that some Kustomization of this cluster substitutes."""
        return frozenset().union(*(build.used for build in self.kustomizations.values()))

    def of(self, *kinds: str) -> tuple[Object, ...]:
        """The objects of some kinds (``Kind.group``), sorted by id within each kind."""
        return tuple(item for kind in kinds for item in self._by_kind.get(kind, ()))

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of a kind (``Kind.group``) with this name, or None. Cluster-scoped objects have the empty namespace."""
        return self._by_name.get((kind, namespace, name))

    def problems_of(self, subject: Object | str, *codes: str) -> list[Problem]:
        """The problems that concern a subject (an object or a printed id), of some codes or of all."""
        return [
            problem for problem in self._by_subject.get(str(subject.id) if isinstance(subject, Object) else subject, ()) if not codes or problem.code in codes
        ]

    def is_namespaced(self, item: Object) -> bool | None:
        """Whether objects of this kind live in a namespace; None for a kind that no schema knows."""
        scope = self.schemas.scope(item.api_version, item.kind)
        return None if scope is None else scope == "Namespaced"

    def is_unknown(self, value: Any) -> bool:
        """Whether a value contains a text that stands for something only the cluster knows."""
        return isinstance(value, str) and any(text in value for text in self.unknown_values)

    @cached_property
    def _by_kind(self) -> dict[str, list[Object]]:
        kinds: dict[str, list[Object]] = defaultdict(list)
        for item in self.objects:
            kinds[str(item.group_kind)].append(item)
        return kinds

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str], Object]:
        return {(str(item.group_kind), item.namespace, item.name): item for item in reversed(self.objects)}

    @cached_property
    def _by_subject(self) -> dict[str, list[Problem]]:
        subjects: dict[str, list[Problem]] = defaultdict(list)
        for problem in self.problems:
            subjects[problem.subject].append(problem)
        return subjects


def schemas_for(kubernetes_version: str, objects: Sequence[Object]) -> SchemaSet:
    """The schemas a cluster has once these objects are applied: the built-in ones and those of the CRDs among them."""
    return SchemaSet.for_cluster(kubernetes_version, [item.body for item in objects if str(item.group_kind) == CRD])
