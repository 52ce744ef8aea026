"""Everything RBAC says in one cluster: roles with aggregation resolved, bindings by subject, and the authorizer's answer.

Sources: Kubernetes v1.36, ``pkg/registry/rbac/validation/rule.go`` (``VisitRulesFor``), ``plugin/pkg/auth/authorizer/rbac/rbac.go``,
``pkg/controller/clusterroleaggregation``, ``pkg/registry/rbac/reconciliation`` (defaults that the API server adds to changed roles).
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.engines.rbac import defaults
from harness.engines.rbac.roles import BINDING, CLUSTER_BINDING, CLUSTER_ROLE, ROLE, Binding, Grant, Role, read_binding, read_role
from harness.engines.rbac.rules import Request, Rule, allows
from harness.engines.rbac.subjects import MASTERS, Subject
from harness.engines.selectors import selector_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.model import Object

_AUTO_UPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"


class Held(NamedTuple):
    """A rule that someone has: by which binding, which entry of its subjects, and where it holds (empty namespace: everywhere)."""

    grant: Grant
    binding: Binding
    position: int

    @property
    def rule(self) -> Rule:
        return self.grant.rule

    @property
    def namespace(self) -> str:
        return self.binding.namespace


class Decision(NamedTuple):
    """The authorizer's answer. ``held`` is what allows it; None with ``allowed`` means that no rule is asked at all (system:masters)."""

    allowed: bool
    held: Held | None
    reason: str


