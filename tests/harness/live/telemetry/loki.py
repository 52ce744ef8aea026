"""Loki, asked for entries: labels, structured metadata and the line apart from each other.

Source: Loki 3.7, HTTP API ``query_range``; with ``categorize-labels`` structured metadata is no part of the stream.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.live.reach.forwards import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.live.reach.forwards import Forwards

_CATEGORIES: Final = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
_BILLION: Final = 1_000_000_000
#: Entries that one question may bring: the platform's max_entries_limit_per_query.
_MOST: Final = 5000


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is stored. ``time`` in nanoseconds since 1970."""

    labels: Mapping[str, str]
    line: str
    metadata: Mapping[str, str]
    time: int


class Loki:
    """The log store of a cluster."""

    def __init__(self, forwards: Forwards, *, now: Callable[[], int] = time.time_ns) -> None:
        self._client = Client(forwards, "svc/loki", 3100, "loki", headers=_CATEGORIES)
        self._now = now

    def entries(self, query: str, *, seconds: float = 900) -> list[Entry]:
        """What a LogQL query finds of the last ``seconds``, in the order of time. Raises WebError."""
        now = self._now()
        span = {"start": str(now - int(seconds * _BILLION)), "end": str(now + 60 * _BILLION)}
        answer = self._client.json("/loki/api/v1/query_range", {"query": query, "limit": str(_MOST), "direction": "forward", **span})
        found = [
            Entry(stream["stream"], value[1], (value[2] if len(value) > 2 else {}).get("structuredMetadata", {}), int(value[0]))
            for stream in answer["data"]["result"]
            for value in stream["values"]
        ]
        return sorted(found, key=lambda entry: entry.time)

    def with_text(self, text: str, *, selector: str = '{namespace=~".+"}', seconds: float = 900) -> list[Entry]:
        """The entries whose line holds a text (without quotes)."""
        return self.entries(f'{selector} |= "{text}"', seconds=seconds)
