"""Tempo and Prometheus, asked: the spans of a trace, and exemplars.

Sources: Tempo 2.10, HTTP API ``/api/traces`` (OTLP in JSON; ids in base64, as protobuf's JSON has bytes); Prometheus 3,
``/api/v1/query_exemplars``; OTLP 1.5 over HTTP in JSON (ids in hexadecimal).
"""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live.reach.forwards import Client
from harness.live.reach.web import WebError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.live.reach.forwards import Forwards
    from harness.live.telemetry.metrics import Prometheus

_HEX: Final = re.compile(r"[0-9a-f]+")
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it is stored; ids in hexadecimal. ``attributes`` are its own, ``resource`` those of what made it."""

    name: str
    span: str
    parent: str
    kind: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]

    @property
    def service(self) -> str:
        """Who made it."""
        return self.resource.get("service.name", "")


class Tempo:
    """The trace store of a cluster."""

    def __init__(self, forwards: Forwards) -> None:
        self._client = Client(forwards, "svc/tempo", 3200, "tempo", headers={"Accept": "application/json"})

    def spans(self, trace: str) -> list[Span]:
        """The spans of a trace; none when it is not there. Raises WebError."""
        answer = self._client.ask(f"/api/traces/{trace}")
        if answer.status == _NOT_FOUND:
            return []
        if answer.status != 200:
            raise WebError(f"Tempo: status {answer.status}: {answer.text[:300]}")
        return list(spans_of(answer.json))


def exemplars(prometheus: Prometheus, query: str, *, seconds: float = 900, now: Callable[[], float] = time.time) -> list[tuple[dict[str, str], dict[str, str]]]:
    """The exemplars of the last ``seconds`` of the series that a query names: labels of the series, and of the exemplar.

    Raises:
        QueryError, WebError: as for every question.
    """
    end = now()
    found = prometheus.get("/api/v1/query_exemplars", {"query": query, "start": f"{end - seconds:.3f}", "end": f"{end + 60:.3f}"})
    return [(series["seriesLabels"], exemplar["labels"]) for series in found for exemplar in series["exemplars"]]


def spans_of(body: Mapping[str, Any]) -> Iterator[Span]:
    """The spans in an answer of Tempo: OTLP, under the name of the version that wrote it."""
    for batch in body.get("batches") or body.get("resourceSpans") or ():
        resource = _attributes(batch.get("resource", {}).get("attributes"))
        for scope in batch.get("scopeSpans") or batch.get("instrumentationLibrarySpans") or ():
            for span in scope.get("spans") or ():
                parent = str(span.get("parentSpanId") or "")
                yield Span(
                    str(span.get("name")), _id(str(span.get("spanId"))), _id(parent), str(span.get("kind")), _attributes(span.get("attributes")), resource
                )


def _id(text: str) -> str:
    """An id in hexadecimal, whichever way it was written."""
    if len(text) == 16 and _HEX.fullmatch(text):
        return text
    return base64.b64decode(text).hex()


def _attributes(listed: Any) -> dict[str, str]:
    return {str(item["key"]): str(next(iter(item.get("value", {}).values()), "")) for item in listed or ()}
