"""What the rules about lifecycles ask of a release: the name of its chart, and where the release says it."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from harness.rules.hlm_common import OCI_REPOSITORY, chart_source, text

if TYPE_CHECKING:
    from harness.flux.world import World
    from harness.model import Object, Pointer


def chart_name(release: Object, world: World) -> str:
    """The name of a release's chart: from the chart itself, else the last part of its source's URL or path."""
    found = world.releases.get((release.namespace, release.name))
    if found is not None and found.chart is not None:
        return found.chart.name
    source = chart_source(release)
    if source is None:
        return ""
    where = world.find(OCI_REPOSITORY, source.namespace, source.name) if source.kind == "OCIRepository" else None
    path = text(where.spec.get("url")) if where is not None else text(source.chart.get("chart"))
    return posixpath.basename(path.rstrip("/"))


def chart_at(release: Object) -> Pointer:
    """Where a release names its chart's source."""
    source = chart_source(release)
    return source.pointer if source is not None else ("spec",)
