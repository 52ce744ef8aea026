"""Unit tests of alerting rules in promtool's format, and the rule files that they name.

Source: Prometheus 3.13 ``docs/configuration/unit_testing_rules.md``. A test file names the rules it tests as ``<namespace>/<name>.yaml``: the
PrometheusRule of that name, whose groups are written there for promtool.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.model import Object


class Tested(NamedTuple):
    """How often an alert is tested to fire, and to stay silent."""

    firing: int
    silent: int


def rule_file(item: Object) -> str:
    """The groups of a PrometheusRule as a rule file, without what only the operator and Thanos know."""
    groups = [{key: value for key, value in mapping(group).items() if key != "partial_response_strategy"} for group in items(item.spec.get("groups"))]
    return yaml.safe_dump({"groups": groups}, sort_keys=False, width=160)


def file_name(item: Object) -> str:
    """How a test file names a PrometheusRule."""
    return f"{item.namespace}/{item.name}.yaml"


def tested_alerts(files: Iterable[Mapping[str, Any]]) -> dict[str, Tested]:
    """The alerts that some test files test, each with how often. What expects no alert expects silence."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for body in files:
        for test in items(body.get("tests")):
            for check in items(mapping(test).get("alert_rule_test")):
                name = text(mapping(check).get("alertname"))
                found[name][0 if items(mapping(check).get("exp_alerts")) else 1] += 1
    return {name: Tested(*numbers) for name, numbers in found.items()}
