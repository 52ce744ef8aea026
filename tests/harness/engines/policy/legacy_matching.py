"""``match`` and ``exclude`` of ``kyverno.io`` policies.

Source: Kyverno 1.19, ``pkg/engine/utils/match.go``, ``pkg/utils/match`` and ``pkg/utils/kube/kind.go``.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any

from harness.engines.policy.globs import wildcard
from harness.engines.policy.matching import namespace_labels
from harness.engines.selectors import selector_matches
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from harness.engines.policy.api import Json
    from harness.engines.policy.context import Evaluation

_VERSION = re.compile(r"v\d+((alpha|beta)\d+)?|\*")


class Matched(Enum):
    """Whether a rule is about a request; UNKNOWN when that depends on the roles of a user nobody knows."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def split_kind(selector: str) -> tuple[str, str, str, str]:
    """``ParseKindSelector``: group, version, kind and subresource, with ``*`` for any."""
    *head, last = selector.split("/")
    parts = [*head, *last.split(".")]
    if len(parts) == 1:
        return "*", "*", parts[0], ""
    if len(parts) == 2:
        if parts == ["*", "*"]:
            return "*", "*", "*", "*"
        if parts[0] == "*" and parts[1].lower() == parts[1]:
            return "*", "*", parts[0], parts[1]
        return ("*", parts[0], parts[1], "") if _VERSION.fullmatch(parts[0]) else ("*", "*", parts[0], parts[1])
    if len(parts) == 3:
        return ("*", parts[0], parts[1], parts[2]) if _VERSION.fullmatch(parts[0]) else (parts[0], parts[1], parts[2], "")
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else ("", "", "", "")


def rule_kinds(rule: Json) -> list[str]:
    """Every kind that a rule's ``match`` names."""
    block = mapping(rule.get("match"))
    blocks = [block, *items(block.get("any")), *items(block.get("all"))]
    return [kind for each in blocks for kind in items(mapping(mapping(each).get("resources")).get("kinds")) if isinstance(kind, str)]


def matched(rule: Json, evaluation: Evaluation, policy_namespace: str) -> Matched:
    """``MatchesResourceDescription``: whether a rule is about a request."""
    request = evaluation.request
    if policy_namespace and policy_namespace != request.object_namespace:
        return Matched.NO
    block = mapping(rule.get("match"))
    some, every = items(block.get("any")), items(block.get("all"))
    if some:
        found = _any(_filter(mapping(each), evaluation) for each in some)
    elif every:
        found = _all(_filter(mapping(each), evaluation) for each in every)
    else:
        found = _filter(block, evaluation)
    if found is Matched.NO:
        return found
    excluded = _excluded(mapping(rule.get("exclude")), evaluation)
    if excluded is Matched.YES:
        return Matched.NO
    return Matched.UNKNOWN if excluded is Matched.UNKNOWN else found


def _excluded(block: Json, evaluation: Evaluation) -> Matched:
    some, every = items(block.get("any")), items(block.get("all"))
    if some:
        return _any(_filter(mapping(each), evaluation) for each in some)
    if every:
        return _all(_filter(mapping(each), evaluation) for each in every)
    return _filter(block, evaluation) if block else Matched.NO


def _any(found: Any) -> Matched:
    seen = set(found)
    return Matched.YES if Matched.YES in seen else Matched.UNKNOWN if Matched.UNKNOWN in seen else Matched.NO


def _all(found: Any) -> Matched:
    seen = set(found)
    return Matched.NO if Matched.NO in seen else Matched.UNKNOWN if Matched.UNKNOWN in seen else Matched.YES


def _filter(block: Json, evaluation: Evaluation) -> Matched:
    """One filter: all of what it says of the resource, and of the user where there is one. An empty one matches nothing."""
    resources = mapping(block.get("resources"))
    user = {name: items(block.get(name)) for name in ("roles", "clusterRoles", "subjects") if block.get(name)}
    if not any(resources.values()) and not (user and evaluation.request.user):
        return Matched.NO
    if not _resource_matches(resources, evaluation):
        return Matched.NO
    return _user_matches(user, evaluation.request.user) if user and evaluation.request.user else Matched.YES


def _resource_matches(described: Json, evaluation: Evaluation) -> bool:
    request, resource = evaluation.request, evaluation.resource
    operations = items(described.get("operations"))
    if operations and request.operation not in operations:
        return False
    kinds = [kind for kind in items(described.get("kinds")) if isinstance(kind, str)]
    if kinds and not any(_kind_matches(kind, evaluation) for kind in kinds):
        return False
    metadata = mapping(request.subject.get("metadata"))
    name = request.object_name or text(metadata.get("generateName"))
    if text(described.get("name")) and not _wild(described["name"], name):
        return False
    names = items(described.get("names"))
    if names and not any(_wild(each, name) for each in names):
        return False
    is_namespace = resource.kind == "Namespace"
    namespaces = items(described.get("namespaces"))
    if namespaces and not any(_wild(each, request.object_name if is_namespace else request.object_namespace) for each in namespaces):
        return False
    annotations = mapping(metadata.get("annotations"))
    for key, value in mapping(described.get("annotations")).items():
        if not any(_wild(key, each) and _wild(value, given) for each, given in annotations.items()):
            return False
    if isinstance(described.get("selector"), dict) and not _labels_match(described["selector"], mapping(metadata.get("labels"))):
        return False
    selector = described.get("namespaceSelector")
    return not isinstance(selector, dict) or (
        not is_namespace and _labels_match(selector, namespace_labels(request, resource, request.object_namespace) if request.object_namespace else {})
    )


def _kind_matches(selector: str, evaluation: Evaluation) -> bool:
    group, version, kind, subresource = split_kind(selector)
    resource, asked = evaluation.resource, evaluation.request.subresource
    if not (_wild(group, resource.group) and _wild(version, resource.version) and _wild(kind, resource.kind)):
        return False
    return _wild(subresource, asked) or (resource.kind == "Pod" and asked == "ephemeralcontainers")


def _wild(pattern: Any, value: Any) -> bool:
    return isinstance(pattern, str) and isinstance(value, str) and wildcard(pattern).fullmatch(value) is not None


def _labels_match(selector: Json, labels: Json) -> bool:
    """Wildcards in ``matchLabels`` stand for the first label they match."""
    for key, value in mapping(selector.get("matchLabels")).items():
        if not any(_wild(key, each) and _wild(value, given) for each, given in labels.items()):
            return False
    return bool(selector_matches({"matchExpressions": items(selector.get("matchExpressions"))}, labels))


def _user_matches(wanted: dict[str, list[Any]], user: Json) -> Matched:
    found = []
    for name in ("roles", "clusterRoles"):
        if name in wanted:
            has = user.get(name)
            found.append(Matched.UNKNOWN if not isinstance(has, list) else Matched.YES if any(each in has for each in wanted[name]) else Matched.NO)
    if "subjects" in wanted:
        found.append(Matched.YES if any(_subject_matches(mapping(each), user) for each in wanted["subjects"]) else Matched.NO)
    return _all(found)


def _subject_matches(subject: Json, user: Json) -> bool:
    kind, name = subject.get("kind"), text(subject.get("name"))
    if kind == "ServiceAccount":
        return _wild(f"system:serviceaccount:{text(subject.get('namespace'))}:{name}", user.get("username"))
    if kind == "Group":
        return any(_wild(name, group) for group in items(user.get("groups")))
    return kind == "User" and _wild(name, user.get("username"))
