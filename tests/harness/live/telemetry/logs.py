"""Lines of tests/intent/telemetry.yaml, made unique, and what the model of the shipper's pipeline says becomes of them in the store."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.live.findings import NotEvaluatedError
from harness.model.shapes import items, mapping, text
from harness.rules.obs_common import asserted, scraping, shippers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.engines.telemetry.promtail import Fate, Shipper, Stream
    from harness.flux.world import World
    from harness.live.telemetry.loki import Entry

#: What Loki adds by itself (limits_config.discover_log_levels).
_OWN_METADATA: Final = frozenset({"detected_level"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sample, marked so that it is the only one. ``text`` is what is written, maybe several lines that must become one entry."""

    workload: str
    container: str
    mark: str
    text: str
    fate: Fate
    external: Mapping[str, str]
    lacks: tuple[str, ...] = ()

    @property
    def dropped(self) -> str:
        """Why the model drops it; empty when it is sent."""
        return self.fate.dropped

    def differences(self, entries: Iterable[Entry], *, pod: str, node: str) -> list[str]:
        """How what is stored under its mark differs from what the model says; empty when it does not."""
        found = list(entries)
        if self.dropped:
            return [f"is in the store although the model drops it for {self.dropped}"] if found else []
        if len(found) != 1:
            return [f"is in the store {len(found)} times"]
        (entry,) = found
        wanted = {**self.fate.entry.labels, **self.external, "node": node}
        # Loki names the service by the container where nothing better is known (limits_config.discover_service_name).
        wanted.setdefault("service_name", wanted.get("container", ""))
        metadata = {name: pod if name == "pod" else value for name, value in self.fate.entry.metadata.items()}
        stored = {name: value for name, value in entry.metadata.items() if name not in _OWN_METADATA}
        said = [*_apart("label", entry.labels, wanted), *_apart("structured metadata", stored, metadata)]
        if entry.line != self.fate.entry.line:
            said.append(f"the line is {entry.line!r}, in the model {self.fate.entry.line!r}")
        return said + [f"the line still holds {word!r}" for word in self.lacks if word in entry.line]


def workloads_of(samples: Iterable[Mapping[str, Any]]) -> list[str]:
    """The workloads that intent has lines of."""
    return sorted({text(sample.get("workload")) for sample in samples} - {""})


def lines_of(world: World, workload: str, run: str) -> list[Line]:
    """The lines of a workload, each with a mark that starts with ``run``, and a last one that is nothing but its mark: what comes after shows what did not.

    Raises:
        NotEvaluatedError: the shipper's configuration is not at hand, or the model cannot say.
    """
    shipper, streams = _streams(world, workload)
    found: list[Line] = []
    for _, sample in asserted(world, "logs", "samples"):
        if text(sample.get("workload")) != workload:
            continue
        container = text(sample.get("container"))
        chosen = [stream for stream in streams if container in ("", stream.container)]
        if not chosen:
            raise NotEvaluatedError(workload, "lines of log", f"the model reads no container {container}".rstrip())
        stream = chosen[0] if container else chosen[-1]
        entries = [*map(mapping, items(sample.get("lines"))), {"line": "the last line of a proof"}]
        for entry in entries:
            mark = f"{run}n{len(found)}e"
            found.append(_line(shipper, stream, marked(text(entry.get("line")), mark), mark, tuple(map(str, items(entry.get("lacks"))))))
    return found


def marked(line: str, mark: str) -> str:
    """A line, or a block of lines, with a mark: as a last field where it is a JSON object, else at the end of the first line."""
    try:
        body = json.loads(line)
    except ValueError:
        body = None
    if isinstance(body, dict) and body:
        return f'{line.rstrip()[:-1]},"proof":"{mark}"}}'
    first, newline, rest = line.partition("\n")
    return f"{first} proof {mark}{newline}{rest}"


def numbers(entries: Iterable[Entry], mark: str) -> list[int]:
    """The numbers that follow a mark in entries, as often as they are there, in the order of time."""
    found = re.compile(rf"{re.escape(mark)} ([0-9]+)")
    return [int(match[1]) for entry in entries for match in [found.search(entry.line)] if match]


def _streams(world: World, workload: str) -> tuple[Shipper, list[Stream]]:
    for _, shipper in shippers(world):
        discovery = scraping(world).discovery
        streams = [stream for stream in shipper.streams(discovery, discovery.all_pods) if stream.workload == workload]
        if streams:
            return shipper, streams
    raise NotEvaluatedError(workload, "lines of log", "the shipper's configuration is not at hand, or does not read it")


def _line(shipper: Shipper, stream: Stream, text_: str, mark: str, lacks: tuple[str, ...]) -> Line:
    fates = shipper.run(stream, text_.split("\n"))
    last = fates[-1]
    if last.entry.unknown:
        raise NotEvaluatedError(stream.workload, "lines of log", f"the model cannot say: {'; '.join(last.entry.unknown)}")
    return Line(stream.workload, stream.container, mark, text_, last, shipper.external_labels, lacks)


def _apart(what: str, live: Mapping[str, str], model: Mapping[str, str]) -> list[str]:
    names = sorted(live.keys() | model.keys())
    return [
        f"{what} {name} is {live.get(name, 'not there')!r}, in the model {model.get(name, 'not there')!r}"
        for name in names
        if live.get(name) != model.get(name)
    ]
