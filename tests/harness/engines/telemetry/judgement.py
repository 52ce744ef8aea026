"""What is wrong with an expression, given the series that exist: names, labels, types, and what a template asks of the result."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from harness.engines.telemetry.grafana_variables import STAND_IN
from harness.engines.telemetry.inventory import selects_nothing
from harness.engines.telemetry.promql import GAUGE_ONLY, RATES, result_labels
from harness.engines.telemetry.relabel import RelabelError, anchored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.telemetry.inventory import Inventory
    from harness.engines.telemetry.promql import Expression, Node

_TEMPLATE_LABEL: Final = re.compile(r"\$labels\.([a-zA-Z_]\w*)|\.Labels\.([a-zA-Z_]\w*)|index\s+(?:\$labels|\.Labels)\s+\"([^\"]+)\"")
#: Functions and aggregations under which a counter may stand as it is.
_COUNTER_OK: Final = RATES | {"resets", "changes", "absent", "absent_over_time", "present_over_time", "count_over_time", "timestamp", "last_over_time"}


def missing_series(expression: Expression, inventory: Inventory) -> Iterator[str]:
    """The series that an expression reads and that do not arrive, each in words."""
    for selector, _ in expression.selectors():
        name = selector.name
        if STAND_IN in name:
            continue
        if not name:
            yield from _by_pattern(selector, inventory)
            continue
        series = inventory.find(name)
        if series is None:
            near = difflib.get_close_matches(name, inventory.names, n=1, cutoff=0.8)
            yield f"no component exposes {name}, and no rule records it" + (f" (there is {near[0]})" if near else "")
        elif series.missing and not series.dropped:
            yield f"{name} of {series.component} does not arrive: {series.missing}"


def _by_pattern(selector: Node, inventory: Inventory) -> Iterator[str]:
    for matcher in selector.matchers:
        if matcher.name == "__name__" and matcher.op == "=~" and STAND_IN not in matcher.value:
            try:
                pattern = anchored(matcher.value)
            except RelabelError:
                return
            if not any(pattern.fullmatch(name) for name in inventory.names):
                yield f"no component exposes anything like {matcher.value}, and no rule records it"


def dropped_series(expression: Expression, inventory: Inventory) -> Iterator[str]:
    """The series that an expression reads and that a scrape job throws away."""
    for name in expression.names:
        series = inventory.find(name)
        if series is not None and series.dropped:
            yield f"{name} of {series.component} is thrown away: {series.missing}"


def missing_labels(expression: Expression, inventory: Inventory) -> Iterator[str]:
    """The labels that an expression matches on or groups by and that its series do not have, and demands no target can meet."""
    for selector, _ in expression.selectors():
        series = inventory.find(selector.name) if selector.name else None
        if series is None or series.missing:
            continue
        if series.labels is not None:
            for matcher in selector.matchers:
                if matcher.name not in series.labels and matcher.name != "__name__" and STAND_IN not in matcher.name:
                    yield f"{selector.name} has no label {matcher.name}, only {_some(series.labels)}"
        if not any(STAND_IN in matcher.value for matcher in selector.matchers) and selects_nothing(selector, series):
            wanted = ", ".join(f'{matcher.name}{matcher.op}"{matcher.value}"' for matcher in selector.matchers)
            yield f"no target that brings {selector.name} has {wanted}"
    if expression.root is not None:
        yield from _groupings(expression.root, inventory)


def _groupings(root: Node, inventory: Inventory) -> Iterator[str]:
    for node, _ in root.walk():
        if node.kind == "aggregate" and node.grouping == "by":
            inner = result_labels(node.children[0], inventory.labels_of)
            for label in node.labels:
                if inner is not None and label not in inner and STAND_IN not in label:
                    yield f"{node.name} by ({label}): what is inside has no label {label}, only {_some(inner)}"
        elif node.kind == "binary" and node.grouping == "on":
            for side in node.children:
                inner = result_labels(side, inventory.labels_of)
                for label in node.labels:
                    if inner is not None and label not in inner and STAND_IN not in label:
                        yield f"{node.name} on ({label}): one side has no label {label}, only {_some(inner)}"
        elif node.kind == "call" and node.name == "histogram_quantile" and len(node.children) == 2:
            inner = result_labels(node.children[1], inventory.labels_of)
            if inner is not None and "le" not in inner and _classic(node.children[1]):
                yield "histogram_quantile of something without the label le"


def _classic(node: Node) -> bool:
    """Whether it reads buckets: native histograms have no label le."""
    return any(each.kind == "selector" and each.name.endswith("_bucket") for each, _ in node.walk())


def wrong_types(expression: Expression, inventory: Inventory) -> Iterator[str]:
    """A rate of what only goes up and down, and a counter's raw value where only its growth means something."""
    for selector, above in expression.selectors():
        series = inventory.find(selector.name) if selector.name else None
        if series is None:
            continue
        calls = [node.name for node in above if node.kind in ("call", "aggregate")]
        ranged = next((name for name in reversed(calls) if name), "")
        in_range = bool(above) and above[-1].kind == "range"
        if in_range and series.type in ("gauge", "summary") and ranged in RATES and not selector.name.endswith(("_sum", "_count")):
            yield f"{ranged} of {selector.name}, which is a gauge"
        elif in_range and series.type == "counter" and ranged in GAUGE_ONLY:
            yield f"{ranged} of {selector.name}, which is a counter"
        elif series.type == "counter" and not in_range and not (set(calls) & _COUNTER_OK) and "count" not in calls and "group" not in calls:
            yield f"the raw value of the counter {selector.name}"


def lost_sums(expression: Expression, inventory: Inventory) -> Iterator[str]:
    """Sums and differences of which one side is there only under a condition: without it, the whole is nothing."""
    for node, _ in expression.root.walk() if expression.root is not None else ():
        if node.kind == "binary" and node.name in ("+", "-") and not any(child.scalar for child in node.children):
            for side in node.children:
                name = _conditional(side, inventory)
                if name:
                    yield f"{node.name} with {name}, which is there only when {inventory.condition(name)}"


def _conditional(side: Node, inventory: Inventory) -> str:
    """The series without which a side has no result; empty when an alternative stands in for it (``or``), or it is always there."""
    if any(node.kind == "binary" and node.name == "or" for node, _ in side.walk()):
        return ""
    return next((node.name for node, _ in side.walk() if node.kind == "selector" and inventory.condition(node.name)), "")


def lost_labels(expression: Expression, texts: Mapping[str, str], inventory: Inventory) -> Iterator[tuple[str, str]]:
    """The labels that a rule's templates use and that its result does not have: the text's key, and the fault."""
    if expression.root is None:
        return
    kept = result_labels(expression.root, inventory.labels_of)
    if kept is None:
        return
    for key, template in texts.items():
        for match in _TEMPLATE_LABEL.finditer(template):
            label = match[1] or match[2] or match[3]
            if label not in kept:
                yield key, f"uses $labels.{label}, and the result has only {_some(kept)}"


def _some(labels: frozenset[str]) -> str:
    found = sorted(labels)
    return ", ".join(found[:12]) + (" …" if len(found) > 12 else "") if found else "no label"