class Policy:
    """The RBAC of one cluster. Read-only once made; everything is answered in the same order every time."""

    def __init__(self, roles: Iterable[Role], bindings: Iterable[Binding]) -> None:
        self.roles: dict[tuple[str, str], Role] = {}
        for role in roles:
            self.roles.setdefault((role.namespace, role.name), role)
        self.bindings = tuple(sorted(bindings, key=lambda binding: (binding.namespace, binding.name)))
        self._grants: dict[tuple[str, str], tuple[Grant, ...]] = {}
        self._aggregated: dict[str, tuple[str, ...]] = {
            role.name: tuple(self._selected(role)) for role in self.roles.values() if not role.namespace and role.selectors is not None
        }
        self._by_user: dict[str, list[tuple[Binding, int]]] = defaultdict(list)
        self._by_group: dict[str, list[tuple[Binding, int]]] = defaultdict(list)
        for binding in self.bindings:
            for position, subject in enumerate(binding.subjects):
                if subject is not None:
                    (self._by_group[subject.name] if subject.kind == "Group" else self._by_user[subject.user]).append((binding, position))

    @classmethod
    def of_objects(cls, objects: Iterable[Object], *, built_in: bool = True) -> Policy:
        """The RBAC of objects, with the API server's own roles and bindings unless they are not wanted."""
        roles: list[Role] = []
        bindings: list[Binding] = []
        for item in objects:
            kind = str(item.group_kind)
            if kind in (CLUSTER_ROLE, ROLE):
                roles.append(read_role(item))
            elif kind in (CLUSTER_BINDING, BINDING):
                bindings.append(read_binding(item))
        if built_in:
            roles, bindings = _with_defaults(roles, bindings)
        return cls(roles, bindings)

    def _selected(self, role: Role) -> Iterator[str]:
        """The other ClusterRoles that an aggregation rule takes its rules from, by name."""
        for name, other in sorted((key[1], each) for key, each in self.roles.items() if not key[0] and each is not role):
            if any(selector_matches(selector, other.labels) for selector in role.selectors or ()):
                yield name

    def aggregated(self, name: str) -> tuple[str, ...] | None:
        """The ClusterRoles that an aggregated one is made of; None when it is not aggregated."""
        return self._aggregated.get(name)

    def grants(self, role: Role) -> tuple[Grant, ...]:
        """The rules that a role grants: its own, or those its aggregation rule gathers, each once.

        What the manifest of an aggregated role says itself is overwritten by the controller and counts for nothing.
        """
        key = (role.namespace, role.name)
        if key not in self._grants:
            sources = self._leaves(role.name) if role.name in self._aggregated and not role.namespace else (role,)
            unique: dict[Rule, Grant] = {}
            for source in sources:
                for index, rule in enumerate(source.rules):
                    unique.setdefault(rule, Grant(rule, source, index))
                if source.object is not None and not source.namespace:
                    for rule in _missing_defaults(source):
                        unique.setdefault(rule, Grant(rule, source, -1))
            self._grants[key] = tuple(unique.values())
        return self._grants[key]

    def _leaves(self, name: str) -> list[Role]:
        """The roles with rules of their own that an aggregated one reaches, through others and through circles."""
        seen, open_, leaves = {name}, [name], []
        while open_:
            for each in self._aggregated[open_.pop()]:
                if each not in seen:
                    seen.add(each)
                    if each in self._aggregated:
                        open_.append(each)
                    else:
                        leaves.append(self.roles["", each])
        return sorted(leaves, key=lambda role: role.name)

    def role_of(self, binding: Binding) -> Role | None:
        """The role a binding refers to; None when there is none. A ClusterRoleBinding to a Role refers to nothing."""
        if binding.role_kind == "ClusterRole":
            return self.roles.get(("", binding.role_name))
        return self.roles.get((binding.namespace, binding.role_name)) if binding.role_kind == "Role" and binding.namespace else None

    def bindings_of(self, subject: Subject, groups: Iterable[str] = ()) -> list[tuple[Binding, int]]:
        """The bindings that apply to a subject, directly or through a group, with the entry that does."""
        found: dict[int, tuple[Binding, int]] = {}
        for binding, position in self._by_user.get(subject.user, ()) if subject.user else ():
            found.setdefault(id(binding), (binding, position))
        for group in (*subject.groups, *groups):
            for binding, position in self._by_group.get(group, ()):
                found.setdefault(id(binding), (binding, position))
        return sorted(found.values(), key=lambda entry: (entry[0].namespace, entry[0].name))

    def held(self, subject: Subject, groups: Iterable[str] = ()) -> Iterator[Held]:
        """Every rule that applies to a subject anywhere. Rules for URLs in a RoleBinding have no effect and are left out."""
        for binding, position in self.bindings_of(subject, groups):
            role = self.role_of(binding)
            for grant in self.grants(role) if role is not None else ():
                if not binding.namespace or grant.rule.resources:
                    yield Held(grant, binding, position)

    def rules_for(self, subject: Subject, namespace: str, groups: Iterable[str] = ()) -> Iterator[Held]:
        """The rules that apply to a subject's requests in a namespace (empty: cluster-wide), as ``VisitRulesFor`` visits them."""
        for binding, position in self.bindings_of(subject, groups):
            if not binding.namespace or binding.namespace == namespace:
                role = self.role_of(binding)
                for grant in self.grants(role) if role is not None else ():
                    yield Held(grant, binding, position)

    def decide(self, subject: Subject, request: Request, groups: Iterable[str] = ()) -> Decision:
        """Whether a subject, in further ``groups`` if any, may do something."""
        extra = tuple(groups)
        if MASTERS in subject.groups or MASTERS in extra:
            return Decision(True, None, f"members of {MASTERS} bypass every authorizer")
        for held in self.rules_for(subject, request.namespace, extra):
            if allows(held.rule, request):
                return Decision(True, held, f"{held.binding} grants {held.grant}")
        return Decision(False, None, "no rule of any binding allows it")

    def allows(self, subject: Subject, request: Request, groups: Iterable[str] = ()) -> bool:
        return self.decide(subject, request, groups).allowed

    def subjects(self) -> tuple[Subject, ...]:
        """Everyone that some binding names, sorted as written."""
        return tuple(sorted({subject for binding in self.bindings for subject in binding.subjects if subject is not None}, key=str))

    def bound(self, role: Role) -> tuple[Binding, ...]:
        """The bindings that refer to a role."""
        return tuple(self._bound.get(id(role), ()))

    @cached_property
    def _bound(self) -> dict[int, list[Binding]]:
        bound: dict[int, list[Binding]] = defaultdict(list)
        for binding in self.bindings:
            role = self.role_of(binding)
            if role is not None:
                bound[id(role)].append(binding)
        return bound


def _with_defaults(roles: list[Role], bindings: list[Binding]) -> tuple[list[Role], list[Binding]]:
    known = {(role.namespace, role.name) for role in roles}
    bound = {(binding.namespace, binding.name) for binding in bindings}
    return (
        [*roles, *(role for role in defaults.roles() if (role.namespace, role.name) not in known)],
        [*bindings, *(binding for binding in defaults.bindings() if (binding.namespace, binding.name) not in bound)],
    )


def _missing_defaults(role: Role) -> Iterable[Rule]:
    """What the API server adds, each time it starts, to a default ClusterRole that an object redefines, unless an annotation forbids it."""
    default = defaults.cluster_role(role.name)
    if default is None or role.object is None or role.object.annotations.get(_AUTO_UPDATE) == "false":
        return ()
    return default.rules
