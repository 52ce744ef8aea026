"""Alerting and recording rules, wherever they stand: PrometheusRules, and rule files in ConfigMaps.

Source: Prometheus 3.13 ``model/rulefmt/rulefmt.go`` and ``docs/configuration/{alerting,recording}_rules.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.engines.report import is_elided
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from harness.engines.telemetry.texts import Text
    from harness.model import Location, Object, Pointer

_DURATION: Final = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_SECONDS: Final = (31536000.0, 604800.0, 86400.0, 3600.0, 60.0, 1.0, 0.001)


def seconds(duration: object) -> float | None:
    """A duration of Prometheus (``1h30m``, ``0``) in seconds; None for what is none (``model.ParseDuration``)."""
    written = text(duration)
    if written == "0":
        return 0.0
    match = _DURATION.fullmatch(written)
    if not written or match is None:
        return None
    return sum(int(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part)


@dataclass(frozen=True, slots=True, eq=False)
class AlertingRule:
    """One rule of a group. ``name`` is that of the alert or of the series it records. ``at`` points to it in what ``place`` finds the lines of."""

    object: Object
    place: Callable[..., Location]
    at: Pointer
    kind: str
    name: str
    expression: str
    body: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    interval: str = ""

    def locate(self, *pointer: str | int) -> Location:
        """The line of what a pointer below the rule points to."""
        return self.place(*self.at, *pointer)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One group of rules."""

    object: Object
    place: Callable[..., Location]
    at: Pointer
    name: str
    interval: str
    rules: tuple[AlertingRule, ...]

    def locate(self, *pointer: str | int) -> Location:
        """The line of what a pointer below the group points to."""
        return self.place(*self.at, *pointer)


def groups_of(objects: Iterable[Object], texts: Iterable[Text] = ()) -> Iterator[Group]:
    """Every group of rules of Prometheus: of PrometheusRules, and of rule files among the texts.

    Rules of Loki (LogQL) are told by the label that its sidecar looks for, and left out.
    """
    for item in objects:
        if item.kind == "PrometheusRule" and item.group == "monitoring.coreos.com":
            for index, body in enumerate(items(item.spec.get("groups"))):
                yield _group(item, item.locate, ("spec", "groups", index), mapping(body))
    for each in texts:
        if each.object.kind == "ConfigMap" and "loki_rule" not in each.object.labels:
            for index, body in enumerate(items(each.body.get("groups"))):
                if isinstance(body, dict) and any("expr" in mapping(rule) for rule in items(body.get("rules"))):
                    yield _group(each.object, each.locate, ("groups", index), body)


def _group(item: Object, place: Callable[..., Location], at: Pointer, body: Mapping[str, Any]) -> Group:
    name, interval = text(body.get("name")), text(body.get("interval"))
    shared = _texts(body.get("labels"))
    rules = []
    for index, entry in enumerate(items(body.get("rules"))):
        rule = mapping(entry)
        kind = "alert" if rule.get("alert") else "record"
        expression = rule.get("expr")
        rules.append(
            AlertingRule(
                object=item,
                place=place,
                at=(*at, "rules", index),
                kind=kind,
                name=text(rule.get(kind)),
                expression=str(expression) if isinstance(expression, str | int | float) and not isinstance(expression, bool) else "",
                body=rule,
                labels={**shared, **_texts(rule.get("labels"))},
                annotations=_texts(rule.get("annotations")),
                group=name,
                interval=interval,
            )
        )
    return Group(item, place, at, name, interval, tuple(rules))


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(item) for key, item in mapping(value).items() if item is not None}


def is_told(rule: AlertingRule) -> bool:
    """Whether the rule's expression stands in full: the lock keeps the expressions of charts, but not every text."""
    return bool(rule.expression) and not is_elided(rule.expression)
