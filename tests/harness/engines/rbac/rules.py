"""Policy rules of RBAC: what a request must look like to be allowed by one, and when rules cover others.

Sources: Kubernetes v1.36, ``pkg/apis/rbac/v1/evaluation_helpers.go`` and ``plugin/pkg/auth/authorizer/rbac/rbac.go`` (``RuleAllows``);
``k8s.io/component-helpers/auth/rbac/validation`` (``Covers``, ``BreakdownRule``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.model.shapes import items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALL: Final = "*"


class Rule(NamedTuple):
    """One ``PolicyRule``. Empty ``names`` stand for every name; ``groups`` has the empty string for the core group."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


class Request(NamedTuple):
    """What the API server asks its authorizer (``authorizer.Attributes``). With a ``path`` it is a non-resource request.

    ``name`` is empty for requests to a collection: always for ``create`` and ``deletecollection``, and for ``list`` and ``watch`` unless the
    field selector is ``metadata.name=…``. ``namespace`` is empty for cluster-scoped objects and for lists over all namespaces.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str = ""

    @property
    def combined(self) -> str:
        """``pods/log``: the resource as rules write it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def read_rule(body: object) -> Rule:
    """A rule of any shape; what is no list of strings counts as absent."""
    fields = mapping(body)
    return Rule(*(_strings(fields.get(name)) for name in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")))


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(entry for entry in items(value) if isinstance(entry, str))


def allows(rule: Rule, request: Request) -> bool:
    """Whether a rule allows a request."""
    if ALL not in rule.verbs and request.verb not in rule.verbs:
        return False
    if request.path:
        return any(url_matches(url, request.path) for url in rule.urls)
    return (
        (ALL in rule.groups or request.group in rule.groups)
        and any(resource_matches(resource, request.resource, request.subresource) for resource in rule.resources)
        and (not rule.names or request.name in rule.names)
    )


def resource_matches(pattern: str, resource: str, subresource: str) -> bool:
    """``*`` is everything, ``*/scale`` one subresource of every resource; ``pods/*`` is no pattern, and ``pods`` does not cover ``pods/log``."""
    if pattern == ALL or pattern == (f"{resource}/{subresource}" if subresource else resource):
        return True
    return bool(subresource) and pattern == f"*/{subresource}"


def url_matches(pattern: str, path: str) -> bool:
    """``*`` is everything; a trailing ``*`` is the rest of the path."""
    return pattern in (ALL, path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def breakdown(rule: Rule) -> Iterator[Rule]:
    """The rule as rules of one verb and one resource, name or URL each."""
    for group in rule.groups:
        for resource in rule.resources:
            for verb in rule.verbs:
                for name in rule.names or (None,):
                    yield Rule((verb,), (group,), (resource,), () if name is None else (name,))
    for url in rule.urls:
        for verb in rule.verbs:
            yield Rule((verb,), urls=(url,))


def uncovered(owner: Iterable[Rule], servant: Iterable[Rule]) -> list[Rule]:
    """The broken-down rules of ``servant`` that no single rule of ``owner`` covers: what the escalation check would complain about.

    Rules without verbs, or without groups and resources or URLs, break down into nothing and are covered by anything.
    """
    rules = tuple(owner)
    return [part for rule in servant for part in breakdown(rule) if not any(_covers(each, part) for each in rules)]


def covers(owner: Iterable[Rule], servant: Iterable[Rule]) -> bool:
    """Whether someone with the rules ``owner`` may grant the rules ``servant``."""
    return not uncovered(owner, servant)


def _covers(owner: Rule, part: Rule) -> bool:
    """``ruleCovers``: every field by itself. A part without URLs is covered in URLs by anything, and the other way round."""
    return (
        (ALL in owner.verbs or part.verbs[0] in owner.verbs)
        and (not part.groups or ALL in owner.groups or part.groups[0] in owner.groups)
        and (not part.resources or _resource_covers(owner.resources, part.resources[0]))
        and (not owner.names or (bool(part.names) and part.names[0] in owner.names))
        and (not part.urls or any(url == part.urls[0] or (url.endswith("*") and part.urls[0].startswith(url.rstrip("*"))) for url in owner.urls))
    )


def _resource_covers(resources: tuple[str, ...], wanted: str) -> bool:
    if ALL in resources or wanted in resources:
        return True
    _, slash, subresource = wanted.partition("/")
    return bool(slash) and f"*/{subresource}" in resources
