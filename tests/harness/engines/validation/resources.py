"""Compute resources: requests, limits, quotas and ranges.

Source: ``validateResourceRequirements``, ``ValidateResourceQuotaSpec``, ``ValidateLimitRange`` in
``pkg/apis/core/validation/validation.go`` and ``pkg/apis/core/helper/helpers.go``, v1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import names
from harness.engines.validation.context import Check, Json, each, items, mapping, quantity_of, text

if TYPE_CHECKING:
    from harness.model import Pointer

_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_COUNTED = frozenset(
    {
        "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "services.nodeports",
        "services.loadbalancers",
    }
)  # fmt: skip
_QUOTA = _COUNTED | {
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage",
}  # fmt: skip
_STANDARD = _QUOTA | {"storage"}
_SCOPES = frozenset({"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "VolumeAttributesClass", "CrossNamespacePodAffinity"})
_EXISTS_ONLY = _SCOPES - {"PriorityClass", "VolumeAttributesClass"}
_POD_QUOTA = frozenset({"pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
#: Scope → the standard resources it can be applied to (IsResourceQuotaScopeValidForResource).
_SCOPE_RESOURCES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"), _POD_QUOTA),
    "BestEffort": frozenset({"pods"}),
    "VolumeAttributesClass": frozenset({"persistentvolumeclaims", "requests.storage"}),
}
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _is_huge_page(name: str) -> bool:
    return name.startswith("hugepages-")


def _is_extended(name: str) -> bool:
    return not _is_native(name) and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")


def _may_overcommit(name: str) -> bool:
    return _is_native(name) and not _is_huge_page(name)


def _resource_name(name: str, check: Check, at: Pointer) -> None:
    """``validateContainerResourceName``."""
    wrong = names.qualified_name(name)
    if wrong:
        check.error(at, wrong[0], "resource-name", name)
    elif "/" not in name:
        if name not in _CONTAINER and not _is_huge_page(name):
            check.error(at, f"must be a standard resource for containers (cpu, memory, ephemeral-storage, hugepages-*), not {name!r}", "resource-name")
    elif not _is_native(name) and not _is_extended(name):
        check.error(at, "doesn't follow extended resource name standard", "resource-name")


def _amount(name: str, value: Any, check: Check, at: Pointer) -> None:
    """``ValidateResourceQuantityValue``."""
    amount = quantity_of(value)
    if amount is None:
        return
    if amount < 0:
        check.error(at, "must be greater than or equal to 0", "quantity", value)
    if (name in _COUNTED or _is_extended(name)) and amount.denominator != 1:
        check.error(at, "must be an integer", "quantity", value)


def validate_requirements(value: Any, check: Check, at: Pointer, claims: set[str]) -> None:
    """``ValidateContainerResourceRequirements``. ``claims`` are the names of the pod's resource claims."""
    resources = mapping(value)
    limits, requests = mapping(resources.get("limits")), mapping(resources.get("requests"))
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            place = (*at, field, name)
            _resource_name(name, check, place)
            _amount(name, amount, check, place)
    for name, amount in requests.items():
        # A quantity that is null is zero.
        request, limit = quantity_of(amount or 0), quantity_of(limits.get(name) or 0)
        if name not in limits:
            if not _may_overcommit(name):
                check.error((*at, "limits", name), "must be set for resources that cannot be overcommitted", "required")
        elif request is not None and limit is not None:
            if request > limit:
                check.error((*at, "requests", name), f"must be less than or equal to {name} limit of {limits[name]}, not {amount}", "resources")
            elif request != limit and not _may_overcommit(name):
                check.error((*at, "requests", name), f"must be equal to {name} limit of {limits[name]}, not {amount}", "resources")
    used = {*limits, *requests}
    if any(_is_huge_page(name) for name in used) and not used & {"cpu", "memory"}:
        check.error(at, "HugePages require cpu or memory", "resources")
    for place, claim in each(resources.get("claims"), (*at, "claims")):
        if check.required(claim, "name", place) and text(claim["name"]) not in claims:
            check.error((*place, "name"), f"no resource claim {claim['name']!r} in the pod", "reference", claim["name"])


def validate_overhead(value: Any, check: Check, at: Pointer) -> None:
    """A pod's ``overhead``, checked as limits."""
    for name, amount in mapping(value).items():
        _resource_name(name, check, (*at, name))
        _amount(name, amount, check, (*at, name))


