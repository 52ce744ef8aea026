"""The RBAC engine: rights broken into atoms, requests decided, chains searched, at several sizes so that the curve shows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from engines import Row
from harness.engines.rbac.atoms import all_atoms, difference
from harness.engines.rbac.paths import ADMIN, NODE, Escalation
from harness.engines.rbac.policy import Policy
from harness.engines.rbac.rules import Request
from harness.engines.rbac.surroundings import surroundings
from harness.model import Location, Object, ObjectId, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GROUP = "rbac.authorization.k8s.io"
_ORIGIN = Origin(lambda _pointer: Location("roles.yaml", 1))
#: The promise: atoms of this many roles in under a second.
_PROMISED = 300


def _object(kind: str, name: str, namespace: str = "", api: str = f"{_GROUP}/v1", **body: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": body.pop("labels", {})}
    return Object(ObjectId("bench", api.rpartition("/")[0], kind, namespace, name), {"apiVersion": api, "kind": kind, "metadata": metadata, **body}, _ORIGIN)


def _objects(roles: int) -> list[Object]:
    """Roles of five rules in a namespace for every ten of them, each bound to an account; one in ten is a ClusterRole, a third of those aggregated.

    Every aggregated role holds the rules of all that it gathers, so atoms grow faster than roles; the cost of one does not.
    """
    made: list[Object] = []
    for index in range(roles):
        namespace = f"n{index // 10}"
        rules = [
            {"apiGroups": ["", "apps"], "resources": ["deployments", "pods", "pods/log", f"r{index}"], "verbs": ["get", "list", "watch", "patch"]},
            {"apiGroups": [""], "resources": ["configmaps", "secrets"], "resourceNames": ["a", "b"], "verbs": ["get", "update"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
            {"apiGroups": ["batch"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]},
        ]
        wide = index % 10 == 0
        aggregation = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part-of": "all"}}]}} if index % 30 == 0 else {}
        labels = {"part-of": "all"} if wide and index % 30 else {}
        kind, home = ("ClusterRole", "") if wide else ("Role", namespace)
        made.append(_object("ServiceAccount", f"a{index}", namespace, "v1"))
        made.append(_object(kind, f"role{index}", home, rules=rules, labels=labels, **aggregation))
        subject = {"kind": "ServiceAccount", "name": f"a{index}", "namespace": namespace}
        made.append(_object(f"{kind}Binding", f"role{index}", home, roleRef={"kind": kind, "name": f"role{index}"}, subjects=[subject]))
    return made


def _seconds(work: Callable[[], object]) -> float:
    """The shortest of three runs."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def rows() -> Iterator[Row]:
    for roles in (100, _PROMISED, 1000, 3000):
        objects = _objects(roles)
        policy = Policy.of_objects(objects)
        atoms = len(all_atoms(policy))
        seconds = _seconds(lambda objects=objects: all_atoms(Policy.of_objects(objects)))  # type: ignore[misc]
        yield Row(f"atoms of {roles} roles ({atoms})", seconds, "s", "promised: under 1" if roles == _PROMISED else f"{seconds / atoms * 1e6:.1f} us an atom")
        seconds = _seconds(lambda policy=policy: difference(policy, policy))  # type: ignore[misc]
        yield Row(f"difference of {roles} roles with themselves", seconds, "s", f"{seconds / roles * 1e6:.0f} us a role")
    objects = _objects(_PROMISED)
    policy = Policy.of_objects(objects)
    request, people = Request("get", "", "secrets", "", "a", "n7"), policy.subjects()
    seconds = _seconds(lambda: [policy.allows(subject, request) for subject in people])
    yield Row(f"decisions for {len(people)} subjects", len(people) / seconds, "decisions/s")
    for roles in (100, _PROMISED, 1000):
        objects = _objects(roles)
        policy = Policy.of_objects(objects)
        around = surroundings(objects, (), policy)

        def search(policy: Policy = policy, around: Any = around) -> None:
            found = Escalation(policy, around)
            for subject in found.subjects():
                found.paths(subject, (ADMIN,)) or found.paths(subject, (NODE,))

        seconds = _seconds(search)
        yield Row(f"chains from everyone in {roles} roles", seconds, "s", f"{seconds / roles * 1e6:.0f} us a role; grows with roles x reach")
