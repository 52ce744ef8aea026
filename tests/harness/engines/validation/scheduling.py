"""Where pods may run: tolerations, node and pod affinity, spread.

Source: ``ValidateTolerations``, ``validateAffinity``, ``ValidateNodeSelector`` and ``validateTopologySpreadConstraints`` in
``k8s.io/kubernetes/pkg/apis/core/validation/validation.go``, v1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.validation.context import Check, Json, each, each_text, items, mapping, text

if TYPE_CHECKING:
    from harness.model import Pointer


def validate_tolerations(value: Any, check: Check, at: Pointer) -> None:
    """``ValidateTolerations``."""
    for place, toleration in each(value, at):
        key, operator, content = text(toleration.get("key")), toleration.get("operator") or "Equal", toleration.get("value")
        if key:
            check.syntax(key, names.qualified_name, (*place, "key"), "label")
        elif operator != "Exists":
            check.error((*place, "operator"), 'must be Exists when key is empty, which means "match all values and all keys"', "toleration")
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            check.error((*place, "effect"), "must be 'NoExecute' when tolerationSeconds is set", "toleration")
        if operator == "Exists" and content:
            check.error((*place, "value"), "must be empty when operator is 'Exists'", "toleration", content)
        elif operator == "Equal":
            check.syntax(content, names.label_value, (*place, "value"), "label")


def validate_spread(value: Any, check: Check, at: Pointer) -> None:
    """``validateTopologySpreadConstraints``: repeated ones are the schema's list keys."""
    for place, constraint in each(value, at):
        check.required(constraint, "topologyKey", place)
        if constraint.get("minDomains") is not None and constraint.get("whenUnsatisfiable") != "DoNotSchedule":
            check.error((*place, "minDomains"), "can only be used if whenUnsatisfiable is DoNotSchedule", "forbidden")
        check.selector(constraint.get("labelSelector"), (*place, "labelSelector"))
        _match_keys(constraint, ("matchLabelKeys",), check, place)


def _match_keys(term: Json, fields: tuple[str, ...], check: Check, at: Pointer) -> None:
    for field in fields:
        keys = items(term.get(field))
        if keys and term.get("labelSelector") is None:
            check.error((*at, field), "must not be specified when labelSelector is not set", "forbidden")
        elif keys:
            check.label_keys(keys, (*at, field))


def validate_affinity(affinity: Json, check: Check, at: Pointer) -> None:
    node, place = mapping(affinity.get("nodeAffinity")), (*at, "nodeAffinity")
    required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
    if isinstance(node.get(required), dict):
        validate_node_selector(node[required], check, (*place, required))
    for where, term in each(node.get(preferred), (*place, preferred)):
        _node_term(mapping(term.get("preference")), check, (*where, "preference"), values=False)
    for field in ("podAffinity", "podAntiAffinity"):
        pod, place = mapping(affinity.get(field)), (*at, field)
        for where, term in each(pod.get(required), (*place, required)):
            _pod_term(term, check, where)
        for where, weighted in each(pod.get(preferred), (*place, preferred)):
            _pod_term(mapping(weighted.get("podAffinityTerm")), check, (*where, "podAffinityTerm"))


def validate_node_selector(selector: Json, check: Check, at: Pointer) -> None:
    """``ValidateNodeSelector``."""
    where = (*at, "nodeSelectorTerms")
    if not items(selector.get("nodeSelectorTerms")):
        check.error(where, "must have at least one node selector term", "required")
    for place, term in each(selector.get("nodeSelectorTerms"), where):
        _node_term(term, check, place, values=True)


def _node_term(term: Json, check: Check, at: Pointer, *, values: bool) -> None:
    """``ValidateNodeSelectorTerm``; label values are checked in required terms only."""
    for place, requirement in each(term.get("matchExpressions"), (*at, "matchExpressions")):
        _node_operator(requirement, check, place)
        check.syntax(requirement.get("key"), names.qualified_name, (*place, "key"), "label")
        if values:
            for where, value in each_text(requirement.get("values"), (*place, "values")):
                check.syntax(value, names.label_value, where, "label")
    for place, requirement in each(term.get("matchFields"), (*at, "matchFields")):
        if requirement.get("operator") not in ("In", "NotIn") or len(items(requirement.get("values"))) != 1:
            check.error(place, "must have operator In or NotIn and exactly one value", "selector")
        if requirement.get("key") != "metadata.name":
            check.error((*place, "key"), "must be metadata.name", "selector")
        for where, value in each_text(requirement.get("values"), (*place, "values")):
            check.syntax(value, names.dns1123_subdomain, where)


def _node_operator(requirement: Json, check: Check, at: Pointer) -> None:
    operator, values = requirement.get("operator"), items(requirement.get("values"))
    if operator in ("In", "NotIn") and not values:
        check.error((*at, "values"), "must be specified when operator is In or NotIn", "selector")
    elif operator in ("Exists", "DoesNotExist") and values:
        check.error((*at, "values"), "must not be specified when operator is Exists or DoesNotExist", "selector")
    elif operator in ("Gt", "Lt") and len(values) != 1:
        check.error((*at, "values"), "must be a single value when operator is Lt or Gt", "selector")


def _pod_term(term: Json, check: Check, at: Pointer) -> None:
    check.selector(term.get("labelSelector"), (*at, "labelSelector"))
    check.selector(term.get("namespaceSelector"), (*at, "namespaceSelector"))
    for place, namespace in each_text(term.get("namespaces"), (*at, "namespaces")):
        check.syntax(namespace, names.dns1123_label, place)
    _match_keys(term, ("matchLabelKeys", "mismatchLabelKeys"), check, at)
    if check.required(term, "topologyKey", at):
        check.syntax(term["topologyKey"], names.qualified_name, (*at, "topologyKey"), "label")
