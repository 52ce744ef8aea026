"""Tempo and Prometheus, asked: the spans of a trace, values of series, exemplars.

Sources: Tempo 2.10, HTTP API ``/api/traces`` (OTLP in JSON; ids in base64, as protobuf's JSON has bytes); Prometheus 3, ``/api/v1/query`` and
``/api/v1/query_exemplars``; OTLP 1.5 over HTTP in JSON (ids in hexadecimal).
"""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live.forwards import Client
from harness.live.web import Tls, WebError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.live.forwards import Forwards

_HEX: Final = re.compile(r"[0-9a-f]+")
_NOT_FOUND: Final = 404
_PROMETHEUS: Final = "kube-prometheus-stack-prometheus"


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


class Prometheus:
    """The metric store of a cluster. ``authority``: PEM of the CA that its certificate is from."""

    def __init__(self, forwards: Forwards, authority: str, *, now: Callable[[], float] = time.time) -> None:
        host = f"{_PROMETHEUS}.monitoring.svc"
        self._client = Client(forwards, f"svc/{_PROMETHEUS}", 9090, "monitoring", tls=Tls(authority, name=host), host=host)
        self._now = now

    def value(self, query: str) -> float | None:
        """The value of a query that finds one series; None when it finds none. Raises WebError."""
        found = self._data("/api/v1/query", {"query": query})["result"]
        return float(found[0]["value"][1]) if found else None

    def exemplars(self, query: str, *, seconds: float = 900) -> list[tuple[dict[str, str], dict[str, str]]]:
        """The exemplars of the last ``seconds``: labels of the series, and of the exemplar. Raises WebError."""
        now = self._now()
        found = self._data("/api/v1/query_exemplars", {"query": query, "start": f"{now - seconds:.3f}", "end": f"{now + 60:.3f}"})
        return [(series["seriesLabels"], exemplar["labels"]) for series in found for exemplar in series["exemplars"]]

    def _data(self, path: str, query: Mapping[str, str]) -> Any:
        return self._client.json(path, query)["data"]


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
