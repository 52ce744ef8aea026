"""Rules about where rights lead (RBC4xx): to the whole cluster and to nodes by administrators only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.engines.rbac import defaults
from harness.engines.rbac.paths import ADMIN, NODE
from harness.model import Location, NotEvaluated
from harness.rules.base import Clusters, Registry, Violation
from harness.rules.rbc_common import FILE, access, entries_for, usable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.rbac.paths import Fact, Step
    from harness.engines.rbac.subjects import Subject
    from harness.flux.world import World

RBC: Final = Registry()


def built_in(subject: Subject) -> bool:
    """Whether a subject belongs to the control plane, which is not the repository's to judge."""
    if subject.kind == "ServiceAccount":
        return (subject.namespace, subject.name) in defaults.service_accounts()
    return subject.name == "system:masters" or subject.name.startswith(("system:kube-", "system:node"))


def chains(world: World) -> dict[Subject, tuple[Fact, tuple[Step, ...]]]:
    """For everyone who comes to the cluster or else to a node: the goal, and a shortest chain. Empty where nobody names administrators."""
    return world.derive(_chains)


def _chains(world: World) -> dict[Subject, tuple[Fact, tuple[Step, ...]]]:
    found: dict[Subject, tuple[Fact, tuple[Step, ...]]] = {}
    if usable(world) is None:
        return found
    search = access(world).search
    for subject in search.subjects():
        for goal in () if built_in(subject) else (ADMIN, NODE):
            steps = search.paths(subject, (goal,)).get(goal)
            if steps is not None:
                found[subject] = (goal, steps)
                break
    return found


def administrators(world: World) -> set[str]:
    listed = usable(world)
    return {who for _, entry in entries_for(listed, "administrators", world.cluster.name) for who in entry["subjects"]} if listed is not None else set()


def _violations(world: World, goal: Fact, expect: str) -> Iterator[Violation]:
    known = administrators(world)
    for subject, (reached, steps) in chains(world).items():
        if reached == goal and str(subject) not in known:
            told = "; ".join(f"{', '.join(map(str, step.rights)) or subject} -> {step.gain}" for step in steps)
            where = next((place for step in steps for used in step.rights if (place := used.grant.locate()) is not None), None) or _binding(world, subject)
            yield Violation(f"{subject}: {told}", expect, where)


def _binding(world: World, subject: Subject) -> Location:
    for binding, position in access(world).policy.bindings_of(subject):
        where = binding.locate("subjects", position)
        if where is not None:
            return where
    return Location(world.cluster.path)


@RBC.rule(
    "RBC401",
    title="only administrators can come to every right in the cluster",
    why=(
        "a chain of rights is as good as the right at its end; RBAC shows each link in another file "
        "(Kubernetes: RBAC Good Practices, Privilege escalation risks)"
    ),
    fix=f"take out the right of the step that is easiest to do without, or name the subject in tests/intent/{FILE} under administrators, with the reason",
    scope=Clusters(),
    controls=("CIS-5.1.1", "NIST-AC-6"),
)
def no_way_to_the_cluster(world: World) -> Iterator[Violation]:
    yield from _violations(world, ADMIN, "no chain to every right")


@RBC.rule(
    "RBC402",
    title="only administrators can come to a node",
    why="a node holds the tokens and Secrets of every pod on it (Kubernetes: RBAC Good Practices, Workload creation)",
    fix=f"take out the right of the step that is easiest to do without, or name the subject in tests/intent/{FILE} under administrators, with the reason",
    scope=Clusters(),
    controls=("CIS-5.2.1", "NIST-AC-6"),
)
def no_way_to_a_node(world: World) -> Iterator[Violation]:
    yield from _violations(world, NODE, "no chain to a node")


def not_evaluated(world: World) -> Iterator[NotEvaluated]:
    if usable(world) is None and any(binding.object is not None for binding in access(world).policy.bindings):
        yield NotEvaluated("RBC401, RBC402", "where rights lead", f"no tests/intent/{FILE} names the administrators; `access paths` shows every chain")


RULES: Final = tuple(RBC.rules)
