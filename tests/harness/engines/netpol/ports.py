"""Sets of ports, per protocol: exact, and printed as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from harness.engines.netpol.intervals import EMPTY, Intervals

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The protocols a NetworkPolicy can name (``k8s.io/api/core/v1.Protocol``). What it says of others, such as ICMP, is not defined.
PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_EVERY: Final = Intervals(((1, 65535),))
_PORT: Final = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>[A-Za-z]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Ports:
    """An immutable set of ports of the three protocols. Protocols without a port are not in ``sets``, so that equal sets are equal values."""

    sets: tuple[tuple[str, Intervals], ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Sets are the keys that rows of a matrix are grouped by: hashed far more often than made.
        object.__setattr__(self, "_hash", hash(self.sets))

    def __hash__(self) -> int:
        return self._hash

    @classmethod
    def of(cls, sets: Iterable[tuple[str, Intervals]]) -> Ports:
        """The union of sets of ports of some protocols."""
        merged: dict[str, Intervals] = {}
        for protocol, ports in sets:
            merged[protocol] = merged.get(protocol, EMPTY) | ports
        return cls(tuple((protocol, merged[protocol]) for protocol in PROTOCOLS if merged.get(protocol)))

    @classmethod
    def single(cls, port: int, protocol: str = "TCP", last: int | None = None) -> Ports:
        """One port, or all from it to ``last``."""
        return cls.of([(protocol, Intervals.of([(port, last or port)]))])

    @classmethod
    def parse(cls, words: str) -> Ports:
        """``8080``, ``53/udp``, ``30000-32767/TCP``, ``all``, ``all/UDP``, and any of them with commas between. Raises ValueError for anything else."""
        found = NONE
        for word in words.split(","):
            found |= cls._word(word.strip())
        return found

    @classmethod
    def _word(cls, word: str) -> Ports:
        name, _, only = word.partition("/")
        if name.lower() == "all":
            if only and only.upper() not in PROTOCOLS:
                raise ValueError(f"{word}: a protocol is {', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}")
            return cls(((only.upper(), _EVERY),)) if only else ALL
        match = _PORT.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is no port: write 8080, 53/udp, 30000-32767 or all")
        first, last, protocol = int(match["first"]), int(match["last"] or match["first"]), (match["protocol"] or "TCP").upper()
        if protocol not in PROTOCOLS:
            raise ValueError(f"{word}: a protocol is {', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}")
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"{word}: ports are from 1 to 65535, the smaller one first")
        return cls.single(first, protocol, last)

    def __bool__(self) -> bool:
        return bool(self.sets)

    def __or__(self, other: Ports) -> Ports:
        if not other.sets or self.sets == other.sets:
            return self
        return Ports.of((*self.sets, *other.sets)) if self.sets else other

    def __and__(self, other: Ports) -> Ports:
        if self.sets == other.sets or other is ALL:
            return self
        return other if self is ALL else _both(self, other)

    def __sub__(self, other: Ports) -> Ports:
        if not other.sets:
            return self
        theirs = dict(other.sets)
        left = ((protocol, ports - theirs.get(protocol, EMPTY)) for protocol, ports in self.sets)
        return Ports(tuple((protocol, ports) for protocol, ports in left if ports))

    def issubset(self, other: Ports) -> bool:
        """Whether every port of this set is in the other."""
        return not self - other

    def __contains__(self, port: tuple[str, int]) -> bool:
        """Whether a (protocol, number) is in the set."""
        return any(protocol == port[0] and port[1] in ports for protocol, ports in self.sets)

    def __str__(self) -> str:
        """``80/TCP, 8000-8010/TCP, all/UDP``; ``all`` for every port of every protocol; ``none``."""
        if self.sets == ALL.sets:
            return "all"
        words = []
        for protocol, ports in self.sets:
            for first, last in ports:
                number = "all" if (first, last) == (1, 65535) else str(first) if first == last else f"{first}-{last}"
                words.append(f"{number}/{protocol}")
        return ", ".join(words) or "none"


@lru_cache(maxsize=16384)
def _both(one: Ports, other: Ports) -> Ports:
    """The same few pairs of sets meet again and again in a matrix."""
    theirs = dict(other.sets)
    common = ((protocol, ports & theirs[protocol]) for protocol, ports in one.sets if protocol in theirs)
    return Ports(tuple((protocol, ports) for protocol, ports in common if ports))


NONE: Final = Ports()
#: Every port of every protocol: what a rule without ``ports`` allows.
ALL: Final = Ports(tuple((protocol, _EVERY) for protocol in PROTOCOLS))


def every_port(protocol: str) -> Ports:
    """Every port of one protocol: what a ``ports`` entry without ``port`` allows."""
    return Ports(((protocol, _EVERY),))
