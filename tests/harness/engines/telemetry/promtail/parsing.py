"""The stages that take a line apart: docker, cri, regex, json, logfmt, timestamp, output, template, replace."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import jmespath
from jmespath.exceptions import JMESPathError

from harness.engines.telemetry.promtail.entry import DropError, Each, Emit, Entry, Stage, json_text, text_of
from harness.engines.telemetry.promtail.settings import Settings, SettingsError, UnsupportedError
from harness.engines.telemetry.promtail.template import TemplateError, render

if TYPE_CHECKING:
    from collections.abc import Callable

_CRI_LINE: Final = re.compile(r"(?P<time>\S+?) (?P<stream>stdout|stderr) (?P<flags>\S+?) (?P<content>.*)\Z", re.ASCII | re.DOTALL)
_FORMATS: Final = frozenset(
    {
        "ANSIC", "UnixDate", "RubyDate", "RFC822", "RFC822Z", "RFC850", "RFC1123", "RFC1123Z", "RFC3339", "RFC3339Nano",
        "Unix", "UnixMs", "UnixUs", "UnixNs",
    }
)  # fmt: skip
#: What a layout of Go's time package is made of; a layout with none of these is the same for every time.
_LAYOUT: Final = re.compile(r"2006|06|01|Jan|02|_2|15|03|3|04|05|Mon|MST|Z07|-07")
_LOGFMT: Final = re.compile(r'([^\s="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?')


def docker(settings: Settings) -> Stage:
    settings.only()

    def change(entry: Entry) -> None:
        try:
            found = json.loads(entry.line)
        except ValueError:
            return
        if isinstance(found, dict):
            entry.extracted.update({name: found.get(key) for name, key in (("output", "log"), ("stream", "stream"), ("timestamp", "time"))})
            _set_label(entry, "stream", found.get("stream"))
            entry.line = text_of(found.get("log")) or entry.line

    return Each(change)


class Cri(Stage):
    """Takes the container runtime's prefix off, and puts partial lines (flag ``P``) together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._partial: OrderedDict[tuple[tuple[str, str], ...], Entry] = OrderedDict()

    def push(self, entry: Entry, emit: Emit) -> None:
        match = _CRI_LINE.match(entry.line)
        if match:
            entry.extracted.update(match.groupdict())
            entry.labels["stream"] = match["stream"]
            entry.line = match["content"]
        before = self._partial.pop(entry.stream, None)
        if before is not None:
            entry.line, entry.sources = before.line + entry.line, (*before.sources, *entry.sources)
        if entry.extracted.get("flags") == "P":
            if len(self._partial) >= self._most:
                self.flush(emit)
            self._partial[entry.stream] = entry
            return
        emit(entry)

    def flush(self, emit: Emit) -> None:
        while self._partial:
            emit(self._partial.popitem(last=False)[1])


def cri(settings: Settings) -> Stage:
    settings.only("max_partial_lines", "max_partial_line_size", "max_partial_line_size_truncate")
    return Cri(int(settings.number("max_partial_lines", 100)))


def regex(settings: Settings) -> Stage:
    settings.only("expression", "source", "labels_from_groups")
    found, source = settings.regex("expression"), settings.text("source")
    if found is not None and not found.groupindex:
        raise SettingsError("the expression has no named group: nothing would be extracted", "expression")
    labels = settings.flag("labels_from_groups")

    def change(entry: Entry) -> None:
        given = entry.input(source)
        match = found.search(given) if found is not None and given is not None else None
        if match:
            groups = {name: value or "" for name, value in match.groupdict().items()}
            entry.extracted.update(groups)
            if labels:
                entry.labels.update(groups)

    return Each(change)


def json_stage(settings: Settings) -> Stage:
    settings.only("expressions", "source", "drop_malformed")
    source, drop = settings.text("source"), settings.flag("drop_malformed")
    searches = {}
    for name, expression in settings.sources("expressions").items():
        try:
            searches[name] = jmespath.compile(expression)
        except JMESPathError as error:
            raise SettingsError(f"{expression!r} is no JMESPath: {str(error).splitlines()[0]}", "expressions", name) from error

    def change(entry: Entry) -> None:
        given = entry.input(source)
        if given is None:
            return
        try:
            data = json.loads(given)
        except (ValueError, RecursionError):
            if drop:
                raise DropError("malformed_json") from None
            return
        # Promtail unmarshals into a map: anything else is malformed.
        if not isinstance(data, dict):
            if drop:
                raise DropError("malformed_json")
            return
        for name, search in searches.items():
            try:
                value = search.search(data)
            except JMESPathError:
                continue
            entry.extracted[name] = json_text(value) if isinstance(value, dict | list) else value

    return Each(change)


