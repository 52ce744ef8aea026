"""A pipeline: its stages read from configuration, and run on lines.

A pipeline has memory (partial lines, blocks of lines), so :func:`stages_of` makes a fresh one, and :func:`run` takes the lines of a stream in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.promtail import parsing, shaping
from harness.engines.telemetry.promtail.entry import DropError, Each, Emit, Entry, PipelineError, Stage
from harness.engines.telemetry.promtail.selector import Condition, SelectorError, parse
from harness.engines.telemetry.promtail.settings import Settings, SettingsError, UnsupportedError
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.model import Pointer

#: What is known and has no effect on an entry.
_NEUTRAL: Final = frozenset({"metrics", "limit"})
#: What depends on chance or on files that are not at hand, with the reason.
_OPEN: Final = {
    "sampling": "which lines sampling keeps is chance",
    "geoip": "geoip needs a database",
    "eventlogmessage": "messages of the Windows event log are not taken apart",
}
_MAKERS: Final[dict[str, Callable[[Settings], Stage]]] = {**parsing.MAKERS, **shaping.MAKERS}
#: The stages by name.
KNOWN: Final = frozenset({*_MAKERS, *_NEUTRAL, *_OPEN, "match"})


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one line: the entry it is in when it is sent, else the reason it was dropped for."""

    entry: Entry
    dropped: str = ""


class Pipeline:
    """The stages of a scrape configuration, or those inside a ``match``; what is wrong with them is in ``errors``."""

    def __init__(self, stages: list[Stage], errors: tuple[PipelineError, ...], dropped: list[tuple[Entry, str]]) -> None:
        self._stages = stages
        self._dropped = dropped
        self.errors = errors

    def push(self, entry: Entry, emit: Emit, start: int = 0) -> None:
        """Send an entry through the stages from one of them on."""
        if start == len(self._stages):
            emit(entry)
            return
        try:
            self._stages[start].push(entry, lambda passed: self.push(passed, emit, start + 1))
        except DropError as reason:
            self._dropped.append((entry, str(reason)))

    def flush(self, emit: Emit) -> None:
        """Send on what stages hold: the lines are at their end."""
        for index, stage in enumerate(self._stages):
            stage.flush(partial(self._from, emit, index + 1))

    def _from(self, emit: Emit, start: int, entry: Entry) -> None:
        self.push(entry, emit, start)

    def run(self, labels: Mapping[str, str], lines: Iterable[str]) -> list[Fate]:
        """What becomes of each of the lines of one stream."""
        given = list(lines)
        sent: list[Entry] = []
        self._dropped.clear()
        for position, line in enumerate(given):
            # Stages see the labels among what is extracted (Pipeline.Run).
            self.push(Entry(dict(labels), line, (position,), extracted=dict(labels)), sent.append)
        self.flush(sent.append)
        fates = {position: Fate(entry) for entry in sent for position in entry.sources}
        fates |= {position: Fate(entry, reason) for entry, reason in self._dropped for position in entry.sources}
        return [fates[position] for position in range(len(given))]


class _Match(Stage):
    def __init__(self, conditions: tuple[Condition, ...], inner: Pipeline | None, reason: str) -> None:
        self._conditions, self._inner, self._reason = conditions, inner, reason

    def push(self, entry: Entry, emit: Emit) -> None:
        if not all(condition.holds(entry.labels, entry.line) for condition in self._conditions):
            emit(entry)
        elif self._inner is None:
            raise DropError(self._reason)
        else:
            self._inner.push(entry, emit)

    def flush(self, emit: Emit) -> None:
        if self._inner is not None:
            self._inner.flush(emit)


def stages_of(configured: object, at: Pointer = (), dropped: list[tuple[Entry, str]] | None = None) -> Pipeline:
    """The pipeline of a list ``pipeline_stages``. A stage that is wrong does nothing, one that cannot be evaluated says so of the entries that meet it."""
    dropped = [] if dropped is None else dropped
    stages: list[Stage] = []
    errors: list[PipelineError] = []
    if configured is not None and not isinstance(configured, list):
        errors.append(PipelineError(at, "the stages are no list"))
    for index, entry in enumerate(items(configured)):
        here = (*at, index)
        names = sorted(map(str, mapping(entry)))
        if len(names) != 1:
            errors.append(PipelineError(here, f"a stage has one name, this one has {', '.join(names) or 'none'}"))
            continue
        (name,) = names
        try:
            stage, more = _stage(name, entry[name], (*here, name), dropped)
        except UnsupportedError as error:
            errors.append(PipelineError((*here, name, *error.at), str(error), unsupported=True))
            stages.append(_open(f"{name}: {error}"))
        except SettingsError as error:
            errors.append(PipelineError((*here, name, *error.at), str(error)))
        else:
            errors += more
            stages.append(stage)
    return Pipeline(stages, tuple(errors), dropped)


def _stage(name: str, config: Any, at: Pointer, dropped: list[tuple[Entry, str]]) -> tuple[Stage, tuple[PipelineError, ...]]:
    if name == "match":
        return _match(Settings(name, config), at, dropped)
    if name in _OPEN:
        raise UnsupportedError(_OPEN[name])
    if name in _NEUTRAL:
        return Each(lambda _entry: None), ()
    maker = _MAKERS.get(name)
    if maker is None:
        raise SettingsError(f"there is no stage {name}")
    return maker(Settings(name, config)), ()


def _match(settings: Settings, at: Pointer, dropped: list[tuple[Entry, str]]) -> tuple[Stage, tuple[PipelineError, ...]]:
    settings.only("selector", "stages", "action", "pipeline_name", "drop_counter_reason")
    action, listed = settings.text("action", "keep"), settings.body.get("stages")
    try:
        conditions = parse(settings.text("selector"))
    except SelectorError as error:
        raise (UnsupportedError if str(error).startswith("not evaluated") else SettingsError)(str(error), "selector") from error
    if action not in ("keep", "drop"):
        raise SettingsError(f"action {action!r} is neither keep nor drop", "action")
    if action == "drop":
        if listed:
            raise SettingsError("action drop takes no stages", "stages")
        return _Match(conditions, None, settings.text("drop_counter_reason", "match_stage")), ()
    if not listed:
        raise SettingsError("without stages it does nothing")
    inner = stages_of(listed, (*at, "stages"), dropped)
    return _Match(conditions, inner, ""), inner.errors


def _open(why: str) -> Stage:
    def change(entry: Entry) -> None:
        entry.unknown = (*entry.unknown, why)

    return Each(change)
