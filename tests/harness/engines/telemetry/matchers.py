"""Matchers of Alertmanager: ``name = "value"``, in lists, in braces, and as the older ``match`` and ``match_re``.

Source: Alertmanager 0.34 ``matcher/{parse,compat}`` and ``pkg/labels/matcher.go``. A label that is missing is the empty text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.engines.telemetry.relabel import RelabelError, anchored
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

_MATCHER: Final = re.compile(
    r"\s*(?P<name>\"(?:[^\"\\]|\\.)*\"|[^\s=!~{},\"]+)\s*(?P<op>=~|!~|!=|=)\s*(?P<value>\"(?:[^\"\\]|\\.)*\"|[^\s{},\"=!~][^,{}\"]*|)\s*(?:,|$)", re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class MatcherError(ValueError):
    """A matcher that Alertmanager refuses, or that means what nobody wants (``severity == critical`` has the value ``= critical``)."""


@dataclass(frozen=True, slots=True)
class AlertMatcher:
    """One matcher; ``op`` is ``=``, ``!=``, ``=~`` or ``!~``."""

    name: str
    op: str
    value: str

    def matches(self, labels: Mapping[str, str | None]) -> bool | None:
        """Whether labels match; None when the label's value is not known (None)."""
        value = labels.get(self.name, "")
        if value is None:
            return None
        if self.op in ("=", "!="):
            return (value == self.value) == (self.op == "=")
        try:
            return (anchored(self.value).fullmatch(value) is not None) == (self.op == "=~")
        except RelabelError:
            return None

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{self.value}"'


def parse_matchers(text: str) -> list[AlertMatcher]:
    """The matchers of one text: one, or several between commas, with or without braces. Raises MatcherError."""
    body = text.strip()
    if body.startswith("{") != body.endswith("}"):
        raise MatcherError(f"{text!r}: a brace is missing")
    if body.startswith("{"):
        body = body[1:-1].strip()
    found = []
    at = 0
    while at < len(body):
        match = _MATCHER.match(body, at)
        if match is None:
            raise MatcherError(f"{text!r} is no matcher")
        found.append(_checked(AlertMatcher(_unquoted(match["name"]), match["op"], _unquoted(match["value"].strip()))))
        at = match.end()
    return found


def _unquoted(text: str) -> str:
    if len(text) < 2 or not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text[1:-1])


def _checked(matcher: AlertMatcher) -> AlertMatcher:
    if matcher.op in ("=~", "!~"):
        try:
            anchored(matcher.value)
        except RelabelError as error:
            if not str(error).startswith("not evaluated"):
                raise MatcherError(str(error)) from error
    return matcher


def read_matchers(body: Mapping[str, Any], *, prefix: str = "") -> tuple[list[AlertMatcher], list[tuple[tuple[str | int, ...], str]]]:
    """The matchers of a route (``prefix`` empty) or of a side of an inhibit rule (``source_``, ``target_``), and what is wrong with others."""
    found: list[AlertMatcher] = []
    faults: list[tuple[tuple[str | int, ...], str]] = []
    for index, entry in enumerate(items(body.get(f"{prefix}matchers"))):
        try:
            found += parse_matchers(str(entry))
        except MatcherError as error:
            faults.append(((f"{prefix}matchers", index), str(error)))
    for key, op in ((f"{prefix}match", "="), (f"{prefix}match_re", "=~")):
        for name, value in mapping(body.get(key)).items():
            try:
                found.append(_checked(AlertMatcher(str(name), op, str(value))))
            except MatcherError as error:
                faults.append(((key, str(name)), str(error)))
    return found, faults


def custom_matchers(entries: object) -> list[AlertMatcher]:
    """The matchers of an AlertmanagerConfig: ``{name, value, matchType, regex}``."""
    found = []
    for entry in items(entries):
        body = mapping(entry)
        op = str(body.get("matchType") or ("=~" if body.get("regex") is True else "="))
        found.append(AlertMatcher(str(body.get("name", "")), op, str(body.get("value") or "")))
    return found


def all_match(matchers: list[AlertMatcher], labels: Mapping[str, str | None]) -> bool | None:
    """Whether all of them match; None when it depends on a value that is not known."""
    unknown = False
    for matcher in matchers:
        matched = matcher.matches(labels)
        if matched is False:
            return False
        unknown = unknown or matched is None
    return None if unknown else True
