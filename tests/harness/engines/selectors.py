"""Label selectors, as ``metav1.LabelSelector`` means them (``k8s.io/apimachinery/pkg/apis/meta/v1/helpers.go``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.report import is_elided
from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = Mapping[str, Any]


def selector_matches(selector: Json, labels: Json) -> bool | None:
    """Whether a label selector matches labels; None when that cannot be told (malformed, or elided)."""
    if any(is_elided(value) for value in labels.values()):
        return None
    for key, value in mapping(selector.get("matchLabels")).items():
        if value is not None and not isinstance(value, str):
            return None
        if labels.get(key) != (value or ""):
            return False
    for expression in items(selector.get("matchExpressions")):
        if not isinstance(expression, dict):
            return None
        matched = _expression_matches(expression, labels)
        if not matched:
            return matched
    return True


def _expression_matches(expression: Json, labels: Json) -> bool | None:
    key, operator, values = expression.get("key"), expression.get("operator"), items(expression.get("values"))
    if not isinstance(key, str):
        return None
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    return None
