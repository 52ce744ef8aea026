"""Expressions of PromQL wherever they stand: rules of Prometheus, scalers of KEDA, analyses of Flagger and Argo Rollouts.

Those of dashboards are in :mod:`.dashboards`, because what they mean depends on a data source and on variables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from harness.engines.telemetry.promql import Expression, read
from harness.engines.telemetry.rule_groups import is_told
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.engines.telemetry.rule_groups import Group
    from harness.model import Location, Object

#: Templates of Flagger and Argo Rollouts, replaced by a text.
_TEMPLATE: Final = re.compile(r"\{\{[^{}]*\}\}")


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One expression: what it belongs to, in words, and what finds the line it stands on."""

    object: Object
    what: str
    expression: Expression
    locate: Callable[[], Location]


def of_rules(groups: Iterable[Group]) -> Iterator[Query]:
    """The expressions of rules that stand in full."""
    for group in groups:
        for rule in group.rules:
            if is_told(rule):
                yield Query(rule.object, f"{rule.kind} {rule.name or '(unnamed)'}", read(rule.expression), partial(rule.locate, "expr"))


def of_scalers(objects: Iterable[Object]) -> Iterator[Query]:
    """The queries by which something scales, is promoted or is rolled back."""
    for item in objects:
        kind = str(item.group_kind)
        if kind in ("ScaledObject.keda.sh", "ScaledJob.keda.sh"):
            for index, trigger in enumerate(items(item.spec.get("triggers"))):
                query = text(mapping(mapping(trigger).get("metadata")).get("query"))
                if mapping(trigger).get("type") == "prometheus" and query:
                    yield _query(item, f"trigger {index}", query, ("spec", "triggers", index, "metadata", "query"))
        elif kind == "MetricTemplate.flagger.app" and mapping(item.spec.get("provider")).get("type") == "prometheus" and text(item.spec.get("query")):
            yield _query(item, "query", text(item.spec["query"]), ("spec", "query"))
        elif kind in ("AnalysisTemplate.argoproj.io", "ClusterAnalysisTemplate.argoproj.io"):
            for index, metric in enumerate(items(item.spec.get("metrics"))):
                query = text(mapping(mapping(mapping(metric).get("provider")).get("prometheus")).get("query"))
                if query:
                    yield _query(item, f"metric {index}", query, ("spec", "metrics", index, "provider", "prometheus", "query"))


def _query(item: Object, what: str, query: str, pointer: tuple[str | int, ...]) -> Query:
    return Query(item, what, read(_TEMPLATE.sub("x", query)), partial(item.locate, *pointer))
