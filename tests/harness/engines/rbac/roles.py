"""Roles and bindings, read from objects of any shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.engines.rbac.rules import Rule, read_rule
from harness.engines.rbac.subjects import Subject, service_account, user_subject
from harness.model.shapes import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Location, Object

GROUP: Final = "rbac.authorization.k8s.io"
CLUSTER_ROLE, ROLE = f"ClusterRole.{GROUP}", f"Role.{GROUP}"
CLUSTER_BINDING, BINDING = f"ClusterRoleBinding.{GROUP}", f"RoleBinding.{GROUP}"


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """A Role (with a namespace) or a ClusterRole (without). ``object`` is None for the API server's own.

    ``selectors`` are the label selectors of its aggregation rule, None where it has none; with them, ``rules`` are what stands in the
    object, which the controller overwrites.
    """

    name: str
    namespace: str
    rules: tuple[Rule, ...]
    labels: Mapping[str, Any]
    selectors: tuple[dict[str, Any], ...] | None = None
    object: Object | None = None

    @property
    def kind(self) -> str:
        return "Role" if self.namespace else "ClusterRole"

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


class Grant(NamedTuple):
    """A rule and where it stands: the position in the role that wrote it, however many roles aggregate it. ``position`` is -1 for an added default."""

    rule: Rule
    role: Role
    position: int

    def locate(self) -> Location | None:
        """The line of the rule; None for the API server's own roles."""
        return self.role.object.locate("rules", self.position) if self.role.object is not None and self.position >= 0 else None

    def __str__(self) -> str:
        where = self.locate()
        return (
            f"{self.role} rules[{self.position}]" + (f" at {where}" if where is not None else " (built in)")
            if self.position >= 0
            else f"{self.role} (built in)"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """A RoleBinding (with a namespace) or a ClusterRoleBinding (without).

    ``subjects`` keeps the positions of the object's list; None stands for an entry that can be nobody.
    """

    name: str
    namespace: str
    role_kind: str
    role_name: str
    subjects: tuple[Subject | None, ...]
    object: Object | None = None

    @property
    def kind(self) -> str:
        return "RoleBinding" if self.namespace else "ClusterRoleBinding"

    def locate(self, *pointer: str | int) -> Location | None:
        return self.object.locate(*pointer) if self.object is not None else None

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


def read_role(item: Object) -> Role:
    """A Role or ClusterRole; a Role without a namespace is in ``default``."""
    namespace = (item.namespace or "default") if item.kind == "Role" else ""
    aggregation = item.body.get("aggregationRule") if item.kind == "ClusterRole" else None
    selectors = tuple(mapping(entry) for entry in items(mapping(aggregation).get("clusterRoleSelectors"))) if isinstance(aggregation, dict) else None
    rules = tuple(read_rule(entry) for entry in items(item.body.get("rules")))
    return Role(item.name, namespace, rules, item.labels, selectors, item)


def read_binding(item: Object) -> Binding:
    """A RoleBinding or ClusterRoleBinding; a RoleBinding without a namespace is in ``default``."""
    namespace = (item.namespace or "default") if item.kind == "RoleBinding" else ""
    reference = mapping(item.body.get("roleRef"))
    subjects = tuple(read_subject(entry, namespace) for entry in items(item.body.get("subjects")))
    return Binding(item.name, namespace, text(reference.get("kind")), text(reference.get("name")), subjects, item)


def read_subject(body: object, namespace: str) -> Subject | None:
    """``appliesToUser``: whom an entry stands for. A service account without a namespace is in that of its RoleBinding, and nobody elsewhere.

    The API group is not looked at, as the authorizer does not; that it is right is validation's business.
    """
    entry = mapping(body)
    kind, name = text(entry.get("kind")), text(entry.get("name"))
    if not name:
        return None
    if kind == "User":
        return user_subject(name)
    if kind == "Group":
        return Subject("Group", name)
    home = text(entry.get("namespace")) or namespace
    return service_account(home, name) if kind == "ServiceAccount" and home else None
