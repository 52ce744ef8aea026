"""What a run did, as a text for people and a file for machines: which commit, how long each phase and proof took, what was seen red, what nobody looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.live.red import Red
    from harness.model import NotEvaluated

#: Characters of the chart's bars.
_WIDTH: Final = 60
#: Rows of the chart: what took longest.
_ROWS: Final = 24
#: Objects of Flux that are named: the ones that were ready last.
_SLOW: Final = 5


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. ``start`` is in seconds since the run began."""

    name: str
    start: float
    seconds: float
    result: str = ""

    @property
    def end(self) -> float:
        return self.start + self.seconds


@dataclass
class Account:
    """One run. ``wall`` is its whole time in seconds; ``phases`` come one after the other, ``proofs`` at the same time."""

    commit: str = ""
    cluster: str = ""
    kubernetes: str = ""
    digest: str = ""
    wall: float = 0.0
    phases: list[Span] = field(default_factory=list)
    proofs: list[Span] = field(default_factory=list)
    objects: dict[str, float] = field(default_factory=dict)
    """Seconds from the sync until each object of Flux was ready."""
    reds: list[Red] = field(default_factory=list)
    ledger: list[NotEvaluated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    memory: int = 0
    """The most bytes that the programs on the nodes held; 0 where nobody could look."""

    def lines(self) -> list[str]:
        """Where the time goes, as a chart over time, with the sums."""
        together = sum(span.seconds for span in self.proofs)
        spent = union(self.proofs)
        saved = f", {together / spent:.1f} at once" if spent > 0 else ""
        memory = [f"{self.memory / 2**30:.1f} GiB of memory at the most, without the page cache"] if self.memory else []
        found = [f"{self.wall:.0f} s in all: phases {sum(span.seconds for span in self.phases):.0f} s, proofs {together:.0f} s of work in {spent:.0f} s{saved}"]
        slow = sorted(self.objects.items(), key=lambda pair: -pair[1])[:_SLOW]
        return found + memory + chart([*self.phases, *self.proofs], self.wall) + [f"{name} ready {seconds:.0f} s after the sync" for name, seconds in slow]

    def json(self) -> dict[str, Any]:
        """Everything, as what JSON can hold."""
        return {
            "commit": self.commit,
            "cluster": self.cluster,
            "kubernetes": self.kubernetes,
            "artifact": self.digest,
            "seconds": round(self.wall, 1),
            "memory": self.memory,
            "phases": [_span(span) for span in self.phases],
            "proofs": [_span(span) for span in self.proofs],
            "ready": {name: round(seconds, 1) for name, seconds in sorted(self.objects.items())},
            "red": [asdict(seen) for seen in self.reds],
            "notEvaluated": [asdict(entry) for entry in self.ledger],
            "notes": self.notes,
        }


def union(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of some spans was at work."""
    total, until = 0.0, 0.0
    for span in sorted(spans, key=lambda each: each.start):
        total += max(0.0, span.end - max(span.start, until))
        until = max(until, span.end)
    return total


def chart(spans: Iterable[Span], wall: float) -> list[str]:
    """The longest spans in the order of their start, each as a bar over the time of the run."""
    chosen = sorted(sorted((span for span in spans if span.seconds >= 1), key=lambda each: -each.seconds)[:_ROWS], key=lambda each: each.start)
    scale = _WIDTH / max(wall, *(span.end for span in chosen)) if chosen else 0.0
    found = []
    for span in chosen:
        first = min(round(span.start * scale), _WIDTH - 1)
        bar = "#" * max(1, min(round(span.end * scale), _WIDTH) - first)
        found.append(f"{' ' * first}{bar}".ljust(_WIDTH) + f" {span.seconds:5.0f} s {span.name}")
    return found


def _span(span: Span) -> dict[str, object]:
    result = {"result": span.result} if span.result else {}
    return {"name": span.name, "start": round(span.start, 1), "seconds": round(span.seconds, 1), **result}
