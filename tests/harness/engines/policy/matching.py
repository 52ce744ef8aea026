"""Which requests a policy is about: ``matchConstraints`` as the API server and Kyverno read them.

Source: ``k8s.io/apiserver/pkg/admission/plugin/policy/matching/matching.go`` and ``plugin/webhook/predicates/{rules,namespace,object}``,
v0.36, and Kyverno 1.19's ``pkg/cel/matching``, which differs in two points: names are also compared with ``generateName``, and a namespace
that is not known is taken to have only its name label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from harness.engines.selectors import selector_matches
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.engines.policy.api import Json, Request, Resource
    from harness.engines.policy.resources import Resources
    from harness.model import Pointer

NAME_LABEL = "kubernetes.io/metadata.name"
_OPERATORS = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}


class Match(NamedTuple):
    """Whether a request is matched; ``resource`` is the equivalent one it was matched through, None for its own.

    ``error`` says why that failed as it would in a cluster; ``unknown`` why it cannot be told here.
    """

    matched: bool
    resource: Resource | None = None
    error: str = ""
    unknown: str = ""


NO = Match(False)
YES = Match(True)


class _Rule:
    """A ``NamedRuleWithOperations``."""

    __slots__ = ("groups", "names", "operations", "resources", "scope", "versions")

    def __init__(self, rule: Json) -> None:
        self.groups, self.versions, self.operations = (_texts(rule.get(key)) for key in ("apiGroups", "apiVersions", "operations"))
        self.names = _texts(rule.get("resourceNames"))
        self.scope = text(rule.get("scope")) or "*"
        self.resources = tuple((plural, subresource) for plural, _, subresource in (entry.partition("/") for entry in _texts(rule.get("resources"))))

    def matches(self, resource: Resource, subresource: str, operation: str, namespace: str) -> bool:
        """``rules.Matcher.Matches``: scope, operation, group, version and resource."""
        return (
            self._in_scope(resource, namespace)
            and ("*" in self.operations or operation in self.operations)
            and ("*" in self.groups or resource.group in self.groups)
            and ("*" in self.versions or resource.version in self.versions)
            and any(plural in ("*", resource.plural) and sub in ("*", subresource) for plural, sub in self.resources)
        )

    def _in_scope(self, resource: Resource, namespace: str) -> bool:
        # A request about a Namespace carries its name as its namespace, though the object is cluster-scoped.
        cluster = not namespace or is_namespace(resource)
        return self.scope == "*" or (self.scope == "Namespaced" and not cluster) or (self.scope == "Cluster" and cluster)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(entry for entry in items(value) if isinstance(entry, str))


def is_namespace(resource: Resource) -> bool:
    return resource.plural == "namespaces" and not resource.group


def selector_problems(selector: Any) -> Iterator[tuple[Pointer, str]]:
    """What ``metav1.LabelSelectorAsSelector`` refuses."""
    if selector is not None and not isinstance(selector, dict):
        yield (), "is not a label selector"
        return
    for index, expression in enumerate(items(mapping(selector).get("matchExpressions"))):
        at: Pointer = ("matchExpressions", index)
        operator, values = mapping(expression).get("operator"), items(mapping(expression).get("values"))
        if not isinstance(operator, str) or operator not in _OPERATORS:
            yield (*at, "operator"), f"{operator!r} is not a valid label selector operator"
        elif _OPERATORS[operator] and not values:
            yield (*at, "values"), f"for {operator} the values must not be empty"
        elif not _OPERATORS[operator] and values:
            yield (*at, "values"), f"for {operator} the values must be empty"


class Constraints:
    """``matchConstraints`` (``MatchResources``) of a policy, or ``matchResources`` of a binding. ``spec`` None matches nothing."""

    __slots__ = ("_equivalent", "_excluded", "_kyverno", "_namespaces", "_objects", "_rules", "_selectors", "_spec", "present", "problems")

    def __init__(self, spec: Any, *, kyverno: bool) -> None:
        body = mapping(spec)
        self._spec = spec
        self.present = isinstance(spec, dict)
        self._rules = tuple(_Rule(mapping(rule)) for rule in items(body.get("resourceRules")))
        self._excluded = tuple(_Rule(mapping(rule)) for rule in items(body.get("excludeResourceRules")))
        self._namespaces, self._objects = mapping(body.get("namespaceSelector")), mapping(body.get("objectSelector"))
        self._selectors = bool(self._namespaces or self._objects)
        self._equivalent = body.get("matchPolicy", "Equivalent") != "Exact"
        self._kyverno = kyverno
        self.problems: tuple[tuple[Pointer, str], ...] = tuple(
            ((name, *at), message) for name in ("namespaceSelector", "objectSelector") for at, message in selector_problems(body.get(name))
        )

    def for_all_operations(self) -> Constraints:
        """The same constraints, whatever is done to the object."""
        return Constraints(
            self._spec
            if not isinstance(self._spec, dict)
            else {
                **self._spec,
                "resourceRules": [{**mapping(rule), "operations": ["*"]} for rule in items(self._spec.get("resourceRules"))],
            },
            kyverno=self._kyverno,
        )

    def resources(self) -> frozenset[tuple[str, str]]:
        """The (group, plural) pairs it can match, ``*`` standing for all: what an index needs."""
        if not self.present:
            return frozenset()
        if not self._rules:
            return frozenset({("*", "*")})
        return frozenset((group, plural) for rule in self._rules for group in rule.groups for plural, _ in rule.resources)

    def match(self, request: Request, resource: Resource, resources: Resources) -> Match:
        """Whether the request is matched. ``resource`` is the request's own."""
        if not self.present:
            return NO
        namespace = request.object_name if is_namespace(resource) else request.object_namespace
        subresource, operation = request.subresource, request.operation
        if any(self._names_match(rule, request) for rule in self._excluded if rule.matches(resource, subresource, operation, namespace)):
            return NO
        found = self._match_rules(request, resource, resources, namespace)
        if not found.matched or not self._selectors:
            return found
        if self.problems:
            return Match(False, error="; ".join(message for _, message in self.problems))
        for matched, what in ((self._match_namespace(request, resource, namespace), "the namespace"), (self._match_object(request, resource), "the object")):
            if matched is None:
                return Match(False, unknown=f"the labels of {what} are not known")
            if not matched:
                return NO
        return found

    def _match_rules(self, request: Request, resource: Resource, resources: Resources, namespace: str) -> Match:
        if not self._rules:
            return YES
        subresource, operation = request.subresource, request.operation
        if any(self._names_match(rule, request) for rule in self._rules if rule.matches(resource, subresource, operation, namespace)):
            return YES
        if self._equivalent:
            for rule in self._rules:
                for other, by_name in resources.equivalents(resource):
                    if rule.matches(other, subresource, operation, namespace) and self._names_match(rule, request):
                        if any(each.matches(other, subresource, operation, namespace) and self._names_match(each, request) for each in self._excluded):
                            return NO
                        unknown = "" if by_name else f"the object would be converted to {other.api_version}"
                        return Match(not unknown, other, unknown=unknown)
        return NO

    def _names_match(self, rule: _Rule, request: Request) -> bool:
        if not rule.names:
            return True
        name = request.object_name
        if not name and self._kyverno:
            generated = text(mapping(mapping(request.object).get("metadata")).get("generateName"))
            return any(generated.startswith(each) for each in rule.names)
        return name in rule.names

    def _match_namespace(self, request: Request, resource: Resource, namespace: str) -> bool | None:
        if not self._namespaces or (not namespace and resource.plural != "namespaces"):
            return True
        return selector_matches(self._namespaces, namespace_labels(request, resource, namespace))

    def _match_object(self, request: Request, resource: Resource) -> bool | None:
        """Either the new or the old object will do; what has no metadata matches no selector."""
        if not self._objects:
            return True
        found: bool | None = False
        for body in (request.object, request.old_object):
            if body is not None and isinstance(body.get("metadata"), dict):
                matched = selector_matches(self._objects, object_labels(body, resource))
                if matched:
                    return True
                found = None if matched is None else found
        return found


def object_labels(body: Json, resource: Resource) -> Mapping[str, Any]:
    """The labels of an object, with the one that the API server's defaulting gives every Namespace."""
    metadata = mapping(body.get("metadata"))
    labels = mapping(metadata.get("labels"))
    name = text(metadata.get("name"))
    return {**labels, NAME_LABEL: name} if is_namespace(resource) and name else labels


def namespace_labels(request: Request, resource: Resource, namespace: str) -> Mapping[str, Any]:
    """The labels of the namespace a request is in; a request that creates or changes a Namespace is judged by the new labels."""
    if resource.plural == "namespaces" and not request.subresource and request.operation in ("CREATE", "UPDATE"):
        return object_labels(mapping(request.object), resource)
    body = request.namespace
    if body is None and resource.plural == "namespaces":
        body = request.old_object
    labels = mapping(mapping(mapping(body).get("metadata")).get("labels"))
    return {**labels, NAME_LABEL: namespace}
