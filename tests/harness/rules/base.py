"""What a rule is: data, plus one function.

A rule's function gets one subject at a time and yields a :class:`Violation` for everything wrong with it. Nothing else
decides: which subjects a rule sees is its ``scope``, and whether a violation is silenced is the waiver file's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.model import Location, Object, Severity

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.rules.context import Context

_ID = re.compile(r"^(?P<family>YML|SCH|KUS|FLX|HLM|SEC|NET|RBC|POL|OBS|LIF|REP|LIV)[1-9][0-9]{2}$")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong: what is there, what should be, and where it can be edited. ``fix`` replaces the rule's own text."""

    found: str
    expect: str
    location: Location
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Objects:
    """A rule over objects of every cluster.

    ``kinds`` are written ``Kind.group`` (``Kind`` alone for the core group); none means every object. ``where`` narrows further.
    """

    kinds: tuple[str, ...] = ()
    where: Callable[[Object], bool] | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """A rule over files of the repository that Flux could apply: YAML files below the folders of the clusters, or as ``where`` says."""

    where: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Clusters:
    """A rule over each cluster as a whole."""


@dataclass(frozen=True, slots=True)
class WholeRepository:
    """A rule over the repository as a whole. ``own_only``: it speaks of this project's own conventions, so ``--repo`` leaves it out."""

    own_only: bool = False


Scope = Objects | Files | Clusters | WholeRepository

ObjectCheck = Callable[[Object, "World"], Iterable[Violation]]
FileCheck = Callable[[str, "Context"], Iterable[Violation]]
ClusterCheck = Callable[["World"], Iterable[Violation]]
RepositoryCheck = Callable[["Context"], Iterable[Violation]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``title`` completes the sentence "It must hold that …"; ``why`` gives the harm and the source; ``fix`` says what to edit.

    ``controls`` are ids of the control catalogues (``CIS-5.1.3``, ``NIST-CM-6`` …). ``claims`` are the problem codes
    (:class:`harness.model.Problem`) that this rule turns into findings. ``own_only`` rules hold for this project's layout and are
    not evaluated on a foreign repository. ``every_cluster`` rules say something only when no cluster was left out.
    """

    id: str
    title: str
    why: str
    fix: str
    scope: Scope
    check: Callable[..., Iterable[Violation]]
    severity: Severity = Severity.ERROR
    controls: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    own_only: bool = False
    every_cluster: bool = False

    def __post_init__(self) -> None:
        if not _ID.match(self.id):
            raise ValueError(f"{self.id}: a rule id is a family of three letters and three digits")
        if not (self.title and self.why and self.fix):
            raise ValueError(f"{self.id}: title, why and fix are mandatory")

    @property
    def family(self) -> str:
        return self.id[:3]


@dataclass
class Registry:
    """The rules of one family module, in the order of their ids."""

    rules: list[Rule] = field(default_factory=list)

    def rule(self, id: str, **data: Any) -> Callable[[Callable[..., Iterable[Violation]]], Callable[..., Iterable[Violation]]]:
        """Decorate a check function with its rule's data: every field of :class:`Rule` but ``check``."""

        def register(check: Callable[..., Iterable[Violation]]) -> Callable[..., Iterable[Violation]]:
            if any(known.id == id for known in self.rules):
                raise ValueError(f"{id} is defined twice")
            self.rules.append(Rule(id=id, check=check, **data))
            return check

        return register


def violation(subject: Object, *pointer: str | int, found: str, expect: str, fix: str = "") -> Violation:
    """A violation at a pointer into an object, located at the line someone can edit."""
    return Violation(found=found, expect=expect, location=subject.locate(*pointer), fix=fix)
