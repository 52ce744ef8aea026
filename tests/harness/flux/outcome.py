"""A rendered release without its place in a cluster: what the cache and the lock keep, and what objects are made from.

Everything in it is independent of files and lines: problems carry pointers into the release or its values, and find their line when
they are reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.flux.rendered import ChartFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import Pointer

#: Where a pointer starts: at the release, at its values, or at the line that chooses the chart.
Base = Literal["release", "values", "chart"]


@dataclass(frozen=True, slots=True)
class Rendering:
    """One rendered document. ``template`` is the path that helm names as its source, without the chart's own name.

    ``key`` identifies large documents in the cache. ``patched``: fields that post-rendering set, with the pointer in the release.
    """

    body: Mapping[str, Any]
    template: str
    key: str = ""
    crd: bool = False
    patched: tuple[tuple[Pointer, Pointer], ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem that does not know its line yet."""

    code: str
    base: Base
    pointer: Pointer
    message: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be evaluated. ``document`` is the position of the document it concerns, -1 for the release."""

    document: int
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What rendering gave. ``documents`` are in helm's order, hooks among them; CRDs of ``crds/`` come first."""

    documents: tuple[Rendering, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    gaps: tuple[Gap, ...] = ()
    unknown: tuple[Pointer, ...] = ()
    chart: ChartFacts | None = None


def to_json(outcome: Outcome) -> dict[str, Any]:
    """For the cache: large documents by key only."""
    return {
        "documents": [_rendering_json(item) for item in outcome.documents],
        "chart": chart_json(outcome.chart),
        **notes_json(outcome),
    }


def notes_json(outcome: Outcome) -> dict[str, Any]:
    """Everything but the documents and the chart."""
    return {
        "troubles": [[item.code, item.base, list(item.pointer), item.message] for item in outcome.troubles],
        "gaps": [[item.document, item.what, item.why] for item in outcome.gaps],
        "unknown": [list(item) for item in outcome.unknown],
    }


def _rendering_json(item: Rendering) -> dict[str, Any]:
    kept: dict[str, Any] = {"template": item.template, "crd": item.crd}
    if item.patched:
        kept["patched"] = [[list(field), list(source)] for field, source in item.patched]
    return {**kept, "key": item.key} if item.key else {**kept, "body": item.body}


def from_json(kept: Any, recall: Callable[[str], Mapping[str, Any] | None]) -> Outcome | None:
    """What :func:`to_json` kept; None when it is damaged or a large document is gone."""
    try:
        documents: list[Rendering] = []
        for item in kept["documents"]:
            body = recall(item["key"]) if "key" in item else item["body"]
            if body is None:
                return None
            documents.append(Rendering(body, item["template"], item.get("key", ""), item["crd"], _patched(item.get("patched", []))))
        return with_notes(tuple(documents), chart_of_json(kept["chart"]), kept)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def with_notes(documents: tuple[Rendering, ...], chart: ChartFacts | None, kept: Mapping[str, Any]) -> Outcome:
    """An outcome with what :func:`notes_json` kept."""
    return Outcome(
        documents=documents,
        troubles=tuple(Trouble(code, base, tuple(pointer), message) for code, base, pointer, message in kept["troubles"]),
        gaps=tuple(Gap(document, what, why) for document, what, why in kept["gaps"]),
        unknown=tuple(tuple(pointer) for pointer in kept["unknown"]),
        chart=chart,
    )


def _patched(kept: Any) -> tuple[tuple[Pointer, Pointer], ...]:
    return tuple((tuple(field), tuple(source)) for field, source in kept)


def chart_json(chart: ChartFacts | None) -> dict[str, Any] | None:
    """For the cache and the lock."""
    if chart is None:
        return None
    return {
        "name": chart.name,
        "version": chart.version,
        "appVersion": chart.app_version,
        "kubeVersion": chart.kube_version,
        "deprecated": chart.deprecated,
        "digest": chart.digest,
        "schemaUnread": list(chart.schema_unread),
    }


def chart_of_json(kept: Any) -> ChartFacts | None:
    """What :func:`chart_json` kept."""
    if not isinstance(kept, Mapping):
        return None
    return ChartFacts(
        name=kept["name"],
        version=kept["version"],
        app_version=kept.get("appVersion", ""),
        kube_version=kept.get("kubeVersion", ""),
        deprecated=bool(kept.get("deprecated")),
        digest=kept.get("digest", ""),
        schema_unread=tuple(kept.get("schemaUnread", ())),
    )
