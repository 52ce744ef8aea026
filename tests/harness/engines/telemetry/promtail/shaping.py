"""The stages that decide what is sent, and under which labels."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from harness.engines.telemetry.promtail.entry import DropError, Each, Emit, Entry, Stage, text_of
from harness.engines.telemetry.promtail.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
#: The longest line in bytes that a size may name.
_SIZES: Final = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}


def labels(settings: Settings) -> Stage:
    wanted = _named(settings)

    def change(entry: Entry) -> None:
        for name, source in wanted.items():
            value = text_of(entry.extracted.get(source))
            if value is not None:
                entry.labels[name] = value

    return Each(change)


def structured_metadata(settings: Settings) -> Stage:
    wanted = _named(settings)

    def change(entry: Entry) -> None:
        for name, source in wanted.items():
            value = text_of(entry.extracted.get(source))
            if value is not None:
                entry.metadata[name] = value

    return Each(change)


def labeldrop(settings: Settings) -> Stage:
    names = settings.words()
    if not names:
        raise SettingsError("labeldrop names nothing")

    def change(entry: Entry) -> None:
        for name in names:
            entry.labels.pop(name, None)

    return Each(change)


def labelallow(settings: Settings) -> Stage:
    names = settings.words()
    if not names:
        raise SettingsError("labelallow names nothing")

    def change(entry: Entry) -> None:
        entry.labels = {name: value for name, value in entry.labels.items() if name in names}

    return Each(change)


def static_labels(settings: Settings) -> Stage:
    values = {name: settings.text(name) for name in settings.body}
    if not values:
        raise SettingsError("static_labels names nothing")
    _check_names(values)
    return Each(lambda entry: entry.labels.update({name: value for name, value in values.items() if value}))


def drop(settings: Settings) -> Stage:
    settings.only("source", "separator", "expression", "value", "older_than", "longer_than", "drop_counter_reason")
    sources = settings.words("source") if isinstance(settings.body.get("source"), list) else [text] if (text := settings.text("source")) else []
    found = settings.regex("expression", needed=False)
    value = settings.text("value") if settings.body.get("value") is not None else None
    older, longer = settings.duration("older_than"), settings.text("longer_than")
    if not sources and found is None and older is None and not longer:
        raise SettingsError("drop needs one of source, expression, older_than, longer_than")
    if found is not None and value is not None:
        raise SettingsError("drop takes expression or value, not both", "value")
    if value is not None and not sources:
        raise SettingsError("value needs source", "value")
    separator, reason = settings.text("separator", ";"), settings.text("drop_counter_reason", "drop_stage")
    limit = _size(longer) if longer else None

    def change(entry: Entry) -> None:
        if limit is not None and len(entry.line.encode()) <= limit:
            return
        if older is not None:
            # The lines of a simulation are of now.
            return
        if sources:
            given = [text_of(entry.extracted[name]) for name in sources if name in entry.extracted]
            if len(given) < len(sources) or any(item is None for item in given):
                return
            text = separator.join(item or "" for item in given)
            if (value is not None and text != value) or (found is not None and not found.search(text)):
                return
        elif found is not None and not found.search(entry.line):
            return
        raise DropError(reason)

    return Each(change)


class Multiline(Stage):
    """Joins lines to blocks, for each stream by itself. A block has the labels of its first line, and none of its structured metadata."""

    def __init__(self, first: re.Pattern[str], most: int) -> None:
        self._first, self._most = first, most
        self._blocks: dict[tuple[tuple[str, str], ...], tuple[Entry, list[Entry]]] = {}

    def push(self, entry: Entry, emit: Emit) -> None:
        starts = self._first.search(entry.line) is not None
        block = self._blocks.get(entry.stream)
        if block is None and not starts:
            emit(entry)
            return
        if block is None or starts:
            self._send(block, emit)
            block = self._blocks[entry.stream] = (entry, [])
        block[1].append(entry)
        if len(block[1]) == self._most:
            self._send(block, emit)
            block[1].clear()

    def flush(self, emit: Emit) -> None:
        for block in self._blocks.values():
            self._send(block, emit)
        self._blocks.clear()

    def _send(self, block: tuple[Entry, list[Entry]] | None, emit: Emit) -> None:
        if block is None or not block[1]:
            return
        start, lines = block
        sources = tuple(position for each in lines for position in each.sources)
        text = "\n".join(each.line for each in lines)
        emit(Entry(dict(start.labels), text, sources, {}, dict(start.extracted), start.unknown))


def multiline(settings: Settings) -> Stage:
    settings.only("firstline", "max_lines", "max_wait_time")
    found = settings.regex("firstline")
    settings.duration("max_wait_time")
    most = int(settings.number("max_lines", 128))
    assert found is not None  # noqa: S101 - it is needed
    return Multiline(found, most)


def tenant(settings: Settings) -> Stage:
    settings.only("label", "source", "value")
    if sum(bool(settings.text(key)) for key in ("label", "source", "value")) != 1:
        raise SettingsError("tenant takes one of label, source, value")
    return Each(lambda _entry: None)


def pack(settings: Settings) -> Stage:
    settings.only("labels", "ingest_timestamp")
    names = settings.words("labels")

    def change(entry: Entry) -> None:
        packed = {name: entry.labels.pop(name) for name in names if name in entry.labels}
        entry.line = json.dumps({**dict(sorted(packed.items())), "_entry": entry.line}, separators=(",", ":"), ensure_ascii=False)

    return Each(change)


def decolorize(settings: Settings) -> Stage:
    settings.only()

    def change(entry: Entry) -> None:
        entry.line = _ANSI.sub("", entry.line)

    return Each(change)


def _named(settings: Settings) -> dict[str, str]:
    wanted = settings.sources()
    _check_names(wanted)
    return wanted


def _check_names(names: dict[str, str]) -> None:
    for name in names:
        if not _LABEL.fullmatch(name):
            raise SettingsError(f"{name!r} is no label name", name)


def _size(text: str) -> int:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].lower() not in _SIZES:
        raise SettingsError(f"longer_than: {text!r} is no size", "longer_than")
    return int(float(match[1]) * _SIZES[match[2].lower()])


MAKERS: Final[dict[str, Callable[[Settings], Stage]]] = {
    "labels": labels,
    "structured_metadata": structured_metadata,
    "non_indexed_labels": structured_metadata,
    "labeldrop": labeldrop,
    "labelallow": labelallow,
    "static_labels": static_labels,
    "drop": drop,
    "multiline": multiline,
    "tenant": tenant,
    "pack": pack,
    "decolorize": decolorize,
}
