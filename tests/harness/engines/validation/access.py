"""RBAC, disruption budgets, autoscalers and priority classes.

Source: ``pkg/apis/rbac/validation``, ``pkg/apis/policy/validation``, ``pkg/apis/autoscaling/validation`` and ``pkg/apis/scheduling/validation``
of ``k8s.io/kubernetes``, v1.34, with the defaults of ``pkg/apis/rbac/v1/defaults.go``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.validation.context import Check, Json, each, items, mapping, number, quantity_of, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.model import Pointer

_RBAC = "rbac.authorization.k8s.io"
_HIGHEST_PRIORITY = 1_000_000_000


def validate_role(body: Json, check: Check) -> None:
    """A Role."""
    _rules(body.get("rules"), check, namespaced=True)


def validate_cluster_role(body: Json, check: Check) -> None:
    """A ClusterRole."""
    _rules(body.get("rules"), check, namespaced=False)
    aggregation = body.get("aggregationRule")
    if isinstance(aggregation, dict):
        check.required(aggregation, "clusterRoleSelectors", ("aggregationRule",))
        for place, selector in each(aggregation.get("clusterRoleSelectors"), ("aggregationRule", "clusterRoleSelectors")):
            check.selector(selector, place)


def _rules(value: Any, check: Check, *, namespaced: bool) -> None:
    """``ValidatePolicyRule``."""
    for place, rule in each(value, ("rules",)):
        check.required(rule, "verbs", place, "must contain at least one value")
        if items(rule.get("nonResourceURLs")):
            if namespaced:
                check.error((*place, "nonResourceURLs"), "namespaced rules cannot apply to non-resource URLs", "forbidden")
            if any(items(rule.get(field)) for field in ("apiGroups", "resources", "resourceNames")):
                check.error((*place, "nonResourceURLs"), "rules cannot apply to both regular resources and non-resource URLs", "one-of")
            continue
        check.required(rule, "apiGroups", place, "resource rules must supply at least one api group")
        check.required(rule, "resources", place, "resource rules must supply at least one resource")


def validate_role_binding(body: Json, check: Check) -> None:
    """A RoleBinding."""
    _binding(body, check, namespaced=True)


def validate_cluster_role_binding(body: Json, check: Check) -> None:
    """A ClusterRoleBinding."""
    reference = mapping(body.get("roleRef"))
    if reference.get("kind") == "Role":
        check.error(("roleRef", "kind"), 'must be "ClusterRole", not "Role"', "enum")
    _binding(body, check, namespaced=False)


def _binding(body: Json, check: Check, *, namespaced: bool) -> None:
    if isinstance(body.get("roleRef"), dict):
        check.reference(body["roleRef"], "name", ("roleRef",), names.path_segment)
    elif "roleRef" in body and body["roleRef"] is None:
        check.error(("roleRef",), "required field is missing", "required")
    for place, subject in each(body.get("subjects"), ("subjects",)):
        check.required(subject, "name", place)
        kind, group = subject.get("kind"), subject.get("apiGroup")
        if kind == "ServiceAccount":
            check.optional_name(subject, "name", names.dns1123_subdomain, place)
            if group:
                check.error((*place, "apiGroup"), f"must be empty for a ServiceAccount, not {group!r}", "enum", group)
            if not namespaced:
                check.required(subject, "namespace", place)
        elif kind in ("User", "Group") and group and group != _RBAC:
            check.error((*place, "apiGroup"), f'must be "{_RBAC}", not {group!r}', "enum", group)


def validate_disruption_budget(body: Json, check: Check) -> None:
    """A PodDisruptionBudget."""
    spec, at = mapping(body.get("spec")), ("spec",)
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        check.error(at, "minAvailable and maxUnavailable cannot be both set", "one-of")
    for field in ("minAvailable", "maxUnavailable"):
        check.int_or_percent(spec.get(field), (*at, field), capped=True)
    check.selector(spec.get("selector"), (*at, "selector"))


def validate_autoscaler(body: Json, check: Check) -> None:
    """A HorizontalPodAutoscaler (autoscaling/v2, and the common part of v1)."""
    spec, at = mapping(body.get("spec")), ("spec",)
    least, most = number(spec.get("minReplicas")), number(spec.get("maxReplicas"))
    if least is not None and most is not None and most < least:
        check.error((*at, "maxReplicas"), "must be greater than or equal to minReplicas", "invalid")
    target = mapping(spec.get("scaleTargetRef"))
    _target_reference(target, check, (*at, "scaleTargetRef"))
    if check.minor >= 34 and target.get("kind") not in (None, "ReplicationController") and "/" not in text(target.get("apiVersion")):
        check.error((*at, "scaleTargetRef", "apiVersion"), "must specify API group", "invalid", target.get("apiVersion"))
    for place, metric in each(spec.get("metrics"), (*at, "metrics")):
        _metric(metric, check, place)
    for direction in ("scaleUp", "scaleDown"):
        rules = mapping(spec.get("behavior")).get(direction)
        if isinstance(rules, dict) and rules.get("policies") == []:
            check.error((*at, "behavior", direction, "policies"), "must specify at least one policy", "required")


def _target_reference(reference: Json, check: Check, at: Pointer) -> None:
    for field in ("kind", "name"):
        check.reference(reference, field, at, names.path_segment)
    if text(reference.get("apiVersion")).count("/") > 1:
        check.error((*at, "apiVersion"), "must be group/version", "invalid", reference["apiVersion"])


#: Metric type → its field, the target fields of which one is needed, and those that exclude each other.
_METRICS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Object": ("object", ("value", "averageValue"), ()),
    "Pods": ("pods", ("averageValue",), ()),
    "Resource": ("resource", ("averageUtilization", "averageValue"), ("averageUtilization", "averageValue")),
    "ContainerResource": ("containerResource", ("averageUtilization", "averageValue"), ("averageUtilization", "averageValue")),
    "External": ("external", ("value", "averageValue"), ("value", "averageValue")),
}


def _metric(metric: Json, check: Check, at: Pointer) -> None:
    """``validateMetricSpec``."""
    known = _METRICS.get(text(metric.get("type")))
    if known is None:
        return
    expected, wanted, exclusive = known
    for field in (entry[0] for entry in _METRICS.values()):
        if metric.get(field) is not None and field != expected:
            check.error((*at, field), f"must not be set for a metric of type {metric['type']}", "one-of")
    source = metric.get(expected)
    if source is None:
        check.error((*at, expected), f"is required for a metric of type {metric['type']}", "required")
    if not isinstance(source, dict):
        return
    place = (*at, expected)
    if expected == "containerResource":
        check.reference(source, "name", place, names.qualified_name)
        check.reference(source, "container", place, names.dns1123_label)
    elif expected == "resource":
        check.required(source, "name", place)
    else:
        check.reference(mapping(source.get("metric")), "name", (*place, "metric"), names.path_segment)
    if expected == "object":
        _target_reference(mapping(source.get("describedObject")), check, (*place, "describedObject"))
    _metric_target(mapping(source.get("target")), wanted, exclusive, check, (*place, "target"))


def _metric_target(target: Json, wanted: tuple[str, ...], exclusive: tuple[str, ...], check: Check, at: Pointer) -> None:
    if not _any_set(target, wanted):
        check.error(at, f"must have {' or '.join(wanted)}", "required")
    if exclusive and all(target.get(field) is not None for field in exclusive):
        check.error(at, f"may not have both {' and '.join(exclusive)}", "one-of")
    for field in ("value", "averageValue"):
        amount = quantity_of(target.get(field))
        if amount is not None and amount <= 0:
            check.error((*at, field), "must be positive", "quantity", target[field])
    utilization = number(target.get("averageUtilization"))
    if utilization is not None and utilization < 1:
        check.error((*at, "averageUtilization"), "must be greater than 0", "invalid")


def _any_set(holder: Json, fields: Iterable[str]) -> bool:
    return any(holder.get(field) is not None for field in fields)


def validate_priority_class(body: Json, check: Check) -> None:
    """A PriorityClass."""
    name, value = text(mapping(body.get("metadata")).get("name")), number(body.get("value"))
    if name.startswith("system-"):
        if name not in ("system-node-critical", "system-cluster-critical"):
            check.error(("metadata", "name"), "priority class names with 'system-' prefix are reserved for system use only", "forbidden")
    elif value is not None and value > _HIGHEST_PRIORITY:
        check.error(("value",), f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}", "maximum")