def logfmt(settings: Settings) -> Stage:
    settings.only("mapping", "source")
    wanted, source = settings.sources("mapping"), settings.text("source")
    names: dict[str, list[str]] = {}
    for name, key in wanted.items():
        names.setdefault(key, []).append(name)

    def change(entry: Entry) -> None:
        given = entry.input(source)
        for key, quoted, plain in _LOGFMT.findall(given or ""):
            for name in names.get(key, ()):
                entry.extracted[name] = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain

    return Each(change)


def timestamp(settings: Settings) -> Stage:
    settings.only("source", "format", "fallback_formats", "location", "action_on_failure")
    if not settings.text("source"):
        raise SettingsError("timestamp needs source")
    if not settings.text("format"):
        raise SettingsError("timestamp needs format")
    for key, given in (("format", settings.text("format")), *(("fallback_formats", each) for each in settings.words("fallback_formats"))):
        if given not in _FORMATS and not _LAYOUT.search(given):
            raise SettingsError(f"{given!r} is neither a format by name nor a layout of Go's time", key)
    if settings.text("action_on_failure", "fudge") not in ("fudge", "skip"):
        raise SettingsError("action_on_failure is neither fudge nor skip", "action_on_failure")
    return Each(lambda _entry: None)


def output(settings: Settings) -> Stage:
    settings.only("source")
    source = settings.text("source")
    if not source:
        raise SettingsError("output needs source")

    def change(entry: Entry) -> None:
        given = entry.input(source)
        if given is not None:
            entry.line = given

    return Each(change)


def template(settings: Settings) -> Stage:
    settings.only("source", "template")
    source, body = settings.text("source"), settings.text("template")
    if not source:
        raise SettingsError("template needs source")
    if not body:
        raise SettingsError("template needs template")
    _tried(body, "template")

    def change(entry: Entry) -> None:
        given = entry.input(source)
        rendered = render(body, {**_fields(entry), "Value": given or "", "Entry": entry.line})
        if rendered:
            entry.extracted[source] = rendered
        else:
            entry.extracted.pop(source, None)

    return Each(change)


def replace(settings: Settings) -> Stage:
    settings.only("expression", "replace", "source")
    found, body, source = settings.regex("expression"), settings.text("replace"), settings.text("source")
    if found is not None and not found.groups:
        raise SettingsError("the expression has no group: nothing would be replaced", "expression")
    _tried(body, "replace")

    def change(entry: Entry) -> None:
        given = entry.input(source)
        if not given or found is None:
            return
        result, position, captured = "", 0, {}
        for match in found.finditer(given):
            for group in range(1, found.groups + 1):
                start, end = match.span(group)
                if start < 0:
                    continue
                captured[match[group]] = new = render(body, {**_fields(entry), "Value": match[group]})
                if position <= start:
                    result, position = result + given[position:start] + new, end
        result += given[position:]
        if source:
            entry.extracted[source] = result
        else:
            entry.line = result
        first = found.search(given)
        for name in found.groupindex:
            if first is not None and first[name] in captured:
                entry.extracted[name] = captured[first[name]]

    return Each(change)


def _fields(entry: Entry) -> dict[str, str]:
    return {name: value for name, found in entry.extracted.items() if (value := text_of(found)) is not None}


def _tried(body: str, key: str) -> None:
    try:
        render(body, {})
    except TemplateError as error:
        raise UnsupportedError(str(error), key) from error


def _set_label(entry: Entry, name: str, value: Any) -> None:
    found = text_of(value)
    if found is not None:
        entry.labels[name] = found


MAKERS: Final[dict[str, Callable[[Settings], Stage]]] = {
    "docker": docker,
    "cri": cri,
    "regex": regex,
    "json": json_stage,
    "logfmt": logfmt,
    "timestamp": timestamp,
    "output": output,
    "template": template,
    "replace": replace,
}
