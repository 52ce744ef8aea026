"""What the rules about Helm releases share: where a release's chart comes from, durations, exact versions, comments in the source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.flux.kinds import HELM_RELEASE, SOURCE_GROUP
from harness.model.shapes import items as items
from harness.model.shapes import mapping as mapping
from harness.model.shapes import text as text
from harness.rules.base import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.flux.world import World
    from harness.model import Location, Object, Pointer

RELEASES: Final = (HELM_RELEASE,)
OCI_REPOSITORY: Final = f"OCIRepository.{SOURCE_GROUP}"
HELM_REPOSITORY: Final = f"HelmRepository.{SOURCE_GROUP}"
GIT_REPOSITORY: Final = f"GitRepository.{SOURCE_GROUP}"
HELM_CHART: Final = f"HelmChart.{SOURCE_GROUP}"

_EXACT: Final = re.compile(r"v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:[+_][0-9A-Za-z.-]+)?")
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_STEP: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class ChartSource:
    """The source object a release names, and where it names it.

    ``kind`` is the bare kind; ``chart`` the mapping that holds ``chart`` and ``version`` (``spec.chart.spec`` or a HelmChart's spec),
    empty for a chart that is the artifact itself (``chartRef`` to an OCIRepository or ExternalArtifact).
    """

    kind: str
    namespace: str
    name: str
    pointer: Pointer
    chart: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    def find(self, world: World) -> Object | None:
        """The source object, when the cluster gets it."""
        return world.find(f"{self.kind}.{SOURCE_GROUP}", self.namespace, self.name)


def chart_source(release: Object) -> ChartSource | None:
    """Where ``spec.chartRef`` or ``spec.chart.spec.sourceRef`` points; None when the release names nothing usable.

    Both default to the namespace of the release (helm-controller 1.6, ``api/v2/reference_types.go``).
    """
    reference = mapping(release.get("spec", "chartRef"))
    if reference:
        return _source(release, reference, ("spec", "chartRef"), {})
    chart = mapping(release.get("spec", "chart", "spec"))
    return _source(release, mapping(chart.get("sourceRef")), ("spec", "chart", "spec", "sourceRef"), chart)


def _source(release: Object, reference: dict[str, Any], pointer: Pointer, chart: dict[str, Any]) -> ChartSource | None:
    kind, name = text(reference.get("kind")), text(reference.get("name"))
    if not (kind and name):
        return None
    return ChartSource(kind, text(reference.get("namespace")) or release.namespace, name, pointer, chart)


def own_sources(world: World) -> frozenset[tuple[str, str, str]]:
    """The sources (kind, namespace, name) that some Kustomization of the cluster builds this very repository from."""
    found = set()
    for build in world.kustomizations.values():
        reference = mapping(build.object.get("spec", "sourceRef"))
        if not build.elsewhere and reference:
            found.add((text(reference.get("kind")), text(reference.get("namespace")) or build.object.namespace, text(reference.get("name"))))
    return frozenset(found)


def claimed(subject: Object, world: World, expect: str, *codes: str) -> list[Violation]:
    """What the build already found wrong with a subject, as violations of the rule that claims the codes."""
    return [Violation(problem.message, expect, problem.location) for problem in world.problems_of(subject, *codes)]


def is_exact_version(version: str) -> bool:
    """Whether a version names one release and no range: three numbers, an optional ``v``, pre-release and build."""
    return _EXACT.fullmatch(version) is not None


def seconds(duration: object) -> float | None:
    """A Go duration (``1h30m``) in seconds; None when it is none."""
    if not isinstance(duration, str) or not _DURATION.fullmatch(duration):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _STEP.findall(duration))


def has_comment(world: World, location: Location) -> bool:
    """Whether the YAML block that starts at a line has a comment: right above it, on it, or inside it.

    The block ends at the first line indented no deeper than its start. Comments are what makes an exception reviewable.
    """
    if location.line < 1 or not world.repository.exists(location.path):
        return False
    lines = world.repository.text(location.path).splitlines()
    if location.line > len(lines):
        return False
    start = location.line - 1
    if start and lines[start - 1].lstrip().startswith("#"):
        return True
    return any(_commented(line) for line in _block(lines, start))


def _block(lines: list[str], start: int) -> Iterator[str]:
    yield lines[start]
    indent = _indent(lines[start])
    for line in lines[start + 1 :]:
        if line.strip() and _indent(line) <= indent:
            return
        yield line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _commented(line: str) -> bool:
    stripped = line.lstrip()
    return stripped.startswith("#") or " #" in stripped
