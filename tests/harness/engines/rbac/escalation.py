"""The check that nobody grants what he does not have.

Source: Kubernetes v1.36, ``pkg/registry/rbac/{rolebinding,clusterrolebinding}/policybased`` (``BindingAuthorized``, ``ConfirmNoEscalation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.engines.rbac.roles import GROUP
from harness.engines.rbac.rules import Request, Rule, uncovered
from harness.engines.rbac.subjects import MASTERS

if TYPE_CHECKING:
    from harness.engines.rbac.policy import Policy
    from harness.engines.rbac.roles import Role
    from harness.engines.rbac.subjects import Subject


class Grantable(NamedTuple):
    """Whether a role may be bound, why, and the rules of the role that stand in the way, one verb and resource each."""

    allowed: bool
    reason: str
    missing: tuple[Rule, ...] = ()


def may_bind(policy: Policy, subject: Subject, role: Role, namespace: str = "") -> Grantable:
    """Whether a subject may make a binding to a role: a RoleBinding in ``namespace``, or without one a ClusterRoleBinding."""
    if MASTERS in subject.groups:
        return Grantable(True, f"members of {MASTERS} bypass every check")
    kind = "rolebindings" if namespace else "clusterrolebindings"
    if not policy.allows(subject, Request("create", GROUP, kind, namespace=namespace)):
        return Grantable(False, f"it may not create {kind}")
    resource = "roles" if role.namespace else "clusterroles"
    if policy.allows(subject, Request("bind", GROUP, resource, name=role.name, namespace=namespace)):
        return Grantable(True, "it has the verb bind on the role")
    missing = tuple(uncovered([held.rule for held in policy.rules_for(subject, namespace)], [grant.rule for grant in policy.grants(role)]))
    if missing:
        return Grantable(False, f"it lacks {len(missing)} of the rights of the role there, and the verb bind", missing)
    return Grantable(True, "it has every right of the role there itself")