def validate_quota(body: Json, check: Check) -> None:
    """A ResourceQuota."""
    spec = mapping(body.get("spec"))
    at: Pointer = ("spec",)
    for name, amount in mapping(spec.get("hard")).items():
        place = (*at, "hard", name)
        wrong = names.qualified_name(name)
        if wrong:
            check.error(place, wrong[0], "resource-name")
        elif "/" not in name and name not in _QUOTA and not _is_quota_huge_page(name):
            check.error(place, f"must be a standard resource for quota, not {name!r}", "resource-name")
        _amount(name, amount, check, place)
    scopes = [scope for scope in items(spec.get("scopes")) if isinstance(scope, str)]
    for index, scope in enumerate(scopes):
        if scope not in _SCOPES:
            check.error((*at, "scopes", index), f"unsupported scope {scope!r}", "enum")
    _conflicts(set(scopes), check, (*at, "scopes"))
    _scope_resources(set(scopes), mapping(spec.get("hard")), check, (*at, "scopes"))
    where = (*at, "scopeSelector", "matchExpressions")
    selected: set[str] = set()
    for place, requirement in each(mapping(spec.get("scopeSelector")).get("matchExpressions"), where):
        scope, operator, values = text(requirement.get("scopeName")), requirement.get("operator"), items(requirement.get("values"))
        selected.add(scope)
        if scope not in _SCOPES:
            check.error((*place, "scopeName"), f"unsupported scope {scope!r}", "enum", scope)
        elif scope in _EXISTS_ONLY and operator != "Exists":
            check.error((*place, "operator"), f"must be 'Exists' when scope is {scope}", "selector")
        if operator in ("In", "NotIn") and not values:
            check.error((*place, "values"), "must be at least one value when operator is 'In' or 'NotIn'", "selector")
        elif operator in ("Exists", "DoesNotExist") and values:
            check.error((*place, "values"), "must be no value when operator is 'Exists' or 'DoesNotExist'", "selector")
    _conflicts(selected, check, where)
    _scope_resources(selected, mapping(spec.get("hard")), check, where)


def _scope_resources(scopes: set[str], hard: Json, check: Check, at: Pointer) -> None:
    for scope in sorted(scopes):
        allowed = _SCOPE_RESOURCES.get(scope)
        unfit = [] if allowed is None else sorted(name for name in hard if name in _QUOTA and name not in allowed)
        if unfit:
            check.error(at, f"scope {scope} cannot be applied to {', '.join(unfit)}", "enum")


def _is_quota_huge_page(name: str) -> bool:
    return name.startswith(("hugepages-", "requests.hugepages-"))


def _conflicts(scopes: set[str], check: Check, at: Pointer) -> None:
    for pair in _CONFLICTS:
        if scopes >= set(pair):
            check.error(at, f"conflicting scopes {' and '.join(pair)}", "enum")


def validate_limit_range(body: Json, check: Check) -> None:
    """A LimitRange."""
    seen: set[str] = set()
    for place, limit in each(mapping(body.get("spec")).get("limits"), ("spec", "limits")):
        kind = text(limit.get("type"))
        if "/" not in kind and kind not in ("Pod", "Container", "PersistentVolumeClaim"):
            check.error((*place, "type"), f"must be Pod, Container, PersistentVolumeClaim or fully qualified, not {kind!r}", "enum", kind)
        if kind in seen:
            check.error((*place, "type"), f"duplicate type {kind}", "duplicate")
        seen.add(kind)
        amounts = {field: mapping(limit.get(field)) for field in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")}
        for field, values in amounts.items():
            if kind == "Pod" and field.startswith("default") and values:
                check.error((*place, field), "may not be specified when type is 'Pod'", "forbidden")
            for name in values:
                _limit_name(kind, name, check, (*place, field, name))
        if kind == "PersistentVolumeClaim" and "storage" not in amounts["min"] and "storage" not in amounts["max"]:
            check.error(place, "either minimum or maximum storage value is required", "required")
        _limit_order(amounts, check, place)


def _limit_name(kind: str, name: str, check: Check, at: Pointer) -> None:
    if kind in ("Pod", "Container"):
        _resource_name(name, check, at)
    elif names.qualified_name(name):
        check.error(at, names.qualified_name(name)[0], "resource-name")
    elif "/" not in name and name not in _STANDARD and not _is_quota_huge_page(name):
        check.error(at, f"must be a standard resource type or fully qualified, not {name!r}", "resource-name")


#: (smaller, larger): the first must not exceed the second, resource by resource.
_ORDER = (
    ("min", "max"),
    ("min", "defaultRequest"),
    ("defaultRequest", "max"),
    ("defaultRequest", "default"),
    ("min", "default"),
    ("default", "max"),
)


def _limit_order(amounts: dict[str, Json], check: Check, at: Pointer) -> None:
    for low, high in _ORDER:
        for name in sorted(set(amounts[low]) & set(amounts[high])):
            smaller, larger = quantity_of(amounts[low][name]), quantity_of(amounts[high][name])
            if smaller is not None and larger is not None and smaller > larger:
                check.error((*at, low, name), f"{amounts[low][name]} is greater than {high} {amounts[high][name]}", "resources")
    for name, value in amounts["maxLimitRequestRatio"].items():
        ratio, most, least = quantity_of(value), quantity_of(amounts["max"].get(name)), quantity_of(amounts["min"].get(name))
        if ratio is not None and ratio < 1:
            check.error((*at, "maxLimitRequestRatio", name), f"ratio {value} is less than 1", "resources")
        elif ratio is not None and most is not None and least and ratio > most / least:
            check.error((*at, "maxLimitRequestRatio", name), f"ratio {value} is greater than max/min", "resources")
    for name, value in amounts["defaultRequest"].items():
        if not _may_overcommit(name) and name in amounts["default"] and quantity_of(value) != quantity_of(amounts["default"][name]):
            check.error((*at, "defaultRequest", name), f"must equal default for {name}", "resources")
