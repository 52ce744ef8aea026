"""Sets of integers as sorted, disjoint, closed intervals: what ports and addresses are both made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Intervals:
    """An immutable set of integers. ``spans`` are sorted and neither overlap nor touch, so that equal sets are equal values."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> Intervals:
        """The union of closed intervals in any order; those whose end is before their start are empty."""
        merged: list[tuple[int, int]] = []
        for start, end in sorted(span for span in spans if span[0] <= span[1]):
            if merged and start <= merged[-1][1] + 1:
                if end > merged[-1][1]:
                    merged[-1] = (merged[-1][0], end)
            else:
                merged.append((start, end))
        return cls(tuple(merged))

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __contains__(self, value: int) -> bool:
        return any(start <= value <= end for start, end in self.spans)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.spans)

    @property
    def size(self) -> int:
        """How many integers are in the set; ``len`` could not say 2¹²⁸."""
        return sum(end - start + 1 for start, end in self.spans)

    def __or__(self, other: Intervals) -> Intervals:
        if not other.spans or self.spans == other.spans:
            return self
        return Intervals.of((*self.spans, *other.spans)) if self.spans else other

    def __and__(self, other: Intervals) -> Intervals:
        if self.spans == other.spans:
            return self
        found: list[tuple[int, int]] = []
        mine, theirs = 0, 0
        while mine < len(self.spans) and theirs < len(other.spans):
            start = max(self.spans[mine][0], other.spans[theirs][0])
            end = min(self.spans[mine][1], other.spans[theirs][1])
            if start <= end:
                found.append((start, end))
            if self.spans[mine][1] < other.spans[theirs][1]:
                mine += 1
            else:
                theirs += 1
        return Intervals(tuple(found))

    def __sub__(self, other: Intervals) -> Intervals:
        if not other.spans:
            return self
        left: list[tuple[int, int]] = []
        for start, end in self.spans:
            for gone, until in other.spans:
                if until < start:
                    continue
                if gone > end:
                    break
                if gone > start:
                    left.append((start, gone - 1))
                start = until + 1
            if start <= end:
                left.append((start, end))
        return Intervals(tuple(left))

    def issubset(self, other: Intervals) -> bool:
        """Whether every integer of this set is in the other."""
        return not self - other


EMPTY = Intervals()
