"""Rights: the table of access and the offline engine, held against the API server that decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness.engines.rbac.rules import Request
from harness.engines.rbac.subjects import Subject, service_account
from harness.live.access.look import compared, look, one, shared, unequal, unlike, wrong_cells, wrong_rights
from harness.live.faults import applied, deleted, maker
from harness.live.findings import LiveError, NotEvaluatedError
from harness.live.reach.wait import WaitTimeoutError, wait
from harness.live.rules.access import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.live.access.look import Look
    from harness.live.bringup import Platform
    from harness.live.reach.kubectl import Kubectl
    from harness.model import Finding

#: What the red proof below breaks for a moment would be found by the others.
pytestmark = pytest.mark.proof(uses=("tenant-b",))
GROUP = "rbac.authorization.k8s.io"
#: Seconds after which a difference is one: other proofs take bindings away, or have their own, for a moment.
SETTLED = 120.0


def hold(platform: Platform, check: Callable[[Look], Iterable[Finding]]) -> None:
    """Raise what a check finds, unless it finds nothing in another look."""
    findings: list[Finding] = []
    seen = platform.once(shared)

    def holds() -> bool:
        nonlocal seen
        findings[:] = check(seen)
        if findings:
            seen = look(platform, platform.random())
        return not findings

    try:
        wait(holds, timeout=SETTLED, delay=5, what="rights that do not change")
    except WaitTimeoutError as error:
        raise LiveError(*findings[:20]) from error


def test_cluster_has_the_roles_and_bindings_of_the_build(platform: Platform) -> None:
    hold(platform, lambda seen: seen.comparison.findings)
    platform.entries += platform.once(shared).comparison.open


def test_engine_computes_what_every_account_has_everywhere(platform: Platform) -> None:
    hold(platform, unequal)
    seen = platform.once(shared)
    platform.notes.append(f"rights: all of {len(seen.subjects)} subjects in {len(seen.places)} places are those of the engine ({len(seen.known.rules)} sets)")


def test_every_cell_of_the_table_holds(platform: Platform) -> None:
    said: list[str] = []

    def check(seen: Look) -> list[Finding]:
        findings, said[:] = wrong_cells(seen, platform.random())
        return findings

    hold(platform, check)
    platform.notes += [f"rights: {line}" for line in said]


def test_every_right_of_every_account_is_allowed_and_what_is_beside_refused(platform: Platform) -> None:
    said: list[str] = []

    def check(seen: Look) -> list[Finding]:
        findings, said[:] = wrong_rights(seen, platform.random())
        return findings

    hold(platform, check)
    platform.notes += [f"rights: {line}" for line in said]


def test_requests_are_treated_as_their_reviews_say(platform: Platform) -> None:
    said: list[str] = []

    def check(seen: Look) -> list[Finding]:
        findings, said[:] = unlike(seen, platform.random())
        return findings

    hold(platform, check)
    platform.notes += [f"rights: {line}" for line in said]


@pytest.mark.proof(breaks=("tenant-a", "tenant-b"))
def test_removed_and_added_bindings_are_seen(platform: Platform, kubectl: Kubectl) -> None:
    if platform.cluster.foreign:
        raise NotEvaluatedError("RoleBindings", "red proof", "nothing of this cluster may be changed from here")
    server = platform.cluster.api
    binding = platform.world.find(f"RoleBinding.{GROUP}", "tenant-b", "developer")
    if binding is None:
        raise NotEvaluatedError("RoleBinding/tenant-b/developer", "red proof", "the build has no such binding any more: name another one here")
    developers, tenant = Subject("Group", "plimsoll:tenant-b-developers"), service_account("tenant-b", "flux-tenant-b")

    more: dict[str, Any] = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "plimsoll-proof-access", "namespace": "tenant-a"},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "developer"},
        "subjects": [{"kind": "ServiceAccount", "name": tenant.name, "namespace": tenant.namespace}],
    }

    def may_read() -> str:
        yes, reason = one(server, developers, Request("list", "", "pods", namespace="tenant-b"))
        return "" if yes else f"{developers} may not list pods in tenant-b: {reason or 'no rule allows it'}"

    def may_not_cross() -> str:
        yes, reason = one(server, tenant, Request("list", "", "pods", namespace="tenant-a"))
        return f"{tenant} may list pods in tenant-a: {reason}" if yes else ""

    def nothing_unknown() -> str:
        unknown = (each for each in compared(platform, temporary=True).findings if each.rule == UNKNOWN.id)
        # Other proofs have accounts and bindings for a moment too.
        return "; ".join(f"{each.rule} {each.subject} {each.found}" for each in unknown if more["metadata"]["name"] in each.subject)

    # An interrupted run may have left it.
    kubectl.delete(f"rolebindings.{GROUP}", more["metadata"]["name"], more["metadata"]["namespace"])
    removing = deleted(kubectl, f"rolebindings.{GROUP}", "developer", "tenant-b", suspending=maker(binding))
    platform.red("RoleBinding tenant-b/developer -> API server", "the binding is deleted", removing, may_read)
    adding = "the other tenant's account is bound there"
    platform.red("namespace tenant-a -> its own account only", adding, applied(kubectl, more), may_not_cross)
    platform.red("what is in Git -> what is in the cluster", adding, applied(kubectl, more), nothing_unknown)
